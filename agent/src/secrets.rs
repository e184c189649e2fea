//! The site's secrets: made once on each instance from the operating system's random source, kept in
//! a file only root can read. A golden image brings none of its builder's along.

use std::path::Path;

use anyhow::{Context as _, Result};
use jitsi_templates::{Secret, Secrets};
use serde::{Deserialize, Serialize};

use crate::board::now;
use crate::system::{Owner, System};

const PATH: &str = "/var/lib/jitsi-agent/secrets.json";
/// 32 characters of 62: 190 bits.
const LENGTH: usize = 32;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

#[derive(Serialize, Deserialize)]
struct Kept {
    instance_id: String,
    secrets: Secrets,
    /// When, in seconds since 1970: as good as the instance's own birth.
    #[serde(default)]
    made: Option<u64>,
}

/// When this instance's secrets were made, in seconds since 1970; unknown for those of older agents.
pub fn made(system: &dyn System) -> Option<u64> {
    let text = system.read(Path::new(PATH)).ok().flatten()?;
    serde_json::from_slice::<Kept>(&text).ok()?.made
}

/// This instance's secrets, made when there are none.
pub fn load_or_make(system: &dyn System, instance_id: &str) -> Result<Secrets> {
    let path = Path::new(PATH);
    if let Some(text) = system.read(path)?
        // A torn or foreign file is made anew: the accounts are set to whatever it then says.
        && let Ok(kept) = serde_json::from_slice::<Kept>(&text)
        && kept.instance_id == instance_id
    {
        return Ok(kept.secrets);
    }
    let secrets = Secrets { focus: make()?, jvb: make()?, probe: make()?, token: None };
    let kept = Kept { instance_id: instance_id.to_owned(), secrets, made: Some(now()) };
    let text = serde_json::to_vec(&kept).context("secrets")?;
    system.write(path, &text, 0o600, Owner::ROOT)?;
    tracing::info!("made new secrets in {PATH}");
    Ok(kept.secrets)
}

/// Alphanumeric, so that no file's language needs to escape it. Bytes that would favour the first
/// letters of the alphabet are drawn again.
fn make() -> Result<Secret> {
    const FAIR: usize = 256 / ALPHABET.len() * ALPHABET.len();
    let mut text = String::with_capacity(LENGTH);
    let mut bytes = [0; 64];
    while text.len() < LENGTH {
        getrandom::fill(&mut bytes)
            .map_err(|error| anyhow::anyhow!("the system's random source: {error}"))?;
        let fair = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < FAIR);
        let letters = fair.map(|byte| char::from(ALPHABET[byte % ALPHABET.len()]));
        text.extend(letters.take(LENGTH - text.len()));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    #[test]
    fn are_made_once_kept_private_and_not_carried_to_another_instance() {
        let system = Fake::default();
        let first = load_or_make(&system, "i-1").unwrap();
        assert_eq!(system.files.lock().unwrap()[Path::new(PATH)].1, 0o600);
        assert_eq!(load_or_make(&system, "i-1").unwrap(), first);
        assert!(made(&system).is_some());
        assert_ne!(load_or_make(&system, "i-2").unwrap(), first);
        system.put(PATH, "{\"instance_id\":\"i-2\",\"sec");
        load_or_make(&system, "i-2").unwrap();
    }

    #[test]
    fn are_long_alphanumeric_and_different() {
        let (one, two) = (make().unwrap(), make().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), LENGTH);
        assert!(one.expose().bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
