//! Which Prosody modules exist: Prosody starts with an unknown one and only logs an error, so the
//! agent looks on disk before it writes a name.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Names of Prosody modules, without `mod_` and `.lua`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProsodyModules(BTreeSet<String>);

impl ProsodyModules {
    /// The modules in `directories` (`layout::PROSODY_PLUGINS` on an instance): `mod_x.lua` and
    /// `mod_x/mod_x.lua`. A directory that does not exist holds none.
    pub fn on_disk(directories: &[impl AsRef<Path>]) -> io::Result<Self> {
        let mut names = BTreeSet::new();
        for directory in directories {
            let entries = match std::fs::read_dir(directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                let file_name = entry.file_name();
                let Some(name) = file_name.to_str().and_then(|n| n.strip_prefix("mod_")) else {
                    continue;
                };
                if let Some(name) = name.strip_suffix(".lua") {
                    names.insert(name.to_owned());
                } else if entry.path().join(format!("mod_{name}.lua")).is_file() {
                    names.insert(name.to_owned());
                }
            }
        }
        Ok(Self(names))
    }

    /// Whether `name` is there.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

impl<S: Into<String>> FromIterator<S> for ProsodyModules {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}
