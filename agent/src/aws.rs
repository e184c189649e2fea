//! The one SDK configuration all clients share, and errors of the SDK in plain words.

use std::time::Duration;

use anyhow::Result;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jitsi_http::{NoAuthorities, Proxy};

use crate::advice::Advice;

/// No call of the agent may take longer, retries included: health never waits for AWS, but a
/// heartbeat that hangs would come too late.
const OPERATION_LIMIT: Duration = Duration::from_secs(30);
/// One attempt.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);

/// The proxy of the agent's environment, which is that of its unit.
pub(crate) fn proxy() -> Result<Option<Proxy>> {
    Proxy::of_environment().map_err(|bad| {
        let next = format!("in `systemctl edit jitsi-agent`: {}", bad.hint());
        anyhow::anyhow!(Advice::new(bad.to_string(), next))
    })
}

impl From<NoAuthorities> for Advice {
    fn from(none: NoAuthorities) -> Self {
        Self::new(none.to_string(), NoAuthorities::HINT)
    }
}

/// The standard environment (`AWS_ENDPOINT_URL`, credentials, a proxy) and the instance role, in
/// `region`; an error when the environment names no proxy we can use, or nobody to trust.
pub async fn load(region: &str) -> Result<SdkConfig> {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .http_client(jitsi_http::client(proxy()?.as_ref()).map_err(Advice::from)?)
        .timeout_config(
            TimeoutConfig::builder()
                .operation_timeout(OPERATION_LIMIT)
                .operation_attempt_timeout(ATTEMPT_LIMIT)
                .build(),
        )
        .load()
        .await;
    Ok(config)
}

/// An SDK error as `Code: message`, else its innermost causes: an `SdkError` itself prints as
/// `service error`.
pub fn plain<E>(error: E) -> anyhow::Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    anyhow::Error::msg(words)
}

/// An error of a service call as `Code: message`, or in plain words when it never came to an answer.
pub fn service<E>(error: E) -> anyhow::Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match error.code() {
        Some(code) => {
            anyhow::anyhow!("{code}: {}", error.message().unwrap_or("AWS gave no reason"))
        }
        None => plain(error),
    }
}
