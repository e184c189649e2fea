//! Looking again after deleting, by tag instead of by name: what yesterday's version made, today's
//! catalog may not know.

use std::time::Duration;

use anyhow::Result;
use aws_sdk_ec2::types::{Filter, InstanceStateName, VolumeState};
use aws_sdk_resourcegroupstagging::types::TagFilter;
use tokio::time::Instant;

use crate::{
    aws::{Answer, AwsError},
    cx::Cx,
    engine::Stage,
    names::Names,
    policy::Permission,
    tags,
};

// The services themselves lag by seconds; what one of them still finds after this is left.
const LIMIT: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_secs(3);

/// What looking takes, and deleting volumes.
pub fn permissions(names: &Names) -> Vec<Permission> {
    vec![
        Permission::read(&["tag:GetResources", "ec2:DescribeTags", "ec2:DescribeVolumes"]),
        Permission::write(&["ec2:DeleteVolume"]).on([names.arn("ec2", "*/*")]).on_ours(names),
    ]
}

/// ARNs that still carry our owner tag and belong to one of `stages`. The tagging API goes on naming
/// what is deleted, listeners, volumes and instances for hours (aws/aws-sdk issue 676): a leftover is
/// what its own service still finds. Experiments are history, which nobody can delete for 120 days.
pub async fn by_tag(cx: &Cx, stages: &[Stage]) -> Result<Vec<String>> {
    let start = Instant::now();
    loop {
        let mut left = Vec::new();
        for arn in tagged(cx, stages).await? {
            if exists(cx, &arn).await? {
                left.push(arn);
            }
        }
        if left.is_empty() || start.elapsed() >= LIMIT {
            return Ok(left);
        }
        cx.pause(PAUSE).await?;
    }
}

/// Deletes volumes that carry our tag and that no instance uses any more: a root volume outlives its
/// instance where its launch template did not say otherwise.
pub async fn delete_volumes(cx: &Cx) -> Result<()> {
    let filter = Filter::builder()
        .name(format!("tag:{}", tags::DEPLOYMENT))
        .values(cx.names.deployment())
        .build();
    let mut volumes = cx.aws.ec2.describe_volumes().filters(filter).into_paginator().items().send();
    while let Some(volume) = volumes.next().await {
        let volume = volume.doing("looking for our volumes")?;
        if let (Some(VolumeState::Available), Some(id)) = (volume.state(), volume.volume_id()) {
            let answer = cx.aws.ec2.delete_volume().volume_id(id).send().await;
            answer.unless(&["InvalidVolume.NotFound"], format!("deleting volume {id}"))?;
        }
    }
    Ok(())
}

async fn tagged(cx: &Cx, stages: &[Stage]) -> Result<Vec<String>> {
    let filter = TagFilter::builder().key(tags::DEPLOYMENT).values(cx.names.deployment()).build();
    let mut pages = cx.aws.tagging.get_resources().tag_filters(filter).into_paginator().send();
    let mut tagged = Vec::new();
    while let Some(page) = pages.next().await {
        for mapping in page.doing("listing what carries our tag")?.resource_tag_mapping_list() {
            let Some(arn) = mapping.resource_arn() else { continue };
            let stage = mapping.tags().iter().find(|tag| tag.key() == tags::STAGE);
            let ours =
                stage.is_none_or(|tag| stages.iter().any(|stage| stage.word() == tag.value()));
            if ours && !arn.contains(":experiment/") {
                tagged.push(arn.to_owned());
            }
        }
    }
    Ok(tagged)
}

/// Whether the service a thing belongs to still knows it. Of services that are not asked, the tagging
/// API's word is taken.
async fn exists(cx: &Cx, arn: &str) -> Result<bool> {
    let doing = format!("looking whether {arn} still exists");
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default());
    Ok(match service {
        "ec2" => match resource.split_once('/') {
            Some(("instance", id)) => !is_terminated(cx, id, doing).await?,
            Some((_, id)) => has_tags(cx, id, doing).await?,
            None => true,
        },
        "elasticloadbalancing" => {
            let answer = cx.aws.elbv2.describe_tags().resource_arns(arn).send().await.doing(doing);
            known(answer, |error| error.code.ends_with("NotFound"))?
        }
        "acm" => {
            let call = cx.aws.acm.describe_certificate().certificate_arn(arn);
            known(call.send().await.doing(doing), not_found)?
        }
        "sns" => {
            let call = cx.aws.sns.get_topic_attributes().topic_arn(arn);
            known(call.send().await.doing(doing), not_found)?
        }
        _ => true,
    })
}

fn known<T>(answer: Result<T, AwsError>, gone: fn(&AwsError) -> bool) -> Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if gone(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn not_found(error: &AwsError) -> bool {
    error.is(&["ResourceNotFoundException", "NotFound"])
}

/// EC2 lists instances for an hour after their end.
async fn is_terminated(cx: &Cx, id: &str, doing: String) -> Result<bool> {
    let answer = cx.aws.ec2.describe_instances().instance_ids(id).send().await;
    let answer = answer.unless(&["InvalidInstanceID.NotFound"], doing)?;
    let states = answer.iter().flat_map(|answer| answer.reservations()).flat_map(|r| r.instances());
    let mut states = states.filter_map(|instance| instance.state()?.name());
    Ok(states.all(|state| *state == InstanceStateName::Terminated))
}

/// Tags end with what carries them.
async fn has_tags(cx: &Cx, id: &str, doing: String) -> Result<bool> {
    let filter = Filter::builder().name("resource-id").values(id).build();
    let answer = cx.aws.ec2.describe_tags().filters(filter).send().await.doing(doing)?;
    Ok(!answer.tags().is_empty())
}
