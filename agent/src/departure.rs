//! The end of an instance: no new rooms, patience with those inside, then a clean exit. AWS takes the
//! instance from the load balancer first and runs the terminate hook last, so this begins when the
//! metadata service says so, not when the hook does.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::board::Phase;
use crate::configure::systemctl;
use crate::crowd::{Crowd, received_datagrams};
use crate::drain::{Cause, Drain, Sight};
use crate::health::{self, Component};
use crate::http::Refused;
use crate::lifecycle::{HEARTBEAT, Outcome, Told};
use crate::run::{Life, announced, log_told};
use crate::service;
use crate::system::{Command, System};

const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// Between two looks at the bridge, and two attempts to tell the hook.
fn look_interval(life: &Life) -> Duration {
    Duration::from_secs(life.node.settings.watch.component_interval)
}

/// Drains and leaves; ends only with the program.
pub(crate) async fn depart(life: &Life, cause: Cause) -> Result<()> {
    life.enter(Phase::Drain);
    tracing::info!("draining: {cause}");
    life.board.update(|status| {
        status.drain = Some(cause.to_string());
        // Nobody looks at them any more: no word is better than an old one.
        status.components.clear();
        status.meeting = None;
    });
    wait_for_people(life, &cause).await;
    // Who is still here shall reload onto the successor instead of clinging to a dead server.
    if let Err(error) = systemctl(life.node.system(), "stop", Component::Nginx).await {
        tracing::warn!("{error:#}");
    }
    life.enter(Phase::Done);
    let hook = &life.node.settings.terminate_hook;
    let mut ticks = interval(look_interval(life));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_error = String::new();
    while life.progress().terminate.is_none() {
        ticks.tick().await;
        service::beat();
        match life.lifecycle.complete(hook, Outcome::Continue).await {
            Ok(Told::Now) => {
                life.note(|progress| progress.terminate = Some(Outcome::Continue));
                log_told("CONTINUE", hook, Told::Now);
            }
            // The hook begins only when the target group has let go of the instance.
            Ok(Told::NothingWaits) => {}
            Err(error) => {
                let words = format!("{error:#}");
                if words != last_error {
                    tracing::warn!("{words}");
                    last_error = words;
                }
            }
        }
    }
    service::rest();
    std::future::pending().await
}

async fn wait_for_people(life: &Life, cause: &Cause) {
    let mut drain = Drain::begin(Instant::now(), cause, life.node.settings.drain);
    let mut notices = life.notices.clone();
    notices.mark_unchanged();
    let mut looks = interval(look_interval(life));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heartbeats = interval(HEARTBEAT);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut refusing = false;
    let mut crowd = Crowd::default();
    let mut people = None;
    loop {
        tokio::select! {
            cause = next_cause(&mut notices) => {
                tracing::info!("draining: {cause}");
                drain.hurry(Instant::now(), &cause);
            }
            _ = heartbeats.tick() => {
                if let Err(error) = life.lifecycle.heartbeat(&life.node.settings.terminate_hook).await {
                    tracing::warn!("{error:#}");
                }
            }
            _ = looks.tick() => {
                service::beat();
                let sight = look(life, &mut crowd).await;
                let end = drain.look(Instant::now(), sight);
                if !refusing && !drain.lets_begin(Instant::now()) {
                    refusing = refuse_new_rooms(life).await;
                }
                if people != Some((drain.people(), drain.waiting())) {
                    people = Some((drain.people(), drain.waiting()));
                    tell_of(life, &drain);
                }
                if let Some(end) = end {
                    tracing::info!("drained: {end}");
                    return;
                }
                revive_signalling(life.node.system()).await;
            }
        }
    }
}

/// The next change of the cause; the one known already is not news.
async fn next_cause(notices: &mut tokio::sync::watch::Receiver<Option<Cause>>) -> Cause {
    if notices.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    announced(notices).await
}

/// True once the bridge refuses, or is gone and refuses everything.
async fn refuse_new_rooms(life: &Life) -> bool {
    match health::shut_down_gracefully(&life.node.machine.endpoints, ANSWER_LIMIT).await {
        Ok(()) => {
            tracing::info!("the bridge refuses new rooms and ends with the last meeting");
            true
        }
        Err(error) if error.is::<Refused>() => true,
        Err(error) => {
            tracing::warn!("telling the bridge to refuse new rooms: {error:#}");
            false
        }
    }
}

fn tell_of(life: &Life, drain: &Drain) {
    let left = drain.left(Instant::now()).as_secs();
    let inside = drain.people().map_or_else(|| "unknown".to_owned(), |people| people.to_string());
    let waiting = match drain.waiting() {
        0 => String::new(),
        waiting => format!(", {waiting} here and on no bridge"),
    };
    tracing::info!("people inside: {inside}{waiting}; at most {left} s left");
    let waiting = (drain.waiting() > 0)
        .then(|| format!("{} people are here and on no bridge yet", drain.waiting()));
    life.board.update(|status| status.missing.truncate(1));
    life.board
        .update(|status| status.missing.extend(waiting.map(|words| format!("drain: {words}"))));
}

async fn look(life: &Life, crowd: &mut Crowd) -> Sight {
    let endpoints = &life.node.machine.endpoints;
    let (domain, system) = (life.node.settings.domain.as_str(), life.node.system());
    let (traffic, here) = tokio::join!(
        health::traffic(endpoints, ANSWER_LIMIT),
        health::people_here(endpoints, domain, system, ANSWER_LIMIT)
    );
    let datagrams = received_datagrams(life.node.system());
    let media_flows = crowd.look(Instant::now(), traffic.as_ref().ok(), datagrams, false);
    match traffic {
        Ok(traffic) => {
            life.board.update(|status| status.traffic = Some(traffic));
            let still = crowd.is_still();
            Sight::People { inside: traffic.people(), here, media_flows, still }
        }
        Err(error) if error.is::<Refused>() && !is_active(life.node.system()).await => Sight::Gone,
        Err(_) => Sight::Silent { media_flows: media_flows == Some(true) },
    }
}

async fn is_active(system: &dyn System) -> bool {
    let unit = Component::Videobridge.unit();
    let command = Command::new("systemctl", ["is-active", "--quiet", unit]);
    // Unknown is not gone: the limit decides then.
    system.run(&command).await.is_ok_and(|output| output.ok())
}

/// Meetings in progress still need what signals for them; the bridge is left to end by itself.
async fn revive_signalling(system: &dyn System) {
    for component in [Component::Prosody, Component::Jicofo, Component::Nginx] {
        let failed = Command::new("systemctl", ["is-failed", "--quiet", component.unit()]);
        if system.run(&failed).await.is_ok_and(|output| output.ok())
            && let Err(error) = systemctl(system, "restart", component).await
        {
            tracing::warn!("{error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    #[tokio::test]
    async fn only_what_signals_is_revived() {
        let system = Fake::default();
        system.answer("systemctl is-failed --quiet", 1, "");
        system.answer("systemctl is-failed --quiet jicofo", 0, "");
        revive_signalling(&system).await;
        let restarted: Vec<String> =
            system.ran().into_iter().filter(|line| line.contains("restart")).collect();
        assert_eq!(restarted, ["systemctl restart jicofo"]);
    }
}
