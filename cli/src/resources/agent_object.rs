//! The agent in its bucket, addressed by its SHA-256: uploaded once, never overwritten. One that the
//! launch template no longer names is stale.

use anyhow::Result;
use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
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

#[async_trait]
impl Resource for AgentBinary {
    fn name(&self, _cx: &Cx) -> String {
        "jitsi-agent".to_owned()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let bucket = format!("arn:{}:s3:::{}", names.partition(), names.agent_bucket());
        vec![
            Permission { write: false, ..Permission::write(&["s3:ListBucket"]).on([bucket]) },
            Permission::write(&["s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject"])
                .on(contents::arns(names)), // as the bucket, so that they share a statement
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
                    Ok(agent) => found = found.stale(key != agent.key()),
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
            // S3 refuses what arrives otherwise.
            .checksum_sha256(base64::encode(agent.digest))
            .tagging(tags.join("&"))
            .body(ByteStream::from(agent.bytes))
            .send()
            .await
            .doing(doing)?;
        Ok(key)
    }

    async fn update(&self, cx: &Cx, _found: &Found) -> Result<()> {
        // The only drift there is: a binary that cannot be used. Says why.
        AgentFile::read(&cx.config).await?;
        Ok(())
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
