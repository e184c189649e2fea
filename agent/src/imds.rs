//! What the instance metadata service says, typed. The SDK's client speaks IMDSv2 only, renews its
//! token, and takes its address from `AWS_EC2_METADATA_SERVICE_ENDPOINT`.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use aws_config::imds::client::Client;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use serde::{Deserialize, Serialize};

use crate::advice::Advice;

/// Who and where this instance is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `i-…`.
    pub instance_id: String,
    /// `eu-central-1a`.
    pub zone: String,
    /// `t3.medium`.
    pub instance_type: String,
    /// The primary interface's address.
    pub private_ipv4: Ipv4Addr,
    /// The address the world sends media to.
    pub public_ipv4: Ipv4Addr,
}

/// What the Auto Scaling group wants this instance to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetLifecycleState {
    /// To serve: also while it still waits in `Pending:Wait`.
    InService,
    /// To end: from the very beginning of a termination, long before the hook.
    Terminated,
    /// Something else (`Standby`, `Detached`, `Warmed:…`): no reason to drain.
    Other,
}

/// What EC2 has announced for a spot instance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SpotAction {
    /// `terminate`, `stop` or `hibernate`.
    pub action: String,
    /// When, `2026-11-20T21:38:00Z`.
    pub time: String,
}

const NAMED: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// Where the service listens: the host and port the environment names, else the link-local ones.
pub fn endpoint() -> (String, u16) {
    let uri: hyper::Uri = std::env::var(NAMED).unwrap_or_default().parse().unwrap_or_default();
    match uri.host() {
        Some(host) => (host.to_owned(), uri.port_u16().unwrap_or(80)),
        None => ("169.254.169.254".to_owned(), 80),
    }
}

/// The instance metadata service.
#[derive(Clone, Debug)]
pub struct Imds {
    client: Client,
}

impl Imds {
    /// The service as seen by a machine whose files begin at `root`, at the address the environment names,
    /// else at the link-local one. Below another folder than `/` there is no instance: a service there is
    /// named, or an error, because the link-local one belongs to whatever machine this really is.
    pub fn of(root: &Path) -> Result<Self> {
        ensure!(
            root == Path::new("/") || std::env::var_os(NAMED).is_some(),
            Advice::new(
                format!("{} is no instance's root", root.display()),
                format!("leave --root out, or name its metadata service with {NAMED}"),
            )
        );
        let http = jitsi_http::client(None).map_err(Advice::from)?;
        let config = ProviderConfig::without_region().with_http_client(http);
        Ok(Self { client: Client::builder().configure(&config).build() })
    }

    /// Everything fixed about the instance; only the public address can be missing, which is an error
    /// because media has no other way in.
    pub async fn identity(&self) -> Result<Identity> {
        let (instance_id, zone, instance_type, private_ipv4, public_ipv4) = tokio::try_join!(
            self.required("instance-id"),
            self.required("placement/availability-zone"),
            self.required("instance-type"),
            self.required("local-ipv4"),
            self.get("public-ipv4"),
        )?;
        let public_ipv4 = public_ipv4.ok_or_else(|| {
            anyhow!(Advice::new(
                "the instance has no public IPv4 address, so no media can reach it",
                "launch it in a subnet that assigns public addresses: jitsi-aws setup instances",
            ))
        })?;
        Ok(Identity {
            instance_id,
            zone,
            instance_type,
            private_ipv4: address("local-ipv4", &private_ipv4)?,
            public_ipv4: address("public-ipv4", &public_ipv4)?,
        })
    }

    /// `None` outside an Auto Scaling group.
    pub async fn target_lifecycle_state(&self) -> Result<Option<TargetLifecycleState>> {
        Ok(self.get("autoscaling/target-lifecycle-state").await?.map(|state| {
            match state.as_str() {
                "InService" => TargetLifecycleState::InService,
                "Terminated" => TargetLifecycleState::Terminated,
                _ => TargetLifecycleState::Other,
            }
        }))
    }

    /// The spot interruption notice, two minutes before the end.
    pub async fn spot_action(&self) -> Result<Option<SpotAction>> {
        let Some(text) = self.get("spot/instance-action").await? else { return Ok(None) };
        let action = serde_json::from_str(&text)
            .with_context(|| format!("instance metadata spot/instance-action: {text}"))?;
        Ok(Some(action))
    }

    /// ARN of the instance profile; `None` without one.
    pub async fn instance_profile_arn(&self) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Info {
            #[serde(rename = "InstanceProfileArn")]
            arn: String,
        }
        let Some(text) = self.get("iam/info").await? else { return Ok(None) };
        let info: Info = serde_json::from_str(&text)
            .with_context(|| format!("instance metadata iam/info: {text}"))?;
        Ok(Some(info.arn))
    }

    /// The partition's domain, `amazonaws.com`.
    pub async fn services_domain(&self) -> Result<String> {
        self.required("services/domain").await
    }

    /// Whether EC2 recommends to leave this spot instance.
    pub async fn rebalance_recommended(&self) -> Result<bool> {
        Ok(self.get("events/recommendations/rebalance").await?.is_some())
    }

    async fn required(&self, item: &str) -> Result<String> {
        self.get(item)
            .await?
            .ok_or_else(|| anyhow!("the instance metadata service does not know {item}"))
    }

    async fn get(&self, item: &str) -> Result<Option<String>> {
        match self.client.get(format!("/latest/meta-data/{item}")).await {
            Ok(text) => Ok(Some(String::from(text).trim().to_owned())),
            Err(ImdsError::ErrorResponse(error)) if error.response().status().as_u16() == 404 => {
                Ok(None)
            }
            Err(error) => Err(crate::aws::plain(error)).with_context(|| {
                Advice::new(
                    format!("reading instance metadata {item}"),
                    "curl -X PUT http://169.254.169.254/latest/api/token \
                     -H 'X-aws-ec2-metadata-token-ttl-seconds: 60'",
                )
            }),
        }
    }
}

fn address(item: &str, text: &str) -> Result<Ipv4Addr> {
    text.parse().with_context(|| format!("instance metadata {item}: {text}"))
}
