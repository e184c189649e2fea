//! The bucket of the lease that says who is at work. It is there before anything else is made and goes
//! after everything else, so the commands make and delete it apart from the rest of its stage.

use anyhow::{Context, Result};
use async_trait::async_trait;

use super::{
    bucket_properties::{self as properties, Private},
    s3::{self, NO_BUCKET},
};
use crate::{
    aws::{Answer, AwsError},
    cx::Cx,
    engine::{Found, Key, Resource},
    error::Hinted,
    invocation::{aws_here, command},
    lease,
    names::Names,
    policy::Permission,
    tags::Owner,
};

/// The lease's bucket: it holds nothing but who is at work.
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
        .into_iter()
        .chain(properties::permissions(&names.lease_bucket_arn()))
        .collect()
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let name = self.name(cx);
        let Some(owner) = s3::owner(cx, &name).await? else { return Ok(Vec::new()) };
        let mut found = Found::new(name, owner);
        if found.owner == Owner::Ours {
            Box::pin(private(cx).compare(cx, &mut found)).await?;
        }
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        match s3::create(cx, &Key::LeaseBucket, &name).await {
            // Another run made it meanwhile.
            Err(error) if is(&error, "BucketAlreadyOwnedByYou") => return Ok(name),
            made => made?,
        }
        s3::tagged(cx, &Key::LeaseBucket, &name).await?;
        cx.made(&Key::LeaseBucket);
        private(cx).set_all(cx).await?;
        Ok(name)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        private(cx).mend(cx, found).await
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

fn private(cx: &Cx) -> Private {
    Private { key: Key::LeaseBucket, name: cx.names.lease_bucket() }
}

fn is(error: &anyhow::Error, code: &str) -> bool {
    error.downcast_ref::<AwsError>().is_some_and(|error| error.is(&[code]))
}
