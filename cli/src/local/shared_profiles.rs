//! What the shared configuration and credentials files say of a profile, read as all AWS SDKs read them (SDKs and
//! Tools reference guide, "Using shared config and credentials files"), to tell which line keeps it from giving
//! credentials: the SDK itself names a file only as "the profile file".

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use super::{credential_faults::shown, home};
use crate::input_file;

/// Both files.
#[derive(Debug, Default)]
pub(super) struct SharedProfiles {
    /// Where they are, or would be.
    pub(super) paths: Vec<PathBuf>,
    sections: BTreeMap<(Kind, String), Section>,
}

/// What a section is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// `[NAME]` of the credentials file, `[profile NAME]` of the other.
    Profile,
    /// `[sso-session NAME]`.
    SsoSession,
    /// Another.
    Other,
}

/// One section, its properties of both files together.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    /// Its first file and line: `/home/me/.aws/config, line 3`.
    pub(super) place: String,
    properties: BTreeMap<String, Property>,
}

/// One property.
#[derive(Clone, Debug)]
pub(super) struct Property {
    /// What stands behind the `=`.
    pub(super) value: String,
    /// Its file and line.
    pub(super) place: String,
}

impl Section {
    /// A property that has a value.
    pub(super) fn get(&self, name: &str) -> Option<&Property> {
        self.properties.get(name).filter(|property| !property.value.is_empty())
    }
}

impl SharedProfiles {
    /// Reads both files; what cannot be understood is an error that says where.
    pub(super) fn read() -> Result<Self, String> {
        let mut profiles = Self::default();
        for (variable, standard, plain) in [
            ("AWS_CONFIG_FILE", ".aws/config", false),
            ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", true),
        ] {
            let Some(path) = place(variable, standard) else { continue };
            profiles.paths.push(path.clone());
            let Ok(bytes) = input_file::read(&path, input_file::TEXT) else { continue };
            let text = String::from_utf8(bytes)
                .map_err(|_| format!("{} is not text in UTF-8", shown(&path)))?;
            profiles.add(&path, &text, plain)?;
        }
        Ok(profiles)
    }

    /// What these files, each a path and its text, say.
    #[cfg(test)]
    pub(super) fn of(files: [(&str, &str, bool); 2]) -> Result<Self, String> {
        let mut profiles = Self::default();
        for (path, text, plain) in files {
            profiles.paths.push(path.into());
            profiles.add(Path::new(path), text, plain)?;
        }
        Ok(profiles)
    }

    /// A section.
    pub(super) fn get(&self, kind: Kind, name: &str) -> Option<&Section> {
        self.sections.get(&(kind, name.to_owned()))
    }

    /// Adds what a file says; in a `plain` one every section is a profile.
    fn add(&mut self, path: &Path, text: &str, plain: bool) -> Result<(), String> {
        let mut section: Option<(Kind, String)> = None;
        let mut last = false;
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}, line {}", shown(path), number + 1);
            let bare = line.trim();
            if bare.is_empty() || bare.starts_with(['#', ';']) {
                continue;
            }
            if line.starts_with([' ', '\t']) && last {
                continue; // of the property above
            }
            if let Some(header) = bare.strip_prefix('[') {
                let Some((name, _)) = header.split_once(']') else {
                    return Err(format!("{place}: a section that does not end with `]`"));
                };
                let key = named(name, plain);
                self.sections
                    .entry(key.clone())
                    .or_insert_with(|| Section { place, ..Section::default() });
                (section, last) = (Some(key), false);
                continue;
            }
            let Some(key) = &section else {
                return Err(format!("{place}: stands before the first `[section]`"));
            };
            let Some((name, value)) = bare.split_once('=') else {
                // Whatever stands there may be a secret.
                return Err(format!("{place}: is neither `[section]` nor `name = value`"));
            };
            let property = Property { value: value.trim().to_owned(), place };
            let properties = self.sections.get_mut(key).map(|section| &mut section.properties);
            if let Some(properties) = properties {
                properties.insert(name.trim().to_ascii_lowercase(), property);
            }
            last = true;
        }
        Ok(())
    }
}

fn named(name: &str, plain: bool) -> (Kind, String) {
    let name = name.trim();
    let words = name.split_once([' ', '\t']).map(|(kind, name)| (kind, name.trim().to_owned()));
    match words {
        _ if plain => (Kind::Profile, name.to_owned()),
        Some(("profile", name)) => (Kind::Profile, name),
        Some(("sso-session", name)) => (Kind::SsoSession, name),
        None if name == "default" => (Kind::Profile, name.to_owned()),
        _ => (Kind::Other, name.to_owned()),
    }
}

fn place(variable: &str, standard: &str) -> Option<PathBuf> {
    let named = env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    match named {
        Some(path) => match path.strip_prefix("~") {
            Ok(below) => Some(home().ok()?.join(below)), // as the SDKs do
            Err(_) => Some(path),
        },
        None => Some(home().ok()?.join(standard)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, plain: bool) -> Result<SharedProfiles, String> {
        let mut profiles = SharedProfiles::default();
        profiles.add(Path::new("f"), text, plain).map(|()| profiles)
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for (text, told) in [
            ("[default\nx = 1", "f, line 1: a section that does not end with `]`"),
            ("# a\n\nx = 1", "f, line 3: stands before the first `[section]`"),
            ("[a]\nhunter2", "f, line 2: is neither `[section]` nor `name = value`"),
        ] {
            assert_eq!(read(text, true).unwrap_err(), told);
        }
    }

    #[test]
    fn both_files_name_profiles_in_their_own_way() {
        let plain = read("[a b]\r\nx=1 \r\n", true).unwrap();
        let property = plain.get(Kind::Profile, "a b").unwrap().get("x").unwrap().clone();
        assert_eq!((property.value.as_str(), property.place.as_str()), ("1", "f, line 2"));
        let text =
            "[profile a]\ns3 =\n  max = 1\n[sso-session b]\n[default]\nX = 2\n[services c]\n";
        let other = read(text, false).unwrap();
        assert!(other.get(Kind::SsoSession, "b").is_some());
        assert!(other.get(Kind::Profile, "a").unwrap().get("s3").is_none(), "has no value itself");
        assert_eq!(other.get(Kind::Profile, "default").unwrap().get("x").unwrap().value, "2");
        assert!(other.get(Kind::Profile, "c").is_none());
    }
}
