//! The bucket that holds the agent: private, encrypted, closed to plain HTTP.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, Delete, ObjectIdentifier, ObjectOwnership,
    OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule, Tag, Tagging,
};
use serde_json::{Value, json};

use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Drift, Found, Key, Resource, Stage},
    names::Names,
    policy::Permission,
    tag_list,
    tags::{self, Owner},
    wait::{self, Progress},
};

/// The agent's bucket.
pub struct Bucket;

const TAGS: &str = "tags";
const PUBLIC_ACCESS: &str = "public access";
const ENCRYPTION: &str = "encryption";
const OWNERSHIP: &str = "object ownership";
const POLICY: &str = "bucket policy";
const NO_BUCKET: &str = "NoSuchBucket";
const NONE: &str = "none";

// A bucket just made or deleted is unknown to some of S3 for a moment (S3 user guide, "Amazon S3
// data consistency model": bucket configurations are eventually consistent).
const SETTLING: [&str; 2] = [NO_BUCKET, "OperationAborted"];
const SETTLE_LIMIT: Duration = Duration::from_secs(120);

#[async_trait]
impl Resource for Bucket {
    fn name(&self, cx: &Cx) -> String {
        cx.names.agent_bucket()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let bucket = || [arn(names)];
        vec![
            Permission {
                write: false,
                ..Permission::write(&[
                    "s3:GetBucketTagging",
                    "s3:GetBucketPublicAccessBlock",
                    "s3:GetEncryptionConfiguration",
                    "s3:GetBucketOwnershipControls",
                    "s3:GetBucketPolicy",
                    "s3:ListBucketVersions",
                ])
                .on(bucket())
            },
            Permission::write(&[
                "s3:CreateBucket",
                "s3:PutBucketTagging",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutEncryptionConfiguration",
                "s3:PutBucketOwnershipControls",
                "s3:PutBucketPolicy",
                "s3:DeleteBucket",
            ])
            .on(bucket()),
            Permission::write(&["s3:DeleteObject", "s3:DeleteObjectVersion"])
                .on([format!("{}/*", arn(names))]),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let Some((owner, tagged)) = owner(cx).await? else { return Ok(Vec::new()) };
        let mut found = Found::new(self.name(cx), owner);
        if found.owner != Owner::Ours {
            return Ok(vec![found]);
        }
        let (access, encryption, ownership, policy) =
            tokio::try_join!(public_access(cx), encryption(cx), ownership(cx), policy(cx))?;
        found
            .compare(TAGS, if tagged { "ours" } else { NONE }, "ours")
            .compare(PUBLIC_ACCESS, access, "blocked")
            .compare(ENCRYPTION, encryption, ServerSideEncryption::Aes256)
            .compare(OWNERSHIP, ownership, ObjectOwnership::BucketOwnerEnforced);
        if policy != Some(tls_only(&cx.names)) {
            found.drift.push(Drift {
                field: POLICY,
                actual: if policy.is_some() { "another" } else { NONE }.into(),
                wanted: "TLS only".into(),
                effect: None,
            });
        }
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        // us-east-1 is the default and must not be named (CreateBucket, LocationConstraint).
        let place = (cx.names.region() != "us-east-1").then(|| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(cx.names.region()))
                .build()
        });
        wait::retry_on(cx, &Key::AgentBucket, &["OperationAborted"], SETTLE_LIMIT, || async {
            cx.aws
                .s3
                .create_bucket()
                .bucket(&name)
                .set_create_bucket_configuration(place.clone())
                .send()
                .await
                .unless(&["BucketAlreadyOwnedByYou"], format!("creating bucket `{name}`"))
        })
        .await?;
        for field in [TAGS, PUBLIC_ACCESS, ENCRYPTION, OWNERSHIP, POLICY] {
            settle(cx, field).await?;
        }
        Ok(name)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        for drift in &found.drift {
            settle(cx, drift.field).await?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        wait::until(cx, &Key::AgentBucket, SETTLE_LIMIT, || async {
            if !empty(cx, &found.id).await? {
                return Ok(Progress::Ready(()));
            }
            let answer = cx
                .aws
                .s3
                .delete_bucket()
                .bucket(&found.id)
                .send()
                .await
                .unless(&[NO_BUCKET], format!("deleting bucket `{}`", found.id));
            match answer {
                // Another program may add an object between emptying and deleting.
                Err(error) if error.is(&["BucketNotEmpty"]) => Ok(Progress::Pending(error.message)),
                answer => Ok(Progress::Ready(answer.map(drop)?)),
            }
        })
        .await
    }
}

