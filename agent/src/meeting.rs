//! The meeting probe as the agent uses it: through this machine's own nginx, with the credentials
//! the site's way of authentication asks for.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use jitsi_templates::settings::{Authentication, InstanceSettings};
use jitsi_templates::{Discovered, Secrets};
use meeting_probe::{Auth, Mapping, Prober, Report, Secret, StepName, Target, Tls};

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

/// Whether it failed on the way to the bridge: the bridge answers at the private address of this
/// machine, and not at the public one that leads back to it.
pub fn is_cut(report: &Report) -> bool {
    let local = |bridge: &meeting_probe::Bridge| bridge.kind == meeting_probe::LOCAL;
    report.failed_step == Some(StepName::Media)
        && report.bridge.iter().any(|bridge| local(bridge) && bridge.round_trip_ms.is_some())
        && report.bridge.iter().any(|bridge| !local(bridge) && bridge.round_trip_ms.is_none())
}

/// Why a meeting could not be held, on one line.
pub fn reason(report: &Report) -> String {
    let reason = report.reason.as_deref().unwrap_or("no reason given");
    let hint = report.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    one_line(&format!("{reason}{hint}"))
}

#[cfg(test)]
mod tests {
    use meeting_probe::{Bridge, Outcome};

    use super::*;

    #[test]
    fn a_bridge_that_answers_on_this_machine_only_is_a_matter_of_the_network() {
        let bridge = |kind: &str, round_trip_ms| Bridge {
            address: ([198, 51, 100, 7], 10000).into(),
            kind: kind.to_owned(),
            round_trip_ms,
        };
        let report = |failed_step, bridge| Report {
            outcome: Outcome::Failed,
            domain: "meet.example.org".to_owned(),
            room: String::new(),
            took_ms: 1.0,
            steps: Vec::new(),
            bridge,
            audio: None,
            failed_step: Some(failed_step),
            reason: None,
            hint: None,
        };
        let local = meeting_probe::LOCAL;
        let cut = vec![bridge("srflx", None), bridge(local, Some(0.1))];
        assert!(is_cut(&report(StepName::Media, cut.clone())));
        assert!(!is_cut(&report(StepName::Offer, cut)));
        let deaf = vec![bridge("srflx", None), bridge(local, None)];
        assert!(!is_cut(&report(StepName::Media, deaf)));
        let reached = vec![bridge("srflx", Some(0.1)), bridge(local, Some(0.1))];
        assert!(!is_cut(&report(StepName::Media, reached)));
    }
}
