//! What the machine runs with: the set of files that was validated and shown to the services, kept as
//! hashes to compare with and as copies to go back to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jitsi_templates::OwnedFile;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::accounts::Account;
use crate::system::{Owner, System};

const PATH: &str = "/var/lib/jitsi-agent/applied.json";
const COPIES: &str = "/var/lib/jitsi-agent/last-good";

/// The set in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Applied {
    files: BTreeMap<PathBuf, String>,
    /// Every account that was set and not removed since: its JID, and the hash of both.
    #[serde(default)]
    accounts: BTreeMap<String, String>,
}

/// Whether some set of files is in force, so that what runs was configured by us.
pub(crate) fn is_configured(system: &dyn System) -> bool {
    system.exists(Path::new(PATH))
}

impl Applied {
    pub(super) fn load(system: &dyn System) -> Result<Self> {
        // What cannot be read was not finished: everything is gone over once more.
        let text = system.read(Path::new(PATH))?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default())
    }

    pub(super) fn has(&self, file: &OwnedFile) -> bool {
        self.files.get(&file.path).is_some_and(|hash| *hash == sha256(file.contents.as_bytes()))
    }

    pub(super) fn has_account(&self, account: &Account) -> bool {
        self.accounts.get(&account.jid).is_some_and(|hash| *hash == account.fingerprint())
    }

    /// Accounts that were set once and are not wanted any more. One somebody made by hand is not ours
    /// to remove.
    pub(super) fn gone(&self, accounts: &[Account]) -> Vec<String> {
        let wanted = |jid: &String| accounts.iter().any(|account| account.jid == *jid);
        self.accounts.keys().filter(|jid| !wanted(jid)).cloned().collect()
    }

    /// Writes down who is about to get an account: an agent killed right after knows whom to remove.
    pub(super) fn announce(&mut self, system: &dyn System, accounts: &[Account]) -> Result<()> {
        let before = self.accounts.len();
        for account in accounts {
            self.accounts.entry(account.jid.clone()).or_default();
        }
        if self.accounts.len() == before { Ok(()) } else { self.save(system) }
    }

    /// The copy of a file that passed, if it is whole.
    pub(super) fn last_good(&self, system: &dyn System, path: &Path) -> Result<Option<Vec<u8>>> {
        let copy = system.read(&copy_of(path))?;
        let hash = self.files.get(path);
        Ok(copy.filter(|content| hash.is_some_and(|hash| *hash == sha256(content))))
    }

    /// Makes `files` the set in force. Copies come first: without them the hashes promise too much.
    pub(super) fn keep(
        &mut self,
        system: &dyn System,
        files: &[OwnedFile],
        accounts: &[Account],
    ) -> Result<()> {
        for file in files {
            if !self.has(file) {
                let copy = copy_of(&file.path);
                system.write(&copy, file.contents.as_bytes(), 0o600, Owner::ROOT)?;
            }
        }
        self.files = files
            .iter()
            .map(|file| (file.path.clone(), sha256(file.contents.as_bytes())))
            .collect();
        self.accounts =
            accounts.iter().map(|account| (account.jid.clone(), account.fingerprint())).collect();
        self.save(system)
    }

    fn save(&self, system: &dyn System) -> Result<()> {
        let text = serde_json::to_vec(self).context("the applied set")?;
        system.write(Path::new(PATH), &text, 0o600, Owner::ROOT)
    }
}

fn copy_of(path: &Path) -> PathBuf {
    Path::new(COPIES).join(path.strip_prefix("/").unwrap_or(path))
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
