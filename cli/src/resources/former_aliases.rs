//! The alias records of domains that are no longer configured. In the configured hosted zone they go once the
//! new one is there; in any other zone they stay until the deployment is deleted, and are told: whoever moved a
//! domain to another zone may still be reached by the old one, and the deployer has no rights there.

use anyhow::Result;
use async_trait::async_trait;
use aws_sdk_route53::types::ChangeAction;

use super::{
    aliases::{self, Note},
    route53::{self, change, deletion, records},
};
use crate::{
    aws::AwsError,
    config::HostedZoneId,
    cx::Cx,
    engine::{Found, Key, Resource},
    invocation::{aws_as_admin, quoted},
    names::Names,
    policy::Permission,
    tags::{Foreign, Owner},
};

/// What is to be found of earlier domains.
pub struct FormerAliases {
    /// The configured zone, for the rights.
    pub zone: Option<HostedZoneId>,
}

#[async_trait]
impl Resource for FormerAliases {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let mut permissions = route53::permissions(names, self.zone.as_ref(), "A");
        if self.zone.is_some() {
            let alb = format!("loadbalancer/app/{}/*", names.deployment());
            let alb = [names.arn("elasticloadbalancing", &alb)];
            let forget = Permission::write(&["elasticloadbalancing:RemoveTags"]);
            permissions.push(forget.on(alb).on_ours(names));
        }
        permissions
    }

    fn wanted(&self, _: &Cx) -> bool {
        false
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let Some(alb) = cx.id(&Key::LoadBalancer) else { return Ok(Vec::new()) };
        let mut notes = aliases::notes(cx, &alb).await?;
        notes.retain(|note| !note.is_configured(&cx.config));
        if notes.is_empty() {
            return Ok(Vec::new());
        }
        let target = aliases::target(cx, &alb).await?;
        let mut all = Vec::new();
        for note in notes {
            all.extend(look(cx, &alb, &target, &note).await?);
        }
        Ok(all)
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        Ok(self.name(cx)) // never wanted
    }

    async fn update(&self, _: &Cx, _: &Found) -> Result<()> {
        Ok(()) // never wanted
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        let alb = cx.need(&Key::LoadBalancer)?;
        let (ours, _) = aliases::target(cx, &alb).await?;
        for note in aliases::notes(cx, &alb).await? {
            if note.to_string() != found.id {
                continue;
            }
            for record in records(cx, &note.zone, &note.domain).await? {
                if aliases::is_of(&record, &ours) {
                    change(cx, &note.zone, ChangeAction::Delete, record).await?;
                }
            }
            aliases::forget(cx, &alb, &note).await?;
        }
        Ok(())
    }
}

/// What became of a record, as far as these credentials may see.
async fn look(cx: &Cx, alb: &str, target: &(String, String), note: &Note) -> Result<Option<Found>> {
    let there = match records(cx, &note.zone, &note.domain).await {
        Ok(records) => records.iter().any(|record| aliases::is_of(record, &target.0)),
        Err(error) if error.downcast_ref::<AwsError>().is_some_and(AwsError::is_denied) => {
            let why = format!(
                "{note} was made by jitsi-aws, and these credentials may not look there: \
                 if it is there still, delete it with `{}`",
                deletion(&note.zone, &aliases::record(&note.domain, target)?)
            );
            let found = Found::new(note.to_string(), Owner::Foreign(Foreign::Other(why)));
            return Ok(Some(left(found, alb, target, note)?));
        }
        Err(error) => return Err(error),
    };
    let found = Found::new(note.to_string(), Owner::Ours);
    Ok(match (note.in_configured_zone(&cx.config), there) {
        (true, true) => Some(found.stale(true)),
        (true, false) => {
            Some(found.stale(true).detail(format!("the note of {note}, which is gone")))
        }
        (false, true) => Some(left(found, alb, target, note)?),
        (false, false) => None,
    })
}

/// Left as it is by `setup`, which says so.
fn left(mut found: Found, alb: &str, target: &(String, String), note: &Note) -> Result<Found> {
    let Note { zone, domain } = note;
    let forget =
        format!("elbv2 remove-tags --resource-arns {alb} --tag-keys {}", quoted(&note.key()));
    found.remark = Some(format!(
        "the DNS record {domain} in hosted zone {zone} is of an earlier configuration; it is left, for [dns] \
         hosted_zone names another zone or none. Once nobody needs it, delete it with `{}`, then have it \
         forgotten with `{}`",
        deletion(zone, &aliases::record(domain, target)?),
        aws_as_admin(&forget, true),
    ));
    Ok(found.spare())
}
