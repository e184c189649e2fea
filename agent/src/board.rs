//! What the agent knows at this moment, kept in memory for whoever asks: writers update it, the HTTP
//! server reads it, nobody waits.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meeting_probe::Report;
use serde::{Deserialize, Serialize};

use crate::health::{Component, Round, Traffic};
use crate::imds::Identity;
use crate::upkeep::Upkeep;

/// Where in its life the instance is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Asking who it is.
    #[default]
    Discover,
    /// Installing packages.
    Install,
    /// Rendering, validating, starting.
    Configure,
    /// Waiting for the first meeting.
    Prove,
    /// Serving.
    Watch,
    /// Refusing new rooms, waiting for people to leave.
    Drain,
    /// Nothing left to do but to be terminated.
    Done,
    /// Boot failed for good.
    Failed,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discover => "discover",
            Self::Install => "install",
            Self::Configure => "configure",
            Self::Prove => "prove",
            Self::Watch => "watch",
            Self::Drain => "drain",
            Self::Done => "done",
            Self::Failed => "failed",
        })
    }
}

/// One component as last seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// Who.
    pub component: Component,
    /// Whether its last answer was good.
    pub ok: bool,
    /// Why not.
    pub reason: Option<String>,
    /// How long the last answer took, in milliseconds.
    pub latency_ms: f64,
    /// Since when it is as it is, in seconds since 1970.
    pub since: u64,
    /// Restarts by the agent since it was last well for long.
    pub restarts: u32,
}

/// The last meeting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeetingStatus {
    /// When it ended, in seconds since 1970.
    pub at: u64,
    /// Every step of it.
    pub report: Report,
}

/// Everything `jitsi-agent status` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// Where in its life the instance is.
    pub phase: Phase,
    /// Since when, in seconds since 1970.
    pub phase_since: u64,
    /// Whether visitors may come.
    pub ready: bool,
    /// Whether the load balancer is told that the instance may stay, which outlasts readiness while
    /// cures run.
    #[serde(default)]
    pub kept: bool,
    /// What is missing, in full.
    pub missing: Vec<String>,
    /// Who the instance is.
    pub identity: Option<Identity>,
    /// The four services.
    pub components: Vec<ComponentStatus>,
    /// The last meeting held by the probe.
    pub meeting: Option<MeetingStatus>,
    /// The bridge's figures, taken while no probe was running.
    pub traffic: Option<Traffic>,
    /// Why and since when it drains.
    pub drain: Option<String>,
    /// Whether an unready verdict waits because people are talking.
    pub waiting_for_media: bool,
    /// Files that differ from what was rendered, or from the packaged example they came from.
    pub drift: Vec<String>,
    /// What does not stand in the way of a meeting, and wants to be looked at.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Versions, age and pending updates, by the last look.
    #[serde(default)]
    pub upkeep: Option<Upkeep>,
}

#[derive(Serialize)]
struct Public<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<&'a str>,
}

/// The board; clones share it.
#[derive(Clone, Debug)]
pub struct Board(Arc<Mutex<Status>>);

