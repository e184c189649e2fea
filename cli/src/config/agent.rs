//! `[agent] binary`: the program put on instances, or the directory the built ones lie in.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use jitsi_templates::settings::Problem;

use super::Architecture;
use crate::input_file;

/// The program itself, or the one for `architecture` in a directory.
pub(super) fn file(path: PathBuf, architecture: Architecture) -> PathBuf {
    if path.is_dir() { path.join(name(architecture)) } else { path }
}

/// Beside the program `beside`: the one that `scripts/build-agent` made for `architecture`, else the
/// one that was built together with it, for this machine.
pub(super) fn default(beside: &Path, architecture: Architecture) -> PathBuf {
    let [built, own] = [&name(architecture), "jitsi-agent"].map(|name| beside.with_file_name(name));
    if own.exists() && !built.exists() { own } else { built }
}

fn name(architecture: Architecture) -> String {
    format!("jitsi-agent-{}", architecture.machine())
}

/// What is wrong with a file that should be the agent, as far as its name tells.
pub(super) fn missing(path: &Path, architecture: Architecture) -> Option<Problem> {
    let reason = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => return None,
        Ok(_) => "is not a file".to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            format!("does not exist; `scripts/build-agent {}` makes it", architecture.machine())
        }
        Err(error) => format!("cannot be read: {}", input_file::why(&error)),
    };
    Some(Problem::with_value("agent.binary", &path.display().to_string().into(), reason))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_built_one_is_preferred_to_this_machines() {
        let dir = TempDir::new().unwrap();
        let program = dir.path().join("jitsi-aws");
        let chosen = |architecture| {
            default(&program, architecture).file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(chosen(Architecture::Arm), "jitsi-agent-aarch64", "what to build is said");
        fs::write(dir.path().join("jitsi-agent"), "").unwrap();
        assert_eq!(chosen(Architecture::X86), "jitsi-agent");
        fs::write(dir.path().join("jitsi-agent-x86_64"), "").unwrap();
        assert_eq!(chosen(Architecture::X86), "jitsi-agent-x86_64");
    }

    #[test]
    fn a_directory_holds_one_for_each_processor() {
        let dir = TempDir::new().unwrap();
        let path = file(dir.path().to_owned(), Architecture::Arm);
        assert_eq!(path, dir.path().join("jitsi-agent-aarch64"));
        let said = missing(&path, Architecture::Arm).unwrap().to_string();
        assert!(said.ends_with("does not exist; `scripts/build-agent aarch64` makes it"), "{said}");
        assert_eq!(file(path.clone(), Architecture::Arm), path);
    }
}
