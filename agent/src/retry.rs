//! The one loop that tries again: growing pauses, a limit on the whole, and the last error kept.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{Instant, sleep};

/// How long to pause between attempts.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    first: Duration,
    longest: Duration,
}

impl Pauses {
    /// For what is far away: a network, AWS, a whole boot. An outage that has passed still costs half
    /// the longest pause.
    pub const FAR: Self = Self { first: Duration::from_secs(2), longest: Duration::from_secs(30) };
    /// For a program on this machine that is just starting.
    pub const NEAR: Self =
        Self { first: Duration::from_millis(50), longest: Duration::from_secs(1) };
}

/// A link of an error chain that says trying again is pointless.
#[derive(Debug)]
pub struct Hopeless(String);

impl Hopeless {
    /// `what` will not change by itself.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Hopeless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Hopeless {}

/// Whether trying again is pointless.
pub fn is_hopeless(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Hopeless>().is_some()
}

/// [`retry_with`] the pauses for what is far away.
pub async fn retry<T, F: Future<Output = Result<T>>>(
    what: &str,
    limit: Duration,
    attempt: impl FnMut() -> F,
) -> Result<T> {
    retry_with(Pauses::FAR, what, limit, attempt).await
}

/// Tries until it works, it is [`Hopeless`], or `limit` is over.
pub async fn retry_with<T, F: Future<Output = Result<T>>>(
    pauses: Pauses,
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut pause = pauses.first;
    for attempts in 1_u32.. {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if is_hopeless(&error) {
            return Err(error).context(what.to_owned());
        }
        if Instant::now() + pause > deadline {
            return Err(error)
                .with_context(|| format!("{what}: gave up after {attempts} attempts"));
        }
        if pause >= Pauses::FAR.first {
            tracing::warn!("{what}: {error:#}; trying again in {} s", pause.as_secs());
        }
        sleep(pause).await;
        pause = (pause * 2).min(pauses.longest);
    }
    unreachable!("the loop ends by returning")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_until_the_limit_and_the_last_error_stays() {
        let start = Instant::now();
        let mut times = Vec::new();
        let result = retry("apt", Duration::from_secs(100), || {
            times.push((Instant::now() - start).as_secs());
            std::future::ready(Err::<(), _>(anyhow!("DNS")))
        })
        .await;
        assert_eq!(times, [0, 2, 6, 14, 30, 60, 90]);
        let words = format!("{:#}", result.unwrap_err());
        assert_eq!(words, "apt: gave up after 7 attempts: DNS");
    }

    #[tokio::test(start_paused = true)]
    async fn hopeless_is_not_tried_again() {
        let mut attempts = 0;
        let result = retry("key", Duration::from_secs(100), || {
            attempts += 1;
            let error = anyhow!("x").context(Hopeless::new("wrong fingerprint"));
            std::future::ready(Err::<(), _>(error))
        })
        .await;
        assert!(is_hopeless(&result.unwrap_err()));
        assert_eq!(attempts, 1);
    }
}
