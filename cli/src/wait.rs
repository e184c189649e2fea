//! The only place that sleeps: waiting for AWS to get somewhere, retrying what it refuses for a
//! while by a named code, and doing something every so often.

use std::{future::Future, time::Duration};

use anyhow::{Result, bail};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use crate::{aws::AwsError, cx::Cx, engine::Key};

/// Where a wait stands.
pub enum Progress<T> {
    /// There.
    Ready(T),
    /// Not yet; says in AWS's own words what is being waited for.
    Pending(String),
}

// First pause of a wait; it grows to `LONGEST_PAUSE`. Most things AWS calls eventual take a second.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Asks `poll` until it is ready, at most for `limit`, telling the user what is being waited for.
/// Ends early when the user interrupts.
pub async fn until<T, F>(
    cx: &Cx,
    key: &Key,
    limit: Duration,
    mut poll: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<Progress<T>>>,
{
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let what = match poll().await? {
            Progress::Ready(value) => return Ok(value),
            Progress::Pending(what) => what,
        };
        if start.elapsed() >= limit {
            bail!("gave up after {} s; last seen: {what}", limit.as_secs());
        }
        cx.waiting(key, &what);
        cx.pause(pause.min(limit.saturating_sub(start.elapsed()))).await?;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// Repeats `call` while AWS refuses it with one of `codes`, at most for `limit`.
pub async fn retry_on<T, F>(
    cx: &Cx,
    key: &Key,
    codes: &[&str],
    limit: Duration,
    call: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T, AwsError>>,
{
    retry_while(cx, key, |error| error.is(codes), limit, call).await
}

/// Repeats `call` while its failure is one that `passes`, at most for `limit`.
pub async fn retry_while<T, F>(
    cx: &Cx,
    key: &Key,
    passes: impl Fn(&AwsError) -> bool,
    limit: Duration,
    mut call: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T, AwsError>>,
{
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match call().await {
            Ok(value) => return Ok(value),
            Err(error) if passes(&error) && start.elapsed() < limit => {
                cx.waiting(key, &format!("{}: {}", error.code, error.message));
                cx.pause(pause).await?;
                pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sleeps; the single call every pause of the crate goes through.
pub(crate) async fn pause(length: Duration) {
    sleep(length).await;
}

/// Ticks every `length`, at once for the first time; a tick nobody had time for is left out.
pub(crate) fn every(length: Duration) -> Interval {
    let mut ticks = interval(length);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}
