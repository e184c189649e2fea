//! The route table of both subnets, with the default route to the internet gateway. The VPC's main
//! route table is left as AWS made it.

use std::slice;

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_ec2::types::{ResourceType, Route, RouteState, RouteTable};

use super::{
    ec2::{carrying_our_tag, interfaces, making, naming, on_ours, once, owner, tagged, tagging},
    name_tag,
};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::Permission,
    wait,
};

/// The routes of both subnets.
pub struct Routes;

const DEFAULT_ROUTE: &str = "default route";
const ANYWHERE: &str = "0.0.0.0/0";
const NONE: &str = "none";
const NOT_FOUND: &str = "InvalidRouteTableID.NotFound";

#[async_trait]
impl Resource for Routes {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        vec![
            Permission::read(&["ec2:DescribeRouteTables"]),
            making(names, &["ec2:CreateRouteTable"]),
            tagging(names),
            naming(names),
            on_ours(
                names,
                &[
                    "ec2:CreateRouteTable", // in our VPC
                    "ec2:CreateRoute",
                    "ec2:ReplaceRoute",
                    "ec2:DisassociateRouteTable",
                    "ec2:DeleteRouteTable",
                ],
            ),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let pages = cx.aws.ec2.describe_route_tables().filters(carrying_our_tag(cx));
        let tables = pages.into_paginator().items().send().try_collect().await;
        let tables = tables.doing("looking for our route table")?;
        let (name, tags) = (self.name(cx), RouteTable::tags);
        let wanted =
            cx.id(&Key::InternetGateway).unwrap_or_else(|| "our internet gateway".to_owned());
        let mut all = Vec::new();
        for table in name_tag::called(cx, tables, tags, &name, slice::from_ref(&name), |_| true) {
            let id = table.route_table_id().unwrap_or_default();
            let mut found = Found::new(id, owner(&cx.names, table.tags()));
            name_tag::compare(&mut found, table.tags(), &name);
            found.compare(DEFAULT_ROUTE, default_route(table.routes()), &wanted);
            all.push(found.within(table.vpc_id()));
        }
        Ok(all)
    }

    /// Subnets that lie where something is; others are only about to be used.
    async fn used_by(&self, cx: &Cx, found: &Found) -> Result<Option<String>> {
        let call = cx.aws.ec2.describe_route_tables().route_table_ids(&found.id);
        let doing = format!("looking for what uses route table {}", found.id);
        let answer = call.send().await.unless(&[NOT_FOUND], doing)?;
        let tables = answer.and_then(|answer| answer.route_tables).unwrap_or_default();
        for association in tables.iter().flat_map(RouteTable::associations) {
            if let Some(subnet) = association.subnet_id()
                && interfaces(cx, "subnet-id", subnet).await?.is_some()
            {
                return Ok(Some(subnet.to_owned()));
            }
        }
        Ok(None)
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let gateway = cx.need(&Key::InternetGateway)?;
        let answer = cx
            .aws
            .ec2
            .create_route_table()
            .vpc_id(cx.need(&Key::Vpc)?)
            .tag_specifications(tagged(cx, ResourceType::RouteTable, &name))
            .customize()
            .config_override(once())
            .send()
            .await
            .doing(format!("creating route table `{name}`"))?;
        let id = answer
            .route_table
            .and_then(|table| table.route_table_id)
            .context("AWS named no route table id")?;
        cx.made(&Key::RouteTable);
        create_route(cx, &id, &gateway).await?;
        Ok(id)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        name_tag::mend(cx, found, &self.name(cx)).await?;
        if !found.drifted(DEFAULT_ROUTE) {
            return Ok(());
        }
        let gateway = cx.need(&Key::InternetGateway)?;
        let missing =
            found.drift.iter().any(|drift| drift.field == DEFAULT_ROUTE && drift.actual == NONE);
        if missing {
            return create_route(cx, &found.id, &gateway).await;
        }
        cx.aws
            .ec2
            .replace_route()
            .route_table_id(&found.id)
            .destination_cidr_block(ANYWHERE)
            .gateway_id(&gateway)
            .send()
            .await
            .doing(format!("pointing the default route of {} at {gateway}", found.id))?;
        Ok(())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        disassociate(cx, &found.id).await?;
        wait::retry_on(
            cx,
            &Key::RouteTable,
            &["DependencyViolation"],
            super::RELEASE_LIMIT,
            || async {
                cx.aws
                    .ec2
                    .delete_route_table()
                    .route_table_id(&found.id)
                    .send()
                    .await
                    .unless(&[NOT_FOUND], format!("deleting route table {}", found.id))
            },
        )
        .await?;
        Ok(())
    }
}

/// Where the default route leads; one whose gateway is gone stays behind as a black hole.
fn default_route(routes: &[Route]) -> String {
    let route = routes.iter().find(|route| route.destination_cidr_block() == Some(ANYWHERE));
    match route {
        None => NONE.to_owned(),
        Some(route) if route.state() == Some(&RouteState::Blackhole) => {
            "a deleted gateway".to_owned()
        }
        Some(route) => route.gateway_id().unwrap_or("something other than a gateway").to_owned(),
    }
}

async fn create_route(cx: &Cx, table: &str, gateway: &str) -> Result<()> {
    cx.aws
        .ec2
        .create_route()
        .route_table_id(table)
        .destination_cidr_block(ANYWHERE)
        .gateway_id(gateway)
        .send()
        .await
        .doing(format!("creating the default route of {table} to {gateway}"))?;
    Ok(())
}

/// A table in use by a subnet cannot be deleted. Ours are deleted first, so what is left is a
/// subnet somebody added, or one that is not quite gone.
async fn disassociate(cx: &Cx, table: &str) -> Result<()> {
    let answer = cx
        .aws
        .ec2
        .describe_route_tables()
        .route_table_ids(table)
        .send()
        .await
        .unless(&[NOT_FOUND], format!("looking at route table {table}"))?;
    let tables = answer.and_then(|answer| answer.route_tables).unwrap_or_default();
    for association in tables.iter().flat_map(RouteTable::associations) {
        let id = association.route_table_association_id().unwrap_or_default();
        cx.aws.ec2.disassociate_route_table().association_id(id).send().await.unless(
            &["InvalidAssociationID.NotFound"],
            format!("taking route table {table} from its subnet"),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_is_told_apart_from_others() {
        let route = |to: &str| Route::builder().destination_cidr_block(to).gateway_id("igw-1");
        assert_eq!(default_route(&[route("10.0.0.0/16").build()]), NONE);
        assert_eq!(default_route(&[route(ANYWHERE).build()]), "igw-1");
        assert_eq!(
            default_route(&[route(ANYWHERE).state(RouteState::Blackhole).build()]),
            "a deleted gateway"
        );
    }
}
