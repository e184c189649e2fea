//! One thing wrong with a setting, said so that it can be mended without looking anything up.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::values::is_pasted_key;

/// Longest value repeated in a message, in characters.
const SHOWN: usize = 60;

/// A setting that cannot be used, or (as a warning) one that can but should be thought about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Dotted key, `site.domain`; for text that is no TOML or JSON the place, `line 3, column 7`.
    pub key: String,
    /// The value found, as written; `None` when the key is missing.
    pub value: Option<String>,
    /// Why it cannot be used and what is allowed.
    pub reason: String,
}

impl Problem {
    /// A problem with a key that has no value, or whose value does not matter.
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), value: None, reason: reason.into() }
    }

    /// A problem with the value a key has; a table is not repeated.
    pub fn with_value(key: impl Into<String>, value: &Value, reason: impl Into<String>) -> Self {
        let key = key.into();
        let value = (!value.is_object()).then(|| shown(&key, value));
        Self { key, value, reason: reason.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}: {}", self.key, self.reason),
            None => write!(f, "{}: {}", self.key, self.reason),
        }
    }
}

/// The value on one line: shortened, and without a secret that somebody wrote where none belongs (a
/// private key in the place of its path, a password in an address, a key of a secret's name).
fn shown(key: &str, value: &Value) -> String {
    let text = value.to_string();
    if text.contains("PRIVATE KEY") || is_pasted_key(text.trim_matches('"')) {
        return "\"…\" (a private key, not shown)".into();
    }
    if text.contains("://") && text.contains('@') {
        return "\"…\" (an address with a password, not shown)".into();
    }
    if is_secrets_name(key) {
        return "\"…\" (not shown)".into();
    }
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Keys of ours that end so take names, paths and nothing secret; people also invent their own.
fn is_secrets_name(key: &str) -> bool {
    const OURS: [&str; 2] = ["private_key", "secret_parameter"];
    let last = key.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    !OURS.contains(&last.as_str())
        && ["password", "passwd", "secret", "token", "private"]
            .iter()
            .any(|word| last.contains(word))
}