impl Board {
    /// An instance that knows nothing yet.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            phase_since: now(),
            missing: vec!["boot: discover".to_owned()],
            ..Status::default()
        })))
    }

    /// Enters a phase; while booting, the phase itself is what is missing.
    pub fn enter(&self, phase: Phase) {
        tracing::info!("phase {phase}");
        let mut status = self.lock();
        status.phase = phase;
        status.phase_since = now();
        if phase != Phase::Watch {
            status.missing = vec![format!("boot: {phase}")];
        }
        if matches!(phase, Phase::Drain | Phase::Done | Phase::Failed) {
            (status.ready, status.kept) = (false, false);
        }
        if matches!(phase, Phase::Drain | Phase::Done) {
            status.missing = vec!["drain: the instance is being replaced".to_owned()];
        }
    }

    /// An earlier process's verdict has got too old before this one knows better.
    pub fn forget_old_verdict(&self) {
        let mut status = self.lock();
        if !matches!(status.phase, Phase::Prove | Phase::Watch) {
            (status.ready, status.kept) = (false, false);
        }
    }

    /// Changes whatever `change` changes.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
    }

    /// Notes a round; `since` moves only when a component's health changes.
    pub fn note_round(&self, round: &Round, restarts: impl Fn(Component) -> u32) {
        let mut status = self.lock();
        let components = round.checks.iter().map(|check| {
            let ok = check.fault.is_none();
            let before = status.components.iter().find(|old| old.component == check.component);
            ComponentStatus {
                component: check.component,
                ok,
                reason: check.fault.clone().or_else(|| check.doubt.clone()),
                latency_ms: milliseconds(check.latency),
                since: before.filter(|old| old.ok == ok).map_or_else(now, |old| old.since),
                restarts: restarts(check.component),
            }
        });
        status.components = components.collect();
    }

    /// Whether the instance may stay, and the answer the load balancer sees: parts, never reasons.
    pub fn public(&self) -> (bool, String) {
        let status = self.lock();
        let missing = if status.ready { Vec::new() } else { parts(&status.missing) };
        let word = match (status.ready, status.kept) {
            (true, _) => "ready",
            (false, true) => "healing",
            (false, false) => "unready",
        };
        (status.kept, to_json(&Public { status: word, missing }))
    }

    /// Whether visitors may come.
    pub fn is_open(&self) -> bool {
        self.lock().ready
    }

    /// Everything, as JSON.
    pub fn details(&self) -> String {
        to_json(&*self.lock())
    }

    /// A copy of everything.
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}

/// `jicofo: HTTP 500: …` is shown to the world as `jicofo`.
fn parts(missing: &[String]) -> Vec<&str> {
    missing.iter().map(|reason| reason.split(':').next().unwrap_or_default()).collect()
}

fn to_json(value: &impl Serialize) -> String {
    // Only maps with keys that are no strings can fail, and there are none.
    serde_json::to_string(value).unwrap_or_else(|error| format!(r#"{{"error":"{error}"}}"#))
}

/// Milliseconds with a fraction.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Check;

    fn round(fault: Option<&str>) -> Round {
        let check = Check {
            component: Component::Jicofo,
            fault: fault.map(str::to_owned),
            doubt: None,
            dead: false,
            latency: Duration::from_micros(1500),
        };
        Round { checks: vec![check], traffic: None }
    }

    #[test]
    fn the_world_learns_the_part_and_not_the_reason() {
        let board = Board::new();
        board.update(|status| status.missing = vec!["jicofo: HTTP 500: secret".into()]);
        assert_eq!(
            board.public(),
            (false, r#"{"status":"unready","missing":["jicofo"]}"#.to_owned())
        );
        board.update(|status| status.kept = true);
        let healing = r#"{"status":"healing","missing":["jicofo"]}"#.to_owned();
        assert_eq!((board.public(), board.is_open()), ((true, healing), false));
        board.update(|status| status.ready = true);
        assert_eq!(board.public(), (true, r#"{"status":"ready"}"#.to_owned()));
        board.enter(Phase::Install);
        assert!(board.public().0 && board.is_open(), "an earlier verdict is believed");
        board.forget_old_verdict();
        assert!(!board.public().0 && !board.is_open());
    }

    #[test]
    fn since_moves_only_with_health() {
        let board = Board::new();
        board.note_round(&round(None), |_| 0);
        board.update(|status| status.components[0].since = 7);
        board.note_round(&round(None), |_| 0);
        assert_eq!(board.status().components[0].since, 7);
        board.note_round(&round(Some("refused")), |_| 2);
        let seen = board.status().components[0].clone();
        assert!(seen.since > 7 && !seen.ok && seen.restarts == 2);
        assert!((seen.latency_ms - 1.5).abs() < 1e-9);
    }

    #[test]
    fn a_phase_before_watching_is_what_is_missing() {
        let board = Board::new();
        board.enter(Phase::Install);
        assert_eq!(board.status().missing, ["boot: install"]);
        let text = board.details();
        let read: Status = serde_json::from_str(&text).unwrap();
        assert_eq!(read, board.status());
    }
}
