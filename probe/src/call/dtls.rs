//! DTLS for `str0m`: `dimpl` on the Rust crypto crates, with a certificate of its own for each call.

use std::sync::Arc;
use std::time::Instant;

use dimpl::{Config, Dtls};
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
};
use str0m::crypto::{CryptoError, CryptoProvider};

use super::cipher::Ciphers;

/// Everything `str0m` needs: for the participants' calls, and for who plays the bridge in a test.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        srtp_provider: &Ciphers,
        sha1_hmac_provider: &Ciphers,
        sha256_provider: &Ciphers,
        dtls_provider: &Provider,
    }
}

#[derive(Debug)]
struct Provider;

impl DtlsProvider for Provider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        // Its name and its dates are nobody's business: only the fingerprint counts (RFC 8827 §6.5).
        let made = rcgen::generate_simple_self_signed(["probe".to_owned()]).ok()?;
        Some(DtlsCert {
            certificate: made.cert.der().to_vec(),
            private_key: made.signing_key.serialize_der(),
        })
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        // ICE has shown already that the bridge is where it says it is: no cookies.
        let mut config = Config::builder().use_server_cookie(false);
        if let Some(mtu) = mtu {
            config = config.mtu(mtu);
        }
        let config =
            Arc::new(config.build().map_err(|e| CryptoError::Other(format!("DTLS: {e}")))?);
        match version {
            DtlsVersion::Dtls12 => {
                Ok(Box::new(Session(Box::new(Dtls::new_12(config, cert.clone(), now)))))
            }
            other => Err(CryptoError::Other(format!("{other} is not spoken here"))),
        }
    }
}

struct Session(Box<Dtls>);

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(…)")
    }
}

impl DtlsInstance for Session {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        self.0.poll_output(buffer)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<(), DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}
