//! What the agent's bucket holds: the agents, and the notes of the instances about what held a meeting.
//! Only that is ever deleted; anything else was put there by somebody else and keeps the bucket.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use aws_sdk_s3::{
    operation::list_object_versions::ListObjectVersionsOutput,
    types::{Delete, ObjectIdentifier},
};
use jitsi_templates::layout::PROVEN_PREFIX;

use super::{agent_file::PREFIX, s3::NO_BUCKET};
use crate::{aws::Answer, cx::Cx, names::Names};

// So many are counted; who has put more there knows.
const COUNTED: usize = 1_000;

/// ARNs of what may lie in the bucket.
pub(super) fn arns(names: &Names) -> [String; 2] {
    [PREFIX, PROVEN_PREFIX].map(|prefix| format!("{}/{prefix}*", arn(names)))
}

/// The bucket's ARN.
pub(super) fn arn(names: &Names) -> String {
    format!("arn:{}:s3:::{}", names.partition(), names.agent_bucket())
}

/// Whether an object is an agent: under its SHA-256.
pub(super) fn is_agent(key: &str) -> bool {
    key.strip_prefix(PREFIX).is_some_and(|digest| {
        digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_ours(key: &str) -> bool {
    let note = key.strip_prefix(PROVEN_PREFIX).and_then(|note| note.strip_suffix(".json"));
    is_agent(key) || note.is_some_and(|note| !note.is_empty())
}

/// What somebody else has put into the bucket.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    keys: BTreeSet<String>,
}

impl Foreign {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// `12 objects`.
    pub(super) fn count(&self) -> String {
        match self.keys.len() {
            1 => "1 object".to_owned(),
            many if many < COUNTED => format!("{many} objects"),
            _ => format!("{COUNTED} objects or more"),
        }
    }

    /// Their keys.
    pub(super) fn into_keys(self) -> Vec<String> {
        self.keys.into_iter().collect()
    }

    fn add(&mut self, key: &str) {
        if self.keys.len() < COUNTED {
            self.keys.insert(key.to_owned());
        }
    }
}

/// Looks for what is not ours, and changes nothing.
pub(super) async fn look(cx: &Cx, bucket: &str) -> Result<Foreign> {
    let doing = format!("looking what is in bucket `{bucket}`");
    Ok(walk(cx, bucket, &doing, false).await?.unwrap_or_default())
}

/// Deletes every version of every object of ours; what is left. `None` when there is no bucket.
pub(super) async fn empty(cx: &Cx, bucket: &str) -> Result<Option<Foreign>> {
    walk(cx, bucket, &format!("emptying bucket `{bucket}`"), true).await
}

/// All versions, a page at a time.
async fn walk(cx: &Cx, bucket: &str, doing: &str, delete: bool) -> Result<Option<Foreign>> {
    let mut foreign = Foreign::default();
    let (mut key, mut version) = (None, None);
    loop {
        let page = cx
            .aws
            .s3
            .list_object_versions()
            .bucket(bucket)
            .expected_bucket_owner(cx.names.account())
            .set_key_marker(key)
            .set_version_id_marker(version)
            .send()
            .await
            .unless(&[NO_BUCKET], doing)?;
        let Some(page) = page else { return Ok(None) };
        let (ours, others): (Vec<_>, Vec<_>) =
            listed(&page).partition(|(key, _)| key.is_some_and(is_ours));
        others.into_iter().filter_map(|(key, _)| key).for_each(|key| foreign.add(key));
        if delete && !ours.is_empty() {
            let ours = ours.into_iter().map(|(key, version)| {
                ObjectIdentifier::builder()
                    .set_key(key.map(str::to_owned))
                    .set_version_id(version.map(str::to_owned))
                    .build()
            });
            remove(cx, bucket, ours.collect::<Result<_, _>>()?, doing).await?;
        }
        if page.is_truncated() != Some(true) || foreign.keys.len() >= COUNTED {
            return Ok(Some(foreign));
        }
        (key, version) = (page.next_key_marker, page.next_version_id_marker);
    }
}

/// Key and version of everything on a page, what marks a deletion included.
fn listed(page: &ListObjectVersionsOutput) -> impl Iterator<Item = (Option<&str>, Option<&str>)> {
    let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
    versions.chain(page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id())))
}

async fn remove(cx: &Cx, bucket: &str, objects: Vec<ObjectIdentifier>, doing: &str) -> Result<()> {
    let doomed = Delete::builder().set_objects(Some(objects)).quiet(true).build()?;
    let call = cx.aws.s3.delete_objects().bucket(bucket).delete(doomed);
    let answer = call.expected_bucket_owner(cx.names.account()).send().await.doing(doing)?;
    if let Some(error) = answer.errors().first() {
        bail!(
            "{doing}: {}: {}: {}",
            error.key().unwrap_or_default(),
            error.code().unwrap_or_default(),
            error.message().unwrap_or_default()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_agents_and_notes_are_ours() {
        let agent = format!("{PREFIX}{}", "0a".repeat(32));
        assert!(is_ours(&agent) && is_ours("proven/trixie/stable.json"));
        for key in
            ["agents/readme.txt", "agents/", "proven/", "proven/.json", "x/agents/y", "a.json"]
        {
            assert!(!is_ours(key), "{key}");
        }
        assert!(!is_ours(&format!("{agent}.bak")), "somebody's copy");
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let mut foreign = Foreign::default();
        (0..COUNTED + 5).for_each(|key| foreign.add(&key.to_string()));
        assert_eq!(foreign.count(), "1000 objects or more");
        assert_eq!(foreign.into_keys().len(), COUNTED);
    }
}
