//! Whom HTTPS trusts: the certificate authorities of this machine. A small container has none, and the
//! SDK's client panics there.

use std::{env, fs, path::Path, sync::OnceLock};

/// Nobody is trusted, so no server can be told from another.
#[derive(Debug, thiserror::Error)]
#[error("this machine trusts no certificate authority, so HTTPS cannot be used")]
pub struct NoAuthorities;

impl NoAuthorities {
    /// What to type.
    pub const HINT: &str = "`apt-get install ca-certificates`, or `export SSL_CERT_FILE=FILE`, a file with the \
                            authorities' certificates";
}

/// Whether there is any. They are read once, as the SDK does.
pub(crate) fn known() -> Result<(), NoAuthorities> {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    let known = *KNOWN.get_or_init(|| {
        check_authorities_file().is_ok()
            && !rustls_native_certs::load_native_certs().certs.is_empty()
    });
    known.then_some(()).ok_or(NoAuthorities)
}

// All authorities of a machine together are some hundred kB.
const LARGEST: u64 = 16 << 20;

/// Whether what `SSL_CERT_FILE` names can be read to its end: a regular file of a sensible size. To be
/// asked before anybody reads it; one that is not there is passed over by the reader.
///
/// # Errors
/// It is a device, a pipe or larger than all authorities of the world.
pub fn check_authorities_file() -> Result<(), NoAuthorities> {
    let Some(path) = env::var_os("SSL_CERT_FILE") else { return Ok(()) };
    match fs::metadata(Path::new(&path)) {
        Ok(known) if !known.is_file() || known.len() > LARGEST => Err(NoAuthorities),
        _ => Ok(()),
    }
}
