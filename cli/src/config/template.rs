//! Writes a first `jitsi.toml`: the given answers, and every optional key as a comment with its
//! default and what it is for.

use std::{fmt::Write, path::PathBuf};

use jitsi_templates::settings::{Apt, Domain, Watch};
use toml::Value;

use super::{
    CertificateArn, DeploymentName, Email, HostedZoneId, Region,
    read::{DEFAULT_CIDR, DEFAULT_DISK, DEFAULT_DRAIN, DEFAULT_INSTANCE_TYPE},
};

/// What `jitsi-aws init` asks; each type's `parse` says what is wrong with an answer.
#[derive(Clone, Debug)]
pub struct Answers {
    /// `[deployment] name`
    pub name: DeploymentName,
    /// `[deployment] region`
    pub region: Region,
    /// `[site] domain`
    pub domain: Domain,
    /// `[certificate]`
    pub certificate: CertificateAnswer,
    /// `[monitoring] emails`
    pub emails: Vec<Email>,
}

/// Where the certificate comes from, with paths as the file shall have them: relative to itself.
#[derive(Clone, Debug)]
pub enum CertificateAnswer {
    /// PEM files.
    Import {
        /// The certificate, perhaps followed by its chain.
        certificate: PathBuf,
        /// Its private key.
        private_key: PathBuf,
        /// The chain, when it is a file of its own.
        chain: Option<PathBuf>,
    },
    /// One that is in ACM already.
    Existing {
        /// Its ARN.
        arn: CertificateArn,
    },
    /// One ACM shall issue.
    Request {
        /// Where the validation record is kept.
        hosted_zone: Option<HostedZoneId>,
    },
}

/// The text of `jitsi.toml`.
pub fn render(answers: &Answers) -> String {
    let mut file = File(String::from(
        "# A Jitsi Meet deployment on AWS. Lines that begin with `#` show what else can be set, with\n\
         # its default. See what a change would do with `jitsi-aws plan`.\n",
    ));
    file.section("deployment");
    file.set(
        "name",
        answers.name.as_str(),
        "begins every name in AWS; a new name is a new deployment",
    );
    file.set("region", answers.region.as_str(), "the AWS region everything lies in");
    file.section("site");
    file.set("domain", answers.domain.as_str(), "what people type");
    certificate(&mut file, &answers.certificate);
    optional(&mut file, answers);
    file.0
}

fn certificate(file: &mut File, answer: &CertificateAnswer) {
    file.section("certificate");
    let mode =
        "\"import\" (PEM files), \"existing\" (an ARN in ACM) or \"request\" (ACM issues one)";
    match answer {
        CertificateAnswer::Import { certificate, private_key, chain } => {
            file.set("mode", "import", mode);
            file.set("certificate", text(certificate), "PEM; relative paths begin at this file");
            file.set("private_key", text(private_key), "PEM, not encrypted");
            let about = "PEM, when `certificate` holds only the site's own";
            match chain {
                Some(chain) => file.set("chain", text(chain), about),
                None => file.show("chain", "chain.pem", about),
            }
        }
        CertificateAnswer::Existing { arn } => {
            file.set("mode", "existing", mode);
            file.set("arn", arn.as_str(), "in the deployment's region");
        }
        CertificateAnswer::Request { hosted_zone } => {
            file.set("mode", "request", mode);
            let about =
                "where the validation record is kept; absent: [dns] hosted_zone, else by hand";
            match hosted_zone {
                Some(zone) => file.set("hosted_zone", zone.as_str(), about),
                None => file.show("hosted_zone", "Z0123456789ABC", about),
            }
        }
    }
}

