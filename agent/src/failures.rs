//! Launches that fail the same way: counted in a tag of the Auto Scaling group, because an instance that
//! gave up is gone with all it knew. Each one waits longer before it lets the group launch the next, and only
//! the first is mailed. When the tag cannot be read or written, a failure counts as a first one: better a
//! mail too many than none.

use std::time::Duration;

use jitsi_templates::layout::FAILED_LAUNCHES_TAG as TAG;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::lifecycle::Lifecycle;

/// How long the third launch that fails the same way tries on, counted from its start; each further one
/// twice as long. The second gives up as the first does: who mended the cause meanwhile is served at once. A launch gives up after 45 minutes, or at once when trying again is pointless.
const PATIENCE: Duration = Duration::from_mins(10);
/// The longest: a launch hook waits for 48 hours at most (Auto Scaling's lifecycle hooks).
const LONGEST_PATIENCE: Duration = Duration::from_hours(4);

/// A way in which launches failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How many launches in a row, this one included.
    pub times: u32,
    /// What tells one way from another.
    way: String,
}

impl Failure {
    /// The first launch that failed because of `cause`.
    fn first(cause: &str) -> Self {
        Self { times: 1, way: way(cause) }
    }

    /// This launch after what the tag says of those before.
    fn after(tag: Option<&str>, cause: &str) -> Self {
        let first = Self::first(cause);
        let before = tag.and_then(|tag| tag.split_once(' '));
        match before {
            Some((times, way)) if way == first.way => {
                let times = times.parse::<u32>().unwrap_or(0).saturating_add(1);
                Self { times, ..first }
            }
            _ => first,
        }
    }

    /// `3 0123456789abcdef`: how many launches in a row failed this way, and which way.
    fn tag(&self) -> String {
        format!("{} {}", self.times, self.way)
    }

    /// Whether `cause` is this way of failing.
    pub fn is_of(&self, cause: &str) -> bool {
        self.way == way(cause)
    }

    /// How long this launch tries on, from its start, before the group may launch another.
    pub fn patience(&self) -> Duration {
        match self.times {
            0..=2 => Duration::ZERO,
            times => PATIENCE.saturating_mul(1 << (times - 3).min(8)).min(LONGEST_PATIENCE),
        }
    }
}

/// Times, addresses and numbers differ from launch to launch, and mean the same.
fn way(cause: &str) -> String {
    let words = cause.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 2);
    let same: Vec<&str> =
        words.filter(|word| !word.chars().all(|c| c.is_ascii_hexdigit())).collect();
    let digest = Sha256::digest(same.join(" "));
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    format!("{:016x}", u64::from_be_bytes(first))
}

/// Counts this launch.
pub(crate) async fn count(group: &Lifecycle, cause: &str) -> Failure {
    let tag = match group.tag(TAG).await {
        Ok(tag) => tag,
        Err(error) => {
            tracing::warn!("looking for launches that failed before: {error:#}");
            None
        }
    };
    let failure = Failure::after(tag.as_deref(), cause);
    if let Err(error) = group.set_tag(TAG, Some(&failure.tag())).await {
        tracing::warn!("counting the launch that failed: {error:#}");
    }
    failure
}

/// A launch has succeeded.
pub(crate) async fn forget(group: &Lifecycle) {
    let forgotten = match group.tag(TAG).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => group.set_tag(TAG, None).await,
        Err(error) => Err(error),
    };
    if let Err(error) = forgotten {
        tracing::warn!("forgetting the launches that failed: {error:#}");
    }
}

/// The command that ends the launches.
pub(crate) fn how_to_stop(group: &str) -> String {
    format!(
        "aws autoscaling suspend-processes --auto-scaling-group-name {group} --scaling-processes Launch"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_cause_waits_longer_each_time_and_another_begins_anew() {
        let cause = |n: u32| format!("install: fetching https://x/{n}.key: HTTP 404 after {n} s");
        let mut tag: Option<String> = None;
        let mut minutes = Vec::new();
        for launch in 0..8 {
            let failure = Failure::after(tag.as_deref(), &cause(launch));
            assert!(failure.is_of(&cause(launch + 100)));
            minutes.push(failure.patience().as_secs() / 60);
            tag = Some(failure.tag());
        }
        assert_eq!(minutes, [0, 0, 10, 20, 40, 80, 160, 240]);
        assert_eq!(Failure::after(tag.as_deref(), "configure: nginx -t: exit code 1").times, 1);
        for nonsense in ["", "x", "many 0123456789ab"] {
            assert_eq!(Failure::after(Some(nonsense), &cause(0)).times, 1);
        }
        assert!(tag.unwrap().len() <= 256, "limit of a tag's value");
    }
}
