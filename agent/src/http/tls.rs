//! TLS to this machine's own nginx.

use std::sync::{Arc, OnceLock};

use meeting_probe::accept_any_certificate;
use rustls::{ClientConfig, Error};
use tokio_rustls::TlsConnector;

/// A connector that accepts any certificate; made once.
pub(super) fn connector() -> Result<TlsConnector, Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(TlsConnector::from(Arc::clone(config)));
    }
    let config = Arc::new(accept_any_certificate()?);
    Ok(TlsConnector::from(Arc::clone(CONFIG.get_or_init(|| config))))
}
