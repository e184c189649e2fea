//! Whether a service is still the same processes: systemd may have restarted one between two rounds,
//! and what was proven before then is worth nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::Component;
use crate::system::{System, read_text};

/// Where the unified control group hierarchy is: alone, or beside the old ones (systemd's `hybrid`).
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// The processes of each service, as last seen.
#[derive(Debug)]
pub struct Processes {
    /// `/system.slice`, the control group the agent's own service is in.
    slice: String,
    seen: BTreeMap<Component, BTreeSet<u32>>,
}

impl Processes {
    /// Services are looked for beside the agent's own.
    pub fn new(system: &dyn System) -> Self {
        let own = read_text(system, "/proc/self/cgroup").ok().flatten().unwrap_or_default();
        let slice = own
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .and_then(|group| group.rsplit_once('/'))
            .map_or("/system.slice", |(slice, _)| slice);
        Self { slice: slice.to_owned(), seen: BTreeMap::new() }
    }

    /// The services none of whose processes are left since the last look. nginx's master outlives a
    /// reload, so that is none of them.
    pub fn replaced(&mut self, system: &dyn System) -> Vec<Component> {
        let mut replaced = Vec::new();
        for component in Component::ALL {
            let now = self.of(system, component);
            if now.is_empty() {
                // Down, or on a machine without control groups: the other checks tell.
                continue;
            }
            let before = self.seen.insert(component, now.clone());
            if before.is_some_and(|before| before.is_disjoint(&now)) {
                replaced.push(component);
            }
        }
        replaced
    }

    /// Whether all processes of a service are gone since the last look; cheap enough for every second.
    pub fn lost(&self, system: &dyn System) -> bool {
        self.seen.iter().any(|(component, seen)| seen.is_disjoint(&self.of(system, *component)))
    }

    /// Whether it has a process; false also where there are no control groups to tell.
    pub fn runs(&self, system: &dyn System, component: Component) -> bool {
        !self.of(system, component).is_empty()
    }

    fn of(&self, system: &dyn System, component: Component) -> BTreeSet<u32> {
        let file = format!("{}/{}.service/cgroup.procs", self.slice, component.unit());
        let text = MOUNTS
            .iter()
            .find_map(|mount| read_text(system, format!("{mount}{file}")).ok().flatten())
            .unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    #[test]
    fn a_restart_is_seen_and_a_reload_is_not() {
        let nginx = "/sys/fs/cgroup/unified/x/system.slice/nginx.service/cgroup.procs";
        let own = "1:cpu:/\n0::/x/system.slice/jitsi-agent.service\n";
        let system = Fake::with(&[(nginx, "10\n11\n"), ("/proc/self/cgroup", own)]);
        let mut processes = Processes::new(&system);
        assert!(processes.replaced(&system).is_empty(), "the first look knows no before");
        system.put(nginx, "10\n12\n");
        assert!(processes.replaced(&system).is_empty());
        assert!(!processes.lost(&system));
        assert!(processes.runs(&system, Component::Nginx));
        system.put(nginx, "");
        assert!(!processes.runs(&system, Component::Nginx));
        assert!(processes.lost(&system));
        assert!(processes.replaced(&system).is_empty());
        system.put(nginx, "20\n21\n");
        assert_eq!(processes.replaced(&system), [Component::Nginx]);
        assert!(processes.replaced(&system).is_empty());
    }
}
