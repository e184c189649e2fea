//! Two verdicts over the same evidence, a pure state machine. May a visitor be sent here? That fails early:
//! it turns strangers away and is taken back with the next held meeting. May the instance stay? That is
//! what the load balancer is told, and it fails late, after the cures: the group replaces the instance for
//! it, which ends every meeting on it. The figures are those of [`crate::patience`].

use std::time::Duration;

use tokio::time::Instant;

use crate::patience::{CURES, HOPELESS, HOPELESS_ANYHOW, LAST_CHANCE, STARTING};

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long faults may last until visitors are turned away: the time a restart needs.
    pub tolerance: Duration,
    /// How long the instance stays while media flows through it all the same.
    pub media_grace: Duration,
}

/// What is known of the last meeting held by the probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// No meeting since the last start or change: whatever is green now is not believed yet.
    None,
    /// A meeting was held.
    Held,
    /// It failed, for this reason.
    Failed(String),
    /// It failed on the way to the bridge, which answers on this machine: neither a restart nor another
    /// instance mends a security group or a route.
    Cut(String),
}

/// The evidence of one round.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Components that are not well: `jicofo: HTTP 500: …`.
    pub faults: Vec<String>,
    /// The last meeting.
    pub proof: Proof,
    /// Whether people's media flows, as far as is known: a doubt is in their favour.
    pub media_flows: bool,
}

impl Evidence {
    /// Everything that speaks against a meeting.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = self.faults.clone();
        match &self.proof {
            Proof::Held => {}
            Proof::Failed(reason) => missing.push(format!("meeting: {reason}")),
            Proof::Cut(reason) => missing.push(format!("network: {reason}")),
            Proof::None => missing.push("meeting: none held yet".to_owned()),
        }
        missing
    }

    fn is_clean(&self) -> bool {
        self.faults.is_empty() && self.proof == Proof::Held
    }

    fn is_faulty(&self) -> bool {
        !self.faults.is_empty() || matches!(self.proof, Proof::Failed(_) | Proof::Cut(_))
    }

    fn is_of_the_network_alone(&self) -> bool {
        self.faults.is_empty() && matches!(self.proof, Proof::Cut(_))
    }
}

/// What a round changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A meeting can be held.
    Ready,
    /// Visitors are turned away, because of these faults.
    Unready(Vec<String>),
    /// The load balancer is told: the instance is to be replaced.
    GivenUp(Vec<String>),
    /// It would be given up, but people are talking: it waits, this long at most.
    Waiting(Vec<String>, Duration),
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Verdict {
    policy: Policy,
    ready: bool,
    kept: bool,
    failing_since: Option<Instant>,
    /// Since when it has been failing and nobody's media flows.
    quiet_since: Option<Instant>,
    cures: u32,
    /// When the last of [`CURES`] began.
    tried: Option<Instant>,
    waiting: bool,
}

impl Verdict {
    /// Unready until proven otherwise; what an earlier process found is believed until this one knows
    /// better.
    pub fn new(policy: Policy, ready: bool, kept: bool) -> Self {
        Self {
            policy,
            ready,
            kept,
            failing_since: None,
            quiet_since: None,
            cures: 0,
            tried: None,
            waiting: false,
        }
    }

    /// Whether visitors may come.
    pub fn ready(&self) -> bool {
        self.ready
    }

    /// Whether the instance may stay: what the load balancer is told.
    pub fn kept(&self) -> bool {
        self.kept
    }

    /// Whether giving up waits for people's media to end.
    pub fn waiting(&self) -> bool {
        self.waiting
    }

    /// Whether the grace for people's media ends soon, and with it the instance.
    pub fn last_chance(&self, now: Instant) -> bool {
        let grace = self.policy.media_grace;
        let before = grace.saturating_sub(LAST_CHANCE.min(grace / 2));
        self.failing_since.is_some_and(|since| now - since >= before)
    }

    /// Told of every restart that is meant to heal.
    pub fn cured(&mut self, now: Instant) {
        self.cures += 1;
        if self.cures == CURES {
            self.tried = Some(now);
        }
    }

    /// Weighs one round. Green without proof changes nothing: neither a first green nor the moment
    /// until the meeting after a restart makes ready, and neither makes unready by itself, but the
    /// time of an earlier fault runs on.
    pub fn weigh(&mut self, now: Instant, evidence: &Evidence) -> Option<Change> {
        if evidence.is_clean() {
            let was_ready = self.ready;
            *self = Self::new(self.policy, true, true);
            return (!was_ready).then_some(Change::Ready);
        }
        if evidence.is_faulty() {
            self.failing_since.get_or_insert(now);
        }
        let failing = now - self.failing_since?;
        if self.ready && failing >= self.policy.tolerance {
            self.ready = false;
            return Some(Change::Unready(evidence.missing()));
        }
        if evidence.media_flows {
            self.quiet_since = None;
        } else {
            self.quiet_since.get_or_insert(now);
        }
        if !self.kept || evidence.is_of_the_network_alone() {
            return None;
        }
        let quiet = self.quiet_since.map_or(Duration::ZERO, |since| now - since);
        let failed = self.tried.is_some_and(|tried| now >= tried + STARTING);
        let hopeless = (quiet >= HOPELESS && failed) || quiet >= HOPELESS_ANYHOW;
        let left = self.policy.media_grace.saturating_sub(failing);
        if hopeless || (evidence.media_flows && left.is_zero()) {
            self.kept = false;
            self.waiting = false;
            return Some(Change::GivenUp(evidence.missing()));
        }
        if evidence.media_flows && failing >= HOPELESS && !self.waiting {
            self.waiting = true;
            return Some(Change::Waiting(evidence.missing(), left));
        }
        self.waiting &= evidence.media_flows;
        None
    }
}

#[cfg(test)]
mod tests;
