//! Prosody: opens an XMPP WebSocket for the public name.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::http::Request;

pub(super) async fn check(address: SocketAddr, domain: &str, limit: Duration) -> Result<()> {
    let request = Request::get(address, "/xmpp-websocket").host(domain).websocket();
    request.send(limit).await?.expect(101).context("WebSocket handshake")?;
    Ok(())
}
