//! The deployment as one file describes it: `jitsi.toml`, checked as a whole, with every problem at
//! once. What a [`Config`] holds needs no further check before AWS is asked.

mod agent;
mod architecture;
mod image;
mod overrides;
mod read;
pub mod template;
mod types;

use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ipnet::Ipv4Net;
use jitsi_templates::settings::{self, Domain, InstanceSettings, Jitsi, Problem, Watch};

pub use architecture::Architecture;
pub use image::{Debian, ImageChoice};
pub use overrides::Overrides;
pub use types::{
    CertificateArn, DeploymentName, Email, HostedZoneId, ImageId, InstanceType, Region, Zone,
};

use crate::{
    certificate::{self, CertificateFiles, Trust},
    input_file,
    invocation::command,
};

/// A deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[deployment] name`: begins every name in AWS.
    pub name: DeploymentName,
    /// `[deployment] region`
    pub region: Region,
    /// `[site] domain`: what people type.
    pub domain: Domain,
    /// `[certificate]`
    pub certificate: Certificate,
    /// `[dns] hosted_zone`: where an alias for the site is kept; without it, DNS is done by hand.
    pub hosted_zone: Option<HostedZoneId>,
    /// `[network]`
    pub network: Network,
    /// `[instance]`
    pub instance: Instance,
    /// `[meetings] drain`: how long a replacement waits for people to leave, at most 1 h.
    pub drain: Duration,
    /// `[monitoring] emails`: who gets mail; no address twice.
    pub emails: Vec<Email>,
    /// `[agent] binary`: the file put on the instance.
    pub agent: PathBuf,
    /// `[jitsi]`
    pub jitsi: Jitsi,
    /// `[watch]`
    pub watch: Watch,
}

/// `[certificate]`: where the site's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// PEM files imported into ACM.
    Import(CertificatePaths),
    /// One that is in ACM already.
    Existing {
        /// Its ARN, in the deployment's region.
        arn: CertificateArn,
    },
    /// One ACM issues once DNS shows that the domain is ours.
    Request {
        /// Where the validation record is kept (`[dns] hosted_zone` unless given); without it the
        /// record is made by hand.
        hosted_zone: Option<HostedZoneId>,
    },
}

/// The files of a certificate to import, absolute or relative to the working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePaths {
    /// The certificate, perhaps followed by its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
    /// The chain, when it is a file of its own.
    pub chain: Option<PathBuf>,
}

/// `[network]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The VPC's range: private, /16 to /24.
    pub cidr: Ipv4Net,
    /// Two zones of the region; chosen by what they offer when absent.
    pub zones: Option<[Zone; 2]>,
    /// Who may reach port 22; nobody when empty.
    pub ssh_from: Vec<Ipv4Net>,
    /// Whether tcp/4443 is open, too.
    pub tcp_fallback: bool,
}

/// `[instance]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// EC2 instance type.
    pub instance_type: InstanceType,
    /// Its image. When absent the newest Debian 13, unless an official one is in use already.
    pub image: Option<ImageChoice>,
    /// Root volume in GiB.
    pub disk_gib: u32,
    /// How old an instance may become until its group renews it, 1 to 365 days; absent: as old as it likes.
    pub max_age: Option<Duration>,
}

impl Network {
    /// The ranges of the two public subnets: a sixteenth of the VPC each, but no smaller than the /27
    /// an ALB needs (ELB user guide, "Subnets for your load balancer").
    pub fn subnets(&self) -> [Ipv4Net; 2] {
        let bits = (self.cidr.prefix_len() + 4).min(27);
        let size = 1u32 << (32 - bits);
        let first = u32::from(self.cidr.network());
        [first, first + size].map(|address| Ipv4Net::new_assert(address.into(), bits))
    }
}

impl Config {
    /// The hosted zone a requested certificate's validation record is kept in.
    pub fn validation_zone(&self) -> Option<&HostedZoneId> {
        match &self.certificate {
            Certificate::Request { hosted_zone: Some(zone) } => Some(zone),
            _ => self.hosted_zone.as_ref(),
        }
    }

