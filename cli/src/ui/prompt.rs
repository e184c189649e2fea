//! Whether a question waits for its answer: then Ctrl-C ends the program at once, for nothing was begun
//! that would have to end first.

use std::sync::{Arc, Mutex};

use crate::shared::lock;

/// What Ctrl-C meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Work, which may end.
    #[default]
    Working,
    /// A question.
    Asking,
    /// It was pressed: no question is asked any more.
    Interrupted,
}

/// Shared between who asks and who hears of Ctrl-C; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Prompt(Arc<Mutex<State>>);

impl Prompt {
    /// A question begins; false when Ctrl-C was pressed already.
    pub(super) fn open(&self) -> bool {
        let mut state = lock(&self.0);
        let open = *state != State::Interrupted;
        if open {
            *state = State::Asking;
        }
        open
    }

    /// It was answered.
    pub(super) fn close(&self) {
        let mut state = lock(&self.0);
        if *state == State::Asking {
            *state = State::Working;
        }
    }

    /// Ctrl-C was pressed; true when a question was open.
    pub(super) fn interrupt(&self) -> bool {
        let mut state = lock(&self.0);
        std::mem::replace(&mut *state, State::Interrupted) == State::Asking
    }
}
