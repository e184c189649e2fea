//! What a Jitsi site is: the typed settings both programs share. The deployer reads them from
//! `jitsi.toml`, user-data carries them to the instance as JSON, the agent reads them again.

mod checks;
mod domain;
mod problem;
mod read;
pub mod reader;
mod source;
pub mod values;

use std::time::Duration;

use ipnet::Ipv4Net;
use serde::{Serialize, Serializer};

pub use checks::{DEPLOYMENT_NAME_LIMIT, deployment_name, region};
pub use domain::Domain;
pub use problem::Problem;
pub use read::DRAIN_LIMIT;
pub use source::{Table, json_table, toml_table};

/// Everything the agent on the instance must know that the instance metadata does not tell it.
/// Holds no secret: user-data can be read by every process of the instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstanceSettings {
    /// Deployment name, the value of the tag `jitsi-aws:deployment`.
    pub deployment: String,
    /// AWS region, `eu-central-1`.
    pub region: String,
    /// The public host name users type.
    pub domain: Domain,
    /// The VPC's address range: the load balancer's addresses, whose `X-Forwarded-For` is believed.
    pub vpc_cidr: Ipv4Net,
    /// Name of the Auto Scaling group the instance belongs to.
    pub auto_scaling_group: String,
    /// Name of the hook that holds a new instance in `Pending:Wait` until a meeting was held.
    pub launch_hook: String,
    /// Name of the hook that holds a dying instance in `Terminating:Wait` while people are in meetings.
    pub terminate_hook: String,
    /// How long a replacement waits for people to leave.
    #[serde(serialize_with = "whole_seconds")]
    pub drain: Duration,
    /// The site's own settings.
    pub jitsi: Jitsi,
    /// How the agent watches.
    pub watch: Watch,
}

/// `[jitsi]`: the software and how people get in.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Jitsi {
    /// Version of the `jitsi-meet` package to install and hold; the newest stable one when absent.
    pub version: Option<String>,
    /// Who may start a meeting.
    pub authentication: Authentication,
    /// Whether new rooms have a lobby.
    pub lobby: bool,
    /// Where the packages come from.
    pub apt: Apt,
}

/// Who may start a meeting (Jitsi handbook, `authentication.md`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum Authentication {
    /// Anybody.
    #[default]
    Open,
    /// Holders of a JSON Web Token signed (HS256) with a secret kept in SSM.
    Jwt {
        /// `app_id`, the token's expected `iss` and `aud`.
        app_id: String,
        /// Name of the SSM `SecureString` parameter that holds the signing secret.
        secret_parameter: String,
    },
    /// Accounts on the server; guests may join once somebody with an account is there.
    SecureDomain {
        /// SSM path below which each `SecureString` parameter is a user: name = user, value = password.
        users_path: String,
    },
}

/// Where packages come from: upstream's repositories, or a private mirror of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Apt {
    /// Jitsi's flat repository.
    pub jitsi: Repository,
    /// Prosody's repository.
    pub prosody: Repository,
}

/// One signed apt repository.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Repository {
    /// Base address, `https://download.jitsi.org`.
    pub url: String,
    /// Suite; `{codename}` stands for the distribution's code name; ends in `/` for a flat repository,
    /// else the component is `main`.
    pub suite: String,
    /// Address of the signing key, armored or not.
    pub key_url: String,
    /// Fingerprint of the one key of that file to trust, 40 hexadecimal digits in upper case. The
    /// file may hold other keys: they stay out of the keyring.
    pub key_fingerprint: String,
}

/// How the agent watches and when it acts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Watch {
    /// Seconds between two probes of the components.
    pub component_interval: u64,
    /// Seconds between two meetings held by the probe.
    pub meeting_interval: u64,
    /// A fault that has lasted this many `component_interval`s, since the first probe that found it,
    /// turns visitors away.
    pub strikes: u32,
    /// Longest time, in seconds, an instance that cannot be healed stays while media still flows.
    pub media_grace: u64,
}

/// Durations travel as whole seconds.
fn whole_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

/// Jitsi's repository key since April 2021. Read from the keyring systemli/ansible-role-apt_repositories
/// ships (2026-08); the same fingerprint stands in Freifunk München's Salt states, its key id in
/// jitsi/jitsi-videobridge#1634 and jitsi/jitsi-meet#9084. Many older guides still name the key of
/// 2016, 66A9CD0595D6AFA247290D3BEF8B479E2DC1389C, which signs nothing any more.
const JITSI_KEY: &str = "FFD65A0DA2BEBDEB73D44C8BB4D2D216F1FD7806";

/// Prosody's repository key since November 2025. Read from the keyring of the same role; its key id
/// is what apt asks for in python-discord/infra#610 and hetznercloud/apps#121. Upstream's file also
/// holds the DSA-1024 key of 2009, 107D65A0A148C237FDF00AB47393D7E674D9DBB5: not to be trusted.
const PROSODY_KEY: &str = "AD3B912769C5F962DCBA7956F7A37EB33D0B25D7";

impl Default for Apt {
    fn default() -> Self {
        // Addresses: Jitsi handbook, devops-guide/quickstart.
        Self {
            jitsi: Repository {
                url: "https://download.jitsi.org".into(),
                suite: "stable/".into(),
                key_url: "https://download.jitsi.org/jitsi-key.gpg.key".into(),
                key_fingerprint: JITSI_KEY.into(),
            },
            prosody: Repository {
                url: "https://packages.prosody.im/debian".into(),
                suite: "{codename}".into(),
                key_url: "https://prosody.im/files/prosody-debian-packages.key".into(),
                key_fingerprint: PROSODY_KEY.into(),
            },
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self { component_interval: 5, meeting_interval: 60, strikes: 3, media_grace: 600 }
    }
}

#[cfg(test)]
mod tests;
