//! The one SDK configuration all clients share, and errors of the SDK in plain words.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// No call of the agent may take longer, retries included: health never waits for AWS, but a
/// heartbeat that hangs would come too late.
const OPERATION_LIMIT: Duration = Duration::from_secs(30);
/// One attempt.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);

/// HTTP for every client.
pub fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// The standard environment (`AWS_ENDPOINT_URL`, credentials) and the instance role, in `region`.
pub async fn load(region: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .http_client(http_client())
        .timeout_config(
            TimeoutConfig::builder()
                .operation_timeout(OPERATION_LIMIT)
                .operation_attempt_timeout(ATTEMPT_LIMIT)
                .build(),
        )
        .load()
        .await
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
