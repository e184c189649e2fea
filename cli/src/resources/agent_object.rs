//! The agent in its bucket, addressed by its SHA-256: uploaded once, and again only where something else has taken its
//! place. One that the launch template no longer names is stale.

use anyhow::Result;
use async_trait::async_trait;
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{ChecksumMode, ObjectStorageClass},
};
use aws_smithy_types::base64;

use super::{
    agent_file::{AgentFile, PREFIX},
    bucket_contents::{self as contents, is_agent},
};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Drift, Found, Key, Resource, Stage},
    names::Names,
    policy::Permission,
    tags::{self, Owner},
};

/// The agent's binary.
pub struct AgentBinary;

const BINARY: &str = "binary";
const CONTENT: &str = "content";
const STORAGE_CLASS: &str = "storage class";

#[async_trait]
impl Resource for AgentBinary {
    fn name(&self, _cx: &Cx) -> String {
        "jitsi-agent".to_owned()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let bucket = format!("arn:{}:s3:::{}", names.partition(), names.agent_bucket());
        vec![
            Permission { write: false, ..Permission::write(&["s3:ListBucket"]).on([bucket]) },
            // As the bucket, so that they share a statement.
            Permission::write(&["s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject"])
                .on(contents::arns(names)),
            Permission::read(&["s3:GetObject"]).on(contents::arns(names)),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let Some(bucket) = cx.id(&Key::AgentBucket) else { return Ok(Vec::new()) };
        let agent = AgentFile::read(&cx.config).await;
        let call = cx.aws.s3.list_objects_v2().bucket(&bucket).prefix(PREFIX);
        let call = call.expected_bucket_owner(cx.names.account());
        let mut pages = call.into_paginator().send();
        let mut all = Vec::new();
        while let Some(page) = pages.next().await {
            for object in page.doing(format!("listing the agents in `{bucket}`"))?.contents() {
                let key = object.key().unwrap_or_default();
                if !is_agent(key) {
                    continue; // somebody else's, whatever its name
                }
                let size = object.size().unwrap_or_default();
                // What we put into our bucket is ours.
                let mut found = Found::new(key, Owner::Ours).detail(detail(key, size));
                match &agent {
                    Ok(agent) if key == agent.key() => {
                        let content = content(cx, &bucket, key, &agent.digest).await?;
                        found.compare(CONTENT, content, THE_AGENT);
                        // Nobody can read what is there before somebody has restored it.
                        if let Some(class) = object.storage_class().filter(|class| archived(class))
                        {
                            found.compare(STORAGE_CLASS, class, ObjectStorageClass::Standard);
                        }
                    }
                    Ok(_) => found.stale = true,
                    // What lies there can still be deleted.
                    Err(why) => found.drift.push(Drift {
                        field: BINARY,
                        actual: key.to_owned(),
                        wanted: why.to_string(),
                        effect: None,
                    }),
                }
                all.push(found);
            }
        }
        Ok(all)
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let agent = AgentFile::read(&cx.config).await?;
        let (bucket, key) = (cx.need(&Key::AgentBucket)?, agent.key());
        let tags: Vec<String> = tags::new(&cx.names, Stage::Instances, &self.name(cx))
            .iter()
            .map(|(key, value)| format!("{}={value}", key.replace(':', "%3A")))
            .collect();
        let doing = format!("uploading the agent to `{bucket}/{key}`");
        cx.aws
            .s3
            .put_object()
            .bucket(bucket)
            .expected_bucket_owner(cx.names.account())
            .key(&key)
            // S3 refuses what arrives otherwise, and keeps this with the object.
            .checksum_sha256(base64::encode(agent.digest))
            .tagging(tags.join("&"))
            .body(ByteStream::from(agent.bytes))
            .send()
            .await
            .doing(doing)?;
        Ok(key)
    }

    /// A binary that cannot be used says why, and whatever lies in its place is written anew.
    async fn update(&self, cx: &Cx, _found: &Found) -> Result<()> {
        self.create(cx).await.map(drop)
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        let bucket = cx.names.agent_bucket();
        cx.aws
            .s3
            .delete_object()
            .bucket(&bucket)
            .expected_bucket_owner(cx.names.account())
            .key(&found.id)
            .send()
            .await
            .unless(&["NoSuchBucket"], format!("deleting `{bucket}/{}`", found.id))?;
        Ok(())
    }
}

const THE_AGENT: &str = "the agent";

/// What an object is, by the SHA-256 that S3 keeps of what was uploaded with one (S3 user guide, "Checking object
/// integrity in Amazon S3").
async fn content(cx: &Cx, bucket: &str, key: &str, digest: &[u8]) -> Result<&'static str> {
    let call = cx.aws.s3.head_object().bucket(bucket).key(key);
    let call = call.expected_bucket_owner(cx.names.account()).checksum_mode(ChecksumMode::Enabled);
    // Deleted since it was listed.
    let answer = call.send().await.unless(&["NotFound"], format!("looking at `{bucket}/{key}`"))?;
    let kept = answer.and_then(|answer| answer.checksum_sha256);
    Ok(match kept {
        Some(kept) if kept == base64::encode(digest) => THE_AGENT,
        Some(_) => "something else",
        None => "unknown",
    })
}

/// Whether S3 gives an object of this class to nobody (`GetObject`, `InvalidObjectState`).
fn archived(class: &ObjectStorageClass) -> bool {
    [ObjectStorageClass::Glacier, ObjectStorageClass::DeepArchive].contains(class)
}

/// The beginning of the digest, and the size, which AWS keeps in bytes.
fn detail(key: &str, size: i64) -> String {
    let digest = key.strip_prefix(PREFIX).unwrap_or(key);
    let tenths = size / 100_000;
    format!("{}  {}.{} MB", abridged(digest), tenths / 10, tenths % 10)
}

/// The beginning of a digest, which is enough to tell one agent from another.
pub(super) fn abridged(digest: &str) -> String {
    format!("{}…", digest.get(..8).unwrap_or(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_fit_a_line() {
        assert_eq!(detail("agents/0123456789abcdef", 6_149_999), "01234567…  6.1 MB");
    }
}
