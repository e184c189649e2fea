//! The command line: what may be typed, and the words `--help` says about it.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{
    Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser as _},
};
use clap_complete::Shell;
use jitsi_templates::settings::values::length;

use crate::{
    exit::Exit,
    ha_test::harm::{Harm, Service, UnknownService},
    invocation::option,
};

/// How long the service may take to come back unless `--within` says otherwise.
const WITHIN: Duration = Duration::from_mins(10);

/// Where the configuration is unless `--config` says otherwise.
pub const DEFAULT_CONFIG: &str = "jitsi.toml";

const CONFIG_VARIABLE: &str = "JITSI_AWS_CONFIG";

/// A team's own Jitsi Meet on AWS: one self-healing instance, HTTPS, mail when something dies.
#[derive(Debug, Parser)]
#[command(
    name = "jitsi-aws",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = after_help()
)]
pub struct Args {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What stands below all of `--help`.
fn after_help() -> String {
    let first = "\
A first deployment:
  jitsi-aws init                 write jitsi.toml
  jitsi-aws plan                 see what would be made
  jitsi-aws setup all            make it
  jitsi-aws probe                hold a meeting
  jitsi-aws setup delete         delete it all again";
    format!("{first}\n\n{}", Exit::help())
}

/// Options of every command.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Options of every command")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Global {
    /// The deployment's configuration.
    #[arg(
        long,
        value_name = "PATH",
        env = CONFIG_VARIABLE,
        default_value = DEFAULT_CONFIG,
        value_parser = OsStringValueParser::new().try_map(config_path),
        global = true
    )]
    pub config: PathBuf,
    /// Use this profile of the AWS configuration, whatever the environment says.
    #[arg(long, value_name = "NAME", global = true)]
    pub profile: Option<String>,
    /// Deploy to this region instead of the configured one.
    #[arg(long, value_name = "REGION", global = true)]
    pub region: Option<String>,
    /// Machine-readable: one JSON document on stdout, one JSON event per line on stderr.
    #[arg(long, global = true)]
    pub json: bool,
    /// Answer every question with yes; `setup delete` takes it with the deployment's name, `--yes=NAME`.
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    pub yes: Option<String>,
    /// No colours (also: `NO_COLOR`).
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Say every call made to AWS, and every resource that is as it should be.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Say only results, warnings and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented jitsi.toml, from flags or by asking.
    Init(Init),
    /// Create, update or delete the deployment, stage by stage; alone: show the stages.
    #[command(args_conflicts_with_subcommands = true)]
    Setup {
        /// The stage; alone: show all with their state.
        #[command(subcommand)]
        stage: Option<Setup>,
    },
    /// Show what `setup` would create, change and delete; exit code 3 when there is something.
    Plan {
        /// Only this stage.
        stage: Option<PlanStage>,
    },
    /// Show every deployment of the account and region; needs no jitsi.toml.
    List,
    /// Hold a test meeting from here, on the way that users take: DNS, load balancer, UDP to the media address.
    Probe(Probe),
    /// Break the deployment on purpose, and see how long nobody can meet and whether it recovers.
    HaTest(HaTest),
    /// Write completions for a shell to stdout.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the manual page to stdout.
    Man,
}

/// A numbered stage.
#[derive(Clone, Debug, Subcommand)]
pub enum Setup {
    /// Who may do what: deployer user and policies, key pair, instance role. Needs admin credentials.
    #[command(visible_alias = "00")]
    Iam(Keys),
    /// Network, launch template and the Auto Scaling group with its one instance.
    #[command(visible_alias = "01")]
    Instances,
    /// Certificate, load balancer, HTTPS; from here on an unhealthy instance is replaced.
    #[command(visible_alias = "02")]
    Lb,
    /// Mail when something dies: topic, subscriptions, rules, alarms, dashboard.
    #[command(visible_alias = "03")]
    Monitoring,
    /// Stages 00 to 03 in one go.
    All(Keys),
    /// Delete everything, in one run, and look again until nothing is left. Needs admin credentials.
    #[command(visible_alias = "99")]
    Delete(Delete),
    /// Where something exists twice: show which one is in use, and delete the other.
    Repair,
    /// End somebody else's lease on the deployment: their run stops, and 90 s later others may begin.
    Unlock,
}

