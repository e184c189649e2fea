//! Looking again after deleting, by tag instead of by name: what yesterday's version made, today's
//! catalog may not know.

mod unlisted;

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use aws_sdk_ec2::types::{Filter, InstanceStateName, VolumeState};
use tokio::time::Instant;

use crate::{
    aws::{Answer, Aws, AwsError},
    cx::Cx,
    engine::{Doomed, Entry, Key, Stage},
    names::Names,
    policy::Permission,
    tagged::tagged,
    tags::{self, Owner},
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

/// What looking through IAM takes besides, for whoever may delete what is there.
pub fn iam_permissions(names: &Names) -> Vec<Permission> {
    unlisted::permissions(names)
}

/// What carries our owner tag, as the tagging API lists it.
struct Carrier {
    arn: String,
    /// Whether it is of a kind, and has a name, that we give.
    known: bool,
}

/// ARNs that still carry our owner tag and belong to one of `stages`. The tagging API goes on naming
/// what is deleted, listeners, volumes and instances for hours (aws/aws-sdk issue 676): a leftover is
/// what its own service still finds.
pub async fn by_tag(catalog: &[Entry], stages: &[Stage], cx: &Cx) -> Result<Vec<String>> {
    let start = Instant::now();
    loop {
        let mut left = Vec::new();
        for Carrier { arn, known } in of_stages(catalog, stages, cx).await? {
            if known && exists(&cx.aws, &arn).await? {
                left.push(arn);
            }
        }
        if left.is_empty() || start.elapsed() >= LIMIT {
            return Ok(left);
        }
        cx.pause(PAUSE).await?;
    }
}

/// ARNs of what carries our owner tag, but is of a kind or has a name that we never give: a copy, a
/// backup, or somebody's own tag. Never touched. What is among `doomed` is known by other means.
pub async fn strangers(
    catalog: &[Entry],
    stages: &[Stage],
    doomed: &[Doomed],
    cx: &Cx,
) -> Result<Vec<String>> {
    let mut strangers = Vec::new();
    for Carrier { arn, known } in of_stages(catalog, stages, cx).await? {
        let named = |doomed: &Doomed| {
            let rest = arn.strip_suffix(doomed.found.id.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with([':', '/']))
        };
        if !known && !doomed.iter().any(named) && exists(&cx.aws, &arn).await? {
            strangers.push(arn);
        }
    }
    let named = |key: &Key, name: &str| {
        catalog.iter().any(|entry| entry.key == *key && entry.resource.name(cx) == name)
    };
    strangers.extend(unlisted::strangers(stages, named, cx).await?);
    Ok(strangers)
}

/// Deletes volumes that carry the tags of our launch template and that no instance uses any more: a root
/// volume outlives its instance where its launch template did not say otherwise.
pub async fn delete_volumes(cx: &Cx) -> Result<()> {
    let filter = Filter::builder()
        .name(format!("tag:{}", tags::DEPLOYMENT))
        .values(cx.names.deployment())
        .build();
    let mut volumes = cx.aws.ec2.describe_volumes().filters(filter).into_paginator().items().send();
    while let Some(volume) = volumes.next().await {
        let volume = volume.doing("looking for our volumes")?;
        let tags = || volume.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value()?)));
        let ours = tags::owner(&cx.names, tags()) == Owner::Ours
            && tags().any(|tag| tag == (tags::NAME, cx.names.deployment()));
        if !ours {
            continue;
        }
        if let (Some(VolumeState::Available), Some(id)) = (volume.state(), volume.volume_id()) {
            let answer = cx.aws.ec2.delete_volume().volume_id(id).send().await;
            answer.unless(&["InvalidVolume.NotFound"], format!("deleting volume {id}"))?;
        }
    }
    Ok(())
}

