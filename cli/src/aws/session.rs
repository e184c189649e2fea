//! Connecting: whose credentials, which region, one HTTP client for all services.

use std::time::Duration;

use anyhow::Result;
use aws_config::{
    AppName, BehaviorVersion, ConfigLoader, Region, SdkConfig, identity::IdentityCache,
    profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::{http::SharedHttpClient, interceptors::Intercept};
use jitsi_http::{NoAuthorities, Proxy};

use super::{Answer, AwsError, Calls, Turn, endpoint};
use crate::{error::Hinted, local};

/// The HTTP client under every SDK client: the seam at which tests inject faults.
pub type HttpClient = SharedHttpClient;

/// Whose credentials to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The standard chain: environment, profile, SSO, instance role.
    Ambient,
    /// This profile and nothing else: an explicit choice beats the environment.
    Profile(String),
}

/// Who AWS says we are (`sts:GetCallerIdentity`).
#[derive(Clone, Debug)]
pub struct Caller {
    /// Account id, 12 digits.
    pub account: String,
    /// ARN of the user or assumed role.
    pub arn: String,
}

/// One client per service in use.
#[derive(Clone, Debug)]
pub struct Aws {
    /// Certificate Manager.
    pub acm: aws_sdk_acm::Client,
    /// EC2 Auto Scaling.
    pub autoscaling: aws_sdk_autoscaling::Client,
    /// CloudWatch.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    /// EC2 and VPC.
    pub ec2: aws_sdk_ec2::Client,
    /// Elastic Load Balancing v2.
    pub elbv2: aws_sdk_elasticloadbalancingv2::Client,
    /// EventBridge.
    pub eventbridge: aws_sdk_eventbridge::Client,
    /// Fault Injection Service.
    pub fis: aws_sdk_fis::Client,
    /// IAM.
    pub iam: aws_sdk_iam::Client,
    /// Key Management Service.
    pub kms: aws_sdk_kms::Client,
    /// Route 53.
    pub route53: aws_sdk_route53::Client,
    /// S3.
    pub s3: aws_sdk_s3::Client,
    /// SNS.
    pub sns: aws_sdk_sns::Client,
    /// Systems Manager.
    pub ssm: aws_sdk_ssm::Client,
    /// STS.
    pub sts: aws_sdk_sts::Client,
    /// Resource Groups Tagging API.
    pub tagging: aws_sdk_resourcegroupstagging::Client,
    /// Every call made through these clients.
    pub calls: Calls,
    /// Whether these clients may send what changes something.
    pub turn: Turn,
    config: SdkConfig,
}

// A lost connection should be noticed before a person reaches for Ctrl-C; AWS answers control-plane
// calls within seconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const ATTEMPT_LIMIT: Duration = Duration::from_secs(30);
// The SDK's default of 3 is too few for EC2 under `RequestLimitExceeded`.
const ATTEMPTS: u32 = 6;
// For a process, a sign-on service or a role that gives credentials: less than one attempt, so that it is the
// credentials that are told to be late, and not AWS.
const CREDENTIALS_LIMIT: Duration = Duration::from_secs(25);
// What keeps a lease must know soon whether it did: half of the time between two renewals.
const LEASE_ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
const LEASE_LIMIT: Duration = Duration::from_secs(15);

/// Loads the standard AWS environment for `region`, its proxy included, and makes the clients. Makes no
/// call.
pub async fn connect(
    credentials: &Credentials,
    region: &str,
    http: Option<HttpClient>,
    calls: Calls,
) -> Result<Aws> {
    local::check_shared_files()?;
    let http = if let Some(http) = http {
        http
    } else {
        let proxy = Proxy::of_environment();
        let proxy = proxy.map_err(|bad| Hinted::user(bad.to_string(), bad.hint()))?;
        let client = jitsi_http::client(proxy.as_ref());
        client.map_err(|none| Hinted::user(none.to_string(), NoAuthorities::HINT))?
    };
    let mut loader = limited()
        .region(Region::new(region.to_owned()))
        .http_client(http.clone())
        .app_name(AppName::new(concat!("jitsi-aws-", env!("CARGO_PKG_VERSION")))?);
    if let Credentials::Profile(name) = credentials {
        // A profile may assume a role or sign on, for which its provider makes calls of its own.
        let calling = ProviderConfig::default()
            .with_region(Some(Region::new(region.to_owned())))
            .with_http_client(http);
        let provider = ProfileFileCredentialsProvider::builder().configure(&calling);
        let provider = provider.profile_name(name).build();
        loader = loader.profile_name(name).credentials_provider(provider);
    }
    let config = loader.load().await;
    endpoint::check(config.endpoint_url())?;
    Ok(Aws::new(&config, calls))
}

/// How long everything may take, and how often it is tried.
fn limited() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS_LIMIT).build())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_LIMIT)
                .operation_attempt_timeout(ATTEMPT_LIMIT)
                .build(),
        )
}

macro_rules! client {
    ($service:ident, $config:expr, $calls:expr, $turn:expr) => {
        $service::Client::from_conf(
            $service::config::Builder::from($config)
                .interceptor($calls.clone())
                .interceptor($turn.clone())
                .build(),
        )
    };
}

