//! Announcements of the instance's end, read from the metadata service every few seconds: nothing
//! has to be subscribed to, no queue to be emptied.
//!
//! A rebalance recommendation is not one. It says that an interruption has become likelier (EC2 user
//! guide, "EC2 instance rebalance recommendations"); an only instance that left because of it would
//! make the outage certain. A group that replaces before it terminates (`CapacityRebalance`) tells
//! this instance of its end as of any other.

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
    let state = imds.target_lifecycle_state().await?;
    Ok((state == Some(TargetLifecycleState::Terminated)).then_some(Cause::Termination))
}

/// Says once that EC2 recommends to leave.
async fn note_recommendation(imds: &Imds, noted: &mut bool) -> Result<()> {
    if !*noted && imds.rebalance_recommended().await? {
        *noted = true;
        tracing::warn!(
            "EC2 expects to take this spot instance back and recommends to leave it: serving on until \
             the group or EC2 ends it"
        );
    }
    Ok(())
}

/// Looks every `pause` until the program ends; a cause, once seen, only ever gives way to a more urgent one.
pub(crate) fn watch(imds: Imds, pause: Duration) -> watch::Receiver<Option<Cause>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(pause);
        let mut failing = false;
        let mut noted = false;
        loop {
            ticks.tick().await;
            let looked = match note_recommendation(&imds, &mut noted).await {
                Ok(()) => look(&imds).await,
                Err(error) => Err(error),
            };
            match looked {
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
        Some(Cause::Termination) => 1,
        Some(Cause::SpotInterruption(_)) => 2,
    }
}

fn replaces(known: &mut Option<Cause>, new: Option<Cause>) -> bool {
    let urgent = urgency(new.as_ref()) > urgency(known.as_ref());
    if urgent {
        *known = new;
    }
    urgent
}

/// The notice comes two minutes before the end (EC2 user guide, "Spot Instance interruption
/// notices"): a time further away on either side, or none, tells of a wrong clock and leaves those.
fn time_left(time: &str, now: SystemTime) -> Duration {
    const PROMISED: Duration = Duration::from_mins(2);
    let end =
        DateTime::from_str(time, Format::DateTime).ok().and_then(|t| SystemTime::try_from(t).ok());
    let left = match end.map(|end| end.duration_since(now)) {
        Some(Ok(left)) => left.min(PROMISED),
        Some(Err(late)) if late.duration() < PROMISED => Duration::ZERO,
        Some(Err(_)) | None => PROMISED,
    };
    left.saturating_sub(SPOT_MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spot_notice_leaves_what_is_left_less_a_margin() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_mins(29_920_178);
        assert_eq!(time_left("2026-11-20T21:40:00Z", now), Duration::from_secs(110));
        assert_eq!(time_left("2026-11-20T21:37:30Z", now), Duration::ZERO);
        for wrong in ["2026-11-20T20:40:00Z", "2026-11-20T22:40:00Z", "soon"] {
            assert_eq!(time_left(wrong, now), Duration::from_secs(110), "{wrong}");
        }
    }

    #[test]
    fn only_a_more_urgent_cause_replaces_one() {
        let mut known = None;
        assert!(replaces(&mut known, Some(Cause::Termination)));
        assert!(!replaces(&mut known, None));
        assert!(!replaces(&mut known, Some(Cause::Termination)));
        assert!(replaces(&mut known, Some(Cause::SpotInterruption(Duration::ZERO))));
    }
}
