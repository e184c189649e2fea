//! nginx: serves the site's own file under the public name, and passes a WebSocket on to Prosody.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::http::Request;

/// `config.js` is a file of the site, so that a default page of nginx is not mistaken for it.
pub(super) async fn check(address: SocketAddr, domain: &str, limit: Duration) -> Result<()> {
    Request::get(address, "/config.js").host(domain).tls().send(limit).await?.expect(200)?;
    let answer = Request::get(address, "/xmpp-websocket").host(domain).tls().websocket();
    match answer.send(limit / 2).await {
        // Prosody's own check names what is wrong with Prosody; nginx is only the way to it.
        Ok(answer) if matches!(answer.status, 502..=504) => Ok(()),
        Ok(answer) => answer.expect(101).map(drop).context("WebSocket to Prosody"),
        // The file came, so nginx itself is well: whoever is silent is behind it.
        Err(_) => Ok(()),
    }
}
