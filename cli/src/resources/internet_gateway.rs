//! The internet gateway: the VPC's way out, and the world's way to the bridge's public address.

use std::slice;

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_ec2::types::{InternetGateway, ResourceType};

use super::{
    ec2::{carrying_our_tag, making, naming, on_ours, once, owner, tagged, tagging},
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

/// The way out of the VPC.
pub struct Gateway;

const ATTACHED_TO: &str = "attached to";

#[async_trait]
impl Resource for Gateway {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        vec![
            Permission::read(&["ec2:DescribeInternetGateways"]),
            making(names, &["ec2:CreateInternetGateway"]),
            tagging(names),
            naming(names),
            on_ours(
                names,
                &[
                    "ec2:AttachInternetGateway",
                    "ec2:DetachInternetGateway",
                    "ec2:DeleteInternetGateway",
                ],
            ),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let pages = cx.aws.ec2.describe_internet_gateways().filters(carrying_our_tag(cx));
        let gateways = pages.into_paginator().items().send().try_collect().await;
        let gateways = gateways.doing("looking for our internet gateway")?;
        let (name, tags) = (self.name(cx), InternetGateway::tags);
        let wanted = cx.id(&Key::Vpc).unwrap_or_else(|| "our VPC".to_owned());
        let mut all = Vec::new();
        for gateway in name_tag::called(cx, gateways, tags, &name, slice::from_ref(&name), |_| true)
        {
            let id = gateway.internet_gateway_id().unwrap_or_default();
            let mut found = Found::new(id, owner(&cx.names, gateway.tags()));
            name_tag::compare(&mut found, gateway.tags(), &name);
            let actual = attached_to(&gateway);
            found.compare(ATTACHED_TO, actual.as_deref().unwrap_or("nothing"), &wanted);
            all.push(found.within(actual.as_deref()));
        }
        Ok(all)
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let vpc = cx.need(&Key::Vpc)?;
        let answer = cx
            .aws
            .ec2
            .create_internet_gateway()
            .tag_specifications(tagged(cx, ResourceType::InternetGateway, &name))
            .customize()
            .config_override(once())
            .send()
            .await
            .doing(format!("creating internet gateway `{name}`"))?;
        let id = answer
            .internet_gateway
            .and_then(|gateway| gateway.internet_gateway_id)
            .context("AWS named no internet gateway id")?;
        cx.made(&Key::InternetGateway);
        attach(cx, &id, &vpc).await?;
        Ok(id)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        name_tag::mend(cx, found, &self.name(cx)).await?;
        if !found.drifted(ATTACHED_TO) {
            return Ok(());
        }
        detach(cx, &found.id).await?;
        attach(cx, &found.id, &cx.need(&Key::Vpc)?).await
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        detach(cx, &found.id).await?;
        cx.aws
            .ec2
            .delete_internet_gateway()
            .internet_gateway_id(&found.id)
            .send()
            .await
            .unless(&[NOT_FOUND], format!("deleting internet gateway {}", found.id))?;
        Ok(())
    }
}

const NOT_FOUND: &str = "InvalidInternetGatewayID.NotFound";

/// An internet gateway is attached to at most one VPC.
fn attached_to(gateway: &InternetGateway) -> Option<String> {
    gateway.attachments().first().and_then(|attachment| attachment.vpc_id().map(str::to_owned))
}

async fn attach(cx: &Cx, id: &str, vpc: &str) -> Result<()> {
    // Already attached: the answer to an earlier sending was lost.
    cx.aws.ec2.attach_internet_gateway().internet_gateway_id(id).vpc_id(vpc).send().await.unless(
        &["Resource.AlreadyAssociated"],
        format!("attaching internet gateway {id} to VPC {vpc}"),
    )?;
    Ok(())
}

async fn detach(cx: &Cx, id: &str) -> Result<()> {
    let answer = cx
        .aws
        .ec2
        .describe_internet_gateways()
        .internet_gateway_ids(id)
        .send()
        .await
        .unless(&[NOT_FOUND], format!("looking at internet gateway {id}"))?;
    let gateway = answer.as_ref().and_then(|answer| answer.internet_gateways().first());
    let Some(vpc) = gateway.and_then(attached_to) else { return Ok(()) };
    // Refused while public addresses of the load balancer or of an instance are still mapped.
    wait::retry_on(
        cx,
        &Key::InternetGateway,
        &["DependencyViolation"],
        super::RELEASE_LIMIT,
        || async {
            cx.aws
                .ec2
                .detach_internet_gateway()
                .internet_gateway_id(id)
                .vpc_id(&vpc)
                .send()
                .await
                .unless(
                    &["Gateway.NotAttached"],
                    format!("detaching internet gateway {id} from VPC {vpc}"),
                )
        },
    )
    .await?;
    Ok(())
}