/// Options of the stage that makes the deployer's access key.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Keys {
    /// Replace this access key of another operator, who loses it, by one of your own. IAM allows two.
    #[arg(long, value_name = "KEYID")]
    pub take_over: Option<String>,
}

/// Options of `setup delete`.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Delete {
    /// Leave stage 00 (user, policies, role, key pair): enough with the deployer's own credentials.
    #[arg(long)]
    pub keep_iam: bool,
    /// Let people finish their meetings first, as long as [meetings] drain allows.
    #[arg(long)]
    pub drain: bool,
}

/// A stage to plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanStage {
    /// Who may do what.
    #[value(alias = "00")]
    Iam,
    /// Network and instance.
    #[value(alias = "01")]
    Instances,
    /// Certificate and load balancer.
    #[value(alias = "02")]
    Lb,
    /// Mail when something dies.
    #[value(alias = "03")]
    Monitoring,
}

/// Options of `init`; what is missing is asked for on a terminal.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Init {
    /// Deployment name, also the name of its AWS resources.
    #[arg(long)]
    pub name: Option<String>,
    /// Host name users will type.
    #[arg(long)]
    pub domain: Option<String>,
    /// Certificate, PEM (leaf, or leaf and chain).
    #[arg(long, value_name = "PEM", requires = "private_key", conflicts_with = "certificate_arn")]
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "PEM")]
    pub private_key: Option<PathBuf>,
    /// Its chain, PEM, when the certificate file holds only the leaf.
    #[arg(long, value_name = "PEM", requires = "certificate")]
    pub chain: Option<PathBuf>,
    /// ARN of a certificate that is in ACM already.
    #[arg(long, value_name = "ARN", conflicts_with = "request_certificate")]
    pub certificate_arn: Option<String>,
    /// Have ACM issue one, once a DNS record shows that the domain is yours.
    #[arg(long, conflicts_with = "certificate")]
    pub request_certificate: bool,
    /// Address that gets mail when something dies; repeatable.
    #[arg(long = "email", value_name = "ADDRESS")]
    pub emails: Vec<String>,
    /// Replace an existing file.
    #[arg(long)]
    pub force: bool,
}

impl Init {
    /// The command with the answers it has been given, as it is typed; with `--force` where asked for.
    pub fn words(&self, force: bool) -> String {
        let mut words = vec!["init".to_owned()];
        let path =
            |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let given = [
            ("--name", self.name.clone()),
            ("--domain", self.domain.clone()),
            ("--certificate", path(&self.certificate)),
            ("--private-key", path(&self.private_key)),
            ("--chain", path(&self.chain)),
            ("--certificate-arn", self.certificate_arn.clone()),
        ];
        let emails = self.emails.iter().map(|email| ("--email", Some(email.clone())));
        for (flag, value) in given.into_iter().chain(emails) {
            words.extend(value.map(|value| option(flag, &value)));
        }
        if self.request_certificate {
            words.push("--request-certificate".to_owned());
        }
        if force {
            words.push("--force".to_owned());
        }
        words.join(" ")
    }
}

/// Options of `probe`.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Probe {
    /// Connect here instead of where DNS says; Host and TLS name stay the domain.
    #[arg(long, value_name = "HOST:PORT")]
    pub connect_to: Option<String>,
    /// Show neither token nor account, as a stranger: a closed site must refuse it.
    #[arg(long)]
    pub anonymous: bool,
    /// Behave as a visitor whose network drops UDP: no such meeting can be held (exit code 4).
    #[arg(long)]
    pub udp_blocked: bool,
}

