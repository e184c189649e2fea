//! Which distribution this is: Jitsi's packages are supported on few.

use anyhow::{Result, anyhow};

use crate::advice::Advice;
use crate::retry::Hopeless;
use crate::system::{System, read_text};

/// A supported distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Os {
    /// `trixie`.
    pub(super) codename: String,
    /// Whether packages live in `universe` too.
    pub(super) ubuntu: bool,
}

pub(super) fn detect(system: &dyn System) -> Result<Os> {
    let text = read_text(system, "/etc/os-release")?.unwrap_or_default();
    supported(&text).ok_or_else(|| {
        let name = field(&text, "PRETTY_NAME").unwrap_or("this system");
        anyhow!(Hopeless::new(format!("{name} is not supported"))).context(Advice::new(
            "checking the distribution",
            "launch Debian 13 or 12, or Ubuntu 24.04 or 22.04: set instance.image in jitsi.toml",
        ))
    })
}

fn supported(os_release: &str) -> Option<Os> {
    let codename = field(os_release, "VERSION_CODENAME")?;
    let ubuntu = match (field(os_release, "ID")?, codename) {
        ("ubuntu", "jammy" | "noble") => true,
        ("debian", "bookworm" | "trixie") => false,
        _ => return None,
    };
    Some(Os { codename: codename.to_owned(), ubuntu })
}

/// A field of os-release(5), which is shell syntax of the simplest kind.
fn field<'a>(os_release: &'a str, name: &str) -> Option<&'a str> {
    os_release.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix('=')?;
        Some(value.trim_matches(|c| c == '"' || c == '\''))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::is_hopeless;
    use crate::system::fake::Fake;

    #[test]
    fn knows_the_supported_ones() {
        let ubuntu = "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nID=ubuntu\nVERSION_CODENAME=noble\n";
        assert_eq!(supported(ubuntu), Some(Os { codename: "noble".into(), ubuntu: true }));
        let debian = "ID=debian\nVERSION_CODENAME='bookworm'\n";
        assert_eq!(supported(debian), Some(Os { codename: "bookworm".into(), ubuntu: false }));
        let debian = "ID=debian\nVERSION_CODENAME=trixie\n";
        assert_eq!(supported(debian), Some(Os { codename: "trixie".into(), ubuntu: false }));
    }

    #[test]
    fn another_one_is_hopeless_and_named() {
        let system = Fake::with(&[("/etc/os-release", "ID=fedora\nPRETTY_NAME=\"Fedora 44\"\n")]);
        let error = detect(&system).unwrap_err();
        assert!(is_hopeless(&error));
        assert!(format!("{error:#}").contains("Fedora 44 is not supported"));
    }
}
