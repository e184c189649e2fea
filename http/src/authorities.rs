//! Whom HTTPS trusts: the certificate authorities of this machine. A small container has none, and the
//! SDK's client panics there.

use std::sync::OnceLock;

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
    let known = *KNOWN.get_or_init(|| !rustls_native_certs::load_native_certs().certs.is_empty());
    known.then_some(()).ok_or(NoAuthorities)
}