/// Options of `ha-test`.
#[derive(Clone, Debug, ClapArgs)]
pub struct HaTest {
    /// Kill this: `instance` (the default), or `service=NAME`: nginx, prosody, jicofo or jvb.
    #[arg(long, value_name = "WHAT", value_parser = kill, group = "harm")]
    pub kill: Option<Harm>,
    /// Stop a service without ending it, as if it hung: nginx, prosody, jicofo or jvb.
    #[arg(long, value_name = "SERVICE", group = "harm")]
    pub hang: Option<Service>,
    /// Cut the instance's zone off the network, with no capacity left in it (AWS FIS).
    #[arg(long, group = "harm")]
    pub zone_outage: bool,
    /// Connect here instead of where DNS says; Host and TLS name stay the domain.
    #[arg(long, value_name = "HOST:PORT")]
    pub connect_to: Option<String>,
    /// How long the service may take to come back.
    #[arg(long, value_name = "DURATION", default_value = "10min", value_parser = length)]
    pub within: Duration,
    /// Maildir into which the deployment's mail is delivered: wait for the mail itself, not for an alarm.
    #[arg(long, value_name = "DIR")]
    pub maildir: Option<PathBuf>,
    /// Where the report goes: a directory, or the file NAME.html; the same as JSON beside it.
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub report: PathBuf,
}

impl HaTest {
    /// The command with its own options, as it is typed.
    pub fn words(&self) -> String {
        let mut words = vec!["ha-test".to_owned()];
        match self.harm() {
            Harm::Instance => {}
            Harm::Service(service) => words.push(format!("--kill service={service}")),
            Harm::Hang(service) => words.push(format!("--hang {service}")),
            Harm::ZoneOutage => words.push("--zone-outage".to_owned()),
        }
        if let Some(host) = &self.connect_to {
            words.push(option("--connect-to", host));
        }
        if self.within != WITHIN {
            words.push(format!("--within {}s", self.within.as_secs()));
        }
        if let Some(maildir) = &self.maildir {
            words.push(option("--maildir", &maildir.to_string_lossy()));
        }
        if self.report.as_os_str() != "." {
            words.push(option("--report", &self.report.to_string_lossy()));
        }
        words.join(" ")
    }

    /// What is to be done.
    pub fn harm(&self) -> Harm {
        match (self.kill, self.hang) {
            _ if self.zone_outage => Harm::ZoneOutage,
            (_, Some(service)) => Harm::Hang(service),
            (Some(harm), None) => harm,
            (None, None) => Harm::Instance,
        }
    }
}

/// `help --json` is `help`, printed as JSON: clap takes what follows `help` for commands alone.
fn without_options_of_help(mut line: Vec<OsString>) -> Vec<OsString> {
    let is_option = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
    let command = line.iter().skip(1).position(|word| !is_option(word)).map(|at| at + 1);
    if let Some(at) = command.filter(|at| line[*at] == "help") {
        let after = line.split_off(at);
        line.extend(after.into_iter().filter(|word| !is_option(word)));
    }
    line
}

/// A path that leads somewhere.
fn config_path(path: OsString) -> Result<PathBuf, String> {
    if !path.is_empty() {
        return Ok(path.into());
    }
    Err(match std::env::var_os(CONFIG_VARIABLE) {
        Some(set) if set.is_empty() => {
            format!("{CONFIG_VARIABLE} is set and empty; unset it, or name a file")
        }
        _ => "it is empty; name a file".to_owned(),
    })
}

/// `instance` or `service=NAME`.
fn kill(what: &str) -> Result<Harm, String> {
    match what.split_once('=') {
        None if what == "instance" => Ok(Harm::Instance),
        Some(("service", name)) => {
            name.parse().map(Harm::Service).map_err(|error: UnknownService| error.to_string())
        }
        _ => Err("it is `instance` or `service=NAME`".to_owned()),
    }
}

impl Args {
    /// Parses a command line; the error knows how to print itself, `--help` included.
    pub fn read<T: Into<OsString> + Clone>(
        line: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        Self::try_parse_from(without_options_of_help(line.into_iter().map(Into::into).collect()))
    }

