//! jicofo: its health check includes XMPP and an operational bridge, but is green for about ten
//! seconds after a start without one, and moves every ten seconds only.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::http::Request;

/// What it answers when a check ran into a timeout, which "could be just due to load"
/// (`JicofoHealthChecker`): no illness, but a reason to hold a meeting.
const SOFT: u16 = 503;

/// Gives what it doubts itself for, if it does.
pub(super) async fn check(address: SocketAddr, limit: Duration) -> Result<Option<String>> {
    let answer = Request::get(address, "/about/health").send(limit).await?;
    if answer.status == SOFT {
        return Ok(answer.expect(200).err().map(|doubt| format!("{doubt:#}")));
    }
    answer.expect(200)?;
    Ok(None)
}

/// People in rooms, those included whom no bridge serves: alone in a room, perhaps with others in its
/// lobby, or talking past the bridge. `None` when it does not say.
pub(super) async fn people(address: SocketAddr, limit: Duration) -> Result<Option<u32>> {
    #[derive(Deserialize)]
    struct Stats {
        participants: Option<u32>,
    }
    let answer = Request::get(address, "/stats").send(limit).await?.expect(200)?;
    let stats: Stats = serde_json::from_str(&answer.body).context("jicofo's statistics")?;
    Ok(stats.participants)
}
