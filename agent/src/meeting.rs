//! The meeting probe as the agent uses it: through this machine's own nginx, with the credentials
//! the site's way of authentication asks for.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use jitsi_templates::settings::{Authentication, InstanceSettings};
use jitsi_templates::{Discovered, Secrets};
use meeting_probe::{Auth, Mapping, Prober, Report, Secret, Target, Tls};

use crate::journal::one_line;

/// The first offer after a start takes 3.3 s. Waiting longer only delays the next attempt: jicofo
/// invites a bridge that is back to new meetings, not to one that is waiting.
const OFFER_LIMIT: Duration = Duration::from_secs(8);

/// A prober for this site, from the inside.
pub fn prober(
    settings: &InstanceSettings,
    secrets: &Secrets,
    discovered: &Discovered,
    nginx: SocketAddr,
) -> Result<Prober> {
    let mut target = Target::new(settings.domain.as_str());
    target.connect = Some(nginx.to_string());
    target.tls = Tls::AcceptAny;
    target.auth = auth(settings, secrets)?;
    target.mapping = Some(Mapping {
        local: IpAddr::V4(discovered.private_ipv4),
        public: IpAddr::V4(discovered.public_ipv4),
    });
    target.limits.offer = OFFER_LIMIT;
    Prober::new(target).context("preparing the meeting probe")
}

fn auth(settings: &InstanceSettings, secrets: &Secrets) -> Result<Auth> {
    Ok(match &settings.jitsi.authentication {
        Authentication::Open => Auth::Anonymous,
        Authentication::Jwt { app_id, .. } => {
            let secret = secrets.token.as_ref().ok_or_else(|| anyhow!("no signing secret"))?;
            Auth::Token { app_id: app_id.clone(), app_secret: Secret::new(secret.expose()) }
        }
        Authentication::SecureDomain { .. } => Auth::Account {
            username: "probe".to_owned(),
            password: Secret::new(secrets.probe.expose()),
        },
    })
}

/// Why a meeting could not be held, on one line.
pub fn reason(report: &Report) -> String {
    let reason = report.reason.as_deref().unwrap_or("no reason given");
    let hint = report.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    one_line(&format!("{reason}{hint}"))
}
