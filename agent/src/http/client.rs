//! One request, one connection, one limit: what the components are asked with. A connection kept
//! open would hide that nobody accepts new ones.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::tls;

/// Longest body read: `/metrics` of a busy bridge is a tenth of it.
const BODY_LIMIT: usize = 1 << 20;

/// Where somebody of this machine listens.
#[derive(Clone, Debug)]
pub enum Address {
    /// A port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

impl Address {
    /// What the header `Host` says.
    fn host(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

/// A request to an address of this machine.
#[derive(Clone, Debug)]
pub struct Request {
    address: Address,
    host: String,
    tls: bool,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The body; empty for a switch of protocols.
    pub body: String,
}

impl Request {
    /// `GET path`.
    pub fn get(address: impl Into<Address>, path: &str) -> Self {
        let address = address.into();
        Self {
            host: address.host(),
            address,
            tls: false,
            method: Method::GET,
            path: path.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// `POST path` with a JSON body.
    pub fn post_json(address: impl Into<Address>, path: &str, body: &str) -> Self {
        Self { method: Method::POST, body: body.to_owned(), ..Self::get(address, path) }
            .header("content-type", "application/json")
    }

    /// Asks for the virtual host `host`.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Speaks TLS with `host` as server name and accepts any certificate.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Makes it the opening handshake of an XMPP WebSocket (RFC 7395). Without the subprotocol
    /// Prosody answers 501, and a plain GET is 200 and proves nothing.
    #[must_use]
    pub fn websocket(self) -> Self {
        self.header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "xmpp")
            // The sample nonce of RFC 6455: the handshake's answer is not checked against it.
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// Sends it; everything together takes at most `limit`.
    pub async fn send(&self, limit: Duration) -> Result<Answer> {
        match tokio::time::timeout(limit, self.exchange()).await {
            Ok(answer) => answer,
            Err(_) => bail!("no answer within {} ms", limit.as_millis()),
        }
    }

    async fn exchange(&self) -> Result<Answer> {
        let address = match &self.address {
            Address::Tcp(address) => *address,
            Address::Unix(path) => {
                return self.speak(UnixStream::connect(path).await.map_err(connecting)?).await;
            }
        };
        let stream = TcpStream::connect(address).await.map_err(connecting)?;
        if !self.tls {
            return self.speak(stream).await;
        }
        let name = ServerName::try_from(self.host.clone()).context("host name")?;
        let stream = tls::connector()?.connect(name, stream).await.context("TLS handshake")?;
        self.speak(stream).await
    }

    async fn speak<S>(&self, stream: S) -> Result<Answer>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = hyper::Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header(header::HOST, &self.host)
            .header(header::USER_AGENT, concat!("jitsi-agent/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(self.body.clone())))?;
        let answer = async {
            let response = sender.send_request(request).await.context("no HTTP answer")?;
            let status = response.status().as_u16();
            if status == 101 {
                return Ok(Answer { status, body: String::new() });
            }
            let body = Limited::new(response.into_body(), BODY_LIMIT)
                .collect()
                .await
                .map_err(|error| anyhow!("reading the answer: {error}"))?
                .to_bytes();
            Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
        };
        // The connection is driven only as long as its one answer is awaited.
        tokio::select! {
            answer = answer => answer,
            Err(error) = connection => Err(error).context("no HTTP answer"),
        }
    }
}

impl Answer {
    /// Itself when the status is `status`, else an error that shows the body's beginning.
    pub fn expect(self, status: u16) -> Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        let body: String = self.body.chars().take(200).collect();
        let body = crate::journal::one_line(&body);
        if body.is_empty() {
            bail!("HTTP {}", self.status)
        }
        bail!("HTTP {}: {body}", self.status)
    }
}

/// Nobody listens: the process is gone, or not up yet.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("connection refused")]
pub struct Refused;

fn connecting(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => Refused.into(),
        _ => anyhow!(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn answering(text: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = [0; 2048];
            let _ = stream.read(&mut seen).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            // Held open: the client must not depend on the server closing.
            std::future::pending::<()>().await;
        });
        address
    }

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn reads_status_and_body() {
        let address = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK").await;
        let answer = Request::get(address, "/about/health").send(LIMIT).await.unwrap();
        assert_eq!(answer, Answer { status: 200, body: "OK".into() });
        let bad = Answer { status: 500, body: "no\nbridge".into() };
        assert_eq!(bad.expect(200).unwrap_err().to_string(), "HTTP 500: no | bridge");
    }

    #[tokio::test]
    async fn a_switch_of_protocols_has_no_body() {
        let address = answering(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        )
        .await;
        let answer = Request::get(address, "/xmpp-websocket").websocket().send(LIMIT).await;
        assert_eq!(answer.unwrap().status, 101);
    }

    #[tokio::test]
    async fn silence_ends_at_the_limit_and_refusal_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silent = Request::get(address, "/").send(Duration::from_millis(20)).await;
        assert_eq!(silent.unwrap_err().to_string(), "no answer within 20 ms");
        // A port that was given back may be another test's by now; port 1 is nobody's.
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let refused = Request::get(nobody, "/").send(LIMIT).await;
        assert_eq!(refused.unwrap_err().to_string(), "connection refused");
    }
}
