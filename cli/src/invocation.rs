//! The command line as it was typed, as far as it decides which deployment is meant and whose rights are
//! used. Every command a person is told to type is made here and repeats that: without it, the same words
//! may mean another deployment, in another account.

use std::{
    env,
    fmt::Write as _,
    path::Path,
    sync::{PoisonError, RwLock},
};

use crate::args::{DEFAULT_CONFIG, Global};

/// Stands where only the operator knows the name: no profile is called that, so that the command is
/// refused if nobody puts in another.
pub const ADMIN: &str = "ADMIN";

// A process is one invocation.
static TYPED: RwLock<Invocation> = RwLock::new(Invocation::NONE);

/// What a command to be typed next has to repeat. How something is printed (`--json`, `-v`) is not in it,
/// nor is `--yes`: it was meant for one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    config: Option<String>,
    profile: Option<String>,
    region: Option<String>,
    /// `AWS_PROFILE`, which a shell may have for one command only; `--profile` beats it.
    ambient_profile: Option<String>,
    /// The deployment's region, once it is known, for commands of the AWS CLI.
    deployed_to: Option<String>,
}

impl Invocation {
    const NONE: Self = Self {
        config: None,
        profile: None,
        region: None,
        ambient_profile: None,
        deployed_to: None,
    };

    /// What was typed, and what the environment said.
    pub fn of(global: &Global) -> Self {
        let config = (global.config != Path::new(DEFAULT_CONFIG))
            .then(|| global.config.to_string_lossy().into_owned());
        let ambient = env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
        Self {
            config,
            profile: global.profile.clone(),
            region: global.region.clone(),
            ambient_profile: ambient.filter(|_| global.profile.is_none()),
            deployed_to: None,
        }
    }

    /// Makes this the one that commands repeat from now on.
    pub fn remember(self) {
        *TYPED.write().unwrap_or_else(PoisonError::into_inner) = self;
    }

    /// `jitsi-aws WORDS`, for the same deployment with the same rights.
    fn command(&self, words: &str) -> String {
        let mut command = String::new();
        if let Some(profile) = &self.ambient_profile {
            let _infallible = write!(command, "AWS_PROFILE={} ", quoted(profile));
        }
        command.push_str("jitsi-aws ");
        command.push_str(words);
        for (flag, value) in
            [("--config", &self.config), ("--profile", &self.profile), ("--region", &self.region)]
        {
            let Some(value) = value else { continue };
            let _infallible = write!(command, " {}", option(flag, value));
        }
        command
    }

    /// The same with the credentials of `profile`.
    fn with_profile(&self, profile: Option<&str>) -> Self {
        Self { profile: profile.map(str::to_owned), ambient_profile: None, ..self.clone() }
    }

    /// The same for an administrator. Who named a profile named one without the rights, and the next best
    /// one may be of another account; otherwise the environment's credentials are the administrator's.
    fn as_admin(&self) -> Self {
        let deployers = |name: &String| name.starts_with("jitsi-aws-");
        if self.profile.is_some() || self.ambient_profile.as_ref().is_some_and(deployers) {
            return self.with_profile(Some(ADMIN));
        }
        self.clone()
    }
}

/// A flag with its value, as it is typed.
pub(crate) fn option(flag: &str, value: &str) -> String {
    // What begins with a hyphen would be taken for a flag of its own.
    let between = if value.starts_with('-') { '=' } else { ' ' };
    format!("{flag}{between}{}", quoted(value))
}

