//! The bucket that holds the agent: private, encrypted, closed to plain HTTP.

use anyhow::{Result, bail};
use async_trait::async_trait;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, Delete, ObjectIdentifier,
};

use super::bucket_properties::{self as properties, NO_BUCKET, SETTLE_LIMIT, arn};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::Permission,
    tags::{self, Owner},
    wait::{self, Progress},
};

/// The agent's bucket.
pub struct Bucket;

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
        Box::pin(properties::compare(cx, &mut found, tagged)).await?;
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
        cx.made(&Key::AgentBucket);
        for field in properties::ALL {
            properties::set(cx, field).await?;
        }
        Ok(name)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        for drift in &found.drift {
            properties::set(cx, drift.field).await?;
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
        Ok(answer) if answer.tag_set().is_empty() => Ok(Some((Owner::Ours, false))),
        Ok(answer) => {
            let tags = answer.tag_set().iter().map(|tag| (tag.key(), tag.value()));
            Ok(Some((tags::owner(&cx.names, tags), true)))
        }
        Err(error) if error.is(&["NoSuchTagSet"]) => Ok(Some((Owner::Ours, false))),
        Err(error) if error.is(&[NO_BUCKET]) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Deletes every version of every object, a page at a time. `false` when there is no bucket.
async fn empty(cx: &Cx, bucket: &str) -> Result<bool> {
    let doing = || format!("emptying bucket `{bucket}`");
    loop {
        let page = cx
            .aws
            .s3
            .list_object_versions()
            .bucket(bucket)
            .send()
            .await
            .unless(&[NO_BUCKET], doing())?;
        let Some(page) = page else { return Ok(false) };
        let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
        let markers =
            page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
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
        let answer =
            cx.aws.s3.delete_objects().bucket(bucket).delete(doomed).send().await.doing(doing())?;
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
