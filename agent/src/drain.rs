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
/// The bridge counts people for up to two minutes whom nobody signed off, because signalling broke or a
/// browser died. When for so long nothing at all moved, or no media and nobody is connected, they have gone.
const GHOST: Duration = Duration::from_secs(15);
/// How long people are waited for who are connected and on no bridge: alone in a room, or in a lobby. Their
/// meeting may begin any moment, or never.
const WAITING: Duration = Duration::from_mins(5);

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
    /// It counts this many people, as far as it says.
    People {
        /// On the bridge.
        inside: Option<u32>,
        /// Connected, in rooms and lobbies, as far as anybody says.
        here: Option<u32>,
        /// Whether media flows, as far as is known.
        media_flows: Option<bool>,
        /// Whether nothing at all moves, not even what keeps a way open.
        still: Option<bool>,
    },
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
    ghosts_since: Option<Instant>,
    waiting_until: Instant,
    people: Option<u32>,
    waiting: u32,
}

impl Drain {
    /// Begins now; a spot interruption leaves less than `limit`.
    pub fn begin(now: Instant, cause: &Cause, limit: Duration) -> Self {
        let mut drain = Self {
            deadline: now + limit,
            empty_rounds: 0,
            silent_since: None,
            ghosts_since: None,
            waiting_until: now + WAITING,
            people: None,
            waiting: 0,
        };
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

    /// People who are here and on no bridge, as seen last.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Whether new meetings are still let begin: somebody waits in a room, and not for long yet.
    pub fn lets_begin(&self, now: Instant) -> bool {
        self.waiting > 0 && now < self.waiting_until
    }

    /// One look at the bridge.
    pub fn look(&mut self, now: Instant, sight: Sight) -> Option<End> {
        let mut empty = false;
        match sight {
            Sight::Gone => return Some(End::Gone),
            Sight::People { inside, here, media_flows, still } => {
                self.silent_since = None;
                let unknown = media_flows == Some(false) && here == Some(0);
                let inside = self.without_ghosts(now, inside, unknown || still == Some(true));
                self.people = inside;
                self.waiting = here.unwrap_or(0).saturating_sub(inside.unwrap_or(0));
                empty = inside == Some(0) && !self.lets_begin(now);
            }
            Sight::Silent { media_flows: true } => self.silent_since = None,
            Sight::Silent { media_flows: false } => {
                let since = *self.silent_since.get_or_insert(now);
                if now - since >= SILENCE {
                    return Some(End::Broken);
                }
            }
        }
        self.empty_rounds = if empty { self.empty_rounds + 1 } else { 0 };
        if self.empty_rounds >= EMPTY_ROUNDS {
            return Some(End::Empty);
        }
        (now >= self.deadline).then_some(End::Limit(self.people))
    }

    fn without_ghosts(
        &mut self,
        now: Instant,
        inside: Option<u32>,
        nobody_shows: bool,
    ) -> Option<u32> {
        if !nobody_shows || inside == Some(0) {
            self.ghosts_since = None;
            return inside;
        }
        let since = *self.ghosts_since.get_or_insert(now);
        if now - since >= GHOST { Some(0) } else { inside }
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

    /// On the bridge, with media and known to jicofo.
    fn people(inside: u32) -> Sight {
        Sight::People {
            inside: Some(inside),
            here: Some(inside),
            media_flows: Some(inside > 0),
            still: Some(inside == 0),
        }
    }

    #[test]
    fn waits_for_the_last_person_through_lingering_endpoints() {
        let (mut drain, start) = begin();
        for (second, inside) in [(0, 3), (5, 1), (10, 1), (15, 0), (20, 1), (25, 0)] {
            assert_eq!(drain.look(at(start, second), people(inside)), None);
        }
        assert_eq!(drain.look(at(start, 30), people(0)), Some(End::Empty));
    }

    #[test]
    fn whose_signalling_broke_is_not_waited_for_unless_media_flows() {
        // Prosody died and jicofo gave its meetings up; or it does not answer itself, and nothing moves; or
        // browsers died, whom Prosody has not missed yet.
        for (here, moves) in [(Some(0), true), (None, false), (Some(3), false)] {
            let sight = |media_flows: Option<bool>| Sight::People {
                inside: Some(3),
                here,
                media_flows,
                still: media_flows.map(|flows| !flows && !moves),
            };
            let (mut drain, start) = begin();
            assert_eq!(drain.look(start, sight(Some(true))), None);
            assert_eq!(drain.look(at(start, 100), sight(None)), None);
            assert_eq!(drain.look(at(start, 301), sight(Some(false))), None);
            assert_eq!(drain.look(at(start, 311), sight(Some(false))), None);
            assert_eq!(drain.look(at(start, 316), sight(Some(false))), None);
            assert_eq!(drain.look(at(start, 321), sight(Some(false))), Some(End::Empty));
        }
    }

    #[test]
    fn a_quiet_pair_that_jicofo_knows_is_waited_for() {
        let (mut drain, start) = begin();
        let quiet = Sight::People {
            inside: Some(2),
            here: Some(2),
            media_flows: Some(false),
            still: Some(false),
        };
        for second in (0..3600).step_by(5) {
            assert_eq!(drain.look(at(start, second), quiet), None);
        }
    }

    #[test]
    fn who_waits_in_a_room_may_begin_and_is_not_waited_for_long() {
        let (mut drain, start) = begin();
        let alone = Sight::People {
            inside: Some(0),
            here: Some(1),
            media_flows: Some(false),
            still: Some(false),
        };
        assert_eq!(drain.look(start, alone), None);
        assert!(drain.lets_begin(start));
        assert_eq!(drain.waiting(), 1);
        assert_eq!(drain.look(at(start, 299), alone), None);
        assert_eq!(drain.look(at(start, 300), alone), None);
        assert!(!drain.lets_begin(at(start, 300)));
        assert_eq!(drain.look(at(start, 305), alone), Some(End::Empty));
    }

    #[test]
    fn figures_that_are_missing_are_nobodys_absence() {
        let (mut drain, start) = begin();
        let unknown = Sight::People { inside: None, here: None, media_flows: None, still: None };
        assert_eq!(drain.look(start, unknown), None);
        assert_eq!(drain.look(at(start, 3599), unknown), None);
        assert_eq!(drain.look(at(start, 3600), unknown), Some(End::Limit(None)));
    }

    #[test]
    fn the_limit_ends_a_meeting_and_says_how_many_it_cut() {
        let (mut drain, start) = begin();
        assert_eq!(drain.look(at(start, 3599), people(4)), None);
        assert_eq!(drain.look(at(start, 3600), people(4)), Some(End::Limit(Some(4))));
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
        assert_eq!(drain.look(start, people(2)), None);
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