fn typed() -> Invocation {
    TYPED.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The command `jitsi-aws WORDS` as it must be typed to mean what this one meant.
pub fn command(words: &str) -> String {
    typed().command(words)
}

/// [`command`] for what takes an administrator's credentials.
pub fn as_admin(words: &str) -> String {
    typed().as_admin().command(words)
}

/// [`command`] with the credentials of another profile, where those at hand will not do.
pub fn with_other_profile(words: &str) -> String {
    typed().with_profile(Some(ADMIN)).command(words)
}

/// [`command`] for what the deployer does with the profile that `setup iam` has just made.
pub fn as_deployer(words: &str) -> String {
    typed().with_profile(None).command(words)
}

/// [`command`] in another region.
pub fn in_region(words: &str, region: &str) -> String {
    Invocation { region: Some(region.to_owned()), ..typed() }.command(words)
}

/// [`command`] that gives everything but the file itself, as an example does.
pub fn for_file(words: &str) -> String {
    Invocation { config: typed().config, ..Invocation::NONE }.command(words)
}

/// The AWS CLI's command `aws WORDS` in `region`, with the credentials of `profile`, else those this
/// command was started with.
pub fn aws_cli(words: &str, region: &str, profile: Option<&str>) -> String {
    aws(words, Some(region), profile)
}

/// [`aws_cli`] in the deployment's region, for errors that know no more.
pub fn aws_here(words: &str) -> String {
    aws(words, typed().deployed_to.as_deref(), None)
}

/// [`aws_cli`] for what is the same in every region.
pub fn aws_anywhere(words: &str) -> String {
    aws(words, None, None)
}

/// The AWS CLI's command for an administrator; in the deployment's region, or where there are none.
pub fn aws_as_admin(words: &str, regional: bool) -> String {
    let typed = typed().as_admin();
    let region = typed.deployed_to.clone().filter(|_| regional);
    aws_of(&typed, words, region.as_deref(), None)
}

fn aws(words: &str, region: Option<&str>, profile: Option<&str>) -> String {
    aws_of(&typed(), words, region, profile)
}

fn aws_of(typed: &Invocation, words: &str, region: Option<&str>, profile: Option<&str>) -> String {
    let profile = profile.or(typed.profile.as_deref()).or(typed.ambient_profile.as_deref());
    let mut command = format!("aws {words}");
    for (flag, value) in [("--region", region), ("--profile", profile)] {
        if let Some(value) = value {
            let _infallible = write!(command, " {flag} {}", quoted(value));
        }
    }
    command
}

/// The deployment's region, once it is known; `REGION` before.
pub fn region_here() -> String {
    typed().deployed_to.unwrap_or_else(|| "REGION".to_owned())
}

/// The deployment's region is known.
pub fn deploys_to(region: &str) {
    let region = Some(region.to_owned());
    TYPED.write().unwrap_or_else(PoisonError::into_inner).deployed_to = region;
}

/// The file of the deployment is in the region that the environment names: another shell may name another.
pub fn region_is(region: &str) {
    let region = Some(region.to_owned());
    TYPED.write().unwrap_or_else(PoisonError::into_inner).region = region;
}

/// A word as a POSIX shell reads it back.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;
    use crate::args::Args;

    fn typed(line: &[&str]) -> Invocation {
        let global = Args::read(["jitsi-aws", "plan"].iter().chain(line).copied()).unwrap().global;
        Invocation { ambient_profile: None, ..Invocation::of(&global) }
    }

    #[test]
    fn what_was_typed_is_repeated() {
        assert_eq!(typed(&[]).command("setup lb"), "jitsi-aws setup lb");
        assert_eq!(
            typed(&["--config", "it's here/a.toml", "--json", "--yes", "-v"]).command("plan"),
            r"jitsi-aws plan --config 'it'\''s here/a.toml'"
        );
        let all = ["--region", "eu-west-1", "--profile", "ops", "--config=-x"];
        assert_eq!(
            typed(&all).command("setup all"),
            "jitsi-aws setup all --config=-x --profile ops --region eu-west-1"
        );
    }

    #[test]
    fn an_administrator_s_command_names_no_deployer_s_profile() {
        let named = typed(&["--profile", "jitsi-aws-jitsi", "--config", "b.toml"]);
        assert_eq!(
            named.as_admin().command("setup iam"),
            "jitsi-aws setup iam --config b.toml --profile ADMIN"
        );
        assert_eq!(typed(&[]).as_admin().command("setup iam"), "jitsi-aws setup iam");
        let ambient =
            |name: &str| Invocation { ambient_profile: Some(name.to_owned()), ..typed(&[]) };
        assert_eq!(
            ambient("staging").as_admin().command("setup iam"),
            "AWS_PROFILE=staging jitsi-aws setup iam"
        );
        assert_eq!(
            ambient("jitsi-aws-jitsi").as_admin().command("setup iam"),
            "jitsi-aws setup iam --profile ADMIN"
        );
    }

    // Texts that AWS keeps for whoever reads a mail, and those that explain: nobody's invocation.
    const GENERAL: [&str; 5] = [
        "args.rs",
        "config/template.rs",
        "invocation.rs",
        "resources/alarm.rs",
        "resources/event_rule.rs",
    ];

    #[test]
    fn no_command_is_written_by_hand() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let names: Vec<String> =
            Args::definition().get_subcommands().map(|known| known.get_name().to_owned()).collect();
        let mut found = Vec::new();
        for path in sources(&root) {
            let shown = path.strip_prefix(&root).unwrap().display().to_string();
            if !GENERAL.contains(&shown.as_str()) {
                let text = fs::read_to_string(&path).unwrap();
                found.extend(by_hand(&text, &names).map(|line| format!("{shown}: {line}")));
            }
        }
        assert!(found.is_empty(), "to be made with invocation::command: {found:#?}");
        assert_eq!(by_hand("hint(\"run `jitsi-aws \\\n    setup iam`\")", &names).count(), 1);
    }

    /// Lines of code that hold a command of ours as text, tests and comments left out.
    fn by_hand<'a>(text: &str, names: &'a [String]) -> impl Iterator<Item = String> + 'a {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        // A line that goes on is one with the next.
        let joined: Vec<&str> = code.split("\\\n").map(str::trim_start).collect();
        let lines: Vec<String> = joined.concat().lines().map(str::to_owned).collect();
        let written = move |line: &String| {
            let of_ours = |rest: &str| {
                let word = rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next();
                rest.starts_with('{') || names.iter().any(|name| Some(name.as_str()) == word)
            };
            !line.trim_start().starts_with("//") && line.split("jitsi-aws ").skip(1).any(of_ours)
        };
        lines.into_iter().filter(written)
    }

    fn sources(directory: &Path) -> Vec<PathBuf> {
        let mut all = Vec::new();
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                all.extend(sources(&path));
            } else if path.extension().is_some_and(|of| of == "rs") && !path.ends_with("tests.rs") {
                all.push(path);
            }
        }
        all
    }
}
