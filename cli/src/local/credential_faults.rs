//! Why nothing gives credentials, by our own look at what should: which variable, or which line of which file. Only
//! what is certain is told; for all else the SDK's own words have to do.

use std::{env, path::Path};

use super::shared_profiles::{Kind, Section, SharedProfiles};

/// What is at fault, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// `/home/me/.aws/config, line 3: …`.
    pub what: String,
    /// With commands where there are any.
    pub hint: String,
}

const KEY: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const CONTAINER: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const SOURCES: [&str; 3] = ["Environment", "Ec2InstanceMetadata", "EcsContainer"];
// Longer chains of roles than anybody has.
const LONGEST_CHAIN: usize = 10;

/// Looks at the environment and the shared files, as the SDK does. `named`: the profile that was chosen beside
/// the environment; `said`: what the SDK says of the failure.
pub fn credential_fault(named: Option<&str>, said: &str) -> Option<Fault> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    look(named, said, variable, SharedProfiles::read)
}

fn look(
    named: Option<&str>,
    said: &str,
    variable: impl Fn(&str) -> Option<String>,
    read: impl FnOnce() -> Result<SharedProfiles, String>,
) -> Option<Fault> {
    if named.is_none() {
        for (one, other) in [(KEY, SECRET), (SECRET, KEY)] {
            if variable(one).is_some() && variable(other).is_none() {
                return fault(
                    format!("{one} is set, and {other} is not"),
                    format!("set both, or `unset {one}`"),
                );
            }
        }
    }
    let profiles = match read() {
        Ok(profiles) => profiles,
        Err(why) => return fault(why, "correct that line, and run the command again"),
    };
    let of_environment = variable("AWS_PROFILE").or_else(|| variable("AWS_DEFAULT_PROFILE"));
    let name = named.map(str::to_owned).or(of_environment.clone());
    let chosen = name.is_some();
    let name = name.unwrap_or_else(|| "default".to_owned());
    match profiles.get(Kind::Profile, &name) {
        Some(section) => return of_profile(&profiles, &name, section, said),
        None if chosen => {
            let by = if named.is_none() { ", which AWS_PROFILE names" } else { "" };
            let paths: Vec<String> = profiles.paths.iter().map(|path| shown(path)).collect();
            return fault(
                format!("there is no profile `{name}`{by}: not in {}", paths.join(", nor in ")),
                "see which there are with `aws configure list-profiles`",
            );
        }
        None => {}
    }
    if let Some(path) = variable(TOKEN_FILE).filter(|path| !Path::new(path).exists()) {
        return fault(
            format!("{TOKEN_FILE} is `{path}`, and there is no such file"),
            format!("have the token written there, or `unset {TOKEN_FILE}`"),
        );
    }
    let address = variable(CONTAINER)?;
    fault(
        format!("{CONTAINER} is `{address}`, and nothing gives credentials there: {said}"),
        format!("see what answers there, or `unset {CONTAINER}`"),
    )
}

/// What keeps a profile that is there from giving credentials.
fn of_profile(
    profiles: &SharedProfiles,
    name: &str,
    section: &Section,
    said: &str,
) -> Option<Fault> {
    let (mut name, mut section) = (name.to_owned(), section);
    let mut seen = vec![name.clone()];
    while let Some(role) = section.get("role_arn")
        && section.get("web_identity_token_file").is_none()
        && seen.len() <= LONGEST_CHAIN
    {
        let both = (section.get("source_profile"), section.get("credential_source"));
        let source = match both {
            (Some(source), None) => source,
            (None, Some(source)) if SOURCES.contains(&source.value.as_str()) => return None,
            (None, Some(source)) => {
                return mend(
                    &source.place,
                    format!(
                        "credential_source is `{}`; it can be {}",
                        source.value,
                        SOURCES.join(", ")
                    ),
                );
            }
            (None, None) => {
                let why = format!(
                    "profile `{name}` has role_arn, and neither source_profile nor credential_source"
                );
                return mend(&role.place, why);
            }
            (Some(source), Some(_)) => {
                let why = format!("profile `{name}` has both source_profile and credential_source");
                return mend(&source.place, why);
            }
        };
        if source.value == name {
            break; // its own keys
        }
        let Some(next) = profiles.get(Kind::Profile, &source.value) else {
            let why = format!("source_profile is `{}`, and there is no such profile", source.value);
            return mend(&source.place, why);
        };
        if seen.contains(&source.value) {
            let why = format!("source_profile leads back to profile `{}`", source.value);
            return mend(&source.place, why);
        }
        seen.push(source.value.clone());
        (name, section) = (source.value.clone(), next);
    }
    of_base(profiles, &name, section, said)
}

