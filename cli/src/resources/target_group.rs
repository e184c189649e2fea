//! The target group: HTTPS to nginx on the instance, which is healthy while a meeting can be held.

mod targets;

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_elasticloadbalancingv2::types::{
    Matcher, ProtocolEnum, Tag, TargetGroup, TargetGroupAttribute, TargetTypeEnum,
};
use jitsi_templates::layout;
use serde_json::json;

use super::elbv2::{once, owner};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource, Stage},
    names::Names,
    policy::Permission,
    tag_list,
    tags::{self, Owner},
    wait,
};

/// Where the load balancer sends requests.
pub struct Targets;

// An ALB refuses `h2` to a target whose WebSockets it must pass on.
const PROTOCOL_VERSION: &str = "HTTP1";
const PORT: i32 = 443;
/// nginx passes it to the agent, which answers 200 unless it has given the instance up. By a port of its
/// own: a crowd of visitors on the other one must not look like an illness.
const HEALTH_PATH: &str = "/healthz";
// In service within 20 s; 2 is the least AWS takes. The agent answers from memory, so 5 s without an
// answer is a failure.
const HEALTH_INTERVAL: i32 = 10;
const HEALTH_TIMEOUT: i32 = 5;
const HEALTHY_THRESHOLD: i32 = 2;
// 60 s without a good answer: longer than a reboot, after which the instance is back sooner than another
// one would be there. Nobody would be sent elsewhere for less: it is the only target, and the load balancer
// sends visitors to it all the same. Longer would only lengthen the outage of a zone.
const UNHEALTHY_THRESHOLD: i32 = 6;
const DELAY: &str = "deregistration_delay.timeout_seconds";
/// What a new target group has, and what would keep people out otherwise: half of the load balancer's addresses lead to
/// the zone without an instance; a new instance is to get everybody at once; and who comes back is to meet the
/// instance there is. AWS names its attributes, so one that it does not name has no other value.
const ATTRIBUTES: [(&str, &str, &str); 3] = [
    (
        "cross-zone load balancing",
        "load_balancing.cross_zone.enabled",
        "use_load_balancer_configuration",
    ),
    ("slow start", "slow_start.duration_seconds", "0"),
    ("stickiness", "stickiness.enabled", "false"),
];

const ADDRESS: &str = "protocol and port";
const VPC: &str = "VPC";
const HEALTH_CHECK: &str = "health check";
const DEREGISTRATION_DELAY: &str = "deregistration delay";

#[async_trait]
impl Resource for Targets {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let group = || {
            [names.arn("elasticloadbalancing", &format!("targetgroup/{}/*", names.deployment()))]
        };
        let owner = format!("aws:RequestTag/{}", tags::DEPLOYMENT);
        vec![
            Permission::read(&[
                "elasticloadbalancing:DescribeTargetGroups",
                "elasticloadbalancing:DescribeTargetGroupAttributes",
                "elasticloadbalancing:DescribeTags",
            ]),
            targets::permission(),
            Permission::write(&["elasticloadbalancing:CreateTargetGroup"])
                .on(group())
                .tagging_ours(names),
            Permission::write(&["elasticloadbalancing:AddTags"]).on(group()).when(json!({
                "StringEquals": {
                    owner: names.deployment(),
                    "elasticloadbalancing:CreateAction": "CreateTargetGroup",
                },
            })),
            Permission::write(&[
                "elasticloadbalancing:ModifyTargetGroup",
                "elasticloadbalancing:ModifyTargetGroupAttributes",
                "elasticloadbalancing:DeleteTargetGroup",
            ])
            .on(group())
            .on_ours(names),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let answer = cx
            .aws
            .elbv2
            .describe_target_groups()
            .names(self.name(cx))
            .send()
            .await
            .unless(&["TargetGroupNotFound"], "looking for our target group")?;
        let groups = answer.and_then(|answer| answer.target_groups).unwrap_or_default();
        let Some(group) = groups.first() else { return Ok(Vec::new()) };
        let arn = group.target_group_arn().unwrap_or_default();
        let (owner, attributes) = tokio::try_join!(owner(cx, arn), attributes(cx, arn))?;
        let value = |key| attributes.iter().find(|attribute| attribute.key() == Some(key))?.value();
        let delay = format!("{} s", value(DELAY).unwrap_or_default());
        let mut found = Found::new(arn, owner);
        let wanted_vpc = cx.id(&Key::Vpc).unwrap_or_else(|| "our VPC".to_owned());
        found
            .compare(ADDRESS, address(group), format!("HTTPS {PORT} {PROTOCOL_VERSION}"))
            .fixed(ADDRESS, None)
            .compare(VPC, group.vpc_id().unwrap_or_default(), wanted_vpc)
            .fixed(VPC, None)
            .compare(HEALTH_CHECK, health_check(group), wanted_health_check())
            .compare(DEREGISTRATION_DELAY, delay, wanted_delay(cx));
        for (field, key, wanted) in ATTRIBUTES {
            found.compare(field, value(key).unwrap_or(wanted), wanted);
        }
        if found.owner == Owner::Ours {
            let others = targets::of_others(cx, arn).await?;
            found.warnings = others.iter().map(|target| target.told(arn)).collect();
        }
        Ok(vec![found.within(group.vpc_id())])
    }

