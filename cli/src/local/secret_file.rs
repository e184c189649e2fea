//! Writing files that hold secrets: whole or not at all, and readable by their owner alone.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

use crate::{error::Hinted, input_file};

const OWNER_ONLY: u32 = 0o600;
const OWNER_ONLY_DIRECTORY: u32 = 0o700;

/// Replaces what `path`, or the file it links to, holds. A mode narrower than 0600 stays as it is.
pub(super) fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    let path = target(path);
    let new = beside(&path, contents)?;
    match fs::metadata(&path) {
        Ok(old) => {
            let mode = old.mode() & OWNER_ONLY;
            new.as_file().set_permissions(Permissions::from_mode(mode))?;
            let ours = new.as_file().metadata()?;
            if (ours.uid(), ours.gid()) != (old.uid(), old.gid()) {
                // Under sudo the file is still its owner's.
                fchown(new.as_file(), Some(old.uid()), Some(old.gid()))
                    .with_context(|| format!("keeping the owner of {}", path.display()))?;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    }
    new.persist(&path).with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

/// Writes a new file; one that exists already is an error.
pub(super) fn create(path: &Path, contents: &[u8]) -> Result<()> {
    let new = beside(path, contents)?;
    new.persist_noclobber(path).with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

/// Removes a file; already gone is fine.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Reads a file; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match input_file::read(path, input_file::TEXT) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error).into()),
    }
}

/// A file that is there and cannot be used.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Hinted {
    Hinted::user(
        format!("{} cannot be read: {}", path.display(), input_file::why(error)),
        "correct it or move it away, or name another one where a variable of the environment names it",
    )
}

/// Keeps other runs of this program from writing into the directory of `path` until dropped.
pub(super) fn lock(path: &Path) -> Result<File> {
    let directory = directory(&target(path))?;
    let opened = File::open(&directory);
    let opened = opened.with_context(|| format!("opening {}", directory.display()))?;
    // Some network file systems cannot lock a directory. Without the lock only two runs that write
    // in the same millisecond could lose one's profile, and the next run would make it anew.
    drop(opened.lock());
    Ok(opened)
}

/// A temporary file in the same directory, and so on the same file system, with mode 0600.
fn beside(path: &Path, contents: &[u8]) -> Result<NamedTempFile> {
    let writing = || format!("writing {}", path.display());
    let mut new = NamedTempFile::new_in(directory(path)?).with_context(writing)?;
    new.as_file().set_permissions(Permissions::from_mode(OWNER_ONLY)).with_context(writing)?;
    new.write_all(contents).with_context(writing)?;
    new.as_file().sync_all().with_context(writing)?;
    Ok(new)
}

/// The directory of a file, made if need be, then with mode 0700.
fn directory(path: &Path) -> Result<PathBuf> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    DirBuilder::new()
        .recursive(true)
        .mode(OWNER_ONLY_DIRECTORY)
        .create(&directory)
        .with_context(|| format!("making {}", directory.display()))?;
    Ok(directory)
}

/// Where a chain of links ends, whether there is anything or not.
fn target(path: &Path) -> PathBuf {
    // As many as Linux follows (path_resolution(7)).
    const MAX_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(next) = fs::read_link(&path) else { break };
        path = path.parent().map_or(next.clone(), |parent| parent.join(&next));
    }
    path
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_new_file_and_its_directory_are_the_owners_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".aws/credentials");
        replace(&path, b"secret").unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read(&path).unwrap(), b"secret");
    }

    #[test]
    fn modes_only_get_narrower() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("credentials");
        for (before, after) in [(0o644, 0o600), (0o600, 0o600), (0o400, 0o400), (0o777, 0o600)] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
            replace(&path, b"new").unwrap();
            assert_eq!(mode(&path), after, "{before:o}");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn links_are_followed_and_stay_links() {
        let home = tempfile::tempdir().unwrap();
        let (dotfiles, path) = (home.path().join("dotfiles"), home.path().join("credentials"));
        fs::create_dir(&dotfiles).unwrap();
        symlink("dotfiles/first", &path).unwrap();
        symlink("second", dotfiles.join("first")).unwrap();
        for contents in ["made through a dangling link", "replaced"] {
            replace(&path, contents.as_bytes()).unwrap();
            assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
            assert_eq!(fs::read_to_string(dotfiles.join("second")).unwrap(), contents);
        }
    }

    #[test]
    fn what_exists_is_not_overwritten_by_a_new_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        create(&path, b"first").unwrap();
        assert!(create(&path, b"second").is_err());
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"first".to_vec(), 0o600));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
