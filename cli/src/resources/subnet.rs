//! The two public subnets, each in a zone of its own that offers the instance type. A subnet keeps
//! its zone for life.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_ec2::types::{self, AttributeBooleanValue, ResourceType, RouteTable};
use ipnet::Ipv4Net;

use super::{
    ec2::{
        carrying_our_tag, filter, interfaces, making, naming, on_ours, once, owner, tagged, tagging,
    },
    name_tag, network_acl, zones,
};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    error::Hinted,
    names::Names,
    policy::Permission,
    tags::Owner,
    wait,
};

/// One of the two subnets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Subnet {
    /// `{deployment}-a`, in the first zone.
    A,
    /// `{deployment}-b`, in the second.
    B,
}

const ADDRESS_RANGE: &str = "address range";
const ZONE: &str = "zone";
const PUBLIC_ADDRESSES: &str = "public addresses";
const ROUTE_TABLE: &str = "route table";

#[async_trait]
impl Resource for Subnet {
    fn name(&self, cx: &Cx) -> String {
        cx.names.with(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }

    fn intent(&self, cx: &Cx) -> String {
        let index = usize::from(*self == Self::B);
        let range = cx.config.network.subnets()[index];
        match &cx.config.network.zones {
            Some(zones) => format!("{range} in {}", zones[index]),
            None => format!("{range}, in a zone that is chosen when it is made"),
        }
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        vec![
            Permission::read(&[
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeInstanceTypeOfferings",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSubnets",
            ]),
            network_acl::permission(),
            making(names, &["ec2:CreateSubnet"]),
            tagging(names),
            naming(names),
            on_ours(
                names,
                &[
                    "ec2:CreateSubnet", // in our VPC
                    "ec2:ModifySubnetAttribute",
                    "ec2:AssociateRouteTable",
                    "ec2:ReplaceRouteTableAssociation",
                    "ec2:DeleteSubnet",
                ],
            ),
        ]
    }

    /// The zones the instance type can be had in, for both at once.
    async fn check(&self, cx: &Cx) -> Result<()> {
        match self {
            Self::A => zones::candidates(cx).await.map(drop),
            Self::B => Ok(()),
        }
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let name = self.name(cx);
        let table = cx.id(&Key::RouteTable).unwrap_or_else(|| "our route table".to_owned());
        let mut all = Vec::new();
        for subnet in self.listed(cx).await? {
            let id = subnet.subnet_id().unwrap_or_default();
            let cidr = subnet.cidr_block().unwrap_or_default();
            let zone = subnet.availability_zone().unwrap_or_default();
            let mut found =
                Found::new(id, owner(&cx.names, subnet.tags())).detail(format!("{zone}  {cidr}"));
            found = found.within(subnet.vpc_id());
            name_tag::compare(&mut found, subnet.tags(), &name);
            found
                .compare(ADDRESS_RANGE, cidr, self.range(cx))
                .fixed(ADDRESS_RANGE, Some("[network] cidr"))
                .fixed(ZONE, Some("[network] zones"))
                .compare(PUBLIC_ADDRESSES, subnet.map_public_ip_on_launch().unwrap_or(false), true)
                .compare(ROUTE_TABLE, association(cx, id).await?.table(), &table);
            // In either order: a swap in jitsi.toml moves nothing.
            if let Some(zones) = cx.config.network.zones.as_ref()
                && zones.iter().all(|wanted| wanted.as_str() != zone)
            {
                found.compare(ZONE, zone, zones.each_ref().map(ToString::to_string).join(" or "));
            }
            if found.owner == Owner::Ours {
                found.warnings = network_acl::told(cx, id).await?;
            }
            all.push(found);
        }
        Ok(all)
    }

    async fn used_by(&self, cx: &Cx, found: &Found) -> Result<Option<String>> {
        interfaces(cx, "subnet-id", &found.id).await
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let table = cx.need(&Key::RouteTable)?;
        let zone = self.zone(cx).await?;
        let answer = cx
            .aws
            .ec2
            .create_subnet()
            .vpc_id(cx.need(&Key::Vpc)?)
            .availability_zone(&zone)
            .cidr_block(self.range(cx).to_string())
            .tag_specifications(tagged(cx, ResourceType::Subnet, &name))
            .customize()
            .config_override(once())
            .send()
            .await
            .doing(format!("creating subnet `{name}` in {zone}"))?;
        let id =
            answer.subnet.and_then(|subnet| subnet.subnet_id).context("AWS named no subnet id")?;
        cx.made(&self.key());
        tokio::try_join!(give_public_addresses(cx, &id), associate(cx, &id, &table))?;
        Ok(id)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        name_tag::mend(cx, found, &self.name(cx)).await?;
        if found.drifted(PUBLIC_ADDRESSES) {
            give_public_addresses(cx, &found.id).await?;
        }
        if !found.drifted(ROUTE_TABLE) {
            return Ok(());
        }
        let table = cx.need(&Key::RouteTable)?;
        let Association::With { id: association, .. } = association(cx, &found.id).await? else {
            return associate(cx, &found.id, &table).await;
        };
        cx.aws
            .ec2
            .replace_route_table_association()
            .association_id(association)
            .route_table_id(&table)
            .send()
            .await
            .doing(format!("giving subnet {} the route table {table}", found.id))?;
        Ok(())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        let key = self.key();
        // Interfaces of the load balancer and of instances outlive what made them by minutes.
        wait::retry_on(cx, &key, &["DependencyViolation"], super::RELEASE_LIMIT, || async {
            cx.aws
                .ec2
                .delete_subnet()
                .subnet_id(&found.id)
                .send()
                .await
                .unless(&["InvalidSubnetID.NotFound"], format!("deleting subnet {}", found.id))
        })
        .await?;
        Ok(())
    }
}

impl Subnet {
    fn key(self) -> Key {
        match self {
            Self::A => Key::SubnetA,
            Self::B => Key::SubnetB,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    fn range(self, cx: &Cx) -> Ipv4Net {
        let [a, b] = cx.config.network.subnets();
        match self {
            Self::A => a,
            Self::B => b,
        }
    }

    /// What there is of it: by its name, else by its range.
    async fn listed(self, cx: &Cx) -> Result<Vec<types::Subnet>> {
        let pages = cx.aws.ec2.describe_subnets().filters(carrying_our_tag(cx)).into_paginator();
        let all = pages.items().send().try_collect().await.doing("looking for our subnets")?;
        let (ours, range) = ([Self::A, Self::B].map(|one| one.name(cx)), self.range(cx));
        let like = |one: &types::Subnet| one.cidr_block() == Some(range.to_string().as_str());
        Ok(name_tag::called(cx, all, types::Subnet::tags, &self.name(cx), &ours, like))
    }

    async fn zone(self, cx: &Cx) -> Result<String> {
        let other = self.other().name(cx);
        let (taken, candidates) = tokio::try_join!(self.other().listed(cx), zones::candidates(cx))?;
        let taken = taken.first().and_then(|subnet| subnet.availability_zone());
        zones::choose(&candidates, taken).ok_or_else(|| {
            let mut why = format!("there is no zone left for subnet `{}`", self.name(cx));
            if let Some(taken) = taken {
                let _ = write!(why, ": `{other}` has {taken}");
            }
            Hinted::user(why, "name two zones in [network] zones in jitsi.toml").into()
        })
    }
}

/// Which route table a subnet uses.
enum Association {
    /// None of its own: the VPC's main one, without a way out.
    Main,
    /// This one.
    With {
        /// `rtbassoc-…`.
        id: String,
        /// `rtb-…`.
        table: String,
    },
}

impl Association {
    fn table(&self) -> &str {
        match self {
            Self::Main => "main",
            Self::With { table, .. } => table,
        }
    }
}

async fn association(cx: &Cx, subnet: &str) -> Result<Association> {
    let answer = cx
        .aws
        .ec2
        .describe_route_tables()
        .filters(filter("association.subnet-id", subnet))
        .send()
        .await
        .doing(format!("looking for the route table of {subnet}"))?;
    let own = answer
        .route_tables()
        .iter()
        .flat_map(RouteTable::associations)
        .find(|association| association.subnet_id() == Some(subnet));
    Ok(own.map_or(Association::Main, |own| Association::With {
        id: own.route_table_association_id().unwrap_or_default().to_owned(),
        table: own.route_table_id().unwrap_or_default().to_owned(),
    }))
}

async fn associate(cx: &Cx, subnet: &str, table: &str) -> Result<()> {
    cx.aws
        .ec2
        .associate_route_table()
        .subnet_id(subnet)
        .route_table_id(table)
        .send()
        .await
        .doing(format!("giving subnet {subnet} the route table {table}"))?;
    Ok(())
}

async fn give_public_addresses(cx: &Cx, subnet: &str) -> Result<()> {
    cx.aws
        .ec2
        .modify_subnet_attribute()
        .subnet_id(subnet)
        .map_public_ip_on_launch(AttributeBooleanValue::builder().value(true).build())
        .send()
        .await
        .doing(format!("turning on public addresses in subnet {subnet}"))?;
    Ok(())
}
