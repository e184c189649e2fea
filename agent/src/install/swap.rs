//! A swap file where memory is short. Its unit is among the rendered files and activates it.

use std::path::Path;

use anyhow::{Context as _, Result};
use jitsi_templates::{Memory, layout};

use crate::retry::Hopeless;
use crate::system::{Command, System, memory_mib};

/// Makes the file if the memory calls for it and it is not there.
pub(super) async fn make(system: &dyn System) -> Result<()> {
    let memory = Memory::for_total(memory_mib(system)? << 20).context(Hopeless::new("memory"))?;
    let file = layout::SWAP_FILE;
    if memory.swap_mib == 0 || system.exists(Path::new(file)) {
        return Ok(());
    }
    // Complete under another name first: a file without a swap header would be taken for finished.
    let new = format!("{file}.new");
    let size = format!("{}MiB", memory.swap_mib);
    tracing::info!("making {file} of {} MiB", memory.swap_mib);
    for command in [
        Command::new("rm", ["-f", &new]),
        Command::new("install", ["-m", "0600", "/dev/null", &new]),
        Command::new("fallocate", ["-l", &size, &new]),
        Command::new("mkswap", [&new]),
        Command::new("mv", [&new, file]),
    ] {
        system.run(&command).await?.success(&command)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    #[tokio::test]
    async fn only_small_machines_get_one_and_only_once() {
        let small = Fake::with(&[("/proc/meminfo", "MemTotal: 1961000 kB\n")]);
        make(&small).await.unwrap();
        assert_eq!(small.ran().last().unwrap(), "mv /var/swap.jitsi.new /var/swap.jitsi");
        small.forget_runs();
        small.put(layout::SWAP_FILE, "");
        make(&small).await.unwrap();
        assert!(small.ran().is_empty());
        let large = Fake::with(&[("/proc/meminfo", "MemTotal: 8061000 kB\n")]);
        make(&large).await.unwrap();
        assert!(large.ran().is_empty());
    }
}
