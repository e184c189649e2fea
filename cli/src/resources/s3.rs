//! What the buckets share: whose one is, and making one with its tags.

use std::time::Duration;

use anyhow::Result;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, Tag};
use tokio::time::Instant;

use crate::{
    aws::{Answer, AwsError},
    cx::Cx,
    engine::Key,
    error::{ANOTHER_NAME, Hinted},
    tag_list,
    tags::{self, Foreign, Owner},
    wait::{self, Progress},
};

/// S3's way of saying that there is no such bucket.
pub(super) const NO_BUCKET: &str = "NoSuchBucket";
/// S3's way of saying that another call makes or deletes the bucket at this moment.
pub(super) const BUSY: &str = "OperationAborted";
/// S3's way of saying that another account has a bucket of this name.
const TAKEN: &str = "BucketAlreadyExists";
/// How long a bucket just made or deleted may be unknown to some of S3 (S3 user guide, "Amazon S3 data
/// consistency model": bucket configurations are eventually consistent).
pub(super) const SETTLE_LIMIT: Duration = Duration::from_mins(2);

/// Whose the bucket of this name is; `None` when there is none.
pub(super) async fn owner(cx: &Cx, name: &str) -> Result<Option<Owner>> {
    let call = cx.aws.s3.get_bucket_tagging().bucket(name);
    let answer = call.expected_bucket_owner(cx.names.account()).send().await;
    match answer.doing(format!("looking for bucket `{name}`")) {
        Ok(answer) => {
            let tags = answer.tag_set().iter().map(|tag| (tag.key(), tag.value()));
            Ok(Some(tags::owner(&cx.names, tags)))
        }
        Err(error) if error.is(&["NoSuchTagSet"]) => Ok(Some(tags::owner(&cx.names, []))),
        Err(error) if error.is(&[NO_BUCKET]) => Ok(None),
        // A right that is new is waited for first.
        Err(error)
            if error.is_of_another_account() && !cx.recent.excuses(&error, Instant::now()) =>
        {
            Ok(Some(Owner::Foreign(Foreign::OfAnotherAccount)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes the bucket `key` stands for with its tags in one call: one without them is never ours. One that
/// exists is refused with `BucketAlreadyOwnedByYou`, but for us-east-1, where that may be no error.
pub(super) async fn create(cx: &Cx, key: &Key, name: &str) -> Result<()> {
    let tags = tag_list!(cx, key.stage(), name, fallible Tag)?;
    // us-east-1 is the default and must not be named (CreateBucket, LocationConstraint).
    let place = (cx.names.region() != "us-east-1")
        .then(|| BucketLocationConstraint::from(cx.names.region()));
    let configuration = CreateBucketConfiguration::builder()
        .set_location_constraint(place)
        .set_tags(Some(tags))
        .build();
    let made = wait::retry_on(cx, key, &[BUSY], SETTLE_LIMIT, || async {
        let call = cx.aws.s3.create_bucket().bucket(name);
        let answer = call.create_bucket_configuration(configuration.clone()).send().await;
        answer.doing(format!("creating bucket `{name}`"))
    })
    .await;
    match made {
        // Somebody took the name since it was looked for (CreateBucket, "Errors").
        Err(error) if error.downcast_ref::<AwsError>().is_some_and(|error| error.is(&[TAKEN])) => {
            Err(error.context(Hinted::user(
                format!("bucket `{name}`: {}", Foreign::OfAnotherAccount),
                ANOTHER_NAME,
            )))
        }
        made => made.map(drop),
    }
}

/// Waits until the new bucket has our tags, and nothing is done to it before that: in us-east-1 making a
/// bucket that exists may be no error (`BucketAlreadyOwnedByYou`).
pub(super) async fn tagged(cx: &Cx, key: &Key, name: &str) -> Result<()> {
    wait::until(cx, key, SETTLE_LIMIT, || async {
        Ok(match owner(cx, name).await? {
            Some(Owner::Ours) => Progress::Ready(()),
            Some(_) => Progress::Pending("the bucket is there without our tags".to_owned()),
            None => Progress::Pending("the bucket is not there yet".to_owned()),
        })
    })
    .await
}
