//! The domain's alias record in Route 53, where a hosted zone is configured: the domain leads to the
//! load balancer without anybody copying a name.

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_route53::types::{ChangeAction, ResourceRecordSet, RrType};

use super::{
    aliases::{self, Note, destination},
    route53::{self, change, deletion, records},
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

const NOTE: &str = "note at the load balancer";

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
        let id = format!("{domain} → {}", destination(record));
        if let Some(alb) = cx.id(&Key::LoadBalancer) {
            let (ours, _) = aliases::target(cx, &alb).await?;
            if aliases::is_of(record, &ours) {
                let mut found = Found::new(id, Owner::Ours);
                let noted =
                    aliases::notes(cx, &alb).await?.contains(&Note::new(zone.as_str(), &domain));
                // An earlier version kept none.
                found.compare(NOTE, if noted { "there" } else { "missing" }, "there");
                return Ok(vec![found]);
            }
        }
        let why = "it leads elsewhere, or to a load balancer that is gone".to_owned();
        let hint = in_its_stead(zone, record);
        Ok(vec![Found::new(id, Owner::Foreign(Foreign::InTheWay { why, hint }))])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let zone = zone(cx)?;
        let domain = self.name(cx);
        let alb = cx.need(&Key::LoadBalancer)?;
        let target = aliases::target(cx, &alb).await?;
        // First: a record that is not noted would be left when the domain changes.
        aliases::note(cx, &alb, &Note::new(zone, &domain)).await?;
        // CREATE fails where UPSERT would replace a record made since we looked.
        change(cx, zone, ChangeAction::Create, aliases::record(&domain, &target)?).await?;
        Ok(format!("{domain} → {}", target.0))
    }

    /// A record that leads elsewhere is not ours, so only the note can be missing.
    async fn update(&self, cx: &Cx, _: &Found) -> Result<()> {
        let note = Note::new(zone(cx)?, &self.name(cx));
        aliases::note(cx, &cx.need(&Key::LoadBalancer)?, &note).await
    }

    async fn delete(&self, cx: &Cx, _: &Found) -> Result<()> {
        let zone = zone(cx)?;
        let (ours, _) = aliases::target(cx, &cx.need(&Key::LoadBalancer)?).await?;
        for record in records(cx, zone, &self.name(cx)).await? {
            if aliases::is_of(&record, &ours) {
                change(cx, zone, ChangeAction::Delete, record).await?;
            }
        }
        Ok(())
    }
}

/// What to do about a record that is not ours.
fn in_its_stead(zone: &HostedZoneId, record: &ResourceRecordSet) -> String {
    let simple = record.set_identifier().is_none() && record.health_check_id().is_none();
    let delete = if simple {
        format!("delete it with `{}`", deletion(zone.as_str(), record))
    } else {
        "delete it in the console of Route 53".to_owned()
    };
    format!("once nobody needs the record, {delete}; or set another [site] domain in jitsi.toml")
}

fn zone(cx: &Cx) -> Result<&str> {
    let zone = cx.config.hosted_zone.as_ref().context("no hosted zone is configured")?;
    Ok(zone.as_str())
}

/// Whether a record would stand in the way: IPv4 addresses, or a name in place of the domain's own.
fn in_the_way(record: &ResourceRecordSet) -> bool {
    matches!(record.r#type(), RrType::A | RrType::Cname)
}
