//! Trying again what AWS refuses only because something is new: one mechanism for reads, creates,
//! updates and deletions. What counts as new, and for how long, is [`crate::recent`]'s.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use super::{Entry, Key};
use crate::{aws::AwsError, cx::Cx, tags::Owner};

// Most of what is new is known everywhere within a second; pauses double up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
// Until its own service lists what it made. What is not listed by then is used all the same.
const LISTED_LIMIT: Duration = Duration::from_mins(1);

/// Pauses that grow.
pub(super) struct Patience {
    start: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), pause: FIRST_PAUSE }
    }

    /// Pauses when trying again may help; otherwise hands the error back.
    pub(super) async fn again(&mut self, cx: &Cx, key: &Key, error: anyhow::Error) -> Result<()> {
        let excused = error
            .downcast_ref::<AwsError>()
            .is_some_and(|error| cx.recent.excuses(error, self.start));
        if !excused {
            return Err(error);
        }
        cx.waiting(key, &format!("{error:#}"));
        self.pause(cx).await
    }

    async fn pause(&mut self, cx: &Cx) -> Result<()> {
        cx.pause(self.pause).await?;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// Repeats `step`, which may be begun anew at any time, while its failure is excused.
pub(crate) async fn patiently<T, F>(cx: &Cx, key: &Key, mut step: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut patience = Patience::new();
    loop {
        match step().await {
            Ok(value) => return Ok(value),
            Err(error) => patience.again(cx, key, error).await?,
        }
    }
}

/// Waits until what was made is listed as ours, so that neither the next resource nor the next run
/// takes it for missing or for somebody else's, which is an error in the end; brings to the end what its
/// making left undone.
pub(super) async fn listed(cx: &Cx, entry: &Entry, mend: bool) -> Result<Option<String>> {
    let mut patience = Patience::new();
    loop {
        let all = patiently(cx, &entry.key, || entry.resource.find(cx)).await?;
        let known = all.iter().find(|found| {
            !found.stale && !found.spare && !matches!(found.owner, Owner::Foreign(_))
        });
        match known.cloned() {
            Some(found) => {
                if mend && !found.drift.is_empty() && found.owner == Owner::Ours {
                    patiently(cx, &entry.key, || entry.resource.update(cx, &found)).await?;
                }
                return Ok(Some(found.id));
            }
            None if patience.start.elapsed() >= LISTED_LIMIT => {
                entry.current(cx, &all)?; // somebody else's would be built upon
                return Ok(None);
            }
            None => {
                cx.waiting(&entry.key, "made, but not listed yet");
                patience.pause(cx).await?;
            }
        }
    }
}