    /// What the instance's agent is told; `hooks` are the names of the launch and terminate hook.
    pub fn instance_settings(
        &self,
        auto_scaling_group: &str,
        [launch_hook, terminate_hook]: [&str; 2],
    ) -> InstanceSettings {
        InstanceSettings {
            deployment: self.name.to_string(),
            region: self.region.to_string(),
            domain: self.domain.clone(),
            vpc_cidr: self.network.cidr,
            auto_scaling_group: auto_scaling_group.to_owned(),
            launch_hook: launch_hook.to_owned(),
            terminate_hook: terminate_hook.to_owned(),
            drain: self.drain,
            jitsi: self.jitsi.clone(),
            watch: self.watch.clone(),
        }
    }
}

/// Which files named in the configuration are looked at while loading: what a command does not
/// need does not stop it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files {
    /// Check the certificate's files as of this time.
    pub certificate: Option<SystemTime>,
    /// The agent's binary must be there.
    pub agent: bool,
}

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What can be used but should be thought about.
    pub warnings: Vec<Problem>,
    /// The certificate's files, if [`Files`] asked for them and the mode is `import`.
    pub certificate: Option<CertificateFiles>,
    /// Origins of the values of [`Overrides::default_to`] that stand in for what the file does not say.
    pub stood_in: Vec<&'static str>,
}

/// A configuration that cannot be used: everything that is wrong with it.
#[derive(Debug)]
pub struct Invalid {
    /// The whole in one line: `3 problems in jitsi.toml`.
    pub what: String,
    /// Each problem; none when there is no configuration to look at.
    pub problems: Vec<Problem>,
    /// What to do next.
    pub hint: String,
}

impl Invalid {
    fn problems(path: &Path, problems: Vec<Problem>, and_files: &str) -> Self {
        let path = path.display();
        let what = match problems.len() {
            1 => format!("1 problem in {path}"),
            count => format!("{count} problems in {path}"),
        };
        let hint =
            format!("correct {path}{and_files} and run the command again; nothing was sent to AWS");
        Self { what, problems, hint }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Invalid {}

/// Loads the configuration at `path`, with `overrides` laid over it. Looks at `files` only, and at
/// nothing outside this machine.
pub fn load(path: &Path, overrides: &Overrides, files: Files) -> Result<Loaded, Invalid> {
    let text = text(path)?;
    let mut table =
        settings::toml_table(&text).map_err(|problems| Invalid::problems(path, problems, ""))?;
    let stood_in = overrides.lay_over(&mut table);
    let base = path.parent().unwrap_or(Path::new(""));
    let (partial, mut problems, mut warnings) = read::read(&table, base);
    overrides.name_origins(&mut problems);
    overrides.name_origins(&mut warnings);
    let mut file_problems = Vec::new();
    if files.agent {
        let agent = partial.agent.as_ref();
        file_problems.extend(agent.and_then(|(path, built_for)| agent::missing(path, *built_for)));
    }
    let mut certificate = None;
    if let (Some(now), Some(Certificate::Import(paths))) = (files.certificate, &partial.certificate)
    {
        match certificate::check(paths, partial.domain.as_ref(), &Trust::system(), now) {
            Ok(checked) => {
                warnings.extend(checked.warnings);
                certificate = Some(checked.files);
            }
            Err(found) => file_problems.extend(found),
        }
    }
    let and_files = if file_problems.is_empty() { "" } else { " or the files it names" };
    problems.extend(file_problems);
    match partial.config {
        Some(config) if problems.is_empty() => {
            Ok(Loaded { config, warnings, certificate, stood_in })
        }
        _ => Err(Invalid::problems(path, problems, and_files)),
    }
}

fn text(path: &Path) -> Result<String, Invalid> {
    let shown = path.display();
    let refuse = |reason: String, hint: &str| Invalid {
        what: format!("{shown} {reason}"),
        problems: Vec::new(),
        hint: hint.to_owned(),
    };
    input_file::read_text(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => refuse(
            "does not exist".to_owned(),
            &format!("write one with `{}`, or name another with `--config PATH`", command("init")),
        ),
        ErrorKind::InvalidData => refuse("is not UTF-8 text".to_owned(), "save it as UTF-8"),
        _ => refuse(
            format!("cannot be read: {}", input_file::why(&error)),
            "name another with `--config PATH`",
        ),
    })
}

#[cfg(test)]
mod tests;
