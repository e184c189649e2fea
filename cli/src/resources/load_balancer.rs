//! The Application Load Balancer: the public face of the deployment, in both subnets.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use aws_sdk_elasticloadbalancingv2::types::{
    IpAddressType, LoadBalancer, LoadBalancerAttribute, LoadBalancerSchemeEnum,
    LoadBalancerStateEnum, LoadBalancerTypeEnum, Tag,
};

use super::{
    ec2::filter,
    elbv2::{describe, dimension, once, owner},
    listener::Listener,
};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource, Stage},
    error::Hinted,
    invocation::{as_admin, command},
    names::Names,
    policy::Permission,
    tag_list,
    tags::Owner,
    wait::{self, Progress},
};

/// The load balancer of the deployment.
pub struct Alb;

const NOT_FOUND: [&str; 1] = ["LoadBalancerNotFound"];
const SUBNETS: &str = "subnets";
const SECURITY_GROUPS: &str = "security groups";

/// Attributes that differ from what AWS gives a new load balancer, and two that must not.
/// A meeting is one WebSocket: idle for up to a minute it would be cut at the default of 60 s; an
/// hour is longer than any pause between the client's pings. Headers that RFC 9110 does not allow
/// only ever come from attacks. Who a visitor is, nginx sees by what the load balancer appends to X-Forwarded-For.
/// Deletion protection would make `setup delete` fail half-way.
const ATTRIBUTES: [(&str, &str, &str); 4] = [
    ("idle timeout", "idle_timeout.timeout_seconds", "3600"),
    ("dropping of invalid headers", "routing.http.drop_invalid_header_fields.enabled", "true"),
    ("visitors' addresses", "routing.http.xff_header_processing.mode", "append"),
    ("deletion protection", "deletion_protection.enabled", "false"),
];

// An ALB becomes active within 2 to 5 minutes.
const ACTIVE_LIMIT: Duration = Duration::from_mins(15);

#[async_trait]
impl Resource for Alb {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn intent(&self, cx: &Cx) -> String {
        format!("https://{}", cx.config.domain)
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let alb = || {
            let path = format!("loadbalancer/app/{}/*", names.deployment());
            [names.arn("elasticloadbalancing", &path)]
        };
        vec![
            Permission::read(&[
                "elasticloadbalancing:DescribeLoadBalancers",
                "elasticloadbalancing:DescribeLoadBalancerAttributes",
                "elasticloadbalancing:DescribeTags",
                "ec2:DescribeNetworkInterfaces",
            ]),
            Permission::write(&[
                "elasticloadbalancing:CreateLoadBalancer",
                "elasticloadbalancing:AddTags",
            ])
            .on(alb())
            .tagging_ours(names),
            Permission::write(&[
                "elasticloadbalancing:ModifyLoadBalancerAttributes",
                "elasticloadbalancing:SetSubnets",
                "elasticloadbalancing:SetSecurityGroups",
                "elasticloadbalancing:DeleteLoadBalancer",
            ])
            .on(alb())
            .on_ours(names),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let answer = cx
            .aws
            .elbv2
            .describe_load_balancers()
            .names(self.name(cx))
            .send()
            .await
            .unless(&NOT_FOUND, "looking for our load balancer")?;
        let Some(alb) = answer.and_then(|answer| answer.load_balancers?.pop()) else {
            return Ok(Vec::new());
        };
        let arn = alb.load_balancer_arn().unwrap_or_default();
        let mut found =
            Found::new(arn, owner(cx, arn).await?).detail(alb.dns_name().unwrap_or_default());
        if found.owner == Owner::Ours {
            compare(cx, &mut found, &alb).await?;
        }
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let answer = cx
            .aws
            .elbv2
            .create_load_balancer()
            .name(&name)
            .r#type(LoadBalancerTypeEnum::Application)
            .scheme(LoadBalancerSchemeEnum::InternetFacing)
            .ip_address_type(IpAddressType::Ipv4)
            .set_subnets(Some(subnets(cx)?))
            .security_groups(cx.need(&Key::AlbSecurityGroup)?)
            .set_tags(Some(tag_list!(cx, Stage::Lb, &name, Tag)))
            .customize()
            .config_override(once())
            .send()
            .await
            .doing(format!("creating load balancer `{name}`"))?;
        let arn = answer
            .load_balancers
            .and_then(|mut all| all.pop()?.load_balancer_arn)
            .context("AWS named no load balancer ARN")?;
        cx.made(&Key::LoadBalancer);
        set_attributes(cx, &arn).await?;
        Ok(arn)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        let name = self.name(cx);
        if found.drifted(SUBNETS) {
            cx.aws
                .elbv2
                .set_subnets()
                .load_balancer_arn(&found.id)
                .set_subnets(Some(subnets(cx)?))
                .send()
                .await
                .doing(format!("moving load balancer `{name}` to our subnets"))?;
        }
        if found.drifted(SECURITY_GROUPS) {
            cx.aws
                .elbv2
                .set_security_groups()
                .load_balancer_arn(&found.id)
                .security_groups(cx.need(&Key::AlbSecurityGroup)?)
                .send()
                .await
                .doing(format!("giving load balancer `{name}` its security group"))?;
        }
        if ATTRIBUTES.iter().any(|(field, ..)| found.drifted(field)) {
            set_attributes(cx, &found.id).await?;
        }
        Ok(())
    }

