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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn saying(status: &'static str, body: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 2048]).await.unwrap();
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        address
    }

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_soft_failure_is_a_doubt_and_a_hard_one_an_illness() {
        let words = "Test conference failed to start due to timeout.";
        let soft = saying("503 Service Unavailable", words).await;
        let doubt = check(soft, LIMIT).await.unwrap().unwrap();
        assert_eq!(doubt, format!("HTTP 503: {words}"));
        let hard = saying("500 Internal Server Error", "No operational bridges available").await;
        assert!(check(hard, LIMIT).await.is_err());
        let well = saying("200 OK", "OK").await;
        assert_eq!(check(well, LIMIT).await.unwrap(), None);
    }

    #[tokio::test]
    async fn people_are_unknown_when_it_does_not_say() {
        let said = saying("200 OK", r#"{"participants":3,"conferences":1}"#).await;
        assert_eq!(people(said, LIMIT).await.unwrap(), Some(3));
        let silent = saying("200 OK", "{}").await;
        assert_eq!(people(silent, LIMIT).await.unwrap(), None);
    }
}
