//! The real machine, or the part of it below a folder that tests prepare.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use async_trait::async_trait;
use nix::ifaddrs::getifaddrs;
use nix::sys::statvfs::statvfs;
use nix::unistd::{Gid, Group, Uid, User, chown};
use tokio::io::AsyncWriteExt as _;

use super::{Command, Output, Owner, System};

/// A program that takes longer is told of in the journal: a boot's time is mostly theirs.
const NOTEWORTHY: Duration = Duration::from_millis(100);

/// The machine this process runs on.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    /// Owners are set only on the real root: below a test's folder the users do not exist.
    owners: bool,
}

impl Host {
    /// The machine's files below `root`, `/` in service.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let owners = root == Path::new("/");
        Self { root, owners }
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

#[async_trait]
impl System for Host {
    async fn run(&self, command: &Command) -> Result<Output> {
        let began = Instant::now();
        let mut child = tokio::process::Command::new(&command.program)
            .args(&command.arguments)
            .envs(command.environment.iter().map(|(name, value)| (name, value)))
            .env("LC_ALL", "C.UTF-8")
            // The agent's own notification socket and credentials are nobody else's business.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting `{command}`"))?;
        let stdin = child.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read its input closes the pipe: its exit code tells more.
                let _ = stdin.write_all(command.input.as_bytes()).await;
            }
        };
        let finished = async { tokio::join!(feed, child.wait_with_output()).1 };
        let finished = tokio::time::timeout(command.limit, finished).await;
        let took = began.elapsed();
        if took >= NOTEWORTHY {
            tracing::info!("`{command}` took {} ms", took.as_millis());
        }
        match finished {
            Ok(output) => {
                let output = output.with_context(|| format!("waiting for `{command}`"))?;
                Ok(Output {
                    code: output.status.code(),
                    stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                    stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
                })
            }
            Err(_) => Ok(Output::default()),
        }
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        match fs::read(self.at(path)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if absent(&error) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32, owner: Owner<'_>) -> Result<()> {
        replace(&self.at(path), content, mode, self.ids(owner)?)
            .with_context(|| format!("writing {}", path.display()))
    }

    fn has_owner_and_mode(&self, path: &Path, mode: u32, owner: Owner<'_>) -> Result<bool> {
        let meta = match fs::metadata(self.at(path)) {
            Ok(meta) => meta,
            Err(error) if absent(&error) => return Ok(false),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let right = self.ids(owner)?.is_none_or(|(user, group)| {
            meta.uid() == user.as_raw() && meta.gid() == group.as_raw()
        });
        Ok(right && meta.mode() & 0o7777 == mode)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match fs::remove_file(self.at(path)) {
            Err(error) if !absent(&error) => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        let place = self.at(link);
        let make = || -> std::io::Result<()> {
            if let Some(folder) = place.parent() {
                fs::create_dir_all(folder)?;
            }
            let beside = beside(&place);
            let _ = fs::remove_file(&beside);
            symlink(target, &beside)?;
            fs::rename(&beside, &place)
        };
        make().with_context(|| format!("linking {} to {}", link.display(), target.display()))
    }

    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>> {
        match fs::read_link(self.at(path)) {
            Ok(target) => Ok(Some(target)),
            // EINVAL: there is something, and it is no link.
            Err(error) if absent(&error) || error.kind() == ErrorKind::InvalidInput => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        self.at(path).exists()
    }

    fn addresses(&self) -> Result<Vec<Ipv4Addr>> {
        let interfaces = getifaddrs().context("listing network interfaces")?;
        Ok(interfaces
            .filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()))
            .collect())
    }

    fn free_bytes(&self, path: &Path) -> Result<u64> {
        let stat = statvfs(&self.at(path))
            .with_context(|| format!("asking for free space of {}", path.display()))?;
        Ok(stat.blocks_free() * stat.fragment_size())
    }

    fn processors(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

impl Host {
    fn ids(&self, owner: Owner<'_>) -> Result<Option<(Uid, Gid)>> {
        if !self.owners {
            return Ok(None);
        }
        let user = User::from_name(owner.user)?
            .ok_or_else(|| anyhow!("the user `{}` does not exist", owner.user))?;
        let group = Group::from_name(owner.group)?
            .ok_or_else(|| anyhow!("the group `{}` does not exist", owner.group))?;
        Ok(Some((user.uid, group.gid)))
    }
}

fn absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The name a file has until it is complete.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".jitsi-agent-new");
    PathBuf::from(name)
}

/// Owner and mode are right before the file has its name, so no reader ever sees them wrong.
fn replace(path: &Path, content: &[u8], mode: u32, ids: Option<(Uid, Gid)>) -> Result<()> {
    let folder = path.parent().ok_or_else(|| anyhow!("a file needs a folder"))?;
    fs::create_dir_all(folder)?;
    let beside = beside(path);
    let _ = fs::remove_file(&beside);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    if let Some((user, group)) = ids {
        chown(&beside, Some(user), Some(group))?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // Without this the name may be lost in a crash although the content is not.
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn runs_feeds_and_bounds_programs() {
        let host = Host::new("/nowhere");
        let echoed = host.run(&Command::new("cat", [""; 0]).input("in\n")).await.unwrap();
        assert_eq!((echoed.code, echoed.stdout.as_str()), (Some(0), "in\n"));
        let slow = Command::new("sleep", ["30"]).limit(Duration::from_millis(20));
        assert_eq!(host.run(&slow).await.unwrap().code, None);
        let missing = host.run(&Command::new("no-such-program", [""; 0])).await.unwrap_err();
        assert!(format!("{missing:#}").contains("starting `no-such-program"));
    }

    #[test]
    fn replaces_a_file_with_mode_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(folder.path());
        let path = Path::new("/etc/jitsi/jvb.conf");
        assert_eq!(host.read(path).unwrap(), None);
        host.write(path, b"one", 0o640, Owner::ROOT).unwrap();
        host.write(path, b"two", 0o600, Owner::ROOT).unwrap();
        assert_eq!(host.read(path).unwrap().unwrap(), b"two");
        assert!(host.has_owner_and_mode(path, 0o600, Owner::ROOT).unwrap());
        assert!(!host.has_owner_and_mode(path, 0o640, Owner::ROOT).unwrap());
        assert_eq!(fs::read_dir(folder.path().join("etc/jitsi")).unwrap().count(), 1);
    }

    #[test]
    fn links_can_be_made_again_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(folder.path());
        let link = Path::new("/etc/nginx/sites-enabled/d.conf");
        for target in ["/a", "/b"] {
            host.symlink(Path::new(target), link).unwrap();
            assert_eq!(host.read_link(link).unwrap().unwrap(), Path::new(target));
        }
        host.remove(link).unwrap();
        host.remove(link).unwrap();
        assert_eq!(host.read_link(link).unwrap(), None);
    }
}
