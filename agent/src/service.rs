//! systemd's side of a service: ready, status, watchdog, and the signal to stop.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::board::now;
use crate::system::{Command, Owner, System};

/// The watch beats every few seconds; it is stuck when it did not for this long, in seconds.
const STUCK_AFTER: u64 = 60;

/// When the watch last went round, in seconds since 1970; 0 while nothing beats yet.
static LAST_BEAT: AtomicU64 = AtomicU64::new(0);

/// Writes the agent's own units, and starts it now and at every boot. Not waited for: cloud-init, which
/// asks for this, is itself part of the boot the agent waits for.
pub(crate) async fn enable(system: &dyn System) -> Result<()> {
    for (path, unit) in jitsi_templates::agent_units().context("rendering the agent's units")? {
        system.write(Path::new(path), unit.as_bytes(), 0o644, Owner::ROOT)?;
    }
    for arguments in [
        &["daemon-reload"][..],
        &["enable", "jitsi-agent"],
        &["restart", "--no-block", "jitsi-agent"],
    ] {
        let command = Command::new("systemctl", arguments.iter().copied());
        system.run(&command).await?.success(&command)?;
    }
    Ok(())
}

/// Says the agent is up and answers.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Says what the agent is doing, for `systemctl status`.
pub(crate) fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// The watch went round.
pub(crate) fn beat() {
    LAST_BEAT.store(now(), Ordering::Relaxed);
}

/// Nothing beats for now, and nothing has to.
pub(crate) fn rest() {
    LAST_BEAT.store(0, Ordering::Relaxed);
}

fn tell(state: &[NotifyState<'_>]) {
    // Outside systemd there is nobody to tell.
    let _ = sd_notify::notify(state);
}

/// Feeds the watchdog as long as the runtime runs and the watch is not stuck.
pub(crate) async fn feed_watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval((limit / 3).max(Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        let last = LAST_BEAT.load(Ordering::Relaxed);
        if last == 0 || now().saturating_sub(last) < STUCK_AFTER {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// Turns true when the service is told to stop.
pub(crate) fn stop_signal() -> Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tell(&[NotifyState::Stopping]);
        // Nobody listens any more: the program is ending anyway.
        let _ = sender.send(true);
    });
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use jitsi_templates::layout;

    use super::*;
    use crate::system::fake::Fake;

    #[tokio::test]
    async fn enabling_waits_for_nobody_and_says_what_failed() {
        let system = Fake::default();
        enable(&system).await.unwrap();
        assert!(system.text(layout::AGENT_UNIT).unwrap().contains("Type=notify"));
        assert!(system.text(layout::INSTALL_UNIT).unwrap().contains("Type=oneshot"));
        assert_eq!(
            system.ran(),
            [
                "systemctl daemon-reload",
                "systemctl enable jitsi-agent",
                "systemctl restart --no-block jitsi-agent"
            ]
        );
        system.answer("systemctl enable", 1, "read-only file system");
        let error = enable(&system).await.unwrap_err().to_string();
        assert!(error.contains("read-only file system"), "{error}");
    }
}
