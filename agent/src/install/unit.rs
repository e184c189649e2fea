//! Installing in a systemd unit of its own. Packages write everywhere and bring programs with
//! set-user-ID bits; the agent that watches needs none of that and runs hardened. The unit leaves
//! word of why it failed, so that mail, log and launch hook tell the cause and not an exit code.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use jitsi_templates::layout::INSTALL_MINUTES;
use jitsi_templates::settings::InstanceSettings;
use serde::{Deserialize, Serialize};

use super::{is_complete, starts};
use crate::advice::{Advice, next_step};
use crate::retry::{Hopeless, is_hopeless};
use crate::system::{Command, Owner, System};

const UNIT: &str = "jitsi-agent-install";
/// Where a failed installation says why.
const WORD: &str = "/var/lib/jitsi-agent/install-failed.json";
/// systemd ends the unit itself; this is for a systemd that does not answer.
const LIMIT: Duration = Duration::from_mins(INSTALL_MINUTES + 1);

/// An error, for another process.
#[derive(Debug, Serialize, Deserialize)]
struct Word {
    cause: String,
    next: Option<String>,
    hopeless: bool,
}

impl Word {
    fn into_error(self) -> anyhow::Error {
        let Self { cause, next, hopeless } = self;
        let error = if hopeless { anyhow!(Hopeless::new(cause)) } else { anyhow!(cause) };
        error.context(Advice::new(UNIT, next.unwrap_or_else(log_of_it)))
    }
}

fn log_of_it() -> String {
    format!("journalctl -u {UNIT}")
}

/// Says why an installation failed, to the agent that waits for it; nothing when it did not.
pub fn leave_word(system: &dyn System, error: Option<&anyhow::Error>) {
    let path = Path::new(WORD);
    let left = match error {
        None => system.remove(path),
        Some(error) => {
            let word = Word {
                cause: format!("{error:#}"),
                next: next_step(error).map(str::to_owned),
                hopeless: is_hopeless(error),
            };
            serde_json::to_vec(&word)
                .context("the cause")
                .and_then(|text| system.write(path, &text, 0o600, Owner::ROOT))
        }
    };
    if let Err(error) = left {
        // The exit code still tells that it failed, and the journal why.
        tracing::warn!("{error:#}");
    }
}

/// Sees to it that everything is installed: starts the unit, or joins one that an earlier process
/// of this agent started, and waits.
pub async fn ensure(system: &dyn System, settings: &InstanceSettings) -> Result<()> {
    if is_complete(system, settings).await? {
        tracing::info!("install: every package is there and held");
        // An installation that was killed at its very end.
        return starts::allow(system).await;
    }
    // What an earlier attempt said is not what this one will say.
    system.remove(Path::new(WORD))?;
    let start = Command::new("systemctl", ["start", UNIT]).limit(LIMIT);
    let output = system.run(&start).await?;
    if output.ok() {
        return Ok(());
    }
    let word = system.read(Path::new(WORD))?;
    if let Some(word) = word.and_then(|word| serde_json::from_slice::<Word>(&word).ok()) {
        return Err(word.into_error());
    }
    // Killed, or never begun.
    output.success(&start).map(drop).with_context(|| Advice::new("installing", log_of_it()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config;
    use crate::system::fake::Fake;

    const START: &str = "systemctl start jitsi-agent-install";

    /// What the watch hears of an installation that ends so.
    async fn heard(error: Option<anyhow::Error>) -> anyhow::Error {
        let system = Arc::new(Fake::default());
        let unit = Arc::downgrade(&system);
        system.answer_by(START, move |_| {
            if error.is_some() {
                leave_word(&*unit.upgrade().unwrap(), error.as_ref());
            }
            (1, "Job for jitsi-agent-install.service failed".to_owned())
        });
        ensure(&*system, &config::example()).await.unwrap_err()
    }

    #[tokio::test]
    async fn the_watch_learns_cause_next_step_and_whether_trying_again_helps() {
        let error = heard(Some(anyhow!("404").context(Advice::new("the key", "look")))).await;
        assert_eq!(format!("{error:#}"), "jitsi-agent-install: the key: 404");
        assert_eq!((next_step(&error), is_hopeless(&error)), (Some("look"), false));
        assert!(is_hopeless(&heard(Some(anyhow!(Hopeless::new("Fedora")))).await));
    }

    #[tokio::test]
    async fn one_that_was_killed_is_tried_again_and_its_log_named() {
        let error = heard(None).await;
        assert!(!is_hopeless(&error));
        assert_eq!(next_step(&error), Some("journalctl -u jitsi-agent-install"));
        assert!(format!("{error:#}").contains("Job for jitsi-agent-install.service failed"));
    }

    #[tokio::test]
    async fn an_earlier_attempts_words_are_not_this_ones() {
        let system = Fake::default();
        leave_word(&system, Some(&anyhow!(Hopeless::new("full"))));
        system.answer(START, 1, "");
        assert!(!is_hopeless(&ensure(&system, &config::example()).await.unwrap_err()));
    }

    #[tokio::test]
    async fn nothing_is_started_when_all_is_there() {
        let system = Fake::default();
        let all = super::super::wanted(&config::example().jitsi.authentication);
        let all = all.iter().map(|name| format!("{name} installed hold 1\n"));
        system.answer("dpkg-query", 0, &all.collect::<String>());
        ensure(&system, &config::example()).await.unwrap();
        assert_eq!(system.ran().len(), 1);
    }
}