    async fn used_by(&self, cx: &Cx, found: &Found) -> Result<Option<String>> {
        let call = cx.aws.elbv2.describe_target_groups().target_group_arns(&found.id);
        let answer = call.send().await.doing("looking for what uses our target group")?;
        let balancer =
            answer.target_groups().iter().flat_map(|group| group.load_balancer_arns()).next();
        Ok(balancer.cloned())
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let answer = cx
            .aws
            .elbv2
            .create_target_group()
            .name(&name)
            .protocol(ProtocolEnum::Https)
            .protocol_version(PROTOCOL_VERSION)
            .port(PORT)
            .vpc_id(cx.need(&Key::Vpc)?)
            .target_type(TargetTypeEnum::Instance)
            .health_check_protocol(ProtocolEnum::Https)
            .health_check_port(layout::HEALTH_PORT.to_string())
            .health_check_path(HEALTH_PATH)
            .health_check_interval_seconds(HEALTH_INTERVAL)
            .health_check_timeout_seconds(HEALTH_TIMEOUT)
            .healthy_threshold_count(HEALTHY_THRESHOLD)
            .unhealthy_threshold_count(UNHEALTHY_THRESHOLD)
            .matcher(ok())
            .set_tags(Some(tag_list!(cx, Stage::Instances, &name, Tag)))
            .customize()
            .config_override(once())
            .send()
            .await
            .doing(format!("creating target group `{name}`"))?;
        let group = answer.target_groups.unwrap_or_default().pop();
        let arn = group
            .and_then(|group| group.target_group_arn)
            .context("AWS named no target group ARN")?;
        cx.made(&Key::TargetGroup);
        set_attributes(cx, &arn).await?;
        Ok(arn)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        if found.drifted(HEALTH_CHECK) {
            cx.aws
                .elbv2
                .modify_target_group()
                .target_group_arn(&found.id)
                .health_check_enabled(true)
                .health_check_protocol(ProtocolEnum::Https)
                .health_check_port(layout::HEALTH_PORT.to_string())
                .health_check_path(HEALTH_PATH)
                .health_check_interval_seconds(HEALTH_INTERVAL)
                .health_check_timeout_seconds(HEALTH_TIMEOUT)
                .healthy_threshold_count(HEALTHY_THRESHOLD)
                .unhealthy_threshold_count(UNHEALTHY_THRESHOLD)
                .matcher(ok())
                .send()
                .await
                .doing(format!("setting the health check of target group {}", found.id))?;
        }
        let mut attributes = ATTRIBUTES.iter().map(|(field, ..)| *field);
        if found.drifted(DEREGISTRATION_DELAY) || attributes.any(|field| found.drifted(field)) {
            set_attributes(cx, &found.id).await?;
        }
        Ok(())
    }

    /// Registrations go with a target group (`DeleteTargetGroup`).
    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        let others = targets::of_others(cx, &found.id).await?;
        Ok(others.iter().map(|target| format!("the target {target}")).collect())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        // In use for a moment after its listener is gone.
        wait::retry_on(cx, &Key::TargetGroup, &["ResourceInUse"], super::RELEASE_LIMIT, || async {
            cx.aws
                .elbv2
                .delete_target_group()
                .target_group_arn(&found.id)
                .send()
                .await
                .unless(&["TargetGroupNotFound"], format!("deleting target group {}", found.id))
        })
        .await?;
        Ok(())
    }
}

