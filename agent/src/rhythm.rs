//! How often components are asked, and how long they may take to answer: together never longer than
//! `watch.component_interval`, so that one that begins to hang right after it answered counts as down
//! within one interval.

use std::time::Duration;

/// Between rounds while something is not well or not proven yet.
const DOUBT_PAUSE: Duration = Duration::from_secs(1);
/// The same while the components of a booting instance start: nothing else is waited for.
const START_PAUSE: Duration = Duration::from_millis(250);
/// How long a component may take to answer, if half the interval is not shorter.
const ANSWER_LIMIT: Duration = Duration::from_millis(2500);

/// The rhythm of one `component_interval`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    interval: Duration,
}

impl Rhythm {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval }
    }

    /// How long a round may take.
    pub(crate) fn answer_limit(self) -> Duration {
        ANSWER_LIMIT.min(self.interval / 2)
    }

    /// From the end of a round to the next.
    pub(crate) fn pause(self, well: bool) -> Duration {
        let pause = self.interval.saturating_sub(self.answer_limit());
        if well { pause } else { DOUBT_PAUSE.min(pause) }
    }

    /// The same while the components of a booting instance start.
    pub(crate) fn start_pause(self) -> Duration {
        START_PAUSE.min(self.pause(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hang_is_known_within_one_interval() {
        for seconds in 1..=60 {
            let interval = Duration::from_secs(seconds);
            let rhythm = Rhythm::new(interval);
            assert!(rhythm.pause(true) + rhythm.answer_limit() <= interval);
            assert!(rhythm.pause(false) <= rhythm.pause(true));
            assert!(rhythm.start_pause() <= START_PAUSE.min(rhythm.pause(false)));
            assert!(!rhythm.pause(false).is_zero() && !rhythm.answer_limit().is_zero());
        }
        assert_eq!(Rhythm::new(Duration::from_secs(5)).answer_limit(), ANSWER_LIMIT);
    }
}
