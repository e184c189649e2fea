//! A cure: the configuration put right, which may be the whole illness, and a restart. What hangs does
//! not stop because it is asked to, and its unit would wait for up to 90 s: it is killed.

use std::time::Duration;

use anyhow::Result;
use tokio::time::timeout;

use crate::configure::systemctl;
use crate::health::Component;
use crate::node::Node;
use crate::system::{Command, System};

/// How long a service may take to stop; one that is well takes less than a second.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// Puts the configuration right, and restarts `components`, the ill one first, unless that did. Gives
/// whoever was restarted.
pub(crate) async fn cure(node: &Node, components: &'static [Component]) -> Result<Vec<Component>> {
    // A wrong password looks like any other illness of those who log in.
    let mut restarted = match node.converge(components.first().copied()).await {
        Ok(outcome) => outcome.restarted,
        Err(error) => {
            tracing::error!("putting the configuration right: {error:#}");
            Vec::new()
        }
    };
    for component in components {
        if !restarted.contains(component) {
            restart(node.system(), *component).await?;
            restarted.push(*component);
        }
    }
    Ok(restarted)
}

async fn restart(system: &dyn System, component: Component) -> Result<()> {
    let restart = systemctl(system, "restart", component);
    tokio::pin!(restart);
    if let Ok(outcome) = timeout(STOP_GRACE, &mut restart).await {
        return outcome;
    }
    let state = Command::new("systemctl", ["is-active", component.unit()]);
    if system.run(&state).await?.stdout.trim() == "deactivating" {
        tracing::warn!("{component} does not stop: killing it");
        let kill = Command::new("systemctl", ["kill", "--signal=KILL", component.unit()]);
        system.run(&kill).await?.success(&kill)?;
    }
    restart.await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_stop_is_killed_and_what_starts_slowly_is_not() {
        for (state, killed) in [("deactivating", true), ("activating", false)] {
            let system = Fake::default();
            system.answer("systemctl is-active nginx", 3, state);
            let end = if killed { "systemctl kill" } else { "systemctl is-active" };
            system.hang("systemctl restart nginx", end);
            restart(&system, Component::Nginx).await.unwrap();
            let kill = "systemctl kill --signal=KILL nginx".to_owned();
            assert_eq!(system.ran().contains(&kill), killed, "{state}");
        }
    }
}
