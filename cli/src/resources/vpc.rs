//! The VPC: the deployment's own network, with DNS names so that instances have public ones.

use std::slice;

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_ec2::types::{AttributeBooleanValue, ResourceType, Vpc, VpcAttributeName};

use super::{
    ec2::{carrying_our_tag, interfaces, making, naming, on_ours, once, owner, tagged, tagging},
    name_tag, occupants,
};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::Permission,
    wait,
};

/// The network of the deployment.
pub struct Network;

const DNS_NAMES: &str = "DNS names";
const DNS_SUPPORT: &str = "DNS resolution";
const ADDRESS_RANGE: &str = "address range";

#[async_trait]
impl Resource for Network {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn intent(&self, cx: &Cx) -> String {
        cx.config.network.cidr.to_string()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        vec![
            Permission::read(&["ec2:DescribeVpcAttribute", "ec2:DescribeVpcs"]),
            occupants::permission(), // with interfaces: which of two is in use, too
            making(names, &["ec2:CreateVpc"]),
            tagging(names),
            naming(names),
            on_ours(names, &["ec2:ModifyVpcAttribute", "ec2:DeleteVpc"]),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let pages = cx.aws.ec2.describe_vpcs().filters(carrying_our_tag(cx)).into_paginator();
        let vpcs = pages.items().send().try_collect().await.doing("looking for our VPC")?;
        let name = self.name(cx);
        let mut all = Vec::new();
        for vpc in name_tag::called(cx, vpcs, Vpc::tags, &name, slice::from_ref(&name), |_| true) {
            let mut found = found(cx, &vpc).await?;
            name_tag::compare(&mut found, vpc.tags(), &name);
            all.push(found);
        }
        Ok(all)
    }

    async fn used_by(&self, cx: &Cx, found: &Found) -> Result<Option<String>> {
        interfaces(cx, "vpc-id", &found.id).await
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let answer = cx
            .aws
            .ec2
            .create_vpc()
            .cidr_block(cx.config.network.cidr.to_string())
            .tag_specifications(tagged(cx, ResourceType::Vpc, &name))
            .customize()
            .config_override(once())
            .send()
            .await
            .doing(format!("creating VPC `{name}`"))?;
        let id = answer.vpc.and_then(|vpc| vpc.vpc_id).context("AWS named no VPC id")?;
        cx.made(&Key::Vpc);
        enable_dns_names(cx, &id).await?;
        Ok(id)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        name_tag::mend(cx, found, &self.name(cx)).await?;
        // There are no names without it (`ModifyVpcAttribute`, `EnableDnsHostnames`).
        if found.drifted(DNS_SUPPORT) {
            let call = cx.aws.ec2.modify_vpc_attribute().vpc_id(&found.id);
            let answer = call.enable_dns_support(on()).send().await;
            answer.doing(format!("turning on DNS resolution in VPC {}", found.id))?;
        }
        if found.drifted(DNS_NAMES) {
            enable_dns_names(cx, &found.id).await?;
        }
        Ok(())
    }

    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        occupants::occupants(cx, &found.id).await
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        // Interfaces of the load balancer and of instances outlive what made them by minutes.
        wait::retry_on(cx, &Key::Vpc, &["DependencyViolation"], super::RELEASE_LIMIT, || async {
            cx.aws
                .ec2
                .delete_vpc()
                .vpc_id(&found.id)
                .send()
                .await
                .unless(&["InvalidVpcID.NotFound"], format!("deleting VPC {}", found.id))
        })
        .await?;
        Ok(())
    }
}

async fn found(cx: &Cx, vpc: &Vpc) -> Result<Found> {
    let id = vpc.vpc_id().unwrap_or_default();
    let read = async |attribute: VpcAttributeName| {
        let call = cx.aws.ec2.describe_vpc_attribute().vpc_id(id).attribute(attribute);
        call.send().await.doing(format!("reading the DNS settings of VPC {id}"))
    };
    let is_on =
        |value: Option<AttributeBooleanValue>| value.and_then(|value| value.value) == Some(true);
    let names = read(VpcAttributeName::EnableDnsHostnames).await?.enable_dns_hostnames;
    let support = read(VpcAttributeName::EnableDnsSupport).await?.enable_dns_support;
    let cidr = vpc.cidr_block().unwrap_or_default();
    let mut found = Found::new(id, owner(&cx.names, vpc.tags())).detail(cidr);
    found
        .compare(ADDRESS_RANGE, cidr, cx.config.network.cidr)
        .fixed(ADDRESS_RANGE, Some("[network] cidr"))
        .compare(DNS_SUPPORT, is_on(support), true)
        .compare(DNS_NAMES, is_on(names), true);
    Ok(found)
}

/// DNS support is on in every new VPC; host names are not (`CreateVpc`).
async fn enable_dns_names(cx: &Cx, id: &str) -> Result<()> {
    cx.aws
        .ec2
        .modify_vpc_attribute()
        .vpc_id(id)
        .enable_dns_hostnames(on())
        .send()
        .await
        .doing(format!("turning on DNS names in VPC {id}"))?;
    Ok(())
}

fn on() -> AttributeBooleanValue {
    AttributeBooleanValue::builder().value(true).build()
}
