//! The set of packages that held a meeting, noted in the agent's bucket: the next instance installs
//! it again and not what was published meanwhile. One note for each distribution and each version
//! asked for; nothing changes it but another `version` in `[jitsi]`, or a repository that no longer
//! has one of its packages.

use std::time::Duration;

use anyhow::{Context as _, Result};
use jitsi_templates::Versions;
use jitsi_templates::layout::PROVEN_PREFIX;
use serde::{Deserialize, Serialize};

use crate::bucket::{Bucket, Object};
use crate::imds::Imds;
use crate::install;
use crate::node::Node;
use crate::retry::retry;

/// Longest wait for the note before an installation without it: S3 gave the agent a minute ago.
const READ_LIMIT: Duration = Duration::from_mins(5);
/// The instance serves by then; a note that is missing is made by the next one.
const WRITE_LIMIT: Duration = Duration::from_mins(15);

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    packages: Versions,
    /// The instance on which they first held a meeting.
    instance: String,
}

/// What was proven, for an installation; without it the newest is installed, which the log tells.
pub(crate) async fn read(node: &Node) -> Option<Versions> {
    // A system that is not supported is the installation's to tell.
    key(node).ok()?;
    let found = retry("looking for the packages that held a meeting", READ_LIMIT, || async {
        let bucket = Bucket::of(node, &Imds::of(&node.machine.root)?).await?;
        look(node, &bucket).await
    });
    match found.await {
        Ok(found) => found.map(|(note, _)| note.packages),
        Err(error) => {
            tracing::warn!("{error:#}; installing what the repositories have");
            None
        }
    }
}

/// Notes what is installed, after a meeting was held with it, unless something else is noted that
/// can still be installed. Never fails: nothing waits for it.
pub(crate) async fn remember(node: &Node) {
    let noted = retry("noting the packages that held a meeting", WRITE_LIMIT, || async {
        let installed = install::versions(node.system(), &node.settings).await?;
        let bucket = Bucket::of(node, &Imds::of(&node.machine.root)?).await?;
        let former = look(node, &bucket).await?;
        if let Some((note, _)) = &former {
            let differs = |(name, version): (&String, &String)| {
                installed.get(name).is_some_and(|there| there != version)
            };
            if !note.packages.iter().any(differs) {
                return Ok(false);
            }
            let gone = install::unavailable(node.system(), &note.packages).await?;
            tracing::warn!(
                "installed are {} instead of the proven {}{}",
                install::line(&installed),
                install::line(&note.packages),
                if gone.is_empty() { "" } else { ", of which the repositories lack some" }
            );
            if gone.is_empty() {
                return Ok(false);
            }
        }
        let note = Note { packages: installed, instance: node.identity().instance_id };
        let text = serde_json::to_string_pretty(&note).context("the note")?;
        let former = former.as_ref().map(|(_, object)| object);
        bucket.put(&key(node)?, &text, former).await
    });
    match noted.await {
        Ok(true) => tracing::info!("noted the packages for the next instance"),
        Ok(false) => {}
        Err(error) => tracing::warn!("{error:#}"),
    }
}

async fn look(node: &Node, bucket: &Bucket<'_>) -> Result<Option<(Note, Object)>> {
    let key = key(node)?;
    let Some(object) = bucket.get(&key).await? else { return Ok(None) };
    // What somebody broke by hand is no reason to have no server.
    match serde_json::from_str(&object.text) {
        Ok(note) => Ok(Some((note, object))),
        Err(error) => {
            tracing::warn!("{key} in the agent's bucket is no note of packages: {error}");
            Ok(None)
        }
    }
}

/// `proven/trixie/newest.json`.
fn key(node: &Node) -> Result<String> {
    let codename = install::codename(node.system())?;
    let asked = node.settings.jitsi.version.as_deref().unwrap_or("newest");
    Ok(format!("{PROVEN_PREFIX}{codename}/{asked}.json"))
}
