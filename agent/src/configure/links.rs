//! Links that enable a file, and what packages put in the way of ours.

use std::path::Path;

use anyhow::Result;
use jitsi_templates::{Consumer, OwnedFile, layout};

use crate::system::System;

/// Whose configuration an unwanted file is part of.
fn reader(path: &str) -> Consumer {
    if path.starts_with("/etc/nginx/") { Consumer::Nginx } else { Consumer::Prosody }
}

/// Puts the links in place and removes what is unwanted; says who must be told.
pub(super) fn ensure(system: &dyn System, files: &[OwnedFile]) -> Result<Vec<Consumer>> {
    let mut told = Vec::new();
    for file in files {
        let Some(link) = &file.link else { continue };
        if system.read_link(link)?.as_deref() != Some(&file.path) {
            system.symlink(&file.path, link)?;
            told.push(file.consumer);
        }
    }
    for unwanted in layout::UNWANTED {
        let path = Path::new(unwanted);
        if system.read_link(path)?.is_some() || system.exists(path) {
            system.remove(path)?;
            told.push(reader(unwanted));
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configure::tests::file;
    use crate::system::fake::Fake;

    #[test]
    fn enables_once_and_then_tells_nobody() {
        let system = Fake::with(&[(layout::UNWANTED[0], ""), (layout::UNWANTED[1], "")]);
        let mut site = file("/etc/prosody/conf.avail/d.cfg.lua", Consumer::Prosody);
        site.link = Some("/etc/prosody/conf.d/d.cfg.lua".into());
        let files = [site, file("/etc/jitsi/videobridge/jvb.conf", Consumer::Videobridge)];
        assert_eq!(
            ensure(&system, &files).unwrap(),
            [Consumer::Prosody, Consumer::Nginx, Consumer::Prosody]
        );
        assert!(ensure(&system, &files).unwrap().is_empty());
    }
}
