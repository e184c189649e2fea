//! The switch that makes the Auto Scaling group replace what the load balancer finds unhealthy.

use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use aws_sdk_autoscaling::types::AutoScalingGroup;

use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::Permission,
    tags::Owner,
};

/// The group's health check type and grace period.
pub struct ElbHealth;

const GRACE_PERIOD: &str = "health check grace period";

/// How long a new instance is left alone. The launch hook lets it into service only after a meeting
/// was held on it, so this covers no installation, only the target group's first health checks.
const GRACE: Duration = Duration::from_mins(1);

#[async_trait]
impl Resource for ElbHealth {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let group = format!("autoScalingGroup:*:autoScalingGroupName/{}", names.deployment());
        vec![
            Permission::read(&["autoscaling:DescribeAutoScalingGroups"]),
            Permission::write(&["autoscaling:UpdateAutoScalingGroup"])
                .on([names.arn("autoscaling", &group)])
                .on_ours(names),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        // A part of the group: as much ours as that is.
        if cx.id(&Key::AutoScalingGroup).is_none() {
            return Ok(Vec::new());
        }
        let name = self.name(cx);
        let answer = cx
            .aws
            .autoscaling
            .describe_auto_scaling_groups()
            .auto_scaling_group_names(&name)
            .send()
            .await
            .doing("looking at the health check of our Auto Scaling group")?;
        // A status means that the group is being deleted: nothing about it can be changed any more.
        let on = |group: &&AutoScalingGroup| {
            group.health_check_type() == Some("ELB") && group.status().is_none()
        };
        let Some(group) = answer.auto_scaling_groups().first().filter(on) else {
            return Ok(Vec::new());
        };
        let mut found = Found::new(name, Owner::Ours).detail("ELB");
        let grace = group.health_check_grace_period().unwrap_or_default();
        found.compare(GRACE_PERIOD, format!("{grace} s"), format!("{} s", GRACE.as_secs()));
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        cx.aws
            .autoscaling
            .update_auto_scaling_group()
            .auto_scaling_group_name(&name)
            .health_check_type("ELB")
            .health_check_grace_period(i32::try_from(GRACE.as_secs())?)
            .send()
            .await
            .doing(format!(
                "giving Auto Scaling group `{name}` the load balancer's health check"
            ))?;
        Ok(name)
    }

    async fn update(&self, cx: &Cx, _: &Found) -> Result<()> {
        self.create(cx).await.map(drop)
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        // Without a load balancer its health check would call every instance healthy.
        let answer = cx
            .aws
            .autoscaling
            .update_auto_scaling_group()
            .auto_scaling_group_name(&found.id)
            .health_check_type("EC2")
            .send()
            .await
            .doing(format!("giving Auto Scaling group `{}` EC2's health check back", found.id));
        match answer {
            Err(error) if error.is(&["ValidationError"]) && error.message.contains("not found") => {
                Ok(())
            }
            other => Ok(other.map(drop)?),
        }
    }
}
