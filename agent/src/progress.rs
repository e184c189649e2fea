//! What outlives the process: how far this instance has come, so that an agent killed anywhere goes
//! on, and a golden image does not take another instance's past for its own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::board::Phase;
use crate::lifecycle::Outcome;
use crate::system::{Owner, System, read_text};

const PATH: &str = "/var/lib/jitsi-agent/progress.json";

/// How far this instance has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Whose progress it is.
    pub instance_id: String,
    /// The boot it ran in.
    pub boot_id: String,
    /// When the agent first ran in this boot, in seconds of uptime: the clock may be an hour off and
    /// jump when it is set.
    pub started: u64,
    /// The phase it was last in.
    pub phase: Phase,
    /// What the launch hook was told.
    pub launch: Option<Outcome>,
    /// What the terminate hook was told.
    pub terminate: Option<Outcome>,
    /// Whether a mail has said that this instance gives up.
    #[serde(default)]
    pub mailed: bool,
}

impl Progress {
    /// What an earlier process of this instance left, else a beginning.
    pub fn load(system: &dyn System, instance_id: &str) -> Result<Self> {
        let kept = system.read(Path::new(PATH))?;
        // Unreadable is as good as absent: every step finds out for itself what is done.
        let kept = kept.and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        let boot_id = read_text(system, "/proc/sys/kernel/random/boot_id")?.unwrap_or_default();
        let beginning = Self {
            instance_id: instance_id.to_owned(),
            boot_id,
            started: uptime(system),
            phase: Phase::Discover,
            launch: None,
            terminate: None,
            mailed: false,
        };
        Ok(match kept.filter(|kept| kept.instance_id == instance_id) {
            None => beginning,
            Some(kept) if kept.boot_id == beginning.boot_id => kept,
            Some(kept) => Self { boot_id: beginning.boot_id, started: beginning.started, ..kept },
        })
    }

    /// Writes it down.
    pub fn save(&self, system: &dyn System) -> Result<()> {
        let text = serde_json::to_vec(self).context("progress")?;
        system.write(Path::new(PATH), &text, 0o600, Owner::ROOT)
    }

    /// Time since the agent first ran in this boot.
    pub fn age(&self, system: &dyn System) -> Duration {
        Duration::from_secs(uptime(system).saturating_sub(self.started))
    }
}

/// Seconds since boot, suspended time included.
fn uptime(system: &dyn System) -> u64 {
    let text = read_text(system, "/proc/uptime").ok().flatten().unwrap_or_default();
    text.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
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
        system.put("/proc/uptime", "100.25 7.5\n");
        assert_eq!(Progress::load(&system, "i-1").unwrap().age(&system).as_secs(), 100);
        system.put("/proc/sys/kernel/random/boot_id", "another");
        let rebooted = Progress::load(&system, "i-1").unwrap();
        assert_eq!((rebooted.launch, rebooted.age(&system)), (progress.launch, Duration::ZERO));
        system.put(PATH, "{\"inst");
        assert_eq!(Progress::load(&system, "i-1").unwrap().launch, None);
    }
}
