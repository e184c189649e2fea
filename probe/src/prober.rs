//! The probe itself.

use crate::{Failure, Report, Step, StepName, Target};

/// Hears of each step as it happens. Both methods do nothing by default; `()` is deaf.
pub trait Observer: Send {
    /// `step` begins.
    fn started(&mut self, step: StepName) {
        let _ = step;
    }
    /// `step` ended well or badly.
    fn finished(&mut self, step: &Step, failure: Option<&Failure>) {
        let _ = (step, failure);
    }
}

impl Observer for () {}

/// Holds meetings on one site. Made once (it reads the trust store), used many times.
pub struct Prober {
    #[expect(dead_code, reason = "the interface comes first")]
    target: Target,
}

impl Prober {
    /// Prepares probes of `target`.
    pub fn new(target: Target) -> Result<Self, Failure> {
        Ok(Self { target })
    }

    /// Holds one meeting and tells `observer` of each step. Never fails: a meeting that could not
    /// be held is a report too. Dropping the future closes the connections, which makes Prosody
    /// remove the participants.
    #[expect(clippy::unused_async, reason = "the interface comes first")]
    pub async fn hold_meeting(&self, observer: &mut dyn Observer) -> Report {
        let _ = observer;
        todo!()
    }
}
