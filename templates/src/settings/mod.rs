//! What a Jitsi site is: the typed settings both programs share. The deployer reads them from
//! `jitsi.toml`, user-data carries them to the instance as JSON, the agent reads them again.

mod domain;
mod problem;

use std::time::Duration;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

pub use domain::Domain;
pub use problem::Problem;

/// Everything the agent on the instance must know that the instance metadata does not tell it.
/// Holds no secret: user-data can be read by every process of the instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    #[serde(with = "seconds")]
    pub drain: Duration,
    /// The site's own settings.
    #[serde(default)]
    pub jitsi: Jitsi,
    /// How the agent watches.
    #[serde(default)]
    pub watch: Watch,
}

/// `[jitsi]`: the software and how people get in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Authentication {
    /// Anybody.
    #[default]
    Open,
    /// Holders of a JSON Web Token signed (HS256) with a secret kept in SSM.
    Jwt {
        /// `app_id`, the token's expected `iss` and `aud`.
        app_id: String,
        /// Name of the SSM SecureString parameter that holds the signing secret.
        secret_parameter: String,
    },
    /// Accounts on the server; guests may join once somebody with an account is there.
    SecureDomain {
        /// SSM path below which each SecureString parameter is a user: name = user, value = password.
        users_path: String,
    },
}

/// Where packages come from: upstream's repositories, or a private mirror of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Apt {
    /// Jitsi's flat repository.
    pub jitsi: Repository,
    /// Prosody's repository.
    pub prosody: Repository,
}

/// One signed apt repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Base address, `https://download.jitsi.org`.
    pub url: String,
    /// Suite; `{codename}` stands for the distribution's code name; ends in `/` for a flat repository.
    pub suite: String,
    /// Address of the signing key, armored or not.
    pub key_url: String,
    /// Fingerprint the key must have, 40 hexadecimal digits.
    pub key_fingerprint: String,
}

/// How the agent watches and when it acts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watch {
    /// Seconds between two probes of the components.
    pub component_interval: u64,
    /// Seconds between two meetings held by the probe.
    pub meeting_interval: u64,
    /// Failed probes in a row after which the instance is unready.
    pub strikes: u32,
    /// Longest time, in seconds, an unready verdict waits while media still flows.
    pub media_grace: u64,
}

mod seconds {
    //! Durations as whole seconds on the wire.
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(d.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_secs)
    }
}

impl Default for Apt {
    fn default() -> Self {
        // Addresses and key: Jitsi handbook, devops-guide/quickstart.
        Self {
            jitsi: Repository {
                url: "https://download.jitsi.org".into(),
                suite: "stable/".into(),
                key_url: "https://download.jitsi.org/jitsi-key.gpg.key".into(),
                key_fingerprint: String::new(),
            },
            prosody: Repository {
                url: "https://packages.prosody.im/debian".into(),
                suite: "{codename}".into(),
                key_url: "https://prosody.im/files/prosody-debian-packages.key".into(),
                key_fingerprint: String::new(),
            },
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self { component_interval: 5, meeting_interval: 60, strikes: 3, media_grace: 600 }
    }
}
