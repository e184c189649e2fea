//! What the files are rendered from, beside the site's settings.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;

use crate::settings::{Authentication, InstanceSettings};
use crate::{Error, ProsodyModules, Result, Secrets};

/// What the agent found out about its instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// `i-…`; the bridge's name in the brewery, so that jicofo's log names the instance.
    pub instance_id: String,
    /// The primary interface's address; the bridge maps it to the public one.
    pub private_ipv4: Ipv4Addr,
    /// The address clients send media to.
    pub public_ipv4: Ipv4Addr,
    /// `MemTotal`, in bytes.
    pub total_memory: u64,
}

/// Package versions to pin, by the package's name: apt then installs, keeps and upgrades to nothing
/// else. A version, or a pattern such as `13.*` (`apt_preferences(5)`).
pub type Versions = BTreeMap<String, String>;

/// What the files written before the packages are installed need.
#[derive(Clone, Copy, Debug)]
pub struct InstallContext<'a> {
    /// The site.
    pub settings: &'a InstanceSettings,
    /// The distribution's code name, `noble`.
    pub codename: &'a str,
    /// Generated on this instance once.
    pub secrets: &'a Secrets,
    /// What to pin.
    pub versions: &'a Versions,
    /// Whether Prosody comes from its own repository; false where that has no suite for `codename`.
    pub prosody_repository: bool,
}

/// What the files written after the packages are installed need.
#[derive(Clone, Copy, Debug)]
pub struct SiteContext<'a> {
    /// The site.
    pub settings: &'a InstanceSettings,
    /// The instance.
    pub discovered: &'a Discovered,
    /// Generated on this instance once.
    pub secrets: &'a Secrets,
    /// The Prosody modules on this instance's disk.
    pub prosody_modules: &'a ProsodyModules,
}

/// Who may start a meeting, as the templates want it.
#[derive(Serialize)]
pub(crate) struct Mode<'a> {
    #[serde(rename = "mode")]
    name: &'static str,
    app_id: Option<&'a str>,
    token_secret: Option<&'a str>,
}

impl<'a> Mode<'a> {
    pub(crate) fn new(authentication: &'a Authentication, secrets: &'a Secrets) -> Result<Self> {
        Ok(match authentication {
            Authentication::Open => Self { name: "open", app_id: None, token_secret: None },
            Authentication::Jwt { app_id, secret_parameter } => {
                let secret = secrets.token.as_ref().ok_or_else(|| Error::MissingTokenSecret {
                    parameter: secret_parameter.clone(),
                })?;
                Self { name: "jwt", app_id: Some(app_id), token_secret: Some(secret.expose()) }
            }
            Authentication::SecureDomain { .. } => {
                Self { name: "secure-domain", app_id: None, token_secret: None }
            }
        })
    }
}