fn arn(names: &Names) -> String {
    format!("arn:{}:s3:::{}", names.partition(), names.agent_bucket())
}

/// Refuses plain HTTP. AWS reads actions without regard to case (IAM reference, "Action"); an
/// emulator that knows no conditions would take `s3:*` for a refusal of everything.
fn tls_only(names: &Names) -> Value {
    let bucket = arn(names);
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "S3:*",
            "Resource": [bucket, format!("{bucket}/*")],
            "Condition": { "Bool": { "aws:SecureTransport": "false" } },
        }],
    })
}

/// Whose the bucket is, and whether it has its tags; `None` when there is no such bucket. The name
/// holds our account's id, and nobody else's bucket is asked about: one without any tag is ours,
/// left by a run that ended between making it and tagging it.
async fn owner(cx: &Cx) -> Result<Option<(Owner, bool)>> {
    let name = cx.names.agent_bucket();
    let answer = cx
        .aws
        .s3
        .get_bucket_tagging()
        .bucket(&name)
        .expected_bucket_owner(cx.names.account())
        .send()
        .await
        .doing(format!("looking for bucket `{name}`"));
    match answer {
        Ok(answer) => {
            let tags = answer.tag_set().iter().map(|tag| (tag.key(), tag.value()));
            Ok(Some((tags::owner(&cx.names, tags), true)))
        }
        Err(error) if error.is(&["NoSuchTagSet"]) => Ok(Some((Owner::Ours, false))),
        Err(error) if error.is(&[NO_BUCKET]) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn public_access(cx: &Cx) -> Result<&'static str> {
    let name = cx.names.agent_bucket();
    let answer = cx.aws.s3.get_public_access_block().bucket(&name).send().await.unless(
        &["NoSuchPublicAccessBlockConfiguration"],
        format!("reading the public access block of `{name}`"),
    )?;
    let blocked = answer.and_then(|answer| answer.public_access_block_configuration).is_some_and(|block| {
        [
            block.block_public_acls,
            block.ignore_public_acls,
            block.block_public_policy,
            block.restrict_public_buckets,
        ]
        .iter()
        .all(|part| *part == Some(true))
    });
    Ok(if blocked { "blocked" } else { "possible" })
}

async fn encryption(cx: &Cx) -> Result<String> {
    let name = cx.names.agent_bucket();
    let answer = cx.aws.s3.get_bucket_encryption().bucket(&name).send().await.unless(
        &["ServerSideEncryptionConfigurationNotFoundError"],
        format!("reading the encryption of `{name}`"),
    )?;
    let rules = answer.and_then(|answer| answer.server_side_encryption_configuration);
    let rule = rules.as_ref().and_then(|rules| rules.rules().first());
    let default = rule.and_then(|rule| rule.apply_server_side_encryption_by_default());
    Ok(default.map_or(NONE.to_owned(), |default| default.sse_algorithm().to_string()))
}

async fn ownership(cx: &Cx) -> Result<String> {
    let name = cx.names.agent_bucket();
    let answer = cx.aws.s3.get_bucket_ownership_controls().bucket(&name).send().await.unless(
        &["OwnershipControlsNotFoundError"],
        format!("reading the object ownership of `{name}`"),
    )?;
    let rules = answer.and_then(|answer| answer.ownership_controls);
    let rule = rules.as_ref().and_then(|rules| rules.rules().first());
    Ok(rule.map_or(NONE.to_owned(), |rule| rule.object_ownership().to_string()))
}

async fn policy(cx: &Cx) -> Result<Option<Value>> {
    let name = cx.names.agent_bucket();
    let answer = cx
        .aws
        .s3
        .get_bucket_policy()
        .bucket(&name)
        .send()
        .await
        .unless(&["NoSuchBucketPolicy"], format!("reading the policy of `{name}`"))?;
    let text = answer.and_then(|answer| answer.policy);
    text.map(|text| serde_json::from_str(&text).with_context(|| format!("the policy of `{name}` is not JSON")))
        .transpose()
}

/// Sets one property to what it should be.
async fn settle(cx: &Cx, field: &'static str) -> Result<()> {
    let tags = Tagging::builder()
        .set_tag_set(Some(tag_list!(cx, Stage::Instances, &cx.names.agent_bucket(), fallible Tag)?))
        .build()?;
    let access = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .ignore_public_acls(true)
        .block_public_policy(true)
        .restrict_public_buckets(true)
        .build();
    let default = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256).build()?;
    let encryption = ServerSideEncryptionConfiguration::builder()
        .rules(
            ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(default).build(),
        )
        .build()?;
    let ownership = OwnershipControls::builder()
        .rules(
            OwnershipControlsRule::builder().object_ownership(ObjectOwnership::BucketOwnerEnforced).build()?,
        )
        .build()?;
    let policy = tls_only(&cx.names).to_string();
    let name = cx.names.agent_bucket();
    let (s3, doing) = (&cx.aws.s3, format!("setting the {field} of bucket `{name}`"));
    wait::retry_on(cx, &Key::AgentBucket, &SETTLING, SETTLE_LIMIT, || async {
        match field {
            TAGS => s3.put_bucket_tagging().bucket(&name).tagging(tags.clone()).send().await.doing(&doing).map(drop),
            PUBLIC_ACCESS => s3
                .put_public_access_block()
                .bucket(&name)
                .public_access_block_configuration(access.clone())
                .send()
                .await
                .doing(&doing)
                .map(drop),
            ENCRYPTION => s3
                .put_bucket_encryption()
                .bucket(&name)
                .server_side_encryption_configuration(encryption.clone())
                .send()
                .await
                .doing(&doing)
                .map(drop),
            OWNERSHIP => s3
                .put_bucket_ownership_controls()
                .bucket(&name)
                .ownership_controls(ownership.clone())
                .send()
                .await
                .doing(&doing)
                .map(drop),
            _ => s3.put_bucket_policy().bucket(&name).policy(&policy).send().await.doing(&doing).map(drop),
        }
    })
    .await
}

