//! The verdict: may a visitor be sent here? A pure state machine over rounds of evidence, because
//! being unready has a price: the load balancer turns away, the group replaces the instance, and
//! every meeting on it ends.

use std::time::Duration;

use tokio::time::Instant;

/// When evidence becomes a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long faults may last until the instance is unready: the time a restart needs.
    pub tolerance: Duration,
    /// How long the verdict waits while media flows all the same.
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
}

/// The evidence of one round.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Components that are not well: `jicofo: HTTP 500: …`.
    pub faults: Vec<String>,
    /// The last meeting.
    pub proof: Proof,
    /// Whether people's media moved since the last round.
    pub media_flows: bool,
}

impl Evidence {
    /// Everything that speaks against a meeting.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = self.faults.clone();
        match &self.proof {
            Proof::Held => {}
            Proof::Failed(reason) => missing.push(format!("meeting: {reason}")),
            Proof::None => missing.push("meeting: none held yet".to_owned()),
        }
        missing
    }
}

/// What a round changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A meeting can be held.
    Ready,
    /// Visitors must go elsewhere, because of these faults.
    Unready(Vec<String>),
    /// It would be unready, but people are talking: it waits, this long at most.
    Waiting(Vec<String>, Duration),
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Verdict {
    policy: Policy,
    ready: bool,
    failing_since: Option<Instant>,
    waiting: bool,
}

impl Verdict {
    /// Unready until proven otherwise.
    pub fn new(policy: Policy) -> Self {
        Self { policy, ready: false, failing_since: None, waiting: false }
    }

    /// Whether visitors may come.
    pub fn ready(&self) -> bool {
        self.ready
    }

    /// Whether an unready verdict waits for people's media to end.
    pub fn waiting(&self) -> bool {
        self.waiting
    }

    /// Weighs one round. Green without proof changes nothing: neither a first green nor the moment
    /// until the meeting after a restart makes ready, and neither makes unready by itself, but the
    /// time of an earlier fault runs on.
    pub fn weigh(&mut self, now: Instant, evidence: &Evidence) -> Option<Change> {
        if evidence.faults.is_empty() && evidence.proof == Proof::Held {
            let was_ready = std::mem::replace(&mut self.ready, true);
            self.failing_since = None;
            self.waiting = false;
            return (!was_ready).then_some(Change::Ready);
        }
        let faulty = !evidence.faults.is_empty() || matches!(evidence.proof, Proof::Failed(_));
        if faulty {
            self.failing_since.get_or_insert(now);
        }
        let failing = now - self.failing_since?;
        if !self.ready || failing < self.policy.tolerance {
            return None;
        }
        let left = self.policy.media_grace.saturating_sub(failing);
        if evidence.media_flows && !left.is_zero() {
            let first = !std::mem::replace(&mut self.waiting, true);
            return first.then(|| Change::Waiting(evidence.missing(), left));
        }
        self.ready = false;
        self.waiting = false;
        Some(Change::Unready(evidence.missing()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy =
        Policy { tolerance: Duration::from_secs(15), media_grace: Duration::from_mins(10) };

    fn evidence(fault: Option<&str>, proof: Proof, media_flows: bool) -> Evidence {
        Evidence { faults: fault.into_iter().map(str::to_owned).collect(), proof, media_flows }
    }

    fn clean() -> Evidence {
        evidence(None, Proof::Held, false)
    }

    fn ready() -> (Verdict, Instant) {
        let now = Instant::now();
        let mut verdict = Verdict::new(POLICY);
        assert_eq!(verdict.weigh(now, &clean()), Some(Change::Ready));
        (verdict, now)
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn first_greens_are_not_believed() {
        let start = Instant::now();
        let mut verdict = Verdict::new(POLICY);
        for second in 0..100 {
            let green = evidence(None, Proof::None, false);
            assert_eq!(verdict.weigh(at(start, second), &green), None);
            assert!(!verdict.ready());
        }
    }

    #[test]
    fn a_held_meeting_beside_a_dead_component_is_not_ready() {
        let mut verdict = Verdict::new(POLICY);
        let round = evidence(Some("jvb: HTTP 500"), Proof::Held, false);
        assert_eq!(verdict.weigh(Instant::now(), &round), None);
        assert!(!verdict.ready());
    }

    #[test]
    fn faults_count_when_they_last_and_a_clean_round_forgives() {
        let (mut verdict, start) = ready();
        let bad = evidence(Some("nginx: refused"), Proof::Held, false);
        assert_eq!(verdict.weigh(at(start, 0), &bad), None);
        assert_eq!(verdict.weigh(at(start, 14), &bad), None);
        assert_eq!(verdict.weigh(at(start, 15), &clean()), None);
        assert_eq!(verdict.weigh(at(start, 16), &bad), None);
        assert_eq!(verdict.weigh(at(start, 30), &bad), None);
        assert!(verdict.ready());
        let unready = Change::Unready(vec!["nginx: refused".into()]);
        assert_eq!(verdict.weigh(at(start, 31), &bad), Some(unready));
        assert_eq!(verdict.weigh(at(start, 32), &bad), None, "said once");
        assert_eq!(verdict.weigh(at(start, 33), &clean()), Some(Change::Ready));
    }

    #[test]
    fn a_restart_that_proves_nothing_in_time_is_unready() {
        let (mut verdict, start) = ready();
        let failed = evidence(None, Proof::Failed("no bridge".into()), false);
        assert_eq!(verdict.weigh(start, &failed), None);
        let restarted = evidence(None, Proof::None, false);
        assert_eq!(verdict.weigh(at(start, 14), &restarted), None);
        assert_eq!(
            verdict.weigh(at(start, 15), &restarted),
            Some(Change::Unready(vec!["meeting: none held yet".into()]))
        );
    }

    #[test]
    fn somebody_elses_restart_alone_is_no_fault() {
        let (mut verdict, start) = ready();
        for second in 0..100 {
            let unproven = evidence(None, Proof::None, false);
            assert_eq!(verdict.weigh(at(start, second), &unproven), None);
        }
        assert!(verdict.ready());
    }

    #[test]
    fn media_delays_the_verdict_until_it_stops_or_the_grace_ends() {
        let silent = evidence(Some("jicofo: refused"), Proof::Held, false);
        let talking = Evidence { media_flows: true, ..silent.clone() };
        for ends_by_silence in [true, false] {
            let (mut verdict, start) = ready();
            assert_eq!(verdict.weigh(start, &talking), None);
            let left = Duration::from_secs(585);
            let waiting = Change::Waiting(vec!["jicofo: refused".into()], left);
            assert_eq!(verdict.weigh(at(start, 15), &talking), Some(waiting));
            assert_eq!(verdict.weigh(at(start, 599), &talking), None, "said once");
            assert!(verdict.ready() && verdict.waiting());
            let end = if ends_by_silence {
                verdict.weigh(at(start, 599), &silent)
            } else {
                verdict.weigh(at(start, 600), &talking)
            };
            assert!(matches!(end, Some(Change::Unready(_))));
            assert!(!verdict.ready() && !verdict.waiting());
        }
    }

    #[test]
    fn media_makes_nothing_ready() {
        let start = Instant::now();
        let mut verdict = Verdict::new(POLICY);
        let round = evidence(Some("jicofo: refused"), Proof::None, true);
        for second in 0..100 {
            assert_eq!(verdict.weigh(at(start, second), &round), None);
        }
        assert!(!verdict.ready());
    }
}
