//! A file the agent owns: what it says, whose it is and who reads it.

use std::fmt;
use std::path::PathBuf;

/// Who must be told when a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consumer {
    /// apt, unattended-upgrades and needrestart read it when they run: nothing to restart.
    Apt,
    /// To be piped into `debconf-set-selections`, and not kept.
    Debconf,
    /// `sysctl --system`.
    Sysctl,
    /// The packet filter's rules of [`crate::layout::METADATA_UNIT`].
    Metadata,
    /// `systemctl daemon-reload`, before any restart.
    Systemd,
    /// The service `prosody`.
    Prosody,
    /// The service `jicofo`.
    Jicofo,
    /// The service `jitsi-videobridge2`.
    Videobridge,
    /// The service `nginx`; a reload is enough.
    Nginx,
    /// Read afresh by whoever wants it (static files nginx serves).
    Nobody,
}

/// A file to be written whole.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedFile {
    /// Absolute path.
    pub path: PathBuf,
    /// Owning user, by name.
    pub owner: &'static str,
    /// Owning group, by name.
    pub group: &'static str,
    /// Permission bits.
    pub mode: u32,
    /// The file's text.
    pub contents: String,
    /// Whether `contents` holds a secret: such a text is shown to nobody, differences included.
    pub secret: bool,
    /// Who must be told when it has changed.
    pub consumer: Consumer,
    /// Absolute path of a symbolic link that must point to the file, as in `sites-enabled`.
    pub link: Option<PathBuf>,
}

impl OwnedFile {
    /// A file of root's that everybody may read.
    pub(crate) fn new(path: impl Into<PathBuf>, consumer: Consumer, contents: String) -> Self {
        Self {
            path: path.into(),
            owner: "root",
            group: "root",
            mode: 0o644,
            contents,
            secret: false,
            consumer,
            link: None,
        }
    }

    pub(crate) fn owned_by(mut self, owner: &'static str, group: &'static str) -> Self {
        (self.owner, self.group) = (owner, group);
        self
    }

    pub(crate) fn secret(mut self, mode: u32) -> Self {
        (self.secret, self.mode) = (true, mode);
        self
    }

    pub(crate) fn linked(mut self, link: impl Into<PathBuf>) -> Self {
        self.link = Some(link.into());
        self
    }
}

impl fmt::Debug for OwnedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedFile")
            .field("path", &self.path)
            .field("owner", &self.owner)
            .field("group", &self.group)
            .field("mode", &format_args!("{:o}", self.mode))
            .field("secret", &self.secret)
            .field("consumer", &self.consumer)
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}
