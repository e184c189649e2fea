//! The agent's configuration file: the deployer's own settings types, as JSON or TOML.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use jitsi_templates::layout;
use jitsi_templates::settings::InstanceSettings;

use crate::advice::Advice;
use crate::retry::Hopeless;
use crate::system::{System, read_text};

/// Read when no path is given and user-data wrote none: for an instance configured by hand.
const TOML: &str = "/etc/jitsi-agent/config.toml";

/// Reads the settings from `path`, else from the usual places, JSON before TOML.
pub fn load(system: &dyn System, path: Option<&Path>) -> Result<InstanceSettings> {
    let usual = [Path::new(layout::AGENT_CONFIG), Path::new(TOML)];
    let candidates: Vec<&Path> = path.map_or(usual.to_vec(), |path| vec![path]);
    for candidate in &candidates {
        if let Some(text) = read_text(system, candidate)? {
            return parse(candidate, &text);
        }
    }
    let places: Vec<PathBuf> = candidates.into_iter().map(Path::to_owned).collect();
    bail!(Advice::new(
        format!("there is no configuration at {places:?}"),
        "launch the instance with `jitsi-aws setup instances`, or pass --config PATH",
    ))
}

fn parse(path: &Path, text: &str) -> Result<InstanceSettings> {
    let parsed = if path.extension().is_some_and(|ext| ext == "toml") {
        InstanceSettings::from_toml(text)
    } else {
        InstanceSettings::from_json(text)
    };
    parsed
        .map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow!(Hopeless::new(problems.join("; ")))
        })
        .with_context(|| {
            Advice::new(
                format!("reading {}", path.display()),
                "mend jitsi.toml and run `jitsi-aws setup instances` again",
            )
        })
}

/// Settings for tests.
#[cfg(test)]
pub(crate) fn example() -> InstanceSettings {
    parse(Path::new("x.json"), EXAMPLE).expect("the example is valid")
}

#[cfg(test)]
pub(crate) const EXAMPLE: &str = r#"{
    "deployment": "team", "region": "eu-central-1", "domain": "meet.example.com",
    "vpc_cidr": "10.0.0.0/16", "auto_scaling_group": "team", "launch_hook": "team-launch",
    "terminate_hook": "team-terminate", "drain": 3600
}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::is_hopeless;
    use crate::system::fake::Fake;

    #[test]
    fn user_datas_file_comes_first_and_a_bad_one_is_named() {
        let system = Fake::with(&[(layout::AGENT_CONFIG, EXAMPLE), (TOML, "nonsense")]);
        assert_eq!(load(&system, None).unwrap().deployment, "team");
        let error = load(&system, Some(Path::new(TOML))).unwrap_err();
        assert!(is_hopeless(&error));
        assert!(format!("{error:#}").starts_with("reading /etc/jitsi-agent/config.toml: "));
    }

    #[test]
    fn no_file_is_said_with_the_places_looked_at() {
        let error = load(&Fake::default(), None).unwrap_err();
        assert!(error.to_string().contains(layout::AGENT_CONFIG));
    }
}
