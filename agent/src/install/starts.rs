//! Nothing of Jitsi is started before it is configured: the packages' own configuration would open
//! ports with their passwords, and Java alone takes seconds from the installation. What packages ask
//! (`policy-rc.d`) is not enough: `jitsi-meet-prosody` calls `systemctl restart` by itself when the
//! certificates of Java change. Masked units would make the packages' own `systemctl enable` fail. A
//! condition that is never met does neither: systemd then skips every start and calls it a success.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::configure::is_configured;
use crate::system::{Command, Owner, System};

/// Below `/run`, so that a reboot ends it, whatever became of the agent.
const UNITS: [&str; 4] = ["jicofo", "jitsi-videobridge2", "nginx", "prosody"];
const NEVER: &str = "# Written by jitsi-agent: starts once the site is configured.\n\
                     [Unit]\nConditionPathExists=!/\n";

fn drop_in(unit: &str) -> PathBuf {
    format!("/run/systemd/system/{unit}.service.d/jitsi-agent-install.conf").into()
}

/// Forbids starts, unless the site is configured: then what runs has to learn of its new files.
pub(super) async fn forbid(system: &dyn System) -> Result<()> {
    if is_configured(system) {
        return Ok(());
    }
    for unit in UNITS {
        system.write(&drop_in(unit), NEVER.as_bytes(), 0o644, Owner::ROOT)?;
    }
    reload(system).await
}

/// Takes back what [`forbid`], or one that was killed, forbade.
pub(super) async fn allow(system: &dyn System) -> Result<()> {
    let forbidden: Vec<PathBuf> =
        UNITS.into_iter().map(drop_in).filter(|path| system.exists(path)).collect();
    if forbidden.is_empty() {
        return Ok(());
    }
    for path in &forbidden {
        system.remove(Path::new(path))?;
    }
    reload(system).await
}

async fn reload(system: &dyn System) -> Result<()> {
    let command = Command::new("systemctl", ["daemon-reload"]);
    system.run(&command).await?.success(&command).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    fn forbidden(system: &Fake) -> usize {
        UNITS.into_iter().filter(|unit| system.exists(&drop_in(unit))).count()
    }

    #[tokio::test]
    async fn every_unit_is_kept_back_until_it_is_allowed_again() {
        let system = Fake::default();
        forbid(&system).await.unwrap();
        assert_eq!(forbidden(&system), UNITS.len());
        allow(&system).await.unwrap();
        assert_eq!(forbidden(&system), 0);
        assert_eq!(system.ran(), ["systemctl daemon-reload", "systemctl daemon-reload"]);
        allow(&system).await.unwrap();
        assert_eq!(system.ran().len(), 2, "nothing to take back");
    }

    #[tokio::test]
    async fn a_configured_site_restarts_with_its_new_packages() {
        let system = Fake::with(&[("/var/lib/jitsi-agent/applied.json", "{}")]);
        forbid(&system).await.unwrap();
        assert_eq!(forbidden(&system), 0);
    }
}
