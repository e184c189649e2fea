//! What the deployment leaves on the operator's own machine: a profile in the shared credentials
//! file, and the private key for SSH.

mod credential_faults;
mod credentials_file;
mod private_key;
mod secret_file;
mod shared_profiles;

pub use credential_faults::{Fault, credential_fault};
pub use credentials_file::{CredentialsFile, Profile};
pub use private_key::{Kept, PrivateKeyFile};

use std::{env, io, path::PathBuf};

use anyhow::Result;

use crate::{error::Hinted, input_file};

/// The operator's home directory.
fn home() -> Result<PathBuf> {
    Ok(env::home_dir().filter(|home| !home.as_os_str().is_empty()).ok_or_else(|| {
        Hinted::user("there is no home directory", "set HOME to your home directory")
    })?)
}

// What the SDK reads as a whole, whatever it is, and where it looks (SDKs and Tools reference guide,
// "Settings reference"). The directories hold the tokens of those who signed in.
const SHARED: [(&str, Option<&str>); 4] = [
    ("AWS_SHARED_CREDENTIALS_FILE", Some(".aws/credentials")),
    ("AWS_CONFIG_FILE", Some(".aws/config")),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", None),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", None),
];
const TOKENS: [&str; 2] = [".aws/sso/cache", ".aws/login/cache"];

/// Whether the SDK may read the files that give credentials: regular ones of a sensible size. One that
/// is not there is the SDK's to tell of. What a `credential_process` prints cannot be bounded from here: the
/// SDK reads all of it; only its time is limited, where the clients are made.
pub fn check_shared_files() -> Result<(), Hinted> {
    let home = home().ok();
    let in_home = |path: &str| Some(home.as_ref()?.join(path));
    let mut files: Vec<PathBuf> = Vec::new();
    for (variable, standard) in SHARED {
        let named = env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
        let named = named.map(|path| match path.strip_prefix("~").map(std::path::Path::to_owned) {
            Ok(below) => home.as_ref().map_or_else(|| path.clone(), |home| home.join(below)),
            Err(_) => path,
        });
        files.extend(named.or_else(|| in_home(standard?)));
    }
    for directory in TOKENS.iter().filter_map(|path| in_home(path)) {
        let entries = directory.read_dir().into_iter().flatten().flatten();
        files.extend(entries.map(|entry| entry.path()).filter(|path| !path.is_dir()));
    }
    for path in files {
        match input_file::check(&path, input_file::TEXT) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(secret_file::unreadable(&path, &error));
            }
            _ => {}
        }
    }
    Ok(())
}
