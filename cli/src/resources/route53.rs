//! What the DNS records share: looking one up in the configured hosted zone and changing it.

use anyhow::Result;
use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecordSet};
use serde_json::json;

use crate::{aws::Answer, config::HostedZoneId, cx::Cx, names::Names, policy::Permission};

/// What it takes to look at records of the configured hosted zone and change those of one type;
/// nothing where none is configured.
pub(super) fn permissions(
    names: &Names,
    zone: Option<&HostedZoneId>,
    kind: &str,
) -> Vec<Permission> {
    let Some(zone) = zone else { return Vec::new() };
    let zone = || [format!("arn:{}:route53:::hostedzone/{zone}", names.partition())];
    let types = "route53:ChangeResourceRecordSetsRecordTypes";
    vec![
        Permission::read(&["route53:ListResourceRecordSets"]).on(zone()),
        Permission::write(&["route53:ChangeResourceRecordSets"])
            .on(zone())
            .when(json!({ "ForAllValues:StringEquals": { types: [kind] } })),
    ]
}

/// All records called `name` in a hosted zone, of whatever type.
pub(super) async fn records(cx: &Cx, zone: &str, name: &str) -> Result<Vec<ResourceRecordSet>> {
    let answer = cx
        .aws
        .route53
        .list_resource_record_sets()
        .hosted_zone_id(zone)
        .start_record_name(name)
        .send()
        .await
        .doing(format!("looking for {name} in hosted zone {zone}"))?;
    // The zone is listed from the name on, at least a hundred records at once.
    let all = answer.resource_record_sets.into_iter();
    Ok(all.filter(|record| same_name(record.name(), name)).collect())
}

/// Creates, replaces or deletes a record.
pub(super) async fn change(
    cx: &Cx,
    zone: &str,
    action: ChangeAction,
    record: ResourceRecordSet,
) -> Result<()> {
    let doing = format!("{} of {} in hosted zone {zone}", action.as_str(), record.name());
    let change = Change::builder().action(action).resource_record_set(record).build()?;
    cx.aws
        .route53
        .change_resource_record_sets()
        .hosted_zone_id(zone)
        .change_batch(ChangeBatch::builder().changes(change).build()?)
        .send()
        .await
        .doing(doing)?;
    Ok(())
}

/// Whether two DNS names are the same: letter case and the last dot do not count.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_dot_and_case_do_not_count() {
        assert!(same_name("Meet.example.org.", "meet.example.org"));
        assert!(!same_name("meet.example.org", "example.org"));
    }
}
