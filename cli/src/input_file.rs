//! Files that others wrote, read with care: only regular ones, which do not block for ever and have an
//! end, and only up to a size that makes sense. `/dev/zero` as a credentials file fills all memory else.

use std::{
    fs::{self, File, FileType},
    io::{self, ErrorKind, Read as _},
    os::unix::fs::FileTypeExt as _,
    path::Path,
};

/// The largest file of text: configuration, credentials, keys, certificates. Thousands of profiles fit.
pub const TEXT: u64 = 16 << 20;
/// The largest program: thirty times the agent.
pub const PROGRAM: u64 = 256 << 20;

/// Reads all of a file of at most `limit` bytes.
///
/// # Errors
/// As [`std::fs::read`], and what is no regular file or is larger; the error says which.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    check(path, limit)?;
    // Looked at again once it is open: it may be another one by now, or grow.
    let file = File::open(path)?;
    let known = file.metadata()?;
    regular(known.file_type())?;
    let mut bytes = Vec::with_capacity(usize::try_from(known.len().min(limit)).unwrap_or(0));
    file.take(limit + 1).read_to_end(&mut bytes)?;
    fits(bytes.len() as u64, limit)?;
    Ok(bytes)
}

/// As [`read`], of text.
///
/// # Errors
/// As [`read`], and `InvalidData` where it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path, TEXT)?)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Whether somebody else, the SDK, may read it whole.
///
/// # Errors
/// As [`read`]; whether it may be read at all is not tried.
pub fn check(path: &Path, limit: u64) -> io::Result<()> {
    let known = fs::metadata(path)?;
    regular(known.file_type())?;
    fits(known.len(), limit)
}

/// Why a file could not be read, without the number of the system's error.
pub fn why(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((words, _)) => {
            let mut letters = words.chars();
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            first.into_iter().chain(letters).collect()
        }
        None => text,
    }
}

fn regular(kind: FileType) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    if kind.is_dir() {
        return Err(io::Error::new(ErrorKind::IsADirectory, "is a directory"));
    }
    let what = if kind.is_fifo() {
        "is a pipe, not a regular file"
    } else if kind.is_socket() {
        "is a socket, not a regular file"
    } else {
        "is a device, not a regular file"
    };
    Err(io::Error::other(what))
}

fn fits(length: u64, limit: u64) -> io::Result<()> {
    if length <= limit {
        return Ok(());
    }
    let limit = limit >> 20;
    Err(io::Error::new(ErrorKind::FileTooLarge, format!("is larger than {limit} MiB")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_of_a_sensible_size_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "text").unwrap();
        assert_eq!(read(&file, 4).unwrap(), b"text");
        let said = |path: &Path, limit| read(path, limit).unwrap_err().to_string();
        assert_eq!(said(&file, 3), "is larger than 0 MiB");
        assert_eq!(said(Path::new("/dev/zero"), TEXT), "is a device, not a regular file");
        assert_eq!(said(directory.path(), TEXT), "is a directory");
        let socket = directory.path().join("socket");
        let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(said(&socket, TEXT), "is a socket, not a regular file");
        // As large as it says, though nothing of it is on the disk.
        File::create(&file).unwrap().set_len(TEXT + 1).unwrap();
        assert_eq!(said(&file, TEXT), "is larger than 16 MiB");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        assert_eq!(said(&link, TEXT), "is a device, not a regular file");
    }

    #[test]
    fn the_systems_words_are_told_without_its_number() {
        let error = read(Path::new("/nowhere"), TEXT).unwrap_err();
        assert_eq!(why(&error), "no such file or directory");
    }
}