/// Deletes every version of every object, a page at a time. `false` when there is no bucket.
async fn empty(cx: &Cx, bucket: &str) -> Result<bool> {
    let doing = || format!("emptying bucket `{bucket}`");
    loop {
        let page =
            cx.aws.s3.list_object_versions().bucket(bucket).send().await.unless(&[NO_BUCKET], doing())?;
        let Some(page) = page else { return Ok(false) };
        let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
        let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
        let doomed: Vec<ObjectIdentifier> = versions
            .chain(markers)
            .map(|(key, version)| {
                ObjectIdentifier::builder()
                    .set_key(key.map(str::to_owned))
                    .set_version_id(version.map(str::to_owned))
                    .build()
            })
            .collect::<Result<_, _>>()?;
        if doomed.is_empty() {
            return Ok(true);
        }
        let doomed = Delete::builder().set_objects(Some(doomed)).quiet(true).build()?;
        let answer = cx.aws.s3.delete_objects().bucket(bucket).delete(doomed).send().await.doing(doing())?;
        if let Some(error) = answer.errors().first() {
            bail!(
                "{}: {}: {}: {}",
                doing(),
                error.key().unwrap_or_default(),
                error.code().unwrap_or_default(),
                error.message().unwrap_or_default()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_refused_for_bucket_and_objects() {
        let policy = tls_only(&Names::new("jitsi", "cn-north-1", "123456789012"));
        let statement = &policy["Statement"][0];
        assert_eq!(statement["Effect"], "Deny");
        assert_eq!(
            statement["Resource"],
            json!([
                "arn:aws-cn:s3:::jitsi-123456789012-cn-north-1",
                "arn:aws-cn:s3:::jitsi-123456789012-cn-north-1/*",
            ])
        );
    }
}
