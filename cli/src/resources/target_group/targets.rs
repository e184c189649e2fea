//! What is registered in our target group besides the group's own instance, which Auto Scaling registers.

use std::{collections::BTreeSet, fmt};

use anyhow::Result;
use aws_sdk_elasticloadbalancingv2::types::{TargetHealth, TargetHealthStateEnum};

use super::super::ec2::filter;
use crate::{aws::Answer, cx::Cx, invocation::aws_as_admin, policy::Permission};

/// What looking takes.
pub(super) fn permission() -> Permission {
    Permission::read(&["ec2:DescribeInstances", "elasticloadbalancing:DescribeTargetHealth"])
}

/// A target that somebody has registered by hand.
pub(super) struct Target {
    id: String,
    port: i32,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, port {}", self.id, self.port)
    }
}

impl Target {
    /// What it does, and the command that takes it out of target group `arn`.
    pub(super) fn told(&self, arn: &str) -> String {
        let words = format!(
            "elbv2 deregister-targets --target-group-arn {arn} --targets Id={},Port={}",
            self.id, self.port
        );
        format!(
            "somebody has registered {self}, which gets a share of the visitors: people of one meeting may be on two \
             instances; take it out with `{}`",
            aws_as_admin(&words, true)
        )
    }
}

/// All that are not the group's. One that is on its way out is not told: the instance before this one may be.
pub(super) async fn of_others(cx: &Cx, arn: &str) -> Result<Vec<Target>> {
    let answer = cx.aws.elbv2.describe_target_health().target_group_arn(arn).send().await;
    let answer = answer
        .unless(&["TargetGroupNotFound"], "looking what is registered in our target group")?;
    let described = answer.and_then(|answer| answer.target_health_descriptions);
    let staying = described.unwrap_or_default().into_iter().filter(|description| {
        let state = description.target_health().and_then(TargetHealth::state);
        state != Some(&TargetHealthStateEnum::Draining)
    });
    let targets: Vec<Target> = staying
        .filter_map(|description| description.target)
        .map(|target| Target {
            port: target.port.unwrap_or_default(),
            id: target.id.unwrap_or_default(),
        })
        .collect();
    if targets.is_empty() {
        return Ok(targets);
    }
    let ours = of_the_group(cx).await?;
    Ok(targets.into_iter().filter(|target| !ours.contains(&target.id)).collect())
}

/// The group's instances, by the tag that AWS gives them itself.
async fn of_the_group(cx: &Cx) -> Result<BTreeSet<String>> {
    let group = filter("tag:aws:autoscaling:groupName", cx.names.deployment());
    let pages = cx.aws.ec2.describe_instances().filters(group).into_paginator().items().send();
    let reservations = pages.try_collect().await.doing("looking for our instances")?;
    let instances = reservations.into_iter().flat_map(|one| one.instances.unwrap_or_default());
    Ok(instances.filter_map(|instance| instance.instance_id).collect())
}
