//! The stand-ins for Jitsi's programs and Prosody modules, and the Python they run on.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The programs `jvb`, `jicofo` and `people`.
pub fn programs() -> PathBuf {
    repository().join("tests/sandbox/standins")
}

/// The Prosody modules: those in `JITSI_PROSODY_PLUGINS`, such as Jitsi's own, if that is set.
pub fn prosody_plugins() -> PathBuf {
    let package =
        "tests/sandbox/packages/jitsi-meet-prosody/root/usr/share/jitsi-meet/prosody-plugins";
    std::env::var_os("JITSI_PROSODY_PLUGINS")
        .map_or_else(|| repository().join(package), PathBuf::from)
}

/// `STANDIN_PYTHON`, the virtual environment below `target/`, or the system's, whichever fits first.
pub fn python() -> Result<PathBuf, String> {
    let candidates = std::env::var_os("STANDIN_PYTHON")
        .map(PathBuf::from)
        .into_iter()
        .chain([repository().join("target/venv/bin/python"), "python3".into()]);
    for python in candidates {
        let imports = "import aiohttp, aioice, OpenSSL, pyhocon, slixmpp";
        let tried = Command::new(&python).args(["-c", imports]).stderr(Stdio::null()).status();
        if tried.is_ok_and(|status| status.success()) {
            return Ok(python);
        }
    }
    Err("no Python has tests/sandbox/standins/requirements.txt".into())
}

fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // Without `..`, as other programs are told the path.
    root.canonicalize().unwrap_or(root)
}
