//! The way to the site: name look-up, TCP and TLS.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::select_ok;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, Error as TlsError, RootCertStore};

use crate::certificate::accept_any_certificate;
use crate::failure::Failure;
use crate::target::{Target, Tls};

/// An open connection to the site; boxed, as rustls' state is large to pass around.
pub(crate) type Connection = Box<TlsStream<TcpStream>>;

/// How to open connections to the site.
pub(crate) struct Way {
    /// `HOST:PORT` for the look-up.
    endpoint: String,
    server_name: ServerName<'static>,
    tls: TlsConnector,
}

impl Way {
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        let endpoint = target.connect.clone().unwrap_or_else(|| format!("{}:443", target.domain));
        if !is_host_and_port(&endpoint) {
            return Err(Failure::Setup(format!("`{endpoint}` is not HOST:PORT")));
        }
        let server_name = ServerName::try_from(target.domain.clone())
            .map_err(|_| Failure::Setup(format!("`{}` is not a host name", target.domain)))?;
        let tls = TlsConnector::from(Arc::new(client_config(target.tls)?));
        Ok(Self { endpoint, server_name, tls })
    }

    /// The addresses to try, in the resolver's order.
    pub(crate) async fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let failure = |why: String| Failure::Resolve { host: self.endpoint.clone(), why };
        let found: Vec<SocketAddr> =
            lookup_host(&self.endpoint).await.map_err(|e| failure(e.to_string()))?.collect();
        if found.is_empty() { Err(failure("it has no address".into())) } else { Ok(found) }
    }

    /// Connects to whichever address accepts first, as browsers do: one of a load balancer's may be
    /// out of order.
    pub(crate) async fn connect(&self, addresses: &[SocketAddr]) -> Result<Connection, Failure> {
        let attempts: Vec<_> = addresses.iter().map(|&address| Box::pin(dial(address))).collect();
        if attempts.is_empty() {
            return Err(Failure::Setup("no address to connect to".into()));
        }
        let ((tcp, address), _abandoned) = select_ok(attempts).await?;
        self.secure(tcp, address).await
    }

    async fn secure(&self, tcp: TcpStream, address: SocketAddr) -> Result<Connection, Failure> {
        let failure = |e: io::Error| {
            let why = e.to_string();
            if speaks_no_tls(&e) {
                Failure::NoTls { address, why }
            } else {
                Failure::Tls { address, why }
            }
        };
        // Small stanzas, each waiting for the answer to the one before.
        tcp.set_nodelay(true).map_err(failure)?;
        self.tls.connect(self.server_name.clone(), tcp).await.map(Box::new).map_err(failure)
    }
}

/// A name or an address, IPv6 in brackets, and a port.
fn is_host_and_port(endpoint: &str) -> bool {
    let Some((host, port)) = endpoint.rsplit_once(':') else { return false };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = if let Some(host) = in_brackets {
        host.parse::<Ipv6Addr>().is_ok()
    } else {
        let of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !host.is_empty() && host.chars().all(of_name)
    };
    good && port.bytes().all(|digit| digit.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Whether what answered was no TLS at all: another protocol, or nothing before the end.
fn speaks_no_tls(error: &io::Error) -> bool {
    let told = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    let cut = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset);
    cut || matches!(told, Some(TlsError::InvalidMessage(_)))
}

async fn dial(address: SocketAddr) -> Result<(TcpStream, SocketAddr), Failure> {
    let tcp = TcpStream::connect(address).await;
    tcp.map(|tcp| (tcp, address)).map_err(|e| {
        // The system's number says nothing that its words do not.
        let why = e.to_string().split(" (os error").next().unwrap_or_default().to_owned();
        Failure::Connect { address, why }
    })
}

fn client_config(tls: Tls) -> Result<ClientConfig, Failure> {
    let unsupported = |e: TlsError| Failure::Setup(e.to_string());
    match tls {
        Tls::AcceptAny => accept_any_certificate().map_err(unsupported),
        Tls::Verify => Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unsupported)?
            .with_root_certificates(trusted_roots()?)
            .with_no_client_auth()),
    }
}

fn trusted_roots() -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // A store with a few unreadable certificates is normal; one without any is not.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(Failure::Setup(format!(
            "this machine trusts no certificate authority: {}",
            why.join("; ")
        )));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_and_a_port() {
        for good in
            ["example.org:443", "127.0.0.1:8443", "[::1]:443", "jitsi-1.elb.amazonaws.com:443"]
        {
            assert!(is_host_and_port(good), "{good}");
        }
        for bad in [
            ":443",
            "http://x:443",
            "a b:1",
            "x",
            "x:",
            "x:0",
            "x:+1",
            "x:65536",
            "::1:443",
            "[x]:1",
            "u:p@x:1",
            "[]:1",
        ] {
            assert!(!is_host_and_port(bad), "{bad}");
        }
    }
}
