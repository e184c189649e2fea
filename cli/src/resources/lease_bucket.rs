//! The bucket of the lease that says who is at work. It is there before anything else is made and goes
//! after everything else, so the commands make and delete it apart from the rest of its stage.

use anyhow::{Context, Result};
use async_trait::async_trait;

use super::s3::{self, NO_BUCKET};
use crate::{
    aws::{Answer, AwsError},
    cx::Cx,
    engine::{Found, Key, Resource},
    error::Hinted,
    invocation::{aws_here, command},
    lease,
    names::Names,
    policy::Permission,
};

/// The lease's bucket. New buckets are private and encrypted (S3 user guide, "Default settings for new S3
/// buckets"); it holds nothing but who is at work.
pub struct LeaseBucketOfOurs;

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
        let owner = s3::owner(cx, &name).await?;
        Ok(owner.map(|owner| Found::new(name, owner)).into_iter().collect())
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        match s3::create(cx, &Key::LeaseBucket, &name).await {
            // Another run made it meanwhile.
            Err(error) if is(&error, "BucketAlreadyOwnedByYou") => Ok(name),
            made => made.map(|()| name),
        }
    }

    async fn update(&self, _: &Cx, _: &Found) -> Result<()> {
        Ok(()) // nothing of it can differ
    }

    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        let name = &found.id;
        let call = cx.aws.s3.list_objects_v2().bucket(name);
        let answer = call.expected_bucket_owner(cx.names.account()).send().await;
        let answer = answer.unless(&[NO_BUCKET], format!("looking into bucket `{name}`"))?;
        let objects = answer.and_then(|answer| answer.contents).unwrap_or_default();
        let keys = objects.into_iter().filter_map(|object| object.key);
        Ok(keys.filter(|key| key != lease::KEY).collect())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        let name = &found.id;
        let call = cx.aws.s3.delete_bucket().bucket(name);
        let answer = call.expected_bucket_owner(cx.names.account()).send().await;
        match answer.unless(&[NO_BUCKET], format!("deleting bucket `{name}`")) {
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

fn is(error: &anyhow::Error, code: &str) -> bool {
    error.downcast_ref::<AwsError>().is_some_and(|error| error.is(&[code]))
}
