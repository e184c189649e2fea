//! The alias records of our load balancer: which one leads to it, and the notes of those made for it. A
//! record has no tags, and whoever changes the domain no longer names the old one; so each is noted in a
//! tag of the load balancer before it is made, and looking for all of them takes one call.

use std::fmt;

use anyhow::{Context, Result};
use aws_sdk_elasticloadbalancingv2::types::Tag;
use aws_sdk_route53::types::{AliasTarget, ResourceRecordSet, RrType};
use sha2::{Digest, Sha256};

use super::{
    agent_file::hex,
    elbv2::{describe, tags},
    route53::same_name,
};
use crate::{aws::Answer, config::Config, cx::Cx, tags::DEPLOYMENT};

// Before the zone's id, in the key of a tag of the load balancer; the domain is its value. Keys hold 128
// characters, values 256 (Elastic Load Balancing API, `Tag`): a domain fits into a value only.
const NOTE: &str = "jitsi-aws:alias/";

/// That an alias of this name was made in this hosted zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) zone: String,
    pub(super) domain: String,
}

impl Note {
    pub(super) fn new(zone: &str, domain: &str) -> Self {
        Self { zone: zone.to_owned(), domain: domain.to_ascii_lowercase() }
    }

    /// Whether the configuration asks for this record.
    pub(super) fn is_configured(&self, config: &Config) -> bool {
        self.in_configured_zone(config) && same_name(&self.domain, config.domain.as_str())
    }

    /// Whether it is in the zone that the configuration names, the only one that `setup` changes.
    pub(super) fn in_configured_zone(&self, config: &Config) -> bool {
        config.hosted_zone.as_ref().is_some_and(|zone| zone.as_str() == self.zone)
    }

    /// The tag's key: one for each domain of a zone.
    pub(super) fn key(&self) -> String {
        let digest = hex(&Sha256::digest(self.domain.as_bytes()));
        let digest: String = digest.chars().take(12).collect();
        format!("{NOTE}{}/{digest}", self.zone)
    }

    fn read(key: &str, value: &str) -> Option<Self> {
        let (zone, _) = key.strip_prefix(NOTE)?.split_once('/')?;
        Some(Self::new(zone, value))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in hosted zone {}", self.domain, self.zone)
    }
}

/// What is noted at a load balancer.
pub(super) async fn notes(cx: &Cx, alb: &str) -> Result<Vec<Note>> {
    let tags = tags(cx, alb).await?;
    Ok(tags.iter().filter_map(|(key, value)| Note::read(key, value)).collect())
}

/// Notes a record. The owner tag goes with it: the deployer may only set tags together with that one.
pub(super) async fn note(cx: &Cx, alb: &str, note: &Note) -> Result<()> {
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let tags = [tag(DEPLOYMENT, cx.names.deployment()), tag(&note.key(), &note.domain)];
    let call = cx.aws.elbv2.add_tags().resource_arns(alb).set_tags(Some(tags.into()));
    call.send().await.doing(format!("noting {note} at our load balancer"))?;
    Ok(())
}

/// Forgets a record.
pub(super) async fn forget(cx: &Cx, alb: &str, note: &Note) -> Result<()> {
    let call = cx.aws.elbv2.remove_tags().resource_arns(alb).tag_keys(note.key());
    call.send().await.doing(format!("removing the note of {note} from our load balancer"))?;
    Ok(())
}

/// The alias by which a domain leads to such a target.
pub(super) fn record(domain: &str, target: &(String, String)) -> Result<ResourceRecordSet> {
    let (dns_name, zone) = target;
    let target = AliasTarget::builder()
        .dns_name(dns_name)
        .hosted_zone_id(zone)
        // One load balancer: there is nothing to fall back to.
        .evaluate_target_health(false)
        .build()?;
    let record = ResourceRecordSet::builder().name(domain).r#type(RrType::A);
    Ok(record.alias_target(target).build()?)
}

/// Name and zone of a load balancer, for an alias.
pub(super) async fn target(cx: &Cx, alb: &str) -> Result<(String, String)> {
    let alb = describe(cx, alb).await?;
    let dns_name = alb.dns_name.context("AWS named no DNS name for the load balancer")?;
    let zone = alb.canonical_hosted_zone_id.context("AWS named no zone for the load balancer")?;
    Ok((dns_name, zone))
}

/// Whether a record is an alias of the load balancer called `alb` in the DNS.
pub(super) fn is_of(record: &ResourceRecordSet, alb: &str) -> bool {
    *record.r#type() == RrType::A && alias(record).is_some_and(|target| leads_to(target, alb))
}

/// Where a record leads.
pub(super) fn destination(record: &ResourceRecordSet) -> String {
    let values = record.resource_records().iter().map(|value| value.value());
    alias(record).map_or_else(|| values.collect::<Vec<_>>().join(", "), str::to_owned)
}

fn alias(record: &ResourceRecordSet) -> Option<&str> {
    record.alias_target().map(AliasTarget::dns_name)
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

    #[test]
    fn a_note_is_read_back_and_fits_a_tag() {
        let longest = format!("{}.org", ["a".repeat(62).as_str(); 3].join("."));
        for domain in ["meet.example.org", &longest] {
            let note = Note::new(&"Z".repeat(32), domain);
            assert!(note.key().len() <= 128 && domain.len() <= 256);
            assert_eq!(Note::read(&note.key(), domain).as_ref(), Some(&note));
        }
        let other = Note::new("Z1", "meet.example.org");
        assert_ne!(other.key(), Note::new("Z1", "talk.example.org").key());
        assert_eq!(Note::read("jitsi-aws:deployment", "jitsi"), None);
    }
}