/// What keeps a profile that is no role from giving credentials.
fn of_base(profiles: &SharedProfiles, name: &str, section: &Section, said: &str) -> Option<Fault> {
    let export =
        format!("`eval \"$(aws configure export-credentials --profile {name} --format env)\"`");
    if let Some(file) = section.get("web_identity_token_file") {
        let absent = !Path::new(&file.value).exists();
        let why = format!("web_identity_token_file is `{}`, and there is no such file", file.value);
        return absent.then(|| mend(&file.place, why)).flatten();
    }
    if let Some(session) = section.get("sso_session")
        && profiles.get(Kind::SsoSession, &session.value).is_none()
    {
        let why = format!("there is no section `[sso-session {}]`", session.value);
        return mend(&session.place, why);
    }
    let signs_on = section.get("sso_session").or_else(|| section.get("sso_start_url"));
    if let Some(property) = signs_on {
        let stale =
            said.contains("SSO token") || said.contains("token") && said.contains("expired");
        return stale.then(|| Fault {
            what: format!(
                "{}: nobody is signed in for profile `{name}`, or not any more",
                property.place
            ),
            hint: format!("`aws sso login --profile {name}`, then run the command again"),
        });
    }
    if let Some(session) = section.get("login_session") {
        return fault(
            format!(
                "{}: a session of `aws login`, which jitsi-aws cannot use by itself",
                session.place
            ),
            format!("hand its credentials over with {export}, and run the command again"),
        );
    }
    if let Some(process) = section.get("credential_process") {
        let how = if said.contains("timed out") || said.contains("in time") {
            "gave no credentials in time".to_owned()
        } else if let Some((_, rest)) = said.split_once("exited with code ") {
            let (status, words) = rest.split_once(". Stderr:").unwrap_or((rest, ""));
            let words = words.trim();
            let words = if words.is_empty() { "it says nothing" } else { words };
            format!("failed ({status}): {words}")
        } else if said.contains("could not parse response") {
            "printed something other than credentials in JSON".to_owned()
        } else {
            return None;
        };
        return fault(
            format!("{}: the credential_process of profile `{name}` {how}", process.place),
            "run that command by itself to see what is wrong with it",
        );
    }
    let (key, secret) = ("aws_access_key_id", "aws_secret_access_key");
    match (section.get(key), section.get(secret)) {
        (Some(property), None) => {
            mend(&property.place, format!("profile `{name}` has {key}, and no {secret}"))
        }
        (None, Some(property)) => {
            mend(&property.place, format!("profile `{name}` has {secret}, and no {key}"))
        }
        (None, None) => mend(&section.place, format!("profile `{name}` holds no credentials")),
        (Some(_), Some(_)) => None,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made where it is called")]
fn mend(place: &str, why: String) -> Option<Fault> {
    fault(format!("{place}: {why}"), "correct that profile, or name another with `--profile NAME`")
}

#[expect(clippy::unnecessary_wraps, reason = "what every look ends with")]
fn fault(what: String, hint: impl Into<String>) -> Option<Fault> {
    Some(Fault { what, hint: hint.into() })
}

/// A path as it is written below the home directory.
pub(super) fn shown(path: &Path) -> String {
    let below = super::home().ok().and_then(|home| Some(path.strip_prefix(home).ok()?.to_owned()));
    below.map_or_else(|| path.display().to_string(), |below| format!("~/{}", below.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of these files (configuration, credentials) and variables.
    fn told(config: &str, credentials: &str, variables: &[(&str, &str)], said: &str) -> String {
        let variable = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned()).filter(|value| !value.is_empty())
        };
        let read = || SharedProfiles::of([("conf", config, false), ("cred", credentials, true)]);
        look(None, said, variable, read).map(|fault| fault.what).unwrap_or_default()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn every_fault_is_told_with_its_place() {
        let role = "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\n";
        let process = "[default]\ncredential_process = /bin/x\n";
        for (config, credentials, variables, said, expected) in [
            ("", "[default\n", &[][..], "", "cred, line 1: a section that does not end with `]`"),
            (
                "",
                "[default]\naws_access_key_id = a",
                &[],
                "",
                "cred, line 2: profile `default` has aws_access_key_id, and no aws_secret_access_key",
            ),
            ("[default]\n", "", &[], "", "conf, line 1: profile `default` holds no credentials"),
            (
                role,
                "",
                &[],
                "",
                "conf, line 2: profile `default` has role_arn, and neither source_profile nor credential_source",
            ),
            (
                &format!("{role}source_profile = base"),
                "",
                &[],
                "",
                "conf, line 3: source_profile is `base`, and there is no such profile",
            ),
            (
                &format!(
                    "{role}source_profile = b\n[profile b]\nrole_arn = r\nsource_profile = default"
                ),
                "",
                &[],
                "",
                "conf, line 6: source_profile leads back to profile `default`",
            ),
            (
                &format!("{role}credential_source = Foo"),
                "",
                &[],
                "",
                "conf, line 3: credential_source is `Foo`; it can be Environment, Ec2InstanceMetadata, EcsContainer",
            ),
            (
                process,
                "",
                &[],
                "external process exited with code exit status: 1. Stderr: no",
                "conf, line 2: the credential_process of profile `default` failed (exit status: 1): no",
            ),
            (
                process,
                "",
                &[],
                "could not parse response: x",
                "conf, line 2: the credential_process of profile `default` printed something other than credentials in JSON",
            ),
            (
                process,
                "",
                &[],
                "the credentials did not come in time",
                "conf, line 2: the credential_process of profile `default` gave no credentials in time",
            ),
            (
                "[default]\nsso_session = my",
                "",
                &[],
                "",
                "conf, line 2: there is no section `[sso-session my]`",
            ),
            (
                "[default]\nsso_session = my\n[sso-session my]",
                "",
                &[],
                "failed to load the cached SSO token",
                "conf, line 2: nobody is signed in for profile `default`, or not any more",
            ),
            (
                "[default]\nlogin_session = arn",
                "",
                &[],
                "",
                "conf, line 2: a session of `aws login`, which jitsi-aws cannot use by itself",
            ),
            (
                "[default]\nweb_identity_token_file = /nowhere/x",
                "",
                &[],
                "",
                "conf, line 2: web_identity_token_file is `/nowhere/x`, and there is no such file",
            ),
            (
                "",
                "",
                &[(KEY, "a"), (SECRET, "")],
                "",
                "AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not",
            ),
            (
                "",
                "",
                &[(TOKEN_FILE, "/nowhere/x")],
                "",
                "AWS_WEB_IDENTITY_TOKEN_FILE is `/nowhere/x`, and there is no such file",
            ),
            (
                "",
                "",
                &[("AWS_PROFILE", "ops")],
                "",
                "there is no profile `ops`, which AWS_PROFILE names: not in conf, nor in cred",
            ),
            ("", "", &[], "", ""),
            ("", "[default]\naws_access_key_id = a\naws_secret_access_key = b", &[], "", ""),
        ] {
            assert_eq!(told(config, credentials, variables, said), expected);
        }
    }

    #[test]
    fn a_chain_ends_at_the_profile_with_keys() {
        let config = "[default]\nrole_arn = r\nsource_profile = base\n[profile base]\n";
        let lacks =
            "cred, line 2: profile `base` has aws_access_key_id, and no aws_secret_access_key";
        assert_eq!(told(config, "[base]\naws_access_key_id = a", &[], ""), lacks);
    }
}
