//! What outlives the process: how far this instance has come, so that an agent killed anywhere goes
//! on, and a golden image does not take another instance's past for its own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::board::{Phase, now};
use crate::lifecycle::Outcome;
use crate::system::{Owner, System};

const PATH: &str = "/var/lib/jitsi-agent/progress.json";

/// How far this instance has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Whose progress it is.
    pub instance_id: String,
    /// When the agent first ran here, in seconds since 1970.
    pub started: u64,
    /// The phase it was last in.
    pub phase: Phase,
    /// What the launch hook was told.
    pub launch: Option<Outcome>,
    /// What the terminate hook was told.
    pub terminate: Option<Outcome>,
}

impl Progress {
    /// What an earlier process of this instance left, else a beginning.
    pub fn load(system: &dyn System, instance_id: &str) -> Result<Self> {
        let kept = system.read(Path::new(PATH))?;
        // Unreadable is as good as absent: every step finds out for itself what is done.
        let kept = kept.and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        Ok(kept.filter(|progress| progress.instance_id == instance_id).unwrap_or_else(|| Self {
            instance_id: instance_id.to_owned(),
            started: now(),
            phase: Phase::Discover,
            launch: None,
            terminate: None,
        }))
    }

    /// Writes it down.
    pub fn save(&self, system: &dyn System) -> Result<()> {
        let text = serde_json::to_vec(self).context("progress")?;
        system.write(Path::new(PATH), &text, 0o600, Owner::ROOT)
    }

    /// Time since the agent first ran here; nothing when the clock was set back.
    pub fn age(&self) -> Duration {
        Duration::from_secs(now().saturating_sub(self.started))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    #[test]
    fn is_kept_for_the_same_instance_only() {
        let system = Fake::default();
        let mut progress = Progress::load(&system, "i-1").unwrap();
        progress.launch = Some(Outcome::Continue);
        progress.save(&system).unwrap();
        assert_eq!(Progress::load(&system, "i-1").unwrap(), progress);
        assert_eq!(Progress::load(&system, "i-2").unwrap().launch, None);
        system.put(PATH, "{\"inst");
        assert_eq!(Progress::load(&system, "i-1").unwrap().launch, None);
    }
}
