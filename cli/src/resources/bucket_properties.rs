//! What makes our buckets private: access block, encryption, ownership and policy, each read and set by a call of its
//! own.

use anyhow::{Context, Result};
use aws_sdk_s3::types::{
    BucketCannedAcl, ObjectOwnership, OwnershipControls, OwnershipControlsRule,
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use serde_json::{Value, json};

use super::s3::{BUSY, NO_BUCKET, SETTLE_LIMIT};
use crate::{
    aws::{Answer, AwsError},
    cx::Cx,
    engine::{Drift, Found, Key},
    policy::{Permission, same},
    wait,
};

const PUBLIC_ACCESS: &str = "public access";
const ENCRYPTION: &str = "encryption";
const OWNERSHIP: &str = "object ownership";
const POLICY: &str = "bucket policy";
const NONE: &str = "none";

/// Every property.
const ALL: [&str; 4] = [PUBLIC_ACCESS, ENCRYPTION, OWNERSHIP, POLICY];

// What S3 says of a bucket that was made a moment ago.
const SETTLING: [&str; 2] = [NO_BUCKET, BUSY];
/// An ACL that lets others in must go before nobody's ACL counts any more (`PutBucketOwnershipControls`).
const OPEN_ACL: &str = "InvalidBucketAclWithObjectOwnership";

/// What reading and setting them takes.
pub(super) fn permissions(arn: &str) -> [Permission; 2] {
    let read = Permission::read(&[
        "s3:GetBucketOwnershipControls",
        "s3:GetBucketPolicy",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetEncryptionConfiguration",
    ]);
    let write = Permission::write(&[
        "s3:PutBucketAcl",
        "s3:PutBucketOwnershipControls",
        "s3:PutBucketPolicy",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutEncryptionConfiguration",
    ]);
    [read, write].map(|permission| permission.on([arn.to_owned()]))
}

/// Refuses plain HTTP. AWS reads actions without regard to case (IAM reference, "Action"); an
/// emulator that knows no conditions would take `s3:*` for a refusal of everything.
fn tls_only(partition: &str, name: &str) -> Value {
    let bucket = format!("arn:{partition}:s3:::{name}");
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

/// A bucket of ours.
pub(super) struct Private {
    pub(super) key: Key,
    pub(super) name: String,
}

impl Private {
    /// Compares every property.
    pub(super) async fn compare(&self, cx: &Cx, found: &mut Found) -> Result<()> {
        let (access, encryption, ownership, policy) = tokio::try_join!(
            self.public_access(cx),
            self.encryption(cx),
            self.ownership(cx),
            self.policy(cx)
        )?;
        found
            .compare(PUBLIC_ACCESS, access, "blocked")
            .compare(ENCRYPTION, encryption, ServerSideEncryption::Aes256)
            .compare(OWNERSHIP, ownership, ObjectOwnership::BucketOwnerEnforced);
        // S3 keeps a policy in an order of its own.
        let wanted = tls_only(cx.names.partition(), &self.name);
        if !policy.as_ref().is_some_and(|policy| same(policy, &wanted)) {
            found.drift.push(Drift {
                field: POLICY,
                actual: if policy.is_some() { "another" } else { NONE }.into(),
                wanted: "TLS only".into(),
                effect: None,
            });
        }
        Ok(())
    }

    async fn public_access(&self, cx: &Cx) -> Result<&'static str> {
        let name = &self.name;
        let call = cx.aws.s3.get_public_access_block().bucket(name);
        let answer = call.expected_bucket_owner(cx.names.account()).send().await.unless(
            &["NoSuchPublicAccessBlockConfiguration"],
            format!("reading the public access block of `{name}`"),
        )?;
        let blocked = answer
            .and_then(|answer| answer.public_access_block_configuration)
            .is_some_and(|block| {
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

    async fn encryption(&self, cx: &Cx) -> Result<String> {
        let name = &self.name;
        let call = cx.aws.s3.get_bucket_encryption().bucket(name);
        let answer = call.expected_bucket_owner(cx.names.account()).send().await.unless(
            &["ServerSideEncryptionConfigurationNotFoundError"],
            format!("reading the encryption of `{name}`"),
        )?;
        let rules = answer.and_then(|answer| answer.server_side_encryption_configuration);
        let rule = rules.as_ref().and_then(|rules| rules.rules().first());
        let default = rule.and_then(|rule| rule.apply_server_side_encryption_by_default());
        Ok(default.map_or(NONE.to_owned(), |default| default.sse_algorithm().to_string()))
    }

    async fn ownership(&self, cx: &Cx) -> Result<String> {
        let name = &self.name;
        let call = cx.aws.s3.get_bucket_ownership_controls().bucket(name);
        let answer = call.expected_bucket_owner(cx.names.account()).send().await.unless(
            &["OwnershipControlsNotFoundError"],
            format!("reading the object ownership of `{name}`"),
        )?;
        let rules = answer.and_then(|answer| answer.ownership_controls);
        let rule = rules.as_ref().and_then(|rules| rules.rules().first());
        Ok(rule.map_or(NONE.to_owned(), |rule| rule.object_ownership().to_string()))
    }

    async fn policy(&self, cx: &Cx) -> Result<Option<Value>> {
        let name = &self.name;
        let answer = cx
            .aws
            .s3
            .get_bucket_policy()
            .bucket(name)
            .expected_bucket_owner(cx.names.account())
            .send()
            .await
            .unless(&["NoSuchBucketPolicy"], format!("reading the policy of `{name}`"))?;
        let text = answer.and_then(|answer| answer.policy);
        text.map(|text| {
            serde_json::from_str(&text)
                .with_context(|| format!("the policy of `{name}` is not JSON"))
        })
        .transpose()
    }

    /// Sets every property of a new bucket.
    pub(super) async fn set_all(&self, cx: &Cx) -> Result<()> {
        for field in ALL {
            self.set(cx, field).await?;
        }
        Ok(())
    }

    /// Sets what differs.
    pub(super) async fn mend(&self, cx: &Cx, found: &Found) -> Result<()> {
        for drift in &found.drift {
            match self.set(cx, drift.field).await {
                Err(error) if is(&error, OPEN_ACL) => {
                    self.close(cx).await?;
                    self.set(cx, drift.field).await?;
                }
                set => set?,
            }
        }
        Ok(())
    }

    /// Takes away whatever the ACL gives to others.
    async fn close(&self, cx: &Cx) -> Result<()> {
        let call = cx.aws.s3.put_bucket_acl().bucket(&self.name).acl(BucketCannedAcl::Private);
        let answer = call.expected_bucket_owner(cx.names.account()).send().await;
        answer.doing(format!("closing the ACL of bucket `{}`", self.name))?;
        Ok(())
    }

    /// Sets one property to what it should be.
    async fn set(&self, cx: &Cx, field: &str) -> Result<()> {
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
        let name = &self.name;
        let policy = tls_only(cx.names.partition(), name).to_string();
        let account = cx.names.account();
        let (s3, doing) = (&cx.aws.s3, format!("setting the {field} of bucket `{name}`"));
        wait::retry_on(cx, &self.key, &SETTLING, SETTLE_LIMIT, || async {
            match field {
                PUBLIC_ACCESS => s3
                    .put_public_access_block()
                    .bucket(name)
                    .expected_bucket_owner(account)
                    .public_access_block_configuration(access.clone())
                    .send()
                    .await
                    .doing(&doing)
                    .map(drop),
                ENCRYPTION => s3
                    .put_bucket_encryption()
                    .bucket(name)
                    .expected_bucket_owner(account)
                    .server_side_encryption_configuration(encryption.clone())
                    .send()
                    .await
                    .doing(&doing)
                    .map(drop),
                OWNERSHIP => s3
                    .put_bucket_ownership_controls()
                    .bucket(name)
                    .expected_bucket_owner(account)
                    .ownership_controls(ownership.clone())
                    .send()
                    .await
                    .doing(&doing)
                    .map(drop),
                _ => s3
                    .put_bucket_policy()
                    .bucket(name)
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
}

fn is(error: &anyhow::Error, code: &str) -> bool {
    error.downcast_ref::<AwsError>().is_some_and(|error| error.is(&[code]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_refused_for_bucket_and_objects() {
        let policy = tls_only("aws-cn", "jitsi-123456789012-cn-north-1");
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
