//! Whose turn it is to write: a gate before every call that can change something. It is open until a
//! lease arms it; then only as long as that lease is known to hold, so that a machine that slept, or
//! lost its lease, sends nothing more.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime},
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeTransmitInterceptorContextRef},
        orchestrator::Metadata,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;

use super::calls::is_write;

use crate::shared::lock;

/// A moment by two clocks: the monotonic one, which stops while a machine sleeps (`CLOCK_MONOTONIC`),
/// and the wall's, which goes on but may be set.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// How long ago that was, by the clock that says more.
    pub fn age(self) -> Duration {
        // A wall clock that was set back says nothing.
        self.steady.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

/// Whether writes may be sent; all clones share it.
#[derive(Clone, Debug, Default)]
pub struct Turn(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    /// Nobody asks.
    #[default]
    Open,
    /// Ours for so long from then on.
    Ours { since: Moment, length: Duration },
    /// No longer ours: why.
    Over(String),
}

/// A write that was not sent.
#[derive(Debug)]
pub(super) struct NotOurTurn(String);

impl fmt::Display for NotOurTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not sent: {}", self.0)
    }
}

impl std::error::Error for NotOurTurn {}

impl Turn {
    /// From now on writes are sent only within `length` of `since`. What is over stays over.
    pub fn ours(&self, since: Moment, length: Duration) {
        let mut state = self.state();
        if !matches!(*state, State::Over(_)) {
            *state = State::Ours { since, length };
        }
    }

    /// What holds for the other holds for this.
    pub fn follow(&self, other: &Self) {
        let state = match &*other.state() {
            State::Open => State::Open,
            State::Ours { since, length } => State::Ours { since: *since, length: *length },
            State::Over(why) => State::Over(why.clone()),
        };
        *self.state() = state;
    }

    /// From now on no write is sent.
    pub fn over(&self, why: &str) {
        let mut state = self.state();
        if !matches!(*state, State::Over(_)) {
            *state = State::Over(why.to_owned());
        }
    }

    /// Nobody asks any more.
    pub fn open(&self) {
        *self.state() = State::Open;
    }

    /// Why writes are not sent, when they are not.
    pub fn refusal(&self) -> Option<String> {
        match &*self.state() {
            State::Ours { since, length } if since.age() >= *length => Some(format!(
                "the lease was last renewed {} s ago: this machine slept, or could not reach AWS",
                since.age().as_secs()
            )),
            State::Open | State::Ours { .. } => None,
            State::Over(why) => Some(why.clone()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl Intercept for Turn {
    fn name(&self) -> &'static str {
        "Turn"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let writes = bag.load::<Metadata>().is_none_or(|metadata| is_write(metadata.name()));
        match self.refusal() {
            Some(why) if writes => Err(NotOurTurn(why).into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_after_the_end_whatever_is_renewed_then() {
        let turn = Turn::default();
        assert_eq!(turn.refusal(), None, "nobody asks");
        turn.ours(Moment::now(), Duration::from_mins(1));
        assert_eq!(turn.refusal(), None);
        turn.over("taken over");
        turn.ours(Moment::now(), Duration::from_mins(1));
        assert_eq!(turn.refusal().as_deref(), Some("taken over"));
        turn.open();
        assert_eq!(turn.refusal(), None);
    }

    #[test]
    fn a_lease_that_was_not_renewed_ends_by_either_clock() {
        let turn = Turn::default();
        let hour = Duration::from_hours(1);
        // Asleep: the steady clock stood still.
        let wall = SystemTime::now() - hour;
        turn.ours(Moment { wall, steady: Instant::now() }, Duration::from_mins(1));
        assert!(turn.refusal().is_some_and(|why| why.contains("3600 s ago")));
        // Set back: the wall clock knows nothing.
        let wall = SystemTime::now() + hour;
        turn.ours(Moment { wall, steady: Instant::now() }, Duration::from_mins(1));
        assert_eq!(turn.refusal(), None);
        turn.ours(Moment::now(), Duration::ZERO);
        assert!(turn.refusal().is_some());
    }
}
