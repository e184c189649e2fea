//! The machine as the agent sees it: programs, files, memory, network interfaces. Everything that
//! touches the operating system goes through [`System`], so that decisions can be tested without it.

mod command;
#[cfg(test)]
pub(crate) mod fake;
mod host;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use async_trait::async_trait;

pub use command::{Command, Output};
pub use host::Host;

/// Who owns a file: user and group by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// User name, `root`.
    pub user: &'a str,
    /// Group name, `jitsi`.
    pub group: &'a str,
}

impl Owner<'_> {
    /// `root:root`.
    pub const ROOT: Owner<'static> = Owner { user: "root", group: "root" };
}

/// The operating system.
#[async_trait]
pub trait System: Send + Sync {
    /// Runs `command` to its end or its limit; a non-zero exit is an [`Output`], not an error.
    async fn run(&self, command: &Command) -> Result<Output>;

    /// The file's content; `None` when there is no such file.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>>;

    /// Replaces the file in one step (written beside it, flushed, renamed), its folder made if missing.
    fn write(&self, path: &Path, content: &[u8], mode: u32, owner: Owner<'_>) -> Result<()>;

    /// Whether owner and mode of an existing file are these.
    fn has_owner_and_mode(&self, path: &Path, mode: u32, owner: Owner<'_>) -> Result<bool>;

    /// Removes a file or link; one that is not there is fine.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Makes `link` point to `target`, replacing whatever link or file was there.
    fn symlink(&self, target: &Path, link: &Path) -> Result<()>;

    /// What the link points to; `None` when it is no link.
    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>>;

    /// Whether anything is at `path`.
    fn exists(&self, path: &Path) -> bool;

    /// IPv4 addresses of the interfaces.
    fn addresses(&self) -> Result<Vec<Ipv4Addr>>;

    /// Bytes free to root on the file system that holds `path`.
    fn free_bytes(&self, path: &Path) -> Result<u64>;

    /// Processors online.
    fn processors(&self) -> usize;
}

/// Reads a text file; `None` when there is no such file.
pub fn read_text(system: &dyn System, path: impl AsRef<Path>) -> Result<Option<String>> {
    Ok(system.read(path.as_ref())?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Whether the file on disk has another content, mode or owner than these.
pub fn differs(
    system: &dyn System,
    path: &Path,
    content: &[u8],
    mode: u32,
    owner: Owner<'_>,
) -> Result<bool> {
    let same = system.read(path)?.is_some_and(|found| found == content);
    Ok(!same || !system.has_owner_and_mode(path, mode, owner)?)
}

/// Physical memory in MiB, from `/proc/meminfo`.
pub fn memory_mib(system: &dyn System) -> Result<u64> {
    read_text(system, "/proc/meminfo")?
        .as_deref()
        .and_then(total_kib)
        .map(|kib| kib / 1024)
        .ok_or_else(|| anyhow::anyhow!("/proc/meminfo names no MemTotal"))
}

fn total_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_total_memory() {
        assert_eq!(total_kib("MemTotal:        3931180 kB\nMemFree: 1 kB\n"), Some(3_931_180));
        assert_eq!(total_kib("nothing"), None);
    }
}
