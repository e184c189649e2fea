//! The bucket that holds the agent: private, encrypted, closed to plain HTTP. It is made with its tags in
//! one call, so one of its name without them was never ours.

mod lifecycle;

use anyhow::Result;
use async_trait::async_trait;

use super::{
    bucket_contents::{self as contents, Foreign, arn},
    bucket_properties::{self as properties, Private},
    s3::{self, NO_BUCKET, SETTLE_LIMIT},
};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    error::Hinted,
    names::Names,
    policy::Permission,
    tags::Owner,
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
                    "s3:GetLifecycleConfiguration",
                    "s3:ListBucketVersions",
                ])
                .on(bucket())
            },
            Permission::write(&[
                "s3:CreateBucket",
                "s3:TagResource", // asked of who makes a bucket with tags (CreateBucketConfiguration)
                "s3:DeleteBucket",
            ])
            .on(bucket()),
            Permission::write(&["s3:DeleteObject", "s3:DeleteObjectVersion"])
                .on(contents::arns(names)),
        ]
        .into_iter()
        .chain(properties::permissions(&arn(names)))
        .collect()
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let name = self.name(cx);
        let Some(owner) = s3::owner(cx, &name).await? else { return Ok(Vec::new()) };
        let mut found = Found::new(name, owner);
        if found.owner == Owner::Ours {
            Box::pin(private(cx).compare(cx, &mut found)).await?;
            found.warnings = lifecycle::told(cx, &found.id).await?;
        }
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        // One that exists is refused (`BucketAlreadyOwnedByYou`): the engine then looks whose it is.
        s3::create(cx, &Key::AgentBucket, &name).await?;
        s3::tagged(cx, &Key::AgentBucket, &name).await?;
        cx.made(&Key::AgentBucket);
        private(cx).set_all(cx).await?;
        Ok(name)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        private(cx).mend(cx, found).await
    }

    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        Ok(contents::look(cx, &found.id).await?.into_keys())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        wait::until(cx, &Key::AgentBucket, SETTLE_LIMIT, || async {
            let Some(foreign) = contents::empty(cx, &found.id).await? else {
                return Ok(Progress::Ready(()));
            };
            if !foreign.is_empty() {
                return Err(kept(&found.id, foreign).into());
            }
            let answer = cx
                .aws
                .s3
                .delete_bucket()
                .bucket(&found.id)
                .expected_bucket_owner(cx.names.account())
                .send()
                .await
                .unless(&[NO_BUCKET], format!("deleting bucket `{}`", found.id));
            match answer {
                // Something may be added between emptying and deleting; whose it is, the next look tells.
                Err(error) if error.is(&["BucketNotEmpty"]) => Ok(Progress::Pending(error.message)),
                answer => Ok(Progress::Ready(answer.map(drop)?)),
            }
        })
        .await
    }
}

fn private(cx: &Cx) -> Private {
    Private { key: Key::AgentBucket, name: cx.names.agent_bucket() }
}

/// The error for a bucket into which somebody has put something while it was being emptied.
fn kept(bucket: &str, foreign: Foreign) -> Hinted {
    Hinted::user(
        format!("bucket `{bucket}` holds {} that jitsi-aws did not put there", foreign.count()),
        "move or delete them, then run the same command again",
    )
    .with(foreign.into_keys().into_iter().take(10))
}
