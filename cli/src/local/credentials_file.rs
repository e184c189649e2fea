//! Our profile in the shared credentials file. Other profiles belong to other programs and people:
//! their bytes stay as they are, comments, line endings and odd spacing included.

use std::{
    collections::BTreeMap,
    env, fmt, iter,
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use aws_credential_types::Credentials;

use super::{home, secret_file};
use crate::{names::Names, tags::Foreign};

/// The shared credentials file.
#[derive(Debug)]
pub struct CredentialsFile {
    path: PathBuf,
}

/// One profile's properties, names in lower case. Holds a secret: shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile(BTreeMap<String, String>);

// As all AWS SDKs call them (SDKs and Tools reference guide, "Settings reference").
const KEY_ID: &str = "aws_access_key_id";
const SECRET: &str = "aws_secret_access_key";
const ACCOUNT: &str = "aws_account_id";
// Ours; SDKs pass over what they do not know.
const CHANGED: &str = "jitsi_aws_changed";
const REGION: &str = "jitsi_aws_region";

impl Profile {
    /// An access key of `account`.
    pub fn new(account: &str, key_id: &str, secret: &str) -> Self {
        let properties = [(KEY_ID, key_id), (SECRET, secret), (ACCOUNT, account)];
        Self(properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    /// The same, saying the region of the deployment the key is for.
    #[must_use]
    pub fn for_region(mut self, region: &str) -> Self {
        self.0.insert(REGION.to_owned(), region.to_owned());
        self
    }

    /// The same, saying when the key or what it may do was last changed.
    #[must_use]
    pub fn changed(mut self, at: SystemTime) -> Self {
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.0.insert(CHANGED.to_owned(), seconds.to_string());
        self
    }

    /// How long ago that was; `None` when it is not said.
    pub fn age(&self) -> Option<Duration> {
        let at = UNIX_EPOCH + Duration::from_secs(self.get(CHANGED)?.parse().ok()?);
        SystemTime::now().duration_since(at).ok()
    }

    /// The access key's id.
    pub fn key_id(&self) -> Option<&str> {
        self.get(KEY_ID)
    }

    /// The account the key is of; only profiles that we wrote are sure to tell.
    pub fn account(&self) -> Option<&str> {
        self.get(ACCOUNT)
    }

    /// The region of the deployment the key is for; profiles that early versions wrote do not tell.
    pub fn region(&self) -> Option<&str> {
        self.get(REGION)
    }

    /// Whether the key is, by what the profile says, that of the deployment of these names: a deployment of
    /// the same name in another account or region has a profile of the same name.
    pub fn is_of(&self, names: &Names) -> bool {
        self.account() == Some(names.account()) && self.region() == Some(names.region())
    }

    /// Why the key cannot be that of the deployment of these names, if it cannot.
    pub fn foreign(&self, names: &Names) -> Option<Foreign> {
        let name = names.deployment();
        match (self.account(), self.region()) {
            (None, _) => Some(Foreign::Other("jitsi-aws did not make it".to_owned())),
            (Some(account), region) if account != names.account() => {
                let region = region.map(|region| format!(" in {region}")).unwrap_or_default();
                Some(Foreign::Of(format!("{name}{region} of account {account}")))
            }
            (_, Some(region)) if region != names.region() => {
                Some(Foreign::Of(format!("{name} in {region}")))
            }
            _ => None,
        }
    }

    /// The access key, when it is whole.
    pub fn credentials(&self) -> Option<Credentials> {
        let (id, secret) = (self.key_id()?, self.get(SECRET)?);
        Some(Credentials::new(id, secret, None, None, "shared credentials file"))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn lines(&self, profile: &str) -> Vec<String> {
        let properties = self.0.iter().map(|(name, value)| format!("{name} = {value}"));
        iter::once(format!("[{profile}]")).chain(properties).collect()
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field(KEY_ID, &self.key_id()).finish_non_exhaustive()
    }
}

impl CredentialsFile {
    /// `AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`.
    pub fn standard() -> Result<Self> {
        let path = match env::var_os("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from) {
            Some(path) if !path.as_os_str().is_empty() => match path.strip_prefix("~") {
                Ok(below) => home()?.join(below), // as the SDKs do
                Err(_) => path,
            },
            _ => home()?.join(".aws").join("credentials"),
        };
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads one profile; `None` when the file or the profile does not exist.
    pub fn read(&self, profile: &str) -> Result<Option<Profile>> {
        Ok(secret_file::read(&self.path)?.and_then(|text| parse(&text, profile)))
    }

    /// Adds one profile, or replaces it in its place.
    pub fn write(&self, name: &str, profile: &Profile) -> Result<()> {
        let _lock = secret_file::lock(&self.path)?;
        let text = secret_file::read(&self.path)?.unwrap_or_default();
        secret_file::replace(&self.path, &edited(&text, name, &profile.lines(name)))
    }

    /// Notes in a profile, if it exists, that what its key may do was changed just now.
    pub fn note_change(&self, name: &str) -> Result<()> {
        match self.read(name)? {
            Some(profile) => self.write(name, &profile.changed(SystemTime::now())),
            None => Ok(()),
        }
    }

    /// Removes one profile; the file too when nothing else is in it.
    pub fn remove(&self, name: &str) -> Result<()> {
        if self.read(name)?.is_none() {
            return Ok(());
        }
        let _lock = secret_file::lock(&self.path)?;
        let text = secret_file::read(&self.path)?.unwrap_or_default();
        let rest = edited(&text, name, &[]);
        if rest.is_empty() && !self.path.is_symlink() {
            return secret_file::remove(&self.path);
        }
        secret_file::replace(&self.path, &rest)
    }
}

/// The properties of one profile; of several sections of that name together, as the SDKs do.
fn parse(text: &[u8], name: &str) -> Option<Profile> {
    let sections = sections(text, name);
    if sections.is_empty() {
        return None;
    }
    let lines = sections.into_iter().flat_map(|section| lines(&text[section]));
    // Indented lines continue the one above; nothing we read is continued.
    let lines = lines
        .filter(|line| !matches!(line.first(), Some(b' ' | b'\t')) && !is_blank_or_comment(line));
    let properties = lines.filter_map(|line| {
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once('=')?;
        let value = [" #", " ;", "\t#", "\t;"]
            .iter()
            .fold(value, |value, mark| value.split(mark).next().unwrap_or(value));
        Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    });
    Some(Profile(properties.collect()))
}

/// `text` with `new` in place of the first section called `name`, without any further ones, or with
/// `new` at the end. Undoes itself: what was added and then removed leaves every byte as it was.
fn edited(text: &[u8], name: &str, new: &[String]) -> Vec<u8> {
    let sections = sections(text, name);
    let mut result = Vec::with_capacity(text.len() + 256);
    let mut rest = 0;
    for (index, section) in sections.iter().enumerate() {
        result.extend_from_slice(&text[rest..section.start]);
        rest = section.end;
        let old = &text[section.clone()];
        if index == 0 && !new.is_empty() {
            write(&mut result, new, line_ending(old), old.ends_with(b"\n"));
        } else if !old.ends_with(b"\n") {
            // It was the last and its last line open: so shall the last line of the rest be.
            strip_line_ending(&mut result);
        }
    }
    result.extend_from_slice(&text[rest..]);
    if sections.is_empty() && !new.is_empty() {
        let ending = line_ending(text);
        // After an open last line comes a section whose last line is open: so removing it knows.
        let closed = text.is_empty() || text.ends_with(b"\n");
        if !closed {
            result.extend_from_slice(ending);
        }
        write(&mut result, new, ending, closed);
    }
    result
}

fn write(result: &mut Vec<u8>, lines: &[String], ending: &[u8], closed: bool) {
    result.extend_from_slice(lines.join(&*String::from_utf8_lossy(ending)).as_bytes());
    if closed {
        result.extend_from_slice(ending);
    }
}

fn strip_line_ending(text: &mut Vec<u8>) {
    if text.ends_with(b"\n") {
        text.pop();
        if text.ends_with(b"\r") {
            text.pop();
        }
    }
}

/// How the first line ends.
fn line_ending(text: &[u8]) -> &'static [u8] {
    match lines(text).next() {
        Some(line) if line.ends_with(b"\r\n") => b"\r\n",
        _ => b"\n",
    }
}

/// Where the sections called `name` are: from the header to the last property. Blank lines and
/// comments after that are somebody's words about what follows.
fn sections(text: &[u8], name: &str) -> Vec<Range<usize>> {
    let mut sections: Vec<Range<usize>> = Vec::new();
    let mut inside = false;
    let mut start = 0;
    for line in lines(text) {
        let end = start + line.len();
        if let Some(header) = header(line) {
            inside = header == name.as_bytes();
            if inside {
                sections.push(start..end);
            }
        } else if inside
            && !is_blank_or_comment(line)
            && let Some(section) = sections.last_mut()
        {
            section.end = end;
        }
        start = end;
    }
    sections
}

/// The name in a header line. An indented one counts as well: some readers take it for one.
fn header(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii().strip_prefix(b"[")?;
    let end = line.iter().position(|byte| *byte == b']').unwrap_or(line.len());
    Some(line[..end].trim_ascii())
}

fn is_blank_or_comment(line: &[u8]) -> bool {
    matches!(line.trim_ascii_start().first(), None | Some(b'#' | b';'))
}

/// Lines with their endings.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests;
