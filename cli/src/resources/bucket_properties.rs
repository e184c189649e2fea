//! What makes the agent's bucket private: its access block, encryption, ownership and policy, each read
//! and set by a call of its own.

use anyhow::{Context, Result};
use aws_sdk_s3::types::{
    ObjectOwnership, OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration,
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule,
};
use serde_json::{Value, json};

use super::s3::{BUSY, NO_BUCKET, SETTLE_LIMIT};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Drift, Found, Key},
    names::Names,
    policy::same,
    wait,
};

const PUBLIC_ACCESS: &str = "public access";
const ENCRYPTION: &str = "encryption";
const OWNERSHIP: &str = "object ownership";
const POLICY: &str = "bucket policy";
const NONE: &str = "none";

/// Every property.
pub(super) const ALL: [&str; 4] = [PUBLIC_ACCESS, ENCRYPTION, OWNERSHIP, POLICY];

// What S3 says of a bucket that was made a moment ago.
const SETTLING: [&str; 2] = [NO_BUCKET, BUSY];

/// The bucket's ARN.
pub(super) fn arn(names: &Names) -> String {
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

/// Compares every property.
pub(super) async fn compare(cx: &Cx, found: &mut Found) -> Result<()> {
    let (access, encryption, ownership, policy) =
        tokio::try_join!(public_access(cx), encryption(cx), ownership(cx), policy(cx))?;
    found
        .compare(PUBLIC_ACCESS, access, "blocked")
        .compare(ENCRYPTION, encryption, ServerSideEncryption::Aes256)
        .compare(OWNERSHIP, ownership, ObjectOwnership::BucketOwnerEnforced);
    // S3 keeps a policy in an order of its own.
    if !policy.as_ref().is_some_and(|policy| same(policy, &tls_only(&cx.names))) {
        found.drift.push(Drift {
            field: POLICY,
            actual: if policy.is_some() { "another" } else { NONE }.into(),
            wanted: "TLS only".into(),
            effect: None,
        });
    }
    Ok(())
}

async fn public_access(cx: &Cx) -> Result<&'static str> {
    let name = cx.names.agent_bucket();
    let call = cx.aws.s3.get_public_access_block().bucket(&name);
    let answer = call.expected_bucket_owner(cx.names.account()).send().await.unless(
        &["NoSuchPublicAccessBlockConfiguration"],
        format!("reading the public access block of `{name}`"),
    )?;
    let blocked =
        answer.and_then(|answer| answer.public_access_block_configuration).is_some_and(|block| {
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
    let call = cx.aws.s3.get_bucket_encryption().bucket(&name);
    let answer = call.expected_bucket_owner(cx.names.account()).send().await.unless(
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
    let call = cx.aws.s3.get_bucket_ownership_controls().bucket(&name);
    let answer = call.expected_bucket_owner(cx.names.account()).send().await.unless(
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
        .expected_bucket_owner(cx.names.account())
        .send()
        .await
        .unless(&["NoSuchBucketPolicy"], format!("reading the policy of `{name}`"))?;
    let text = answer.and_then(|answer| answer.policy);
    text.map(|text| {
        serde_json::from_str(&text).with_context(|| format!("the policy of `{name}` is not JSON"))
    })
    .transpose()
}

/// Sets one property to what it should be.
pub(super) async fn set(cx: &Cx, field: &'static str) -> Result<()> {
    let access = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .ignore_public_acls(true)
        .block_public_policy(true)
        .restrict_public_buckets(true)
        .build();
    let default = ServerSideEncryptionByDefault::builder()
        .sse_algorithm(ServerSideEncryption::Aes256)
        .build()?;
    let encryption = ServerSideEncryptionConfiguration::builder()
        .rules(
            ServerSideEncryptionRule::builder()
                .apply_server_side_encryption_by_default(default)
                .build(),
        )
        .build()?;
    let ownership = OwnershipControls::builder()
        .rules(
            OwnershipControlsRule::builder()
                .object_ownership(ObjectOwnership::BucketOwnerEnforced)
                .build()?,
        )
        .build()?;
    let policy = tls_only(&cx.names).to_string();
    let name = cx.names.agent_bucket();
    let account = cx.names.account();
    let (s3, doing) = (&cx.aws.s3, format!("setting the {field} of bucket `{name}`"));
    wait::retry_on(cx, &Key::AgentBucket, &SETTLING, SETTLE_LIMIT, || async {
        match field {
            PUBLIC_ACCESS => s3
                .put_public_access_block()
                .bucket(&name)
                .expected_bucket_owner(account)
                .public_access_block_configuration(access.clone())
                .send()
                .await
                .doing(&doing)
                .map(drop),
            ENCRYPTION => s3
                .put_bucket_encryption()
                .bucket(&name)
                .expected_bucket_owner(account)
                .server_side_encryption_configuration(encryption.clone())
                .send()
                .await
                .doing(&doing)
                .map(drop),
            OWNERSHIP => s3
                .put_bucket_ownership_controls()
                .bucket(&name)
                .expected_bucket_owner(account)
                .ownership_controls(ownership.clone())
                .send()
                .await
                .doing(&doing)
                .map(drop),
            _ => s3
                .put_bucket_policy()
                .bucket(&name)
                .expected_bucket_owner(account)
                .policy(&policy)
                .send()
                .await
                .doing(&doing)
                .map(drop),
        }
    })
    .await
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
