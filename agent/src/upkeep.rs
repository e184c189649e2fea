//! How old this server is and what it lacks: versions, age, pending updates. A server that is never
//! replaced must not rot unseen.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jitsi_templates::Versions;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::board::{Board, Phase, now};
use crate::node::Node;
use crate::system::{Command, System};
use crate::{install, secrets};

/// Updates come once a day; a look costs a second of one processor.
const INTERVAL: Duration = Duration::from_hours(1);
/// Between two looks at whether the instance serves yet: what is asked takes locks an installation wants.
const PAUSE: Duration = Duration::from_mins(1);
/// Made by packages that ask for a reboot, a kernel's above all (Debian's `unattended-upgrades`).
const REBOOT_REQUIRED: &str = "/run/reboot-required";

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upkeep {
    /// The set's versions, by package.
    pub packages: Versions,
    /// When this instance was made, in seconds since 1970.
    pub made: Option<u64>,
    /// Packages that have a newer version, those that are held left out.
    pub pending: usize,
    /// How many of these are security updates.
    pub pending_security: usize,
    /// Whether an installed update waits for a reboot.
    pub reboot_required: bool,
}

/// Looks every hour while the instance serves, and tells the board; the first time it also has
/// Systems Manager's agent installed. Never ends.
pub(crate) async fn keep_looking(node: Arc<Node>, board: Board) {
    let mut first = true;
    loop {
        if board.status().phase != Phase::Watch {
            sleep(PAUSE).await;
            continue;
        }
        if std::mem::take(&mut first)
            && let Err(error) = install::start_installing_ssm_agent(node.system()).await
        {
            tracing::warn!("installing Systems Manager's agent: {error:#}");
        }
        match look(&node).await {
            Ok(upkeep) => board.update(|status| status.upkeep = Some(upkeep)),
            Err(error) => tracing::warn!("looking for updates: {error:#}"),
        }
        sleep(INTERVAL).await;
    }
}

async fn look(node: &Node) -> Result<Upkeep> {
    let system = node.system();
    let (pending, pending_security) = pending(system).await?;
    Ok(Upkeep {
        packages: install::versions(system, &node.settings).await?,
        made: secrets::made(system),
        pending,
        pending_security,
        reboot_required: system.exists(Path::new(REBOOT_REQUIRED)),
    })
}

/// All updates and those for security, by the newest lists there are.
async fn pending(system: &dyn System) -> Result<(usize, usize)> {
    let command = Command::new("apt-get", ["-q", "-s", "-o", "Debug::NoLocking=true", "upgrade"]);
    let listed = system.run(&command).await?.success(&command)?.stdout;
    // `Inst libc6 [2.36-9] (2.36-10 Debian-Security:12/stable-security [amd64])`
    let pending: Vec<&str> = listed.lines().filter(|line| line.starts_with("Inst ")).collect();
    let security = pending.iter().filter(|line| line.contains("-security ")).count();
    Ok((pending.len(), security))
}

impl Upkeep {
    /// Whole days since the instance was made.
    pub fn age_days(&self) -> Option<u64> {
        self.made.map(|made| now().saturating_sub(made) / (24 * 3600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    #[tokio::test]
    async fn security_updates_are_told_apart() {
        let system = Fake::default();
        system.answer(
            "apt-get -q -s",
            0,
            "NOTE: This is only a simulation!\n\
             Inst libc6 [2.36-9] (2.36-10 Debian-Security:12/stable-security [amd64])\n\
             Inst base-files [1] (2 Debian:12.9/stable [amd64])\n\
             Inst libssl3 [3] (4 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])\n\
             Conf libc6 (2.36-10 Debian-Security:12/stable-security [amd64])\n",
        );
        assert_eq!(pending(&system).await.unwrap(), (3, 2));
    }
}
