//! The private half of the key pair for SSH. It is made here and never leaves this machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ssh_key::{Algorithm, LineEnding, PrivateKey, PublicKey, rand_core::OsRng};

use super::{home, secret_file};
use crate::{error::Hinted, invocation::as_admin, names::Names, tags::Foreign};

/// `~/.ssh/jitsi-aws-<deployment>`.
#[derive(Debug)]
pub struct PrivateKeyFile {
    path: PathBuf,
    names: Names,
}

/// What is in the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// There is no file.
    Nothing,
    /// A key that we made for this very deployment, account and region.
    Ours(PublicKey),
    /// A key that we made for a deployment of the same name in another account or region.
    Elsewhere(Foreign),
    /// A key of the operator's own.
    Theirs(PublicKey),
    /// Something that is no private key in OpenSSH's format; holds why.
    Unreadable(String),
}

impl Kept {
    /// The public half, if there is a key.
    pub fn public(&self) -> Option<&PublicKey> {
        match self {
            Self::Ours(key) | Self::Theirs(key) => Some(key),
            Self::Nothing | Self::Elsewhere(_) | Self::Unreadable(_) => None,
        }
    }
}

impl PrivateKeyFile {
    /// The file of this deployment.
    pub fn standard(names: &Names) -> Result<Self> {
        Ok(Self::at(home()?.join(".ssh").join(names.profile()), names))
    }

    fn at(path: PathBuf, names: &Names) -> Self {
        Self { path, names: names.clone() }
    }

    /// Stands in the key itself, so that a deployment of the same name elsewhere is told apart.
    fn comment(&self) -> String {
        let Self { names, .. } = self;
        format!("{} {} {}", names.profile(), names.account(), names.region())
    }

    /// Whose a key with this comment is, if it is that of a deployment elsewhere.
    fn elsewhere(&self, comment: &str) -> Option<Foreign> {
        let rest = comment.strip_prefix(&format!("{} ", self.names.profile()))?;
        let (account, region) = rest.split_once(' ')?;
        if account.len() != 12 || !account.bytes().all(|digit| digit.is_ascii_digit()) {
            return None; // somebody's own words
        }
        let name = self.names.deployment();
        Some(Foreign::Of(format!("{name} in {region} of account {account}")))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks what is in it.
    pub fn read(&self) -> Result<Kept> {
        let Some(text) = secret_file::read(&self.path)? else { return Ok(Kept::Nothing) };
        let key = match PrivateKey::from_openssh(&text) {
            Ok(key) => key,
            Err(error) => return Ok(Kept::Unreadable(error.to_string())),
        };
        let public = key.public_key().clone();
        if key.comment() == self.comment() {
            return Ok(Kept::Ours(public));
        }
        let elsewhere = self.elsewhere(key.comment()).map(Kept::Elsewhere);
        Ok(elsewhere.unwrap_or(Kept::Theirs(public)))
    }

    /// The public half of the key that is there, else of a new ED25519 key. A file that is no key is
    /// an error: it is never overwritten.
    pub fn read_or_make(&self) -> Result<PublicKey> {
        match self.read()? {
            Kept::Ours(public) | Kept::Theirs(public) => Ok(public),
            Kept::Nothing => self.make(),
            Kept::Elsewhere(whose) => Err(Hinted::user(
                format!("{} is not the key of this deployment: {whose}", self.path.display()),
                "choose another [deployment] name in jitsi.toml, or move that key away",
            )
            .into()),
            Kept::Unreadable(why) => Err(Hinted::user(
                format!("{} is not a private key in OpenSSH's format: {why}", self.path.display()),
                format!("move it away, then run `{}` again", as_admin("setup iam")),
            )
            .into()),
        }
    }

    fn make(&self) -> Result<PublicKey> {
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)
            .context("making an ED25519 key pair")?;
        key.set_comment(self.comment());
        let text = key.to_openssh(LineEnding::LF).context("writing the private key as text")?;
        secret_file::create(&self.path, text.as_bytes())?;
        Ok(key.public_key().clone())
    }

    /// Removes the file if we made it.
    pub fn remove(&self) -> Result<()> {
        if let Kept::Ours(_) = self.read()? {
            secret_file::remove(&self.path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn at(directory: &Path, account: &str) -> PrivateKeyFile {
        let names = Names::new("jitsi", "eu-central-1", account);
        PrivateKeyFile::at(directory.join("jitsi-aws-jitsi"), &names)
    }

    #[test]
    fn a_key_is_made_once_and_removed_by_its_maker() {
        let home = tempfile::tempdir().unwrap();
        let ours = at(home.path(), "123456789012");
        assert_eq!(ours.read().unwrap(), Kept::Nothing);
        let public = ours.read_or_make().unwrap();
        assert_eq!(ours.read_or_make().unwrap(), public);
        assert_eq!(ours.read().unwrap(), Kept::Ours(public.clone()));
        assert!(public.to_openssh().unwrap().starts_with("ssh-ed25519 "));

        let elsewhere = at(home.path(), "999999999999");
        let told = "jitsi in eu-central-1 of account 123456789012".to_owned();
        assert_eq!(elsewhere.read().unwrap(), Kept::Elsewhere(Foreign::Of(told)));
        assert!(elsewhere.read_or_make().is_err(), "the other deployment's key");
        elsewhere.remove().unwrap();
        assert!(ours.path().exists());
        ours.remove().unwrap();
        assert_eq!(ours.read().unwrap(), Kept::Nothing);
        ours.remove().unwrap();
    }

    #[test]
    fn what_is_no_key_is_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let file = at(home.path(), "123456789012");
        fs::write(file.path(), "shopping list").unwrap();
        assert!(matches!(file.read().unwrap(), Kept::Unreadable(_)));
        let error = file.read_or_make().unwrap_err();
        assert!(error.to_string().contains("is not a private key"), "{error}");
        file.remove().unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "shopping list");
    }
}
