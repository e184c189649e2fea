//! Looking again after deleting, by tag instead of by name: what yesterday's version made, today's
//! catalog may not know.

use std::time::Duration;

use anyhow::Result;
use aws_sdk_ec2::types::InstanceStateName;
use aws_sdk_resourcegroupstagging::types::TagFilter;
use tokio::time::Instant;

use crate::{aws::Answer, cx::Cx, engine::Stage, tags};

// The tagging API lags behind the services by seconds, sometimes minutes (`GetResources`).
const LIMIT: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_secs(3);

/// ARNs that still carry our owner tag and belong to one of `stages`, once the tagging API had time
/// to catch up. What is only history does not count: terminated instances, which EC2 lists for an hour,
/// and FIS experiments, which nobody can delete for 120 days.
pub async fn by_tag(cx: &Cx, stages: &[Stage]) -> Result<Vec<String>> {
    let start = Instant::now();
    loop {
        let left = tagged(cx, stages).await?;
        if left.is_empty() || start.elapsed() >= LIMIT {
            return Ok(left);
        }
        cx.pause(PAUSE).await?;
    }
}

async fn tagged(cx: &Cx, stages: &[Stage]) -> Result<Vec<String>> {
    let filter = TagFilter::builder().key(tags::DEPLOYMENT).values(cx.names.deployment()).build();
    let mut pages = cx.aws.tagging.get_resources().tag_filters(filter).into_paginator().send();
    let mut left = Vec::new();
    while let Some(page) = pages.next().await {
        for mapping in page.doing("listing what carries our tag")?.resource_tag_mapping_list() {
            let Some(arn) = mapping.resource_arn() else { continue };
            let stage = mapping.tags().iter().find(|tag| tag.key() == tags::STAGE);
            let ours =
                stage.is_none_or(|tag| stages.iter().any(|stage| stage.word() == tag.value()));
            if ours && !arn.contains(":experiment/") && !is_terminated(cx, arn).await? {
                left.push(arn.to_owned());
            }
        }
    }
    Ok(left)
}

async fn is_terminated(cx: &Cx, arn: &str) -> Result<bool> {
    let Some((_, id)) = arn.split_once(":instance/") else { return Ok(false) };
    let answer =
        cx.aws.ec2.describe_instances().instance_ids(id).send().await.unless(
            &["InvalidInstanceID.NotFound"],
            format!("reading the state of instance {id}"),
        )?;
    let states = answer.iter().flat_map(|answer| answer.reservations()).flat_map(|r| r.instances());
    let mut states = states.filter_map(|instance| instance.state()?.name());
    Ok(states.all(|state| *state == InstanceStateName::Terminated))
}