impl Aws {
    /// Makes the clients. Makes no call.
    pub fn new(config: &SdkConfig, calls: Calls) -> Self {
        let turn = Turn::default();
        Self {
            acm: client!(aws_sdk_acm, config, calls, turn),
            autoscaling: client!(aws_sdk_autoscaling, config, calls, turn),
            cloudwatch: client!(aws_sdk_cloudwatch, config, calls, turn),
            ec2: client!(aws_sdk_ec2, config, calls, turn),
            elbv2: client!(aws_sdk_elasticloadbalancingv2, config, calls, turn),
            eventbridge: client!(aws_sdk_eventbridge, config, calls, turn),
            fis: client!(aws_sdk_fis, config, calls, turn),
            iam: client!(aws_sdk_iam, config, calls, turn),
            kms: client!(aws_sdk_kms, config, calls, turn),
            route53: client!(aws_sdk_route53, config, calls, turn),
            s3: aws_sdk_s3::Client::from_conf(
                s3(config).interceptor(calls.clone()).interceptor(turn.clone()).build(),
            ),
            sns: client!(aws_sdk_sns, config, calls, turn),
            ssm: client!(aws_sdk_ssm, config, calls, turn),
            sts: client!(aws_sdk_sts, config, calls, turn),
            tagging: client!(aws_sdk_resourcegroupstagging, config, calls, turn),
            calls,
            turn,
            config: config.clone(),
        }
    }

    /// The same clients, log of calls included, as somebody else.
    #[must_use]
    pub fn acting_as(&self, credentials: aws_credential_types::Credentials) -> Self {
        let provider = SharedCredentialsProvider::new(credentials);
        let config = self.config.to_builder().credentials_provider(provider).build();
        Self::new(&config, self.calls.clone())
    }

    /// A client for what keeps a lease: never gated, given up soon, and seen by `clock`.
    pub fn for_lease(&self, clock: impl Intercept + 'static) -> aws_sdk_s3::Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_LIMIT)
            .operation_attempt_timeout(LEASE_ATTEMPT_LIMIT)
            .operation_timeout(LEASE_LIMIT)
            .build();
        let calls = self.calls.made_for("lease");
        let config = s3(&self.config).timeout_config(timeouts).interceptor(calls);
        aws_sdk_s3::Client::from_conf(config.interceptor(clock).build())
    }

    /// Whether these are a session's credentials and not an access key.
    pub async fn in_session(&self) -> bool {
        let Some(provider) = self.config.credentials_provider() else { return false };
        let credentials = provider.provide_credentials().await;
        credentials.is_ok_and(|credentials| credentials.session_token().is_some())
    }

    /// Calls IAM once, for whether it takes calls with these credentials at all.
    pub async fn calls_iam(&self) -> Result<(), AwsError> {
        self.iam.get_user().send().await.doing("asking IAM who we are").map(drop)
    }

    /// Asks AWS whose credentials these are.
    pub async fn caller(&self) -> Result<Caller> {
        const DOING: &str = "asking AWS who we are";
        let answer = self.sts.get_caller_identity().send().await.doing(DOING)?;
        match (answer.account, answer.arn) {
            (Some(account), Some(arn)) => Ok(Caller { account, arn }),
            // Something in AWS's place may well answer with nothing.
            _ => Err(AwsError::not_aws(DOING).into()),
        }
    }
}

/// Path style, so that an endpoint given as an address works too.
fn s3(config: &SdkConfig) -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::from(config).force_path_style(config.endpoint_url().is_some())
}

#[cfg(test)]
mod tests {
    use aws_credential_types::{
        Credentials as Key, provider::future::ProvideCredentials as Provided,
    };
    use tokio::time::Instant;

    use super::*;

    /// A process, a sign-on service or a role that never answers.
    #[derive(Debug)]
    struct Silent;

    impl ProvideCredentials for Silent {
        fn provide_credentials<'a>(&'a self) -> Provided<'a>
        where
            Self: 'a,
        {
            Provided::new(std::future::pending())
        }
    }

    /// What is told of the first call, and after how many seconds.
    async fn told(loader: ConfigLoader) -> (String, u64) {
        let config = loader.region(Region::new("eu-central-1")).load().await;
        let start = Instant::now();
        let error = Aws::new(&config, Calls::default()).caller().await.unwrap_err();
        (error.to_string(), start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_do_not_come_are_told_to_be_late() {
        let (said, seconds) = told(limited().credentials_provider(Silent)).await;
        assert!(said.contains("the credentials did not come in time"), "{said}");
        assert_eq!(seconds, CREDENTIALS_LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_a_connection_and_says_nothing_is_given_up() {
        // The system takes connections for it; nobody ever shakes hands.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("https://{}", silent.local_addr().unwrap());
        let loader = limited()
            .credentials_provider(Key::new("a", "b", None, None, "test"))
            .http_client(jitsi_http::client(None).unwrap())
            .endpoint_url(endpoint);
        let (said, seconds) = told(loader).await;
        assert!(said.contains("nothing answers there (no connection in time)"), "{said}");
        let attempts = u64::from(ATTEMPTS);
        let pauses = 60;
        let least = CONNECT_LIMIT.as_secs() * attempts;
        assert!((least..least + pauses).contains(&seconds), "{seconds} s");
    }
}
