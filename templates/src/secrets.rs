//! The site's secrets: written into rendered files and nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One secret. Its `Debug` form shows nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes `text` as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Everything secret on an instance. All but the last are made there once and mean nothing elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Password of `focus@auth.D`, jicofo's account.
    pub focus: Secret,
    /// Password of `jvb@auth.D`, the bridge's account.
    pub jvb: Secret,
    /// Password of `probe@D`, the meeting probe's account; it exists in secure-domain mode only.
    pub probe: Secret,
    /// The secret tokens are signed with, from SSM; needed in JWT mode only.
    #[serde(skip)]
    pub token: Option<Secret>,
}
