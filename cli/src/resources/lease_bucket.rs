//! The bucket of the lease that says who is at work. It is there before anything else is made and goes
//! after everything else, so the commands make and delete it apart from the rest of its stage.

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, Tag};

use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource, Stage},
    error::Hinted,
    invocation::{aws_here, command},
    lease,
    names::Names,
    policy::Permission,
    tag_list,
    tags::{self, Foreign, Owner},
    wait,
};

/// The lease's bucket. New buckets are private and encrypted (S3 user guide, "Default settings for new S3
/// buckets"); it holds nothing but who is at work.
pub struct LeaseBucketOfOurs;

// Another run makes or deletes it at this moment; seconds as a rule.
const BUSY: [&str; 1] = ["OperationAborted"];
const BUSY_LIMIT: std::time::Duration = std::time::Duration::from_mins(2);

#[async_trait]
impl Resource for LeaseBucketOfOurs {
    fn name(&self, cx: &Cx) -> String {
        cx.names.lease_bucket()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let bucket = || [names.lease_bucket_arn()];
        vec![
            Permission::read(&["s3:GetBucketTagging"]).on(bucket()),
            // Tags in the create call: S3 API, `CreateBucketConfiguration`.
            Permission::write(&["s3:CreateBucket", "s3:TagResource", "s3:DeleteBucket"])
                .on(bucket()),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let name = self.name(cx);
        let call = cx.aws.s3.get_bucket_tagging().bucket(&name);
        let answer = call.expected_bucket_owner(cx.names.account()).send().await;
        let owner = match answer.doing(format!("looking for bucket `{name}`")) {
            Ok(answer) => {
                let tags = answer.tag_set().iter().map(|tag| (tag.key(), tag.value()));
                tags::owner(&cx.names, tags)
            }
            Err(error) if error.is(&["NoSuchBucket"]) => return Ok(Vec::new()),
            Err(error) if error.is(&["NoSuchTagSet"]) => Owner::Foreign(Foreign::Untagged),
            Err(error) => return Err(error.into()),
        };
        Ok(vec![Found::new(name, owner)])
    }

    /// Made with its tags in one call: one without them is never ours.
    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let tags = tag_list!(cx, Stage::Iam, &name, fallible Tag)?;
        // us-east-1 is the default and must not be named (CreateBucket, LocationConstraint).
        let place = (cx.names.region() != "us-east-1")
            .then(|| BucketLocationConstraint::from(cx.names.region()));
        let configuration = CreateBucketConfiguration::builder()
            .set_location_constraint(place)
            .set_tags(Some(tags))
            .build();
        wait::retry_on(cx, &Key::LeaseBucket, &BUSY, BUSY_LIMIT, || async {
            let call = cx.aws.s3.create_bucket().bucket(&name);
            let answer = call.create_bucket_configuration(configuration.clone()).send().await;
            answer.unless(&["BucketAlreadyOwnedByYou"], format!("creating bucket `{name}`"))
        })
        .await?;
        Ok(name)
    }

    async fn update(&self, _: &Cx, _: &Found) -> Result<()> {
        Ok(()) // nothing of it can differ
    }

    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        let name = &found.id;
        let call = cx.aws.s3.list_objects_v2().bucket(name);
        let answer = call.expected_bucket_owner(cx.names.account()).send().await;
        let answer = answer.unless(&["NoSuchBucket"], format!("looking into bucket `{name}`"))?;
        let objects = answer.and_then(|answer| answer.contents).unwrap_or_default();
        let keys = objects.into_iter().filter_map(|object| object.key);
        Ok(keys.filter(|key| key != lease::KEY).collect())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        let name = &found.id;
        let call = cx.aws.s3.delete_bucket().bucket(name);
        let answer = call.expected_bucket_owner(cx.names.account()).send().await;
        match answer.unless(&["NoSuchBucket"], format!("deleting bucket `{name}`")) {
            Err(error) if error.is(&["BucketNotEmpty"]) => Err(error).context(Hinted::user(
                format!("bucket `{name}` is not empty: somebody has just begun to work, or put something there"),
                format!(
                    "see who is at work with `{}`, and what is in it with `{}`",
                    command("setup"),
                    aws_here(&format!("s3 ls s3://{name}"))
                ),
            )),
            answer => Ok(answer.map(drop)?),
        }
    }
}
