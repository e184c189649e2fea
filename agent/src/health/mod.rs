//! Component health: each of the four services asked on its own endpoint, all at once, each bounded,
//! so that one that hangs is known as down before the next round. Their answers are hints, not proof:
//! every one of them can be green while no meeting is possible; the meeting is the proof.

mod jicofo;
mod nginx;
mod processes;
mod prosody;
mod sessions;
mod videobridge;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use jitsi_templates::layout;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::http::Refused;
use crate::system::System;

pub use processes::Processes;
pub use videobridge::{Bridge, Traffic};

/// A service that a meeting needs. Ordered as they are restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// Signalling.
    Prosody,
    /// The conference focus.
    Jicofo,
    /// The bridge.
    Videobridge,
    /// The web server.
    Nginx,
}

impl Component {
    /// All, in the order of restarts.
    pub const ALL: [Self; 4] = [Self::Prosody, Self::Jicofo, Self::Videobridge, Self::Nginx];

    /// The systemd unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Prosody => "prosody",
            Self::Jicofo => "jicofo",
            Self::Videobridge => "jitsi-videobridge2",
            Self::Nginx => "nginx",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prosody => "prosody",
            Self::Jicofo => "jicofo",
            Self::Videobridge => "videobridge",
            Self::Nginx => "nginx",
        })
    }
}

/// Where the services listen on this machine; other ports in tests.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Endpoints {
    /// nginx, TLS, by the agent's own way in.
    pub nginx: SocketAddr,
    /// Prosody's HTTP server.
    pub prosody: SocketAddr,
    /// jicofo's HTTP server.
    pub jicofo: SocketAddr,
    /// The bridge's private HTTP server.
    pub videobridge: SocketAddr,
}

impl Default for Endpoints {
    fn default() -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            nginx: at(layout::INSIDE_PORT),
            prosody: at(layout::PROSODY_HTTP_PORT),
            jicofo: at(layout::JICOFO_PORT),
            videobridge: at(layout::VIDEOBRIDGE_PORT),
        }
    }
}

/// What one component answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Who.
    pub component: Component,
    /// Why it is not well; `None` when it is.
    pub fault: Option<String>,
    /// What it doubts itself for, though it counts as well.
    pub doubt: Option<String>,
    /// Whether nobody listens there any more.
    pub dead: bool,
    /// How long the answer took.
    pub latency: Duration,
}

/// One round over all components.
#[derive(Clone, Debug)]
pub struct Round {
    /// One per component, in the order of [`Component::ALL`].
    pub checks: Vec<Check>,
    /// The bridge's figures, when it gave any.
    pub traffic: Option<Traffic>,
}

impl Round {
    /// The components that are not well, with the reason.
    pub fn faults(&self) -> impl Iterator<Item = (Component, &str)> {
        self.checks.iter().filter_map(|check| Some((check.component, check.fault.as_deref()?)))
    }

    /// Whether somebody doubts itself: a meeting tells.
    pub fn is_doubtful(&self) -> bool {
        self.checks.iter().any(|check| check.doubt.is_some())
    }
}

/// Asks everybody; takes at most `limit`.
pub async fn round(
    endpoints: &Endpoints,
    domain: &str,
    bridge: &Bridge,
    system: &dyn System,
    limit: Duration,
) -> Round {
    let (prosody, jicofo, (videobridge, traffic), nginx) = tokio::join!(
        timed(Component::Prosody, prosody::check(endpoints.prosody, domain, limit)),
        async {
            let started = Instant::now();
            let (doubt, result) = match jicofo::check(endpoints.jicofo, limit).await {
                Ok(doubt) => (doubt, Ok(())),
                Err(error) => (None, Err(error)),
            };
            Check { doubt, ..finish(Component::Jicofo, started, result) }
        },
        async {
            let started = Instant::now();
            let (traffic, result) =
                videobridge::check(endpoints.videobridge, bridge, system, limit).await;
            (finish(Component::Videobridge, started, result), traffic)
        },
        timed(Component::Nginx, nginx::check(endpoints.nginx, domain, limit)),
    );
    Round { checks: vec![prosody, jicofo, videobridge, nginx], traffic }
}

/// The bridge's figures alone; for the drain, which no other component may delay.
pub async fn traffic(endpoints: &Endpoints, limit: Duration) -> Result<Traffic> {
    videobridge::traffic(endpoints.videobridge, limit).await
}

/// People who are here, on a bridge or not: connected to Prosody or, when its console is silent, in rooms
/// by jicofo's count; `None` when neither says.
pub async fn people_here(
    endpoints: &Endpoints,
    domain: &str,
    system: &dyn System,
    limit: Duration,
) -> Option<u32> {
    match sessions::people(system, domain, limit).await {
        Ok(people) => Some(people),
        Err(_) => jicofo::people(endpoints.jicofo, limit).await.ok().flatten(),
    }
}

/// Tells the bridge to refuse new conferences and to exit when the last one has ended.
pub async fn shut_down_gracefully(endpoints: &Endpoints, limit: Duration) -> Result<()> {
    videobridge::shut_down_gracefully(endpoints.videobridge, limit).await
}

async fn timed(component: Component, check: impl Future<Output = Result<()>>) -> Check {
    let started = Instant::now();
    let result = check.await;
    finish(component, started, result)
}

fn finish(component: Component, started: Instant, result: Result<()>) -> Check {
    let error = result.err();
    Check {
        component,
        dead: error.as_ref().is_some_and(anyhow::Error::is::<Refused>),
        fault: error.map(|error| format!("{error:#}")),
        doubt: None,
        latency: started.elapsed(),
    }
}
