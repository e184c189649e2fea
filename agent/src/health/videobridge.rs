//! The bridge: answers its own check, sits in jicofo's brewery, and advertises an address that a
//! local interface really carries. Its own check looks at none but the first.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::http::Request;
use crate::system::System;

/// What the bridge ought to advertise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// The mapping's local address.
    pub local: Ipv4Addr,
}

/// Figures of `GET /colibri/stats` that the agent acts on or publishes. What an answer does not hold is
/// unknown, not zero. Rates are those of the last 5 s (`VideobridgePeriodicMetrics`); the byte totals,
/// which only an endpoint's end adds to (`Endpoint.updateStatsOnExpire`), are of no use here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Meetings in progress; the agent's own while its probe runs.
    pub conferences: Option<u32>,
    /// People connected to this bridge now. The other counters (`endpoints`, `participants`) lag.
    pub local_endpoints: Option<u32>,
    /// Load between 0 and 1, above which jicofo avoids the bridge.
    pub stress_level: Option<f64>,
    /// RTP and RTCP from the participants, kbit/s.
    pub bit_rate_download: Option<f64>,
    /// RTP and RTCP to the participants, kbit/s.
    pub bit_rate_upload: Option<f64>,
    /// RTP and RTCP from the participants, packets a second.
    pub packet_rate_download: Option<f64>,
    /// RTP and RTCP to the participants, packets a second.
    pub packet_rate_upload: Option<f64>,
    /// Endpoints whose media never found a way, since the bridge started.
    pub endpoints_ice_failed: Option<u64>,
    /// Brewery rooms joined.
    pub mucs_joined: Option<u32>,
    /// Whether it refuses new conferences.
    pub graceful_shutdown: Option<bool>,
    /// Whether it is about to exit.
    pub shutting_down: Option<bool>,
}

impl Traffic {
    /// People in meetings.
    pub fn people(&self) -> Option<u32> {
        if self.conferences? == 0 { Some(0) } else { self.local_endpoints }
    }

    /// RTP and RTCP both ways, packets a second.
    pub fn packet_rate(&self) -> Option<f64> {
        Some(self.packet_rate_download? + self.packet_rate_upload?)
    }
}

pub(super) async fn check(
    address: SocketAddr,
    bridge: &Bridge,
    system: &dyn System,
    limit: Duration,
) -> (Option<Traffic>, Result<()>) {
    let health = Request::get(address, "/about/health");
    let (health, traffic) = tokio::join!(health.send(limit), traffic(address, limit));
    let figures = traffic.as_ref().ok().copied();
    let verdict = || -> Result<()> {
        health?.expect(200)?;
        let traffic = traffic?;
        ensure!(traffic.mucs_joined != Some(0), "not in jicofo's brewery (mucs_joined 0)");
        let interfaces = system.addresses()?;
        ensure!(
            interfaces.contains(&bridge.local),
            "the mapping's local address {} is on no interface: no media can arrive",
            bridge.local
        );
        Ok(())
    };
    (figures, verdict())
}

pub(super) async fn traffic(address: SocketAddr, limit: Duration) -> Result<Traffic> {
    let answer = Request::get(address, "/colibri/stats").send(limit).await?.expect(200)?;
    serde_json::from_str(&answer.body).context("the bridge's statistics")
}

pub(super) async fn shut_down_gracefully(address: SocketAddr, limit: Duration) -> Result<()> {
    let request =
        Request::post_json(address, "/colibri/shutdown", r#"{"graceful-shutdown":"true"}"#);
    let answer = request.send(limit).await?;
    if answer.status == 404 {
        bail!(
            "the bridge knows no shutdown (HTTP 404): apis.rest.enabled and rest.shutdown.enabled \
             are not both set in jvb.conf"
        );
    }
    answer.expect(200)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_recorded_statistics() {
        // What a bridge said right after a meeting of two: `endpoints` still lags behind.
        let text = r#"{"endpoints":2,"participants":2,"conferences":0,"local_endpoints":0,
            "stress_level":0.2651896609600537,"bit_rate_download":0,"total_bytes_sent":7,
            "total_bytes_received":5,"mucs_joined":1,"graceful_shutdown":false,
            "shutting_down":false,"version":"2.3.SNAPSHOT","endpoints_ice_failed":0}"#;
        let traffic: Traffic = serde_json::from_str(text).unwrap();
        assert_eq!((traffic.people(), traffic.mucs_joined), (Some(0), Some(1)));
        assert_eq!(traffic.packet_rate(), None, "what is not said is not zero");
    }

    #[test]
    fn counts_people_only_in_conferences() {
        let traffic =
            Traffic { conferences: Some(1), local_endpoints: Some(3), ..Traffic::default() };
        assert_eq!(traffic.people(), Some(3));
        assert_eq!(Traffic { conferences: Some(0), ..traffic }.people(), Some(0));
        assert_eq!(Traffic { conferences: None, ..traffic }.people(), None);
    }
}
