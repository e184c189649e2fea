//! A maildir into which the deployment's mail is delivered, and what is new in it.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{error::Hinted, input_file};

/// A maildir, and the messages already looked at. A reader that moves a message from `new` to `cur`
/// keeps the part of its name before the colon (<https://cr.yp.to/proto/maildir.html>).
pub struct Maildir {
    path: PathBuf,
    known: BTreeSet<OsString>,
}

const FOLDERS: [&str; 2] = ["new", "cur"];
// SNS sends a few kB.
const LARGEST: u64 = 1024 * 1024;

impl Maildir {
    /// Takes note of what lies in `path` already.
    pub async fn open(path: &Path) -> Result<Self> {
        let mut maildir = Self { path: path.to_owned(), known: BTreeSet::new() };
        let listed = maildir.unread().await.map_err(|error| {
            Hinted::user(
                format!("{} is not a maildir: {error}", path.display()),
                "name the directory that holds `new`, `cur` and `tmp`: --maildir DIR",
            )
        })?;
        maildir.known.extend(listed.into_iter().map(|(name, _)| name));
        Ok(maildir)
    }

    /// The subject of a new message that names one of `words`, if there is one.
    pub async fn find(&mut self, words: &[String]) -> io::Result<Option<String>> {
        for (name, path) in self.unread().await? {
            let text = match input_file::read(&path, LARGEST) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                // Moved by its reader between the two calls: the next look finds it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
                // Too large or no file at all: none of ours.
                Err(_) => String::new(),
            };
            self.known.insert(name);
            if let Some(subject) = names(&text, words) {
                return Ok(Some(subject));
            }
        }
        Ok(None)
    }

    async fn unread(&self) -> io::Result<Vec<(OsString, PathBuf)>> {
        let mut unread = Vec::new();
        for folder in FOLDERS {
            let mut entries = tokio::fs::read_dir(self.path.join(folder)).await?;
            while let Some(entry) = entries.next_entry().await? {
                let name = unique(&entry.file_name());
                if !self.known.contains(&name) {
                    unread.push((name, entry.path()));
                }
            }
        }
        unread.sort();
        Ok(unread)
    }
}

/// The part of a message's name that stays.
fn unique(name: &OsString) -> OsString {
    let text = name.to_string_lossy();
    text.split_once(':').map_or_else(|| name.clone(), |(unique, _)| unique.into())
}

/// The subject, if the message names one of `words`. Quoted-printable text breaks lines with `=`.
fn names(message: &str, words: &[String]) -> Option<String> {
    let message = message.replace("\r\n", "\n").replace("=\n", "");
    if !words.iter().any(|word| message.contains(word)) {
        return None;
    }
    let head = message.split("\n\n").next().unwrap_or_default();
    let subject = head.lines().find_map(|line| line.strip_prefix("Subject: "));
    Some(subject.unwrap_or("without subject").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(maildir: &Path, name: &str, text: &str) {
        std::fs::write(maildir.join(name), text).unwrap();
    }

    #[tokio::test]
    async fn only_a_new_mail_that_names_the_victim_counts() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Maildir::open(directory.path()).await.is_err());
        for folder in ["new", "cur", "tmp"] {
            std::fs::create_dir(directory.path().join(folder)).unwrap();
        }
        let mail = |id: &str| format!("From: a\nSubject: Terminated\n\nInstance: {id}\n");
        deliver(directory.path(), "new/1", &mail("i-1"));
        let mut maildir = Maildir::open(directory.path()).await.unwrap();
        std::fs::rename(directory.path().join("new/1"), directory.path().join("cur/1:2,S"))
            .unwrap();
        deliver(directory.path(), "new/2", &mail("i-2"));
        let words = ["i-1".to_owned(), "ALARM: \"jitsi-healthy-hosts\"".to_owned()];
        assert_eq!(maildir.find(&words).await.unwrap(), None);
        deliver(directory.path(), "new/3", &mail("i-=\r\n1"));
        assert_eq!(maildir.find(&words).await.unwrap().as_deref(), Some("Terminated"));
        assert_eq!(maildir.find(&words).await.unwrap(), None);
    }
}