fn optional(file: &mut File, answers: &Answers) {
    file.section("dns");
    file.show(
        "hosted_zone",
        "Z0123456789ABC",
        "Route 53 zone to keep the site's alias in; absent: by hand",
    );

    file.section("network");
    file.show("cidr", DEFAULT_CIDR, "the VPC's private range, /16 to /24");
    let zones = ["a", "b"].map(|zone| format!("{}{zone}", answers.region));
    file.show("zones", zones.to_vec(), "two zones; absent: chosen by what they offer");
    file.show(
        "ssh_from",
        Vec::<String>::new(),
        "who may reach port 22, as [\"203.0.113.0/24\"]; SSM sessions need none",
    );
    file.show("tcp_fallback", false, "open tcp/4443, too; serves nothing today");

    file.section("instance");
    file.show("type", DEFAULT_INSTANCE_TYPE, "4 GiB of memory at least");
    file.show("image", "debian-13", "or \"debian-12\", or an AMI id (unproven); absent: Debian 13");
    file.show("disk_gib", DEFAULT_DISK, "root volume, encrypted");
    let about = "renews the instance at this age (minutes without the site); absent: never";
    file.show("max_age", "30d", about);

    file.section("meetings");
    let drain = humantime::format_duration(DEFAULT_DRAIN).to_string();
    file.show("drain", drain, "how long a replacement waits for people to leave, at most 1h");

    file.section("monitoring");
    let emails: Vec<String> = answers.emails.iter().map(ToString::to_string).collect();
    let about = "who gets mail when the server dies or is replaced";
    if emails.is_empty() {
        file.show("emails", emails, about);
    } else {
        file.set("emails", emails, about);
    }

    file.section("agent");
    file.show(
        "binary",
        "jitsi-agent",
        "or a directory of `scripts/build-agent`; absent: beside `jitsi-aws`",
    );

    file.section("jitsi");
    file.show("version", "2.0.10741-1", "of the package jitsi-meet; absent: the newest stable one");
    file.show("lobby", false, "whether new rooms have a lobby");

    file.section("jitsi.authentication");
    file.show("mode", "open", "\"open\", \"jwt\" (tokens) or \"secure-domain\" (accounts)");
    file.show("app_id", "my-app", "jwt: the tokens' issuer");
    file.show(
        "secret_parameter",
        "/jitsi/jwt-secret",
        "jwt: SSM SecureString with the signing secret",
    );
    file.show(
        "users_path",
        "/jitsi/users",
        "secure-domain: each SSM SecureString below it is a user",
    );

    let apt = Apt::default();
    for (name, repository) in [("jitsi.apt.jitsi", apt.jitsi), ("jitsi.apt.prosody", apt.prosody)] {
        file.section(name);
        file.show("url", repository.url, "the repository, or a mirror of it");
        file.show("suite", repository.suite, "ends in / when flat");
        file.show("key_url", repository.key_url, "its signing key");
        file.show("key_fingerprint", repository.key_fingerprint, "the one key to trust");
    }

    let watch = Watch::default();
    file.section("watch");
    file.show(
        "component_interval",
        watch.component_interval.cast_signed(),
        "seconds between two looks at the programs",
    );
    file.show(
        "meeting_interval",
        watch.meeting_interval.cast_signed(),
        "seconds between two test meetings",
    );
    file.show(
        "strikes",
        watch.strikes,
        "visitors are turned away once a fault has lasted so many component_intervals",
    );
    file.show(
        "media_grace",
        watch.media_grace.cast_signed(),
        "seconds an ill instance stays while people still talk",
    );
}

fn text(path: &std::path::Path) -> String {
    path.display().to_string()
}

/// Widest line before its explanation moves to a line of its own.
const WIDTH: usize = 100;

struct File(String);

impl File {
    fn section(&mut self, name: &str) {
        self.line(&format!("\n[{name}]"));
    }

    /// A key that is set.
    fn set(&mut self, key: &str, value: impl Into<Setting>, about: &str) {
        self.key("", key, value.into(), about);
    }

    /// A key that is only shown.
    fn show(&mut self, key: &str, value: impl Into<Setting>, about: &str) {
        self.key("# ", key, value.into(), about);
    }

    fn key(&mut self, comment: &str, key: &str, Setting(value): Setting, about: &str) {
        let line = format!("{comment}{key} = {value}");
        if line.chars().count() + about.chars().count() + 4 > WIDTH {
            self.line(&format!("# {about}:\n{line}"));
        } else {
            self.line(&format!("{line}  # {about}"));
        }
    }

    fn line(&mut self, line: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }
}

/// A value as TOML writes it.
struct Setting(Value);

impl<T: Into<Value>> From<T> for Setting {
    fn from(value: T) -> Self {
        Self(value.into())
    }
}
