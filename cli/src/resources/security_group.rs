//! The two security groups: the load balancer's lets the world in on 80 and 443, the instance's lets
//! in the load balancer on 443 and for health checks, and the world's media. What may go out is as AWS made it:
//! everything, which the load balancer, apt and media need; further rules for that say nothing more, and stay.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_ec2::types::{self, IpPermission, ResourceType};
use jitsi_templates::layout::{HEALTH_PORT, MEDIA_PORT};

use super::{
    ec2::{filter, interfaces, making, on_ours, once, ours_named, owner, tagged, tagging},
    rules::{Rule, Source},
};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Drift, Found, Key, Resource},
    names::Names,
    policy::Permission,
    tags, wait,
};

/// One of the two security groups.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SecurityGroup {
    /// `{deployment}-alb`: what reaches the load balancer.
    Alb,
    /// `{deployment}-instance`: what reaches the instance.
    Instance,
}

const WORLD: &str = "0.0.0.0/0";
const RULE: &str = "rule";
const OUTGOING: &str = "outgoing traffic";
const ABSENT: &str = "absent";
/// Where the bridge took TCP until 2024.
const TCP_FALLBACK: u16 = 4443;

#[async_trait]
impl Resource for SecurityGroup {
    fn name(&self, cx: &Cx) -> String {
        cx.names.with(match self {
            Self::Alb => "alb",
            Self::Instance => "instance",
        })
    }

    fn intent(&self, cx: &Cx) -> String {
        let rules = self.wanted_rules(cx);
        rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        vec![
            Permission::read(&["ec2:DescribeSecurityGroups"]),
            making(names, &["ec2:CreateSecurityGroup"]),
            tagging(names),
            on_ours(
                names,
                &[
                    "ec2:CreateSecurityGroup", // in our VPC
                    "ec2:AuthorizeSecurityGroupEgress",
                    "ec2:AuthorizeSecurityGroupIngress",
                    "ec2:RevokeSecurityGroupIngress",
                    "ec2:DeleteSecurityGroup",
                ],
            ),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let wanted = self.wanted_rules(cx);
        let mut pages = cx
            .aws
            .ec2
            .describe_security_groups()
            .set_filters(Some(ours_named(cx, &self.name(cx)).into()))
            .into_paginator()
            .items()
            .send();
        let mut all = Vec::new();
        while let Some(group) = pages.next().await {
            let group = group.doing("looking for our security groups")?;
            all.push(found(cx, &group, &wanted));
        }
        if all.is_empty() {
            all.extend(self.namesake(cx).await?.map(|group| found(cx, &group, &wanted)));
        }
        Ok(all)
    }

    async fn used_by(&self, cx: &Cx, found: &Found) -> Result<Option<String>> {
        interfaces(cx, "group-id", &found.id).await
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let answer = cx
            .aws
            .ec2
            .create_security_group()
            .group_name(&name)
            .description(match self {
                Self::Alb => "What reaches the load balancer",
                Self::Instance => "What reaches the Jitsi instance",
            })
            .vpc_id(cx.need(&Key::Vpc)?)
            .tag_specifications(tagged(cx, ResourceType::SecurityGroup, &name))
            .customize()
            .config_override(once())
            .send()
            .await
            .doing(format!("creating security group `{name}`"))?;
        let id = answer.group_id.context("AWS named no security group id")?;
        cx.made(&self.key());
        self.allow(cx, &id, &self.wanted_rules(cx)).await?;
        Ok(id)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        let actual = actual_rules(cx, &found.id).await?;
        let wanted = self.wanted_rules(cx);
        if found.drifted(OUTGOING) {
            let call = cx.aws.ec2.authorize_security_group_egress().group_id(&found.id);
            let all = call.ip_permissions(Rule::everything(WORLD).permission()).send().await;
            let doing = format!("allowing everything to go out of {}", found.id);
            all.unless(&["InvalidPermission.Duplicate"], doing)?;
        }
        // Opened before closed: nobody is locked out in between.
        self.allow(cx, &found.id, &wanted.difference(&actual).cloned().collect()).await?;
        revoke(cx, &found.id, &actual.difference(&wanted).cloned().collect()).await
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        revoke_references(cx, &found.id).await?;
        let key = self.key();
        // Interfaces of the load balancer and of instances outlive what made them by minutes.
        wait::retry_on(cx, &key, &["DependencyViolation"], super::RELEASE_LIMIT, || async {
            cx.aws
                .ec2
                .delete_security_group()
                .group_id(&found.id)
                .send()
                .await
                .unless(&["InvalidGroup.NotFound"], format!("deleting security group {}", found.id))
        })
        .await?;
        Ok(())
    }
}

impl SecurityGroup {
    fn key(self) -> Key {
        match self {
            Self::Alb => Key::AlbSecurityGroup,
            Self::Instance => Key::InstanceSecurityGroup,
        }
    }

    /// Whatever has our group's name in our VPC, where a name is taken once (`CreateSecurityGroup`).
    async fn namesake(self, cx: &Cx) -> Result<Option<types::SecurityGroup>> {
        let Some(vpc) = cx.id(&Key::Vpc) else { return Ok(None) };
        let answer = cx
            .aws
            .ec2
            .describe_security_groups()
            .filters(filter("vpc-id", vpc))
            .filters(filter("group-name", self.name(cx)))
            .send()
            .await
            .doing("looking for security groups of our name")?;
        Ok(answer.security_groups.unwrap_or_default().pop())
    }

