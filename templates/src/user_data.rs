//! The first thing that runs on an instance: fetches the agent and starts it. Python, because every
//! image with cloud-init has it; curl is not on every image, and where it is old (7.81 on Ubuntu
//! 22.04) its `--aws-sigv4` leaves the role's session token out of the signature.

use serde::Serialize;

use crate::settings::InstanceSettings;
use crate::template::{Template, render};
use crate::{Error, Result, layout};

/// Longest user-data AWS takes, before base64 (EC2 user guide, "User data").
pub const USER_DATA_LIMIT: usize = 16 * 1024;

/// What user-data is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct UserData<'a> {
    /// The private bucket the agent lies in; without dots, which TLS to S3 does not allow.
    pub bucket: &'a str,
    /// The account the bucket must belong to, 12 digits: S3 refuses to read from anybody else's (S3 user guide,
    /// "Verifying bucket ownership with bucket owner condition").
    pub account: &'a str,
    /// The agent's object key.
    pub key: &'a str,
    /// The agent's SHA-256, 64 hexadecimal digits in lower case.
    pub sha256: &'a str,
    /// What the agent must know; its `region` is the bucket's.
    pub settings: &'a InstanceSettings,
}

#[derive(Serialize)]
struct Values<'a> {
    bucket: &'a str,
    account: &'a str,
    key: &'a str,
    sha256: &'a str,
    region: &'a str,
    config: String,
    agent_binary: &'static str,
    agent_config: &'static str,
}

/// User-data for the launch template, not yet base64: a script cloud-init runs once.
pub fn user_data(data: &UserData<'_>) -> Result<String> {
    let name = Template::UserData.name();
    let text = render(
        Template::UserData,
        &Values {
            bucket: data.bucket,
            account: data.account,
            key: data.key,
            sha256: data.sha256,
            region: &data.settings.region,
            config: data.settings.to_json().map_err(|error| Error::template(name, &error))?,
            agent_binary: layout::AGENT_BINARY,
            agent_config: layout::AGENT_CONFIG,
        },
    )?;
    if text.len() > USER_DATA_LIMIT {
        return Err(Error::UserDataTooLarge { size: text.len(), limit: USER_DATA_LIMIT });
    }
    Ok(text)
}

/// The agent's systemd units by their paths, as `jitsi-agent enable` writes them.
pub fn agent_units() -> Result<[(&'static str, String); 3]> {
    #[derive(Serialize)]
    struct Values {
        agent_binary: &'static str,
        limit_minutes: u64,
    }
    let values =
        Values { agent_binary: layout::AGENT_BINARY, limit_minutes: layout::INSTALL_MINUTES };
    Ok([
        (layout::AGENT_UNIT, render(Template::AgentUnit, &values)?),
        (layout::INSTALL_UNIT, render(Template::InstallUnit, &values)?),
        (layout::SSM_AGENT_UNIT, render(Template::SsmAgentUnit, &values)?),
    ])
}
