//! jicofo: its health check includes XMPP and an operational bridge, but is green for about ten
//! seconds after a start without one.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use crate::http::Request;

pub(super) async fn check(address: SocketAddr, limit: Duration) -> Result<()> {
    Request::get(address, "/about/health").send(limit).await?.expect(200)?;
    Ok(())
}
