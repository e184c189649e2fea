//! Announcements of the instance's end, read from the metadata service every few seconds: nothing
//! has to be subscribed to, no queue to be emptied.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use tokio::sync::watch;

use crate::drain::Cause;
use crate::imds::{Imds, SpotAction, TargetLifecycleState};

/// Stopping nginx and telling the hook takes seconds; AWS acts at the announced time.
const SPOT_MARGIN: Duration = Duration::from_secs(10);

/// Why the instance must drain, if it must.
pub(crate) async fn look(imds: &Imds) -> Result<Option<Cause>> {
    if let Some(SpotAction { time, .. }) = imds.spot_action().await? {
        return Ok(Some(Cause::SpotInterruption(time_left(&time, SystemTime::now()))));
    }
    if imds.target_lifecycle_state().await? == Some(TargetLifecycleState::Terminated) {
        return Ok(Some(Cause::Termination));
    }
    Ok(imds.rebalance_recommended().await?.then_some(Cause::Rebalance))
}

/// Looks every `pause` until the program ends; a cause, once seen, only ever gives way to a more urgent one.
pub(crate) fn watch(imds: Imds, pause: Duration) -> watch::Receiver<Option<Cause>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(pause);
        let mut failing = false;
        loop {
            ticks.tick().await;
            match look(&imds).await {
                Ok(cause) => {
                    failing = false;
                    sender.send_if_modified(|known| replaces(known, cause));
                }
                // Said once: the service answers again or the watch goes on without it.
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!("looking for notices: {error:#}");
                }
                Err(_) => {}
            }
        }
    });
    receiver
}

fn urgency(cause: Option<&Cause>) -> u8 {
    match cause {
        None => 0,
        Some(Cause::Rebalance) => 1,
        Some(Cause::Termination) => 2,
        Some(Cause::SpotInterruption(_)) => 3,
    }
}

fn replaces(known: &mut Option<Cause>, new: Option<Cause>) -> bool {
    let urgent = urgency(new.as_ref()) > urgency(known.as_ref());
    if urgent {
        *known = new;
    }
    urgent
}

/// An unreadable time leaves the two minutes AWS promises.
fn time_left(time: &str, now: SystemTime) -> Duration {
    const PROMISED: Duration = Duration::from_mins(2);
    let end =
        DateTime::from_str(time, Format::DateTime).ok().and_then(|t| SystemTime::try_from(t).ok());
    let left = end.map_or(PROMISED, |end| end.duration_since(now).unwrap_or_default());
    left.saturating_sub(SPOT_MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spot_notice_leaves_what_is_left_less_a_margin() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_mins(29_920_178);
        assert_eq!(time_left("2026-11-20T21:40:00Z", now), Duration::from_secs(110));
        assert_eq!(time_left("2026-11-20T21:30:00Z", now), Duration::ZERO);
        assert_eq!(time_left("soon", now), Duration::from_secs(110));
    }

    #[test]
    fn only_a_more_urgent_cause_replaces_one() {
        let mut known = Some(Cause::Rebalance);
        assert!(!replaces(&mut known, None));
        assert!(replaces(&mut known, Some(Cause::Termination)));
        assert!(!replaces(&mut known, Some(Cause::Rebalance)));
        assert!(replaces(&mut known, Some(Cause::SpotInterruption(Duration::ZERO))));
    }
}
