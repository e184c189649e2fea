//! The domain's alias record in Route 53, where a hosted zone is configured: the domain leads to the
//! load balancer without anybody copying a name.

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_route53::types::{
    AliasTarget, ChangeAction, ResourceRecord, ResourceRecordSet, RrType,
};

use super::{
    elbv2::describe,
    route53::{self, change, records, same_name},
};
use crate::{
    config::HostedZoneId,
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::Permission,
    tags::{Foreign, Owner},
};

/// The alias record.
pub struct Alias {
    /// The configured zone, for the rights.
    pub zone: Option<HostedZoneId>,
}

#[async_trait]
impl Resource for Alias {
    fn name(&self, cx: &Cx) -> String {
        cx.config.domain.to_string()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        route53::permissions(names, self.zone.as_ref(), "A")
    }

    fn wanted(&self, cx: &Cx) -> bool {
        cx.config.hosted_zone.is_some()
    }

    async fn check(&self, cx: &Cx) -> Result<()> {
        match &cx.config.hosted_zone {
            Some(zone) => route53::check(cx, zone, "[dns] hosted_zone").await,
            None => Ok(()),
        }
    }

    /// A record has no tags: the one that leads to our load balancer is ours. Any other is in the way, before
    /// there is a load balancer, too.
    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let Some(zone) = &cx.config.hosted_zone else { return Ok(Vec::new()) };
        let domain = self.name(cx);
        let taken = records(cx, zone.as_str(), &domain).await?;
        let Some(record) = taken.iter().find(|record| in_the_way(record)) else {
            return Ok(Vec::new());
        };
        let ours = match cx.id(&Key::LoadBalancer) {
            Some(alb) => {
                let (ours, _) = load_balancer(cx, &alb).await?;
                alias(record).is_some_and(|target| leads_to(target, &ours))
            }
            None => false,
        };
        let elsewhere = || Foreign::Other("it leads elsewhere".to_owned());
        let owner = if ours { Owner::Ours } else { Owner::Foreign(elsewhere()) };
        Ok(vec![Found::new(format!("{domain} → {}", destination(record)), owner)])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let zone = zone(cx)?;
        let (dns_name, alb_zone) = load_balancer(cx, &cx.need(&Key::LoadBalancer)?).await?;
        let target = AliasTarget::builder()
            .dns_name(&dns_name)
            .hosted_zone_id(alb_zone)
            // One load balancer: there is nothing to fall back to.
            .evaluate_target_health(false)
            .build()?;
        let domain = self.name(cx);
        let record =
            ResourceRecordSet::builder().name(&domain).r#type(RrType::A).alias_target(target);
        // CREATE fails where UPSERT would replace a record made since we looked.
        change(cx, zone, ChangeAction::Create, record.build()?).await?;
        Ok(format!("{domain} → {dns_name}"))
    }

    async fn update(&self, _: &Cx, _: &Found) -> Result<()> {
        Ok(()) // a record that leads elsewhere is not ours
    }

    async fn delete(&self, cx: &Cx, _: &Found) -> Result<()> {
        let zone = zone(cx)?;
        let (ours, _) = load_balancer(cx, &cx.need(&Key::LoadBalancer)?).await?;
        for record in records(cx, zone, &self.name(cx)).await? {
            if alias(&record).is_some_and(|target| leads_to(target, &ours)) {
                change(cx, zone, ChangeAction::Delete, record).await?;
            }
        }
        Ok(())
    }
}

fn zone(cx: &Cx) -> Result<&str> {
    let zone = cx.config.hosted_zone.as_ref().context("no hosted zone is configured")?;
    Ok(zone.as_str())
}

/// Name and zone of the load balancer, for an alias.
async fn load_balancer(cx: &Cx, arn: &str) -> Result<(String, String)> {
    let alb = describe(cx, arn).await?;
    let dns_name = alb.dns_name.context("AWS named no DNS name for the load balancer")?;
    let zone = alb.canonical_hosted_zone_id.context("AWS named no zone for the load balancer")?;
    Ok((dns_name, zone))
}

/// Whether a record would stand in the way: IPv4 addresses, or a name in place of the domain's own.
fn in_the_way(record: &ResourceRecordSet) -> bool {
    matches!(record.r#type(), RrType::A | RrType::Cname)
}

fn alias(record: &ResourceRecordSet) -> Option<&str> {
    record.alias_target().map(AliasTarget::dns_name)
}

/// Where a record leads.
fn destination(record: &ResourceRecordSet) -> String {
    let values = record.resource_records().iter().map(ResourceRecord::value);
    alias(record).map_or_else(|| values.collect::<Vec<_>>().join(", "), str::to_owned)
}

/// Whether an alias leads to the load balancer; the console writes `dualstack.` before the name.
fn leads_to(target: &str, alb: &str) -> bool {
    let target = target.to_ascii_lowercase();
    same_name(target.strip_prefix("dualstack.").unwrap_or(&target), alb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_s_spelling_leads_to_the_same_load_balancer() {
        let alb = "jitsi-1.eu-central-1.elb.amazonaws.com";
        assert!(leads_to("dualstack.Jitsi-1.eu-central-1.elb.amazonaws.com.", alb));
        assert!(!leads_to("jitsi-2.eu-central-1.elb.amazonaws.com.", alb));
        assert!(!leads_to("", alb));
    }
}
