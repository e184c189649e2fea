//! How both programs reach AWS: HTTPS with rustls and ring, through the proxy of the environment when
//! there is one. Only `https://` goes through a proxy: the metadata services (169.254.169.254,
//! `fd00:ec2::254` and those of containers) speak `http://` and are always asked directly.

#![forbid(unsafe_code)]

mod authorities;
mod bounded;
mod proxy;

use aws_smithy_http_client::{
    Builder, Connector, ConnectorBuilder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

pub use authorities::{NoAuthorities, check_authorities_file};
pub use bounded::LONGEST_ANSWER;
pub use proxy::{BadProxy, Proxy};

/// HTTP for every client of the SDK. Its own `build_https` takes no proxy. Answers are bounded.
pub fn client(proxy: Option<&Proxy>) -> Result<SharedHttpClient, NoAuthorities> {
    authorities::known()?;
    let proxy = proxy.cloned();
    Ok(bounded::bounded(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = through(proxy.as_ref());
        builder.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            builder.set_sleep_impl(components.sleep_impl());
        }
        tls(builder)
    })))
}

/// One connector of its own, for requests that no client of the SDK makes.
pub fn connector(proxy: Option<&Proxy>) -> Result<Connector, NoAuthorities> {
    authorities::known()?;
    Ok(tls(through(proxy)))
}

fn through(proxy: Option<&Proxy>) -> ConnectorBuilder {
    let mut builder = Connector::builder();
    builder.set_proxy_config(proxy.map(Proxy::config));
    builder
}

fn tls(builder: ConnectorBuilder) -> Connector {
    builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use aws_smithy_runtime_api::client::{
        http::HttpConnector as _, orchestrator::HttpRequest, result::ConnectorError,
    };
    use aws_smithy_types::{body::SdkBody, error::display::DisplayErrorContext};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// What reached each of the two listeners first when `https://localhost:ORIGIN` or another address
    /// is asked with this environment: the proxy, which refuses, and the origin, which hangs up.
    struct Asked {
        proxy: Option<String>,
        origin: Option<Vec<u8>>,
        error: ConnectorError,
    }

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn ask(scheme: &str, never: &str, no_proxy: &str) -> Asked {
        let ((proxy, proxy_at), (origin, origin_at)) = (listener().await, listener().await);
        let variable = |name: &str| match name {
            "HTTPS_PROXY" => Some(format!("http://user:pass%20word@{proxy_at}")),
            "NO_PROXY" => Some(no_proxy.to_owned()),
            _ => None,
        };
        let named = Proxy::named(variable, never).unwrap();
        let connector = connector(named.as_ref()).unwrap();
        let uri = format!("{scheme}://localhost:{}/", origin_at.port());
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(uri).unwrap();
        let answer = tokio::spawn(async move { connector.call(request).await });
        let (mut at_proxy, mut at_origin) = (None, None);
        tokio::select! {
            Ok((mut stream, _)) = proxy.accept() => {
                let mut heard = vec![0; 1 << 12];
                let read = stream.read(&mut heard).await.unwrap();
                at_proxy = Some(String::from_utf8_lossy(&heard[..read]).into_owned());
                stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
            }
            Ok((mut stream, _)) = origin.accept() => {
                let mut heard = vec![0; 1 << 12];
                let read = stream.read(&mut heard).await.unwrap();
                at_origin = Some(heard[..read].to_vec());
            }
        }
        Asked { proxy: at_proxy, origin: at_origin, error: answer.await.unwrap().unwrap_err() }
    }

    #[tokio::test]
    async fn https_goes_through_the_proxy_with_its_password_which_is_never_shown() {
        let asked = ask("https", "", "example.org").await;
        let heard = asked.proxy.unwrap();
        assert!(heard.starts_with("CONNECT localhost:"), "{heard}");
        // user:pass word
        assert!(
            heard.to_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnzihdvcmq="),
            "{heard}"
        );
        let said = format!("{} {:?}", DisplayErrorContext(&asked.error), asked.error);
        assert!(said.contains("tunnel error: proxy authorization required"), "{said}");
        for secret in ["pass", "dXNlcjpwYXNzIHdvcmQ"] {
            assert!(!said.contains(secret), "{said}");
        }
    }

    #[tokio::test]
    async fn no_proxy_this_machine_and_plain_http_are_asked_directly() {
        const HELLO: u8 = 0x16; // TLS: a handshake record
        for (never, no_proxy) in [("", "example.org, localhost"), ("", "*"), (proxy::LOOPBACK, "")]
        {
            let asked = ask("https", never, no_proxy).await;
            assert_eq!(asked.proxy, None);
            assert_eq!(asked.origin.unwrap()[0], HELLO);
        }
        let asked = ask("http", "", "").await;
        assert_eq!(asked.proxy, None);
        assert!(asked.origin.unwrap().starts_with(b"GET / HTTP/1.1\r\n"));
    }
}
