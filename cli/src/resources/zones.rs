//! Availability zones that can hold the instance: offered, open to the account, and in an order that
//! is the same each time.

use anyhow::Result;
use aws_sdk_ec2::types::LocationType;

use super::ec2::filter;
use crate::{aws::Answer, cx::Cx, error::Hinted};

/// The zones to choose from, best first: those of the configuration in its order, else by name.
/// Fewer than two are refused: a load balancer needs two (`CreateLoadBalancer`, Subnets).
pub(super) async fn candidates(cx: &Cx) -> Result<Vec<String>> {
    let kind = cx.config.instance.instance_type.as_str();
    let (open, offering) = tokio::try_join!(open(cx), offering(cx, kind))?;
    if offering.is_empty() {
        let offered =
            "ec2 describe-instance-type-offerings --query 'InstanceTypeOfferings[].InstanceType'";
        return Err(Hinted::user(
            format!("there is no instance type `{kind}` in {}", cx.names.region()),
            format!(
                "set [instance] type in jitsi.toml to one of `{}`, such as t3.large",
                cx.aws_cli(offered)
            ),
        )
        .into());
    }
    let usable: Vec<String> = open.into_iter().filter(|zone| offering.contains(zone)).collect();
    if usable.len() < 2 {
        return Err(Hinted::user(
            format!(
                "{kind} can be had in {} of the zones of {}, and two are needed",
                listed(&usable),
                cx.names.region()
            ),
            "choose another [instance] type or [deployment] region in jitsi.toml",
        )
        .into());
    }
    let Some(wanted) = &cx.config.network.zones else { return Ok(usable) };
    let wanted = wanted.each_ref().map(ToString::to_string);
    if let Some(unusable) = wanted.iter().find(|zone| !usable.contains(zone)) {
        return Err(Hinted::user(
            format!("{kind} cannot be had in {unusable}"),
            format!("set [network] zones in jitsi.toml to two of {}", listed(&usable)),
        )
        .into());
    }
    Ok(wanted.into())
}

/// The zone for a subnet: the best one that the other subnet has not got.
pub(super) fn choose(candidates: &[String], taken: Option<&str>) -> Option<String> {
    candidates.iter().find(|zone| Some(zone.as_str()) != taken).cloned()
}

fn listed(zones: &[String]) -> String {
    if zones.is_empty() { "none".to_owned() } else { zones.join(", ") }
}

/// Zones the account may use. Local and wavelength zones are of another type and left out.
async fn open(cx: &Cx) -> Result<Vec<String>> {
    let answer = cx
        .aws
        .ec2
        .describe_availability_zones()
        .filters(filter("zone-type", "availability-zone"))
        .filters(filter("state", "available"))
        .send()
        .await
        .doing("listing availability zones")?;
    let mut zones: Vec<String> = answer
        .availability_zones
        .unwrap_or_default()
        .into_iter()
        .filter_map(|zone| zone.zone_name)
        .collect();
    zones.sort_unstable();
    Ok(zones)
}

async fn offering(cx: &Cx, kind: &str) -> Result<Vec<String>> {
    let mut pages = cx
        .aws
        .ec2
        .describe_instance_type_offerings()
        .location_type(LocationType::AvailabilityZone)
        .filters(filter("instance-type", kind))
        .into_paginator()
        .items()
        .send();
    let mut zones = Vec::new();
    while let Some(offering) = pages.next().await {
        zones.extend(offering.doing(format!("asking which zones offer {kind}"))?.location);
    }
    Ok(zones)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_subnets_get_different_zones() {
        let zones: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(choose(&zones, None).as_deref(), Some("a"));
        assert_eq!(choose(&zones, Some("a")).as_deref(), Some("b"));
        assert_eq!(choose(&zones, Some("c")).as_deref(), Some("a"));
        assert_eq!(choose(&zones[..1], Some("a")), None);
    }
}