/// A meeting lives as long as its WebSocket through the load balancer, which a terminating instance
/// keeps until this delay is over: it is the drain.
fn wanted_delay(cx: &Cx) -> String {
    format!("{} s", cx.config.drain.as_secs())
}

fn ok() -> Matcher {
    Matcher::builder().http_code("200").build()
}

fn address(group: &TargetGroup) -> String {
    let protocol = group.protocol().map_or("", ProtocolEnum::as_str);
    format!(
        "{protocol} {} {}",
        group.port().unwrap_or_default(),
        group.protocol_version().unwrap_or("HTTP1")
    )
}

fn wanted_health_check() -> String {
    described(
        "HTTPS",
        &layout::HEALTH_PORT.to_string(),
        HEALTH_PATH,
        "200",
        HEALTH_INTERVAL,
        HEALTH_TIMEOUT,
        [HEALTHY_THRESHOLD, UNHEALTHY_THRESHOLD],
    )
}

fn health_check(group: &TargetGroup) -> String {
    if group.health_check_enabled() == Some(false) {
        return "off".to_owned();
    }
    described(
        group.health_check_protocol().map_or("", ProtocolEnum::as_str),
        group.health_check_port().unwrap_or_default(),
        group.health_check_path().unwrap_or_default(),
        group.matcher().and_then(|matcher| matcher.http_code()).unwrap_or_default(),
        group.health_check_interval_seconds().unwrap_or_default(),
        group.health_check_timeout_seconds().unwrap_or_default(),
        [
            group.healthy_threshold_count().unwrap_or_default(),
            group.unhealthy_threshold_count().unwrap_or_default(),
        ],
    )
}

fn described(
    protocol: &str,
    port: &str,
    path: &str,
    codes: &str,
    interval: i32,
    timeout: i32,
    [healthy, unhealthy]: [i32; 2],
) -> String {
    let port = if port == "traffic-port" { String::new() } else { format!(":{port}") };
    format!(
        "{protocol} {port}{path} {codes}, every {interval} s, answer within {timeout} s, {healthy} in, {unhealthy} out"
    )
}

async fn attributes(cx: &Cx, arn: &str) -> Result<Vec<TargetGroupAttribute>> {
    let answer = cx
        .aws
        .elbv2
        .describe_target_group_attributes()
        .target_group_arn(arn)
        .send()
        .await
        .doing(format!("reading the attributes of target group {arn}"))?;
    Ok(answer.attributes.unwrap_or_default())
}

async fn set_attributes(cx: &Cx, arn: &str) -> Result<()> {
    let drain = cx.config.drain.as_secs().to_string();
    let others = ATTRIBUTES.iter().map(|(_, key, value)| (*key, *value));
    let attributes = [(DELAY, drain.as_str())].into_iter().chain(others);
    let attributes = attributes
        .map(|(key, value)| TargetGroupAttribute::builder().key(key).value(value).build());
    cx.aws
        .elbv2
        .modify_target_group_attributes()
        .target_group_arn(arn)
        .set_attributes(Some(attributes.collect()))
        .send()
        .await
        .doing(format!("setting the attributes of target group {arn}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_checks_compare_as_one() {
        let group = TargetGroup::builder()
            .health_check_enabled(true)
            .health_check_protocol(ProtocolEnum::Https)
            .health_check_port(layout::HEALTH_PORT.to_string())
            .health_check_path(HEALTH_PATH)
            .health_check_interval_seconds(HEALTH_INTERVAL)
            .health_check_timeout_seconds(HEALTH_TIMEOUT)
            .healthy_threshold_count(HEALTHY_THRESHOLD)
            .unhealthy_threshold_count(UNHEALTHY_THRESHOLD)
            .matcher(ok());
        assert_eq!(health_check(&group.clone().build()), wanted_health_check());
        assert_ne!(
            health_check(
                &group.clone().matcher(Matcher::builder().http_code("200-399").build()).build()
            ),
            wanted_health_check()
        );
        assert_eq!(health_check(&group.health_check_enabled(false).build()), "off");
    }
}
