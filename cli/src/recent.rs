//! What is new enough for AWS not to know it everywhere: what this run made and when, and when
//! `setup iam` last changed the deployer's key or rights.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    aws::{AwsError, Fate, NotYet},
    engine::Key,
    shared::lock,
};

// Seconds as a rule (IAM user guide, "Changes that I make are not always immediately visible"); two
// minutes is what Terraform allows IAM. A right that is missing for good is told after that.
const RIGHTS_LIMIT: Duration = Duration::from_mins(2);
// A condition on a tag that the create call set.
const TAG_LIMIT: Duration = Duration::from_secs(30);
// Terraform waits 5 minutes for a certificate to be known to Elastic Load Balancing, the slowest.
const THING_LIMIT: Duration = Duration::from_mins(5);
// For what was there before this run: another run may have made it just now.
const FOUND_LIMIT: Duration = Duration::from_secs(15);
// The SDK has tried several times by then.
const THROTTLED_LIMIT: Duration = Duration::from_mins(2);

/// What was made or changed lately.
#[derive(Debug, Default)]
pub struct Recent {
    made: Mutex<BTreeMap<Key, Instant>>,
    rights: Option<Instant>,
    rights_differ: AtomicBool,
}

impl Recent {
    /// `rights`: how long ago `setup iam` last changed something, if that is known.
    pub fn new(rights: Option<Duration>) -> Self {
        let rights = rights.and_then(|age| Instant::now().checked_sub(age));
        Self { rights, ..Self::default() }
    }

    /// Whether `setup iam` changed the deployer's rights so lately that AWS may not know it everywhere.
    pub fn rights_are_new(&self) -> bool {
        self.rights.is_some_and(|since| since.elapsed() < RIGHTS_LIMIT)
    }

    /// Notes that the deployer's rights are not those it needs: waiting brings none.
    pub fn note_that_rights_differ(&self) {
        self.rights_differ.store(true, Ordering::Relaxed);
    }

    /// Whether that was noted.
    pub fn rights_differ(&self) -> bool {
        self.rights_differ.load(Ordering::Relaxed)
    }

    /// Notes that AWS has just said that it made this.
    pub fn note(&self, key: &Key) {
        self.made().insert(key.clone(), Instant::now());
    }

    /// Whether this was made at or after `since`.
    pub fn made_since(&self, key: &Key, since: Instant) -> bool {
        self.made().get(key).is_some_and(|made| *made >= since)
    }

    /// Whether what failed, after trying since `start`, is worth trying again: AWS asks for patience,
    /// or speaks of something new.
    pub fn excuses(&self, error: &AwsError, start: Instant) -> bool {
        let newest = self.made().values().max().copied();
        let within =
            |since: Option<Instant>, limit| since.is_some_and(|since| since.elapsed() < limit);
        if error.fate == Fate::Throttled {
            return start.elapsed() < THROTTLED_LIMIT;
        }
        match error.not_yet() {
            Some(NotYet::Key) => within(self.rights, RIGHTS_LIMIT),
            Some(NotYet::Right) => {
                let new = self.rights_are_new() && !self.rights_differ();
                new || within(newest, TAG_LIMIT)
            }
            Some(NotYet::Thing) => {
                within(newest.max(self.rights), THING_LIMIT) || start.elapsed() < FOUND_LIMIT
            }
            Some(NotYet::Listing) | None => false,
        }
    }

    fn made(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Instant>> {
        lock(&self.made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str) -> AwsError {
        AwsError {
            doing: "trying".into(),
            code: code.into(),
            message: String::new(),
            request_id: None,
            fate: Fate::Refused,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_excused_only_while_something_is_new() {
        let start = Instant::now();
        let old = Recent::new(None);
        assert!(!old.excuses(&error("AccessDenied"), start), "a right is missing for good");
        assert!(!old.excuses(&error("InvalidAccessKeyId"), start));

        let new = Recent::new(Some(Duration::from_secs(100)));
        assert!(new.excuses(&error("AccessDenied"), start));
        assert!(new.excuses(&error("InvalidAccessKeyId"), start));
        tokio::time::advance(Duration::from_secs(21)).await;
        assert!(!new.excuses(&error("AccessDenied"), start), "two minutes are over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_that_is_known_to_be_missing_is_not_waited_for() {
        let new = Recent::new(Some(Duration::from_secs(1)));
        new.note_that_rights_differ();
        assert!(!new.excuses(&error("AccessDenied"), Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_this_run_made_may_be_unknown_for_minutes() {
        let start = Instant::now();
        let recent = Recent::new(None);
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(!recent.excuses(&error("CertificateNotFound"), start), "it should be there");
        recent.note(&Key::Certificate);
        tokio::time::advance(Duration::from_mins(4)).await;
        assert!(recent.excuses(&error("CertificateNotFound"), start));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(!recent.excuses(&error("CertificateNotFound"), start));
    }
}
