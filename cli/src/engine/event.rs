//! What a run tells while it goes and at its end.

use std::{fmt, sync::Arc, time::Duration};

use super::{Drift, Key};

/// Told while a run goes on.
#[derive(Clone, Debug)]
pub enum Event {
    /// Work on a resource began.
    Started {
        /// Which.
        key: Key,
        /// Its name.
        name: String,
    },
    /// A resource waits for AWS.
    Waiting {
        /// Which.
        key: Key,
        /// For what, in AWS's words.
        what: String,
    },
    /// A resource is done with.
    Finished {
        /// Which.
        key: Key,
        /// Its name.
        name: String,
        /// Its id.
        id: String,
        /// What was done.
        outcome: Outcome,
        /// How long it took.
        took: Duration,
    },
    /// A resource is neither there nor wanted: there was nothing to do.
    Passed {
        /// Which.
        key: Key,
        /// Its name.
        name: String,
    },
    /// A resource failed; the run starts nothing new.
    Failed {
        /// Which.
        key: Key,
        /// Its name.
        name: String,
        /// After how long.
        took: Duration,
        /// What failed and why; nothing when it was stopped on request.
        why: Option<String>,
    },
    /// Something to know once all is done.
    Note {
        /// Which resource it is about.
        key: Key,
        /// The text.
        text: String,
    },
}

/// Who is told.
pub type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// What was done to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is new.
    Created,
    /// These fields were changed.
    Changed(Vec<Drift>),
    /// Nothing.
    Unchanged,
    /// It is gone.
    Deleted,
}

/// What a run did, in resources. The glossary says what counts as one; plans, the stages' state and deletions
/// count the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Resources made.
    pub created: usize,
    /// Resources changed.
    pub changed: usize,
    /// Resources left as they are.
    pub unchanged: usize,
    /// Resources deleted.
    pub deleted: usize,
}

impl Summary {
    /// Counts one outcome.
    pub fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Changed(_) => self.changed += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Deleted => self.deleted += 1,
        }
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = [
            (self.created, "created"),
            (self.changed, "changed"),
            (self.unchanged, "unchanged"),
            (self.deleted, "deleted"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        if parts.is_empty() { f.write_str("nothing to do") } else { f.write_str(&parts.join(", ")) }
    }
}
