//! When a dying instance may go: a pure state machine over what the bridge says. Everybody has left,
//! or nobody can be served any more, or the limit is reached; nothing else ends a meeting.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// A bridge that gives no figures for this long, while no media arrives either, serves nobody.
const SILENCE: Duration = Duration::from_mins(1);
/// Rounds in a row that must see nobody: somebody whose connection broke is counted again when the
/// browser is back.
const EMPTY_ROUNDS: u32 = 2;

/// Why the instance drains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The Auto Scaling group terminates it.
    Termination,
    /// EC2 takes a spot instance back, in this time.
    SpotInterruption(Duration),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Termination => f.write_str("the Auto Scaling group terminates the instance"),
            Self::SpotInterruption(left) => {
                write!(f, "EC2 takes the spot instance back in {} s", left.as_secs())
            }
        }
    }
}

/// What a look at the bridge shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It counts this many people.
    People(u32),
    /// Its process has ended: after the last conference by itself, else by an accident.
    Gone,
    /// It does not answer; whether datagrams still arrive at the machine.
    Silent {
        /// More than a trickle of UDP.
        media_flows: bool,
    },
}

/// Why the drain is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everybody has left.
    Empty,
    /// The bridge has ended.
    Gone,
    /// The bridge is broken: waiting longer would serve nobody.
    Broken,
    /// The limit is reached; this many people, if known, are sent to the successor.
    Limit(Option<u32>),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("everybody has left"),
            Self::Gone => f.write_str("the bridge has ended"),
            Self::Broken => write!(
                f,
                "the bridge has not answered for {} s and no media arrives: waiting longer would \
                 serve nobody",
                SILENCE.as_secs()
            ),
            Self::Limit(Some(people)) => write!(f, "the limit is reached with {people} people"),
            Self::Limit(None) => f.write_str("the limit is reached"),
        }
    }
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Drain {
    deadline: Instant,
    empty_rounds: u32,
    silent_since: Option<Instant>,
    people: Option<u32>,
}

impl Drain {
    /// Begins now; a spot interruption leaves less than `limit`.
    pub fn begin(now: Instant, cause: &Cause, limit: Duration) -> Self {
        let mut drain =
            Self { deadline: now + limit, empty_rounds: 0, silent_since: None, people: None };
        drain.hurry(now, cause);
        drain
    }

    /// A later notice may leave less time, never more.
    pub fn hurry(&mut self, now: Instant, cause: &Cause) {
        if let Cause::SpotInterruption(left) = cause {
            self.deadline = self.deadline.min(now + *left);
        }
    }

    /// Time left at most.
    pub fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    /// People seen last.
    pub fn people(&self) -> Option<u32> {
        self.people
    }

    /// One look at the bridge.
    pub fn look(&mut self, now: Instant, sight: Sight) -> Option<End> {
        self.empty_rounds = if sight == Sight::People(0) { self.empty_rounds + 1 } else { 0 };
        match sight {
            Sight::Gone => return Some(End::Gone),
            Sight::People(people) => {
                self.people = Some(people);
                self.silent_since = None;
            }
            Sight::Silent { media_flows: true } => self.silent_since = None,
            Sight::Silent { media_flows: false } => {
                let since = *self.silent_since.get_or_insert(now);
                if now - since >= SILENCE {
                    return Some(End::Broken);
                }
            }
        }
        if self.empty_rounds >= EMPTY_ROUNDS {
            return Some(End::Empty);
        }
        (now >= self.deadline).then_some(End::Limit(self.people))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_hours(1);

    fn begin() -> (Drain, Instant) {
        let now = Instant::now();
        (Drain::begin(now, &Cause::Termination, LIMIT), now)
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn waits_for_the_last_person_through_lingering_endpoints() {
        let (mut drain, start) = begin();
        for (second, people) in [(0, 3), (5, 1), (10, 1), (15, 0), (20, 1), (25, 0)] {
            assert_eq!(drain.look(at(start, second), Sight::People(people)), None);
        }
        assert_eq!(drain.look(at(start, 30), Sight::People(0)), Some(End::Empty));
    }

    #[test]
    fn the_limit_ends_a_meeting_and_says_how_many_it_cut() {
        let (mut drain, start) = begin();
        assert_eq!(drain.look(at(start, 3599), Sight::People(4)), None);
        assert_eq!(drain.look(at(start, 3600), Sight::People(4)), Some(End::Limit(Some(4))));
    }

    #[test]
    fn a_spot_notice_leaves_less_time_and_never_more() {
        let start = Instant::now();
        let notice = Cause::SpotInterruption(Duration::from_secs(110));
        let mut drain = Drain::begin(start, &notice, LIMIT);
        assert_eq!(drain.left(start), Duration::from_secs(110));
        drain.hurry(start, &Cause::SpotInterruption(Duration::from_secs(500)));
        drain.hurry(start, &Cause::Termination);
        assert_eq!(drain.left(start), Duration::from_secs(110));
    }

    #[test]
    fn a_broken_bridge_is_not_waited_for_unless_media_flows() {
        let (mut drain, start) = begin();
        let dead = Sight::Silent { media_flows: false };
        assert_eq!(drain.look(start, Sight::People(2)), None);
        assert_eq!(drain.look(at(start, 5), dead), None);
        assert_eq!(drain.look(at(start, 60), Sight::Silent { media_flows: true }), None);
        assert_eq!(drain.look(at(start, 70), dead), None);
        assert_eq!(drain.look(at(start, 129), dead), None);
        assert_eq!(drain.look(at(start, 130), dead), Some(End::Broken));
    }

    #[test]
    fn a_bridge_that_exited_holds_nobody() {
        let (mut drain, start) = begin();
        assert_eq!(drain.look(start, Sight::Gone), Some(End::Gone));
    }
}