    fn wanted_rules(self, cx: &Cx) -> BTreeSet<Rule> {
        let world = || Source::V4(WORLD.to_owned());
        if self == Self::Alb {
            return [80, 443].map(|port| Rule::tcp(port, world())).into();
        }
        let alb = cx.id(&Key::AlbSecurityGroup).unwrap_or_else(|| cx.names.with("alb"));
        let network = &cx.config.network;
        // AWS keeps a range by its first address.
        let ssh = network.ssh_from.iter().map(|from| Source::V4(from.trunc().to_string()));
        let mut rules: BTreeSet<Rule> = ssh.map(|from| Rule::tcp(22, from)).collect();
        rules.extend([443, HEALTH_PORT].map(|port| Rule::tcp(port, Source::Group(alb.clone()))));
        rules.insert(Rule::udp(MEDIA_PORT, world()));
        if network.tcp_fallback {
            rules.insert(Rule::tcp(TCP_FALLBACK, world()));
        }
        rules
    }

    async fn allow(self, cx: &Cx, id: &str, rules: &BTreeSet<Rule>) -> Result<()> {
        if rules.is_empty() {
            return Ok(());
        }
        // Duplicate: the answer to an earlier sending was lost. AWS takes all rules or none.
        cx.aws
            .ec2
            .authorize_security_group_ingress()
            .group_id(id)
            .set_ip_permissions(Some(permissions(rules)))
            .send()
            .await
            .unless(
                &["InvalidPermission.Duplicate"],
                format!("allowing {} in {id}", listed(rules)),
            )?;
        if rules.contains(&Rule::tcp(TCP_FALLBACK, Source::V4(WORLD.to_owned()))) {
            cx.note(
                &self.key(),
                "4443/tcp is open as [network] tcp_fallback asks, but nothing answers there: \
                 the bridge takes media over UDP only since 2024",
            );
        }
        Ok(())
    }
}

fn found(cx: &Cx, group: &types::SecurityGroup, wanted: &BTreeSet<Rule>) -> Found {
    let mut found =
        Found::new(group.group_id().unwrap_or_default(), owner(&cx.names, group.tags()));
    found.drift = drift(&Rule::split(group.ip_permissions()), wanted);
    if !Rule::split(group.ip_permissions_egress()).contains(&Rule::everything(WORLD)) {
        found.compare(OUTGOING, "not everything is let out", "everything");
    }
    found.within(group.vpc_id())
}

fn drift(actual: &BTreeSet<Rule>, wanted: &BTreeSet<Rule>) -> Vec<Drift> {
    let line = |actual: &str, wanted: &str| Drift {
        field: RULE,
        actual: actual.to_owned(),
        wanted: wanted.to_owned(),
        effect: None,
    };
    let missing = wanted.difference(actual).map(|rule| line(ABSENT, &rule.to_string()));
    let surplus = actual.difference(wanted).map(|rule| line(&rule.to_string(), ABSENT));
    missing.chain(surplus).collect()
}

async fn actual_rules(cx: &Cx, id: &str) -> Result<BTreeSet<Rule>> {
    let answer = cx
        .aws
        .ec2
        .describe_security_groups()
        .group_ids(id)
        .send()
        .await
        .doing(format!("reading the rules of {id}"))?;
    let group = answer.security_groups().first();
    Ok(group.map(|group| Rule::split(group.ip_permissions())).unwrap_or_default())
}

/// A group cannot be deleted while a rule of another one refers to it.
async fn revoke_references(cx: &Cx, id: &str) -> Result<()> {
    let answer = cx
        .aws
        .ec2
        .describe_security_groups()
        .filters(filter("ip-permission.group-id", id))
        .filters(filter(&format!("tag:{}", tags::DEPLOYMENT), cx.names.deployment()))
        .send()
        .await
        .doing(format!("looking for rules that refer to {id}"))?;
    for group in answer.security_groups() {
        let rules = Rule::split(group.ip_permissions());
        let referring = rules.into_iter().filter(|rule| rule.refers_to(id)).collect();
        revoke(cx, group.group_id().unwrap_or_default(), &referring).await?;
    }
    Ok(())
}

fn permissions(rules: &BTreeSet<Rule>) -> Vec<IpPermission> {
    rules.iter().map(Rule::permission).collect()
}

fn listed(rules: &BTreeSet<Rule>) -> String {
    rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

async fn revoke(cx: &Cx, id: &str, rules: &BTreeSet<Rule>) -> Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    cx.aws
        .ec2
        .revoke_security_group_ingress()
        .group_id(id)
        .set_ip_permissions(Some(permissions(rules)))
        .send()
        .await
        .unless(
            &["InvalidPermission.NotFound", "InvalidGroup.NotFound"],
            format!("revoking {} in {id}", listed(rules)),
        )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differing_rules_drift() {
        let from = |from: &str| Source::V4(from.to_owned());
        let actual = [Rule::tcp(22, from("10.0.0.1/32")), Rule::tcp(443, from(WORLD))].into();
        let wanted = [Rule::tcp(443, from(WORLD)), Rule::udp(10000, from(WORLD))].into();
        let said: Vec<String> = drift(&actual, &wanted)
            .iter()
            .map(|drift| format!("{} → {}", drift.actual, drift.wanted))
            .collect();
        assert_eq!(said, ["absent → 10000/udp ← 0.0.0.0/0", "22/tcp ← 10.0.0.1/32 → absent"]);
        assert_eq!(drift(&wanted, &wanted), []);
    }
}