    /// All its listeners go with a load balancer (`DeleteLoadBalancer`); two are ours.
    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        let pages = cx.aws.elbv2.describe_listeners().load_balancer_arn(&found.id);
        let listeners = pages.into_paginator().items().send().try_collect().await;
        let listeners =
            listeners.unless(&NOT_FOUND, "listing what our load balancer listens on")?;
        let ours = [Listener::Https.port(), Listener::Http.port()];
        let others = listeners.unwrap_or_default().into_iter().filter_map(|listener| {
            let port = listener.port().filter(|port| !ours.contains(port))?;
            Some(format!("the listener on port {port}, {}", listener.listener_arn()?))
        });
        Ok(others.collect())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        cx.aws
            .elbv2
            .delete_load_balancer()
            .load_balancer_arn(&found.id)
            .send()
            .await
            .unless(&NOT_FOUND, format!("deleting load balancer `{}`", self.name(cx)))
            .map_err(|error| {
                let protected = error.is(&["OperationNotPermitted"]);
                let error = anyhow::Error::from(error);
                if !protected {
                    return error;
                }
                error.context(Hinted::user(
                    "somebody protected the load balancer against deletion",
                    format!(
                        "run `{}`, which takes the protection off, then `{}`",
                        command("setup lb"),
                        as_admin("setup delete")
                    ),
                ))
            })?;
        wait::until(cx, &Key::LoadBalancer, super::RELEASE_LIMIT, || released(cx, &found.id)).await
    }

    async fn wait(&self, cx: &Cx, id: &str) -> Result<()> {
        wait::until(cx, &Key::LoadBalancer, ACTIVE_LIMIT, || active(cx, id)).await
    }
}

/// The load balancer's own name in the DNS, where the domain must lead to.
pub async fn dns_name(cx: &Cx) -> Result<String> {
    let arn = cx.need(&Key::LoadBalancer)?;
    describe(cx, &arn).await?.dns_name.context("AWS named no DNS name for the load balancer")
}

async fn compare(cx: &Cx, found: &mut Found, alb: &LoadBalancer) -> Result<()> {
    let answer = cx
        .aws
        .elbv2
        .describe_load_balancer_attributes()
        .load_balancer_arn(&found.id)
        .send()
        .await
        .doing("reading the attributes of our load balancer")?;
    for (field, key, wanted) in ATTRIBUTES {
        let attribute = answer.attributes().iter().find(|attribute| attribute.key() == Some(key));
        let actual = attribute.and_then(LoadBalancerAttribute::value).unwrap_or("not set");
        found.compare(field, actual, wanted);
    }
    let zones = alb.availability_zones().iter().filter_map(|zone| zone.subnet_id());
    let groups = alb.security_groups().iter().map(String::as_str);
    // Absent ones are made before this is compared; while deleting, the comparison is of no use.
    if let Ok(wanted) = subnets(cx) {
        found.compare(SUBNETS, set(zones), set(wanted.iter().map(String::as_str)));
    }
    if let Some(wanted) = cx.id(&Key::AlbSecurityGroup) {
        found.compare(SECURITY_GROUPS, set(groups), wanted);
    }
    Ok(())
}

fn subnets(cx: &Cx) -> Result<Vec<String>> {
    Ok(vec![cx.need(&Key::SubnetA)?, cx.need(&Key::SubnetB)?])
}

fn set<'a>(items: impl Iterator<Item = &'a str>) -> String {
    items.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

async fn set_attributes(cx: &Cx, arn: &str) -> Result<()> {
    let attributes = ATTRIBUTES
        .iter()
        .map(|(_, key, value)| LoadBalancerAttribute::builder().key(*key).value(*value).build());
    cx.aws
        .elbv2
        .modify_load_balancer_attributes()
        .load_balancer_arn(arn)
        .set_attributes(Some(attributes.collect()))
        .send()
        .await
        .doing("setting the attributes of our load balancer")?;
    Ok(())
}

async fn active(cx: &Cx, arn: &str) -> Result<Progress<()>> {
    let state = describe(cx, arn).await?.state.context("AWS told no state of the load balancer")?;
    let reason = state.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    match state.code() {
        // Impaired means that it serves, but could not be scaled up yet.
        Some(LoadBalancerStateEnum::Active | LoadBalancerStateEnum::ActiveImpaired) => {
            Ok(Progress::Ready(()))
        }
        Some(LoadBalancerStateEnum::Failed) => {
            bail!("AWS could not set the load balancer up{reason}")
        }
        code => {
            let code = code.map_or("unknown", LoadBalancerStateEnum::as_str);
            Ok(Progress::Pending(format!("{code}{reason}")))
        }
    }
}

/// Its network interfaces outlive a load balancer by minutes, and hold subnets and security groups.
async fn released(cx: &Cx, arn: &str) -> Result<Progress<()>> {
    let answer = cx
        .aws
        .ec2
        .describe_network_interfaces()
        .filters(filter("description", format!("ELB {}", dimension(arn))))
        .send()
        .await
        .doing("looking for network interfaces of the load balancer")?;
    let left: Vec<&str> =
        answer.network_interfaces().iter().filter_map(|eni| eni.network_interface_id()).collect();
    if left.is_empty() {
        return Ok(Progress::Ready(()));
    }
    Ok(Progress::Pending(format!("network interfaces still there: {}", left.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_subnets_is_no_drift() {
        assert_eq!(set(["b", "a"].into_iter()), set(["a", "b"].into_iter()));
    }
}