    /// The command as clap knows it, for completions and the manual page.
    pub fn definition() -> clap::Command {
        Self::command()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::definition().debug_assert();
    }

    #[test]
    fn numbers_are_stages() {
        let args = Args::read(["jitsi-aws", "setup", "99", "--keep-iam"]).unwrap();
        assert!(matches!(
            args.command,
            Command::Setup { stage: Some(Setup::Delete(Delete { keep_iam: true, .. })) }
        ));
    }

    #[test]
    fn a_name_belongs_to_yes_only_with_an_equals_sign() {
        let yes = |line: &[&str]| Args::read(line.iter().copied()).unwrap().global.yes;
        assert_eq!(yes(&["jitsi-aws", "setup", "delete"]), None);
        assert_eq!(yes(&["jitsi-aws", "--yes", "setup", "all"]).as_deref(), Some(""));
        assert_eq!(yes(&["jitsi-aws", "setup", "delete", "-y"]).as_deref(), Some(""));
        assert_eq!(yes(&["jitsi-aws", "setup", "delete", "--yes=jitsi"]).as_deref(), Some("jitsi"));
        assert!(Args::read(["jitsi-aws", "setup", "delete", "--yes", "jitsi"]).is_err());
    }

    #[test]
    fn help_takes_the_options_of_every_command() {
        for line in
            [&["jitsi-aws", "help", "--json"][..], &["jitsi-aws", "--json", "help", "plan", "-v"]]
        {
            let said = Args::read(line.iter().copied()).unwrap_err();
            assert_eq!(said.kind(), clap::error::ErrorKind::DisplayHelp, "{line:?}");
        }
    }

    #[test]
    fn an_empty_path_is_told_of() {
        let said = Args::read(["jitsi-aws", "plan", "--config", ""]).unwrap_err().to_string();
        assert!(said.contains("it is empty; name a file"), "{said}");
    }

    #[test]
    fn answers_to_init_are_repeated() {
        let words = |line: &str, force| match Args::read(line.split(' ')).unwrap().command {
            Command::Init(options) => format!("jitsi-aws {}", options.words(force)),
            other => panic!("{other:?}"),
        };
        for typed in [
            "jitsi-aws init",
            "jitsi-aws init --name jitsi --domain meet.example.org --certificate a.pem --private-key b.pem \
             --chain c.pem --email a@example.org --email b@example.org",
            "jitsi-aws init --name=-x --request-certificate",
        ] {
            assert_eq!(words(typed, false), typed);
            assert_eq!(words(typed, true), format!("{typed} --force"));
        }
    }

    #[test]
    fn one_harm_at_a_time() {
        let harm = |rest: &[&str]| {
            let line = ["jitsi-aws", "ha-test"].iter().chain(rest).copied();
            Args::read(line).map(|args| match args.command {
                Command::HaTest(options) => (options.harm(), options.within.as_secs()),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(harm(&[]).unwrap(), (Harm::Instance, 600));
        let jvb = Harm::Service(Service::Videobridge);
        assert_eq!(harm(&["--kill", "service=jvb", "--within", "90s"]).unwrap(), (jvb, 90));
        assert_eq!(harm(&["--hang", "nginx"]).unwrap().0, Harm::Hang(Service::Nginx));
        assert_eq!(harm(&["--zone-outage"]).unwrap().0, Harm::ZoneOutage);
        let words = |line: &str| match Args::read(line.split(' ')).unwrap().command {
            Command::HaTest(options) => format!("jitsi-aws {}", options.words()),
            other => panic!("{other:?}"),
        };
        for typed in [
            "jitsi-aws ha-test",
            "jitsi-aws ha-test --zone-outage --within 90s --report reports",
            "jitsi-aws ha-test --hang nginx --connect-to 192.0.2.1:443 --maildir mail",
        ] {
            assert_eq!(words(typed), typed);
        }
        assert!(harm(&["--kill", "instance", "--zone-outage"]).is_err());
        assert!(harm(&["--kill", "service=apache"]).is_err());
        assert!(harm(&["--kill", "everything"]).is_err());
    }
}
