//! The verdict: may a visitor be sent here? A pure state machine over rounds of evidence, because
//! being unready has a price: the load balancer turns away, the group replaces the instance, and
//! every meeting on it ends.

use std::time::Duration;

use tokio::time::Instant;

/// When evidence becomes a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Rounds with a fault, in a row, after which the instance is unready.
    pub strikes: u32,
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
    /// It failed.
    Failed {
        /// Why.
        reason: String,
        /// Whether the verdict hears of this attempt for the first time.
        fresh: bool,
    },
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
    strikes: u32,
    failing_since: Option<Instant>,
    waiting: bool,
}

impl Verdict {
    /// Unready until proven otherwise.
    pub fn new(policy: Policy) -> Self {
        Self { policy, ready: false, strikes: 0, failing_since: None, waiting: false }
    }

    /// Whether visitors may come.
    pub fn ready(&self) -> bool {
        self.ready
    }

    /// Rounds with a fault in a row.
    pub fn strikes(&self) -> u32 {
        self.strikes
    }

    /// Whether an unready verdict waits for people's media to end.
    pub fn waiting(&self) -> bool {
        self.waiting
    }

    /// Weighs one round.
    pub fn weigh(&mut self, now: Instant, evidence: &Evidence) -> Option<Change> {
        let mut faults = evidence.faults.clone();
        let mut fresh = !faults.is_empty();
        if let Proof::Failed { reason, fresh: new } = &evidence.proof {
            faults.push(format!("meeting: {reason}"));
            fresh |= new;
        }
        if faults.is_empty() {
            // Green without proof changes nothing: neither a first green nor the time until the
            // meeting after a change.
            return (evidence.proof == Proof::Held).then(|| self.clear())?;
        }
        let failing_since = *self.failing_since.get_or_insert(now);
        if fresh {
            self.strikes += 1;
        }
        if !self.ready || self.strikes < self.policy.strikes {
            return None;
        }
        let left = self.policy.media_grace.saturating_sub(now - failing_since);
        if evidence.media_flows && !left.is_zero() {
            let first = !std::mem::replace(&mut self.waiting, true);
            return first.then_some(Change::Waiting(faults, left));
        }
        self.ready = false;
        self.waiting = false;
        Some(Change::Unready(faults))
    }

    fn clear(&mut self) -> Option<Change> {
        let was_ready = std::mem::replace(&mut self.ready, true);
        self.strikes = 0;
        self.failing_since = None;
        self.waiting = false;
        (!was_ready).then_some(Change::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { strikes: 3, media_grace: Duration::from_mins(10) };

    fn evidence(fault: Option<&str>, proof: Proof, media_flows: bool) -> Evidence {
        Evidence { faults: fault.into_iter().map(str::to_owned).collect(), proof, media_flows }
    }

    fn ready() -> (Verdict, Instant) {
        let now = Instant::now();
        let mut verdict = Verdict::new(POLICY);
        assert_eq!(verdict.weigh(now, &evidence(None, Proof::Held, false)), Some(Change::Ready));
        (verdict, now)
    }

    #[test]
    fn first_greens_are_not_believed() {
        let mut verdict = Verdict::new(POLICY);
        for _ in 0..100 {
            assert_eq!(verdict.weigh(Instant::now(), &evidence(None, Proof::None, false)), None);
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
    fn the_third_strike_counts_and_a_clean_round_forgives() {
        let (mut verdict, now) = ready();
        let bad = evidence(Some("nginx: refused"), Proof::Held, false);
        assert_eq!(verdict.weigh(now, &bad), None);
        assert_eq!(verdict.weigh(now, &bad), None);
        assert_eq!(verdict.weigh(now, &evidence(None, Proof::Held, false)), None);
        assert_eq!(verdict.weigh(now, &bad), None);
        assert_eq!(verdict.weigh(now, &bad), None);
        assert!(verdict.ready());
        assert_eq!(verdict.weigh(now, &bad), Some(Change::Unready(vec!["nginx: refused".into()])));
        assert_eq!(verdict.weigh(now, &bad), None, "said once");
        assert_eq!(verdict.weigh(now, &evidence(None, Proof::Held, false)), Some(Change::Ready));
    }

    #[test]
    fn one_failed_meeting_is_one_strike_however_many_rounds_see_it() {
        let (mut verdict, now) = ready();
        let failed = |fresh| Proof::Failed { reason: "no bridge".into(), fresh };
        assert_eq!(verdict.weigh(now, &evidence(None, failed(true), false)), None);
        for _ in 0..10 {
            assert_eq!(verdict.weigh(now, &evidence(None, failed(false), false)), None);
        }
        assert_eq!(verdict.strikes(), 1);
        assert_eq!(verdict.weigh(now, &evidence(None, failed(true), false)), None);
        assert!(matches!(
            verdict.weigh(now, &evidence(None, failed(true), false)),
            Some(Change::Unready(_))
        ));
    }

    #[test]
    fn media_delays_the_verdict_until_it_stops_or_the_grace_ends() {
        for ends_by_silence in [true, false] {
            let (mut verdict, start) = ready();
            let talking = evidence(Some("jicofo: refused"), Proof::Held, true);
            assert_eq!(verdict.weigh(start, &talking), None);
            assert_eq!(verdict.weigh(start, &talking), None);
            assert!(matches!(verdict.weigh(start, &talking), Some(Change::Waiting(_, left))
                if left == POLICY.media_grace));
            let later = start + POLICY.media_grace - Duration::from_secs(1);
            assert_eq!(verdict.weigh(later, &talking), None, "said once");
            assert!(verdict.ready() && verdict.waiting());
            let end = if ends_by_silence {
                verdict.weigh(later, &evidence(Some("jicofo: refused"), Proof::Held, false))
            } else {
                verdict.weigh(start + POLICY.media_grace, &talking)
            };
            assert!(matches!(end, Some(Change::Unready(_))));
            assert!(!verdict.ready());
        }
    }

    #[test]
    fn media_makes_nothing_ready() {
        let mut verdict = Verdict::new(POLICY);
        let round = evidence(Some("jicofo: refused"), Proof::None, true);
        for _ in 0..10 {
            assert_eq!(verdict.weigh(Instant::now(), &round), None);
        }
        assert!(!verdict.ready());
    }
}
