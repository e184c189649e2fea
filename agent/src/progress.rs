//! What outlives the process: how far this instance has come, so that an agent killed anywhere goes
//! on, and a golden image does not take another instance's past for its own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::board::Phase;
use crate::failures::Failure;
use crate::lifecycle::Outcome;
use crate::system::{Owner, System, read_text};

const PATH: &str = "/var/lib/jitsi-agent/progress.json";

/// How old a verdict may be when a successor takes it over.
const OLDEST_VERDICT: Duration = Duration::from_mins(15);

/// What an agent last found of a serving instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastVerdict {
    /// Whether visitors might come.
    pub ready: bool,
    /// Whether the load balancer was told that the instance may stay.
    pub kept: bool,
    /// When, in seconds since 1970.
    pub at: u64,
}

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
    /// The failure this instance's boot last ended with, counted and mailed.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// What was last known of it while it served.
    #[serde(default)]
    pub verdict: Option<LastVerdict>,
}

impl Progress {
    /// What an earlier process left in this boot, whoever the instance is: no image has booted yet.
    pub fn of_this_boot(system: &dyn System) -> Result<Option<Self>> {
        let kept = read(system)?;
        let boot_id = boot(system)?;
        Ok(kept.filter(|kept| kept.boot_id == boot_id))
    }

    /// The instance an agent worked on here, in whatever boot.
    pub fn owner(system: &dyn System) -> Result<Option<String>> {
        Ok(read(system)?.map(|kept| kept.instance_id))
    }

    /// What an earlier process of this instance left, else a beginning.
    pub fn load(system: &dyn System, instance_id: &str) -> Result<Self> {
        let kept = read(system)?;
        let boot_id = boot(system)?;
        let beginning = Self {
            instance_id: instance_id.to_owned(),
            boot_id,
            started: uptime(system),
            phase: Phase::Discover,
            launch: None,
            terminate: None,
            failure: None,
            verdict: None,
        };
        Ok(match kept.filter(|kept| kept.instance_id == instance_id) {
            None => beginning,
            Some(kept) if kept.boot_id == beginning.boot_id => kept,
            Some(kept) => {
                // The services start with the machine: the instance stays, visitors wait.
                let verdict = kept.verdict.map(|last| LastVerdict { ready: false, ..last });
                Self { boot_id: beginning.boot_id, started: beginning.started, verdict, ..kept }
            }
        })
    }

    /// Writes it down.
    pub fn save(&self, system: &dyn System) -> Result<()> {
        let text = serde_json::to_vec(self).context("progress")?;
        system.write(Path::new(PATH), &text, 0o600, Owner::ROOT)
    }

    /// What an earlier process found, if that is not too long ago: `(ready, kept)`.
    pub fn last_verdict(&self, now: u64) -> (bool, bool) {
        let young = |last: &LastVerdict| now.saturating_sub(last.at) <= OLDEST_VERDICT.as_secs();
        self.verdict.filter(young).map_or((false, false), |last| (last.ready, last.kept))
    }

    /// Time since the agent first ran in this boot.
    pub fn age(&self, system: &dyn System) -> Duration {
        Duration::from_secs(uptime(system).saturating_sub(self.started))
    }
}

/// Unreadable is as good as absent: every step finds out for itself what is done.
fn read(system: &dyn System) -> Result<Option<Progress>> {
    let kept = system.read(Path::new(PATH))?;
    Ok(kept.and_then(|text| serde_json::from_slice(&text).ok()))
}

/// Which boot this is. A container shares its machine's boot id, so the start of the first process belongs
/// to it.
fn boot(system: &dyn System) -> Result<String> {
    let id = read_text(system, "/proc/sys/kernel/random/boot_id")?.unwrap_or_default();
    let first = read_text(system, "/proc/1/stat")?.unwrap_or_default();
    // Behind the name in parentheses, which may hold spaces: field 22 of proc(5).
    let start = first.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).unwrap_or("");
    Ok(format!("{} {start}", id.trim()))
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
        progress.verdict = Some(LastVerdict { ready: true, kept: true, at: 1000 });
        progress.save(&system).unwrap();
        assert_eq!(progress.last_verdict(1900), (true, true));
        assert_eq!(progress.last_verdict(1901), (false, false));
        assert_eq!(progress.last_verdict(900), (true, true), "the clock was set");
        assert_eq!(Progress::load(&system, "i-1").unwrap(), progress);
        assert_eq!(Progress::load(&system, "i-2").unwrap().launch, None);
        system.put("/proc/uptime", "100.25 7.5\n");
        assert_eq!(Progress::load(&system, "i-1").unwrap().age(&system).as_secs(), 100);
        system.put("/proc/sys/kernel/random/boot_id", "another");
        let rebooted = Progress::load(&system, "i-1").unwrap();
        assert_eq!((rebooted.launch, rebooted.age(&system)), (progress.launch, Duration::ZERO));
        assert_eq!(rebooted.last_verdict(1100), (false, true));
        assert_eq!(Progress::of_this_boot(&system).unwrap(), None);
        rebooted.save(&system).unwrap();
        assert_eq!(Progress::of_this_boot(&system).unwrap(), Some(rebooted));
        system.put(PATH, "{\"inst");
        assert_eq!(Progress::load(&system, "i-1").unwrap().launch, None);
    }
}