async fn of_stages(catalog: &[Entry], stages: &[Stage], cx: &Cx) -> Result<Vec<Carrier>> {
    let names: BTreeSet<String> = catalog.iter().map(|entry| entry.resource.name(cx)).collect();
    let mut all = tagged(&cx.aws, Some(cx.names.deployment())).await?;
    all.retain(|one| {
        let stage = one.tag(tags::STAGE);
        stage.is_none_or(|stage| stages.iter().any(|here| here.word() == stage))
            && tags::owner(&cx.names, one.tags()) == Owner::Ours
    });
    let carriers = all.into_iter().map(|one| {
        let named = one.tag(tags::NAME).is_some_and(|name| names.contains(name));
        Carrier { known: named && is_made(&one.arn), arn: one.arn }
    });
    Ok(carriers.collect())
}

/// Whether this is of a kind that we make, or that comes with what we make. Snapshots and images of an
/// instance, for one, are copies that somebody else has made, tags and all.
fn is_made(arn: &str) -> bool {
    const EC2: [&str; 10] = [
        "instance",
        "internet-gateway",
        "key-pair",
        "launch-template",
        "network-interface",
        "route-table",
        "security-group",
        "subnet",
        "volume",
        "vpc",
    ];
    const SERVICES: [&str; 7] =
        ["acm", "cloudwatch", "elasticloadbalancing", "events", "fis", "s3", "sns"];
    let (service, resource) = service_and_resource(arn);
    match service {
        "ec2" => resource.split_once('/').is_some_and(|(kind, _)| EC2.contains(&kind)),
        service => SERVICES.contains(&service),
    }
}

/// `ec2` and `vpc/vpc-1`.
fn service_and_resource(arn: &str) -> (&str, &str) {
    let mut parts = arn.splitn(6, ':').skip(2);
    (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default()) // region and account between
}

/// Whether the service a thing belongs to still knows it. Of services that are not asked, the tagging
/// API's word is taken.
pub(crate) async fn exists(aws: &Aws, arn: &str) -> Result<bool> {
    let doing = format!("looking whether {arn} still exists");
    let (service, resource) = service_and_resource(arn);
    Ok(match service {
        "ec2" => match resource.split_once('/') {
            Some(("instance", id)) => !is_terminated(aws, id, doing).await?,
            Some((_, id)) => has_tags(aws, id, doing).await?,
            None => true,
        },
        "elasticloadbalancing" => {
            let answer = aws.elbv2.describe_tags().resource_arns(arn).send().await.doing(doing);
            known(answer, |error| error.code.ends_with("NotFound"))?
        }
        "acm" => {
            let call = aws.acm.describe_certificate().certificate_arn(arn);
            known(call.send().await.doing(doing), not_found)?
        }
        "sns" => {
            let call = aws.sns.get_topic_attributes().topic_arn(arn);
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
async fn is_terminated(aws: &Aws, id: &str, doing: String) -> Result<bool> {
    let answer = aws.ec2.describe_instances().instance_ids(id).send().await;
    let answer = answer.unless(&["InvalidInstanceID.NotFound"], doing)?;
    let states = answer.iter().flat_map(|answer| answer.reservations()).flat_map(|r| r.instances());
    let mut states = states.filter_map(|instance| instance.state()?.name());
    Ok(states.all(|state| *state == InstanceStateName::Terminated))
}

/// Tags end with what carries them.
async fn has_tags(aws: &Aws, id: &str, doing: String) -> Result<bool> {
    let filter = Filter::builder().name("resource-id").values(id).build();
    let answer = aws.ec2.describe_tags().filters(filter).send().await.doing(doing)?;
    Ok(!answer.tags().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_not_what_we_make() {
        let arn = |rest: &str| format!("arn:aws:{rest}");
        for made in [
            "ec2:eu-central-1:1:vpc/vpc-1",
            "elasticloadbalancing:eu-central-1:1:targetgroup/jitsi/1",
            "s3:::jitsi-1-eu-central-1",
            "sns:eu-central-1:1:jitsi",
        ] {
            assert!(is_made(&arn(made)), "{made}");
        }
        for other in [
            "ec2:eu-central-1::snapshot/snap-1",
            "ec2:eu-central-1::image/ami-1",
            "backup:eu-central-1:1:x",
        ] {
            assert!(!is_made(&arn(other)), "{other}");
        }
    }
}
