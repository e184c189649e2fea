//! What the deployment leaves on the operator's own machine: a profile in the shared credentials
//! file, and the private key for SSH.

mod credentials_file;
mod private_key;
mod secret_file;

pub use credentials_file::{CredentialsFile, Profile};
pub use private_key::{Kept, PrivateKeyFile};

use std::path::PathBuf;

use anyhow::Result;

use crate::error::Hinted;

/// The operator's home directory.
fn home() -> Result<PathBuf> {
    Ok(std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).ok_or_else(|| {
        Hinted::user("there is no home directory", "set HOME to your home directory")
    })?)
}
