//! Which Prosody modules exist: Prosody starts with an unknown one and only logs an error, so the
//! agent looks on disk before it writes a name.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Names of Prosody modules, without `mod_` and `.lua`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProsodyModules(BTreeSet<String>);

impl ProsodyModules {
    /// The modules an open site needs at least.
    pub const LEAST: [&str; 9] = [
        "auth_jitsi-anonymous",
        "bosh",
        "limits",
        "muc",
        "muc_hide_all",
        "muc_meeting_id",
        "ping",
        "smacks",
        "websocket",
    ];

    /// The modules in `directories` ([`crate::layout::PROSODY_PLUGINS`] on an instance), in any of
    /// the places Prosody's `util.pluginloader` looks: `mod_x.lua`, `x/mod_x.lua`,
    /// `mod_x/mod_x.lua`, `mod_x/x/mod_x.lua`. A directory that does not exist holds none.
    pub fn on_disk(directories: &[impl AsRef<Path>]) -> io::Result<Self> {
        let mut names = BTreeSet::new();
        for directory in directories {
            let entries = match std::fs::read_dir(directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                names.extend(module_in(&entry?.path()));
            }
        }
        Ok(Self(names))
    }

    /// Whether `name` is there.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// The module that `path`, an entry of a plugin directory, is or holds.
fn module_in(path: &Path) -> Option<String> {
    let file_name = path.file_name()?.to_str()?;
    if let Some(name) = file_name.strip_prefix("mod_").and_then(|rest| rest.strip_suffix(".lua")) {
        return path.is_file().then(|| name.to_owned());
    }
    let name = file_name.strip_prefix("mod_").unwrap_or(file_name);
    let module = format!("mod_{name}.lua");
    let places = [path.join(&module), path.join(name).join(&module)];
    places.iter().any(|place| place.is_file()).then(|| name.to_owned())
}

impl<S: Into<String>> FromIterator<S> for ProsodyModules {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}
