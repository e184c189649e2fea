//! systemd: who is told of a change, and how.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jitsi_templates::{Consumer, layout};

use crate::advice::Advice;
use crate::health::Component;
use crate::system::{Command, System};

/// A Java service that does not stop is killed by systemd after 90 s.
const LIMIT: Duration = Duration::from_secs(150);

/// Applies `/etc/sysctl.d`, at boot and here.
pub(super) const SYSCTL: &str = "systemd-sysctl";

/// The service behind a consumer.
fn of(consumer: Consumer) -> Option<Component> {
    match consumer {
        Consumer::Prosody => Some(Component::Prosody),
        Consumer::Jicofo => Some(Component::Jicofo),
        Consumer::Videobridge => Some(Component::Videobridge),
        Consumer::Nginx => Some(Component::Nginx),
        Consumer::Apt
        | Consumer::Debconf
        | Consumer::Sysctl
        | Consumer::Metadata
        | Consumer::Systemd
        | Consumer::Nobody => None,
    }
}

/// Kernel settings, units and swap, before any service is touched.
pub(super) async fn settle(system: &dyn System, told: &BTreeSet<Consumer>) -> Result<()> {
    if told.contains(&Consumer::Sysctl) {
        // By systemd, which may: the agent's own unit keeps it from the kernel's settings.
        let command = Command::new("systemctl", ["restart", SYSCTL]).limit(LIMIT);
        let output = system.run(&command).await?;
        if !output.ok() {
            // Media then loses packets under load only; `doctor` looks at the buffer.
            tracing::warn!("`{command}`: {}", output.last_words());
        }
    }
    if told.contains(&Consumer::Systemd) {
        let command = Command::new("systemctl", ["daemon-reload"]).limit(LIMIT);
        system.run(&command).await?.success(&command)?;
        enable(system).await?;
        if system.exists(Path::new(layout::SWAP_FILE)) {
            let command =
                Command::new("systemctl", ["enable", "--now", layout::SWAP_UNIT]).limit(LIMIT);
            let output = system.run(&command).await?;
            if !output.ok() {
                tracing::warn!("swap is not active: `{command}`: {}", output.last_words());
            }
        }
    }
    if told.contains(&Consumer::Metadata) || told.contains(&Consumer::Systemd) {
        let command = Command::new("systemctl", ["restart", layout::METADATA_UNIT]).limit(LIMIT);
        let output = system.run(&command).await?;
        if !output.ok() {
            // A meeting without this fence is better than none; `doctor` finds the gap.
            tracing::error!(
                "Jitsi's programs can ask for the instance's credentials: `{command}`: {}; next: \
                 journalctl -u {}",
                output.last_words(),
                layout::METADATA_UNIT
            );
        }
    }
    Ok(())
}

/// Sees to it that boot starts the services: jicofo's unit of ours takes the place of a `SysV` script
/// and has no links yet. Those that have are left alone, and init scripts too: for each of them
/// systemctl would run `update-rc.d` and reload systemd.
async fn enable(system: &dyn System) -> Result<()> {
    let units = Component::ALL.into_iter().map(Component::unit).chain([layout::METADATA_UNIT]);
    let units: Vec<&str> = units.collect();
    let asked = Command::new("systemctl", ["is-enabled"].into_iter().chain(units.iter().copied()));
    // Fails when none of them is; a unit that is not there has no line.
    let output = system.run(&asked).await?;
    let states: Vec<&str> = output.stdout.lines().collect();
    let is_enabled = |index: usize| states.len() == units.len() && states[index] == "enabled";
    let missing = (0..units.len()).filter(|index| !is_enabled(*index)).map(|index| units[index]);
    let missing: Vec<&str> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    let command = Command::new("systemctl", ["enable", "--quiet"].into_iter().chain(missing))
        .environment("SYSTEMCTL_SKIP_SYSV", "1")
        .limit(LIMIT);
    system.run(&command).await?.success(&command).map(drop)
}

/// Restarts the service if it is told; nginx reloads, which cuts nobody. jicofo's init script removes
/// a stale pid file only on `restart`.
pub(super) async fn restart(
    system: &dyn System,
    consumer: Consumer,
    told: &BTreeSet<Consumer>,
) -> Result<Option<Component>> {
    let Some(component) = of(consumer).filter(|_| told.contains(&consumer)) else {
        return Ok(None);
    };
    let verb = if component == Component::Nginx { "reload-or-restart" } else { "restart" };
    systemctl(system, verb, component).await?;
    Ok(Some(component))
}

/// Starts every service that is not running.
pub(super) async fn start_missing(system: &dyn System) -> Result<Vec<Component>> {
    let mut started = Vec::new();
    for component in Component::ALL {
        let asked = Command::new("systemctl", ["is-active", "--quiet", component.unit()]);
        if !system.run(&asked).await?.ok() {
            systemctl(system, "restart", component).await?;
            started.push(component);
        }
    }
    Ok(started)
}

/// `systemctl VERB UNIT`.
pub(crate) async fn systemctl(system: &dyn System, verb: &str, component: Component) -> Result<()> {
    let unit = component.unit();
    tracing::info!("systemctl {verb} {unit}");
    let command = Command::new("systemctl", [verb, unit]).limit(LIMIT);
    system.run(&command).await?.success(&command).map(drop).with_context(|| {
        Advice::new(format!("{verb} of {component}"), format!("journalctl -u {unit} -n 50"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    #[tokio::test]
    async fn only_what_boot_would_not_start_is_enabled() {
        let told = BTreeSet::from([Consumer::Systemd]);
        let enabled = async |states: &str| {
            let system = Fake::default();
            system.answer("systemctl is-enabled", 0, states);
            settle(&system, &told).await.unwrap();
            let ran = system.ran();
            ran.into_iter().filter(|line| line.starts_with("systemctl enable")).collect::<Vec<_>>()
        };
        assert_eq!(enabled("enabled\nenabled\nenabled\nenabled\nenabled\n").await, [""; 0]);
        assert_eq!(
            enabled("enabled\ndisabled\nenabled\nenabled\nenabled\n").await,
            [format!("systemctl enable --quiet {}", Component::ALL[1].unit())]
        );
        assert_eq!(enabled("enabled\nenabled\nenabled\n").await[0].split(' ').count(), 8);
    }
}
