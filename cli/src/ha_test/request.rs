//! One HTTPS request as a browser sends it that has never been here: name look-up, connection, TLS,
//! start page.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use futures_util::future::select_ok;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{HOST, SERVER, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, client::Resumption, crypto::ring, pki_types::ServerName,
    },
};

use crate::error::Hinted;

/// How long one request may take: longer than any page takes to load for people to stay.
pub const LIMIT: Duration = Duration::from_secs(5);

// The start page has some 100 kB.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// Sends requests.
pub struct Browser {
    domain: String,
    endpoint: String,
    server_name: ServerName<'static>,
    tls: TlsConnector,
}

impl Browser {
    /// Requests of `https://domain/`, sent to `connect_to` (`HOST:PORT`) where given.
    pub fn new(domain: &str, connect_to: Option<&str>) -> Result<Self> {
        let endpoint = connect_to.map_or_else(|| format!("{domain}:443"), str::to_owned);
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        let server_name = ServerName::try_from(domain.to_owned()).map_err(|_| {
            Hinted::user(format!("`{domain}` is not a host name"), "see [site] domain")
        })?;
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Self { domain: domain.to_owned(), endpoint, server_name, tls })
    }

    /// Sends one request; what is no complete page with status 200 is a failure, and says why.
    pub async fn visit(&self) -> Result<(), String> {
        match timeout(LIMIT, Box::pin(self.exchange())).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer in {} s", LIMIT.as_secs())),
        }
    }

    async fn exchange(&self) -> Result<(), String> {
        let found: Vec<SocketAddr> = lookup_host(&self.endpoint)
            .await
            .map_err(|error| format!("name not found: {error}"))?
            .collect();
        if found.is_empty() {
            return Err("name without address".to_owned());
        }
        // Whichever accepts first, as browsers do: one of the load balancer's may be out of order.
        let attempts = found.into_iter().map(|address| Box::pin(TcpStream::connect(address)));
        let (tcp, _) = select_ok(attempts).await.map_err(|error| error.to_string())?;
        let tls = self.tls.connect(self.server_name.clone(), tcp).await;
        let tls = tls.map_err(|error| format!("TLS: {error}"))?;
        let broken = |error: &dyn std::fmt::Display| format!("connection broke: {error}");
        let (mut sender, driver) =
            http1::handshake(TokioIo::new(tls)).await.map_err(|error| broken(&error))?;
        let request = Request::get("/")
            .header(HOST, &self.domain)
            .header(USER_AGENT, concat!("jitsi-aws/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
            let (head, body) = answer.into_parts();
            if head.status != StatusCode::OK {
                let server = head.headers.get(SERVER).map(|name| name.as_bytes().to_vec());
                let balancer = server.is_some_and(|name| name.starts_with(b"awselb"));
                let whose = if balancer { " from the load balancer" } else { "" };
                return Err(format!("{}{whose}", head.status.as_u16()));
            }
            let body = Limited::new(body, BODY_LIMIT).collect().await;
            body.map(drop).map_err(|error| {
                if error.is::<LengthLimitError>() {
                    "a start page of more than 4 MiB, which is not Jitsi's".to_owned()
                } else {
                    broken(&error)
                }
            })
        };
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // The server may close right after its answer: what it said still counts.
            _ = driver => exchange.await,
        }
    }
}
