//! The VPC: the deployment's own network, with DNS names so that instances have public ones.

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_ec2::types::{
    AttributeBooleanValue, ResourceType, RouteTable, Tag, Vpc, VpcAttributeName,
};

use super::ec2::{filter, interfaces, making, on_ours, once, ours_named, owner, tagged, tagging};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::Permission,
    tags::Owner,
    wait,
};

/// The network of the deployment.
pub struct Network;

const DNS_NAMES: &str = "DNS names";
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
            Permission::read(&[
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeNetworkInterfaces", // which of two is in use
                "ec2:DescribeVpcAttribute",
                "ec2:DescribeVpcs",
            ]),
            making(names, &["ec2:CreateVpc"]),
            tagging(names),
            on_ours(names, &["ec2:ModifyVpcAttribute", "ec2:DeleteVpc"]),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let mut pages = cx
            .aws
            .ec2
            .describe_vpcs()
            .set_filters(Some(ours_named(cx, &self.name(cx)).into()))
            .into_paginator()
            .items()
            .send();
        let mut all = Vec::new();
        while let Some(vpc) = pages.next().await {
            all.push(found(cx, &vpc.doing("looking for our VPC")?).await?);
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
        enable_dns_names(cx, &found.id).await
    }

    /// A VPC with any of these in it is not deleted (`DeleteVpc`), and all of ours would be gone before that.
    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        let doing = format!("looking what is in VPC {}", found.id);
        let here = || filter("vpc-id", &found.id);
        let foreign = |tags: &[Tag]| owner(&cx.names, tags) != Owner::Ours;
        let ec2 = &cx.aws.ec2;
        let subnets = ec2.describe_subnets().filters(here()).send().await.doing(&doing)?;
        let groups = ec2.describe_security_groups().filters(here()).send().await.doing(&doing)?;
        let tables = ec2.describe_route_tables().filters(here()).send().await.doing(&doing)?;
        let subnets = subnets.subnets().iter().filter(|subnet| foreign(subnet.tags()));
        let subnets = subnets.filter_map(|subnet| subnet.subnet_id());
        let groups = groups.security_groups().iter().filter(|group| foreign(group.tags()));
        // Every VPC has a default group and a main route table of its own, which go with it.
        let groups = groups.filter(|group| group.group_name() != Some("default"));
        let groups = groups.filter_map(|group| group.group_id());
        let tables = tables.route_tables().iter().filter(|table| foreign(table.tags()));
        let main =
            |table: &&RouteTable| table.associations().iter().any(|a| a.main() == Some(true));
        let tables = tables.filter(|table| !main(table)).filter_map(|table| table.route_table_id());
        Ok(subnets
            .map(|id| format!("subnet {id}"))
            .chain(groups.map(|id| format!("security group {id}")))
            .chain(tables.map(|id| format!("route table {id}")))
            .collect())
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
    let dns = cx
        .aws
        .ec2
        .describe_vpc_attribute()
        .vpc_id(id)
        .attribute(VpcAttributeName::EnableDnsHostnames)
        .send()
        .await
        .doing(format!("reading the DNS settings of VPC {id}"))?;
    let dns = dns.enable_dns_hostnames.and_then(|value| value.value).unwrap_or(false);
    let cidr = vpc.cidr_block().unwrap_or_default();
    let mut found = Found::new(id, owner(&cx.names, vpc.tags())).detail(cidr);
    found
        .compare(ADDRESS_RANGE, cidr, cx.config.network.cidr)
        .fixed(ADDRESS_RANGE, Some("[network] cidr"))
        .compare(DNS_NAMES, dns, true);
    Ok(found)
}

/// DNS support is on in every new VPC; host names are not (`CreateVpc`).
async fn enable_dns_names(cx: &Cx, id: &str) -> Result<()> {
    cx.aws
        .ec2
        .modify_vpc_attribute()
        .vpc_id(id)
        .enable_dns_hostnames(AttributeBooleanValue::builder().value(true).build())
        .send()
        .await
        .doing(format!("turning on DNS names in VPC {id}"))?;
    Ok(())
}
