//! What the DNS records share: looking one up in the configured hosted zone and changing it.

use anyhow::Result;
use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecordSet, RrType};
use serde_json::json;

use crate::{
    aws::{Answer, AwsError},
    config::{Certificate, HostedZoneId},
    cx::Cx,
    error::Hinted,
    invocation::{aws_as_admin, aws_cli, quoted},
    names::Names,
    policy::Permission,
};

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

/// Whether the hosted zone that `key` of `jitsi.toml` names exists and can hold records of the site.
pub(super) async fn check(cx: &Cx, zone: &HostedZoneId, key: &str) -> Result<()> {
    let domain = cx.config.domain.as_str();
    let answer = cx
        .aws
        .route53
        .list_resource_record_sets()
        .hosted_zone_id(zone.as_str())
        .send()
        .await
        .unless(&["NoSuchHostedZone"], format!("looking at hosted zone {zone}"))?;
    let hint = || {
        // The deployer may not list them.
        let list = aws_cli("route53 list-hosted-zones", cx.names.region(), None);
        format!("set {key} in jitsi.toml to the zone of {domain}, one of `{list}`")
    };
    let Some(answer) = answer else {
        return Err(Hinted::user(
            format!("there is no hosted zone {zone} in this account"),
            hint(),
        )
        .into());
    };
    // The records of the zone's own name come first (`ListResourceRecordSets`), the SOA among them.
    let records = answer.resource_record_sets();
    let own = records.iter().find(|record| *record.r#type() == RrType::Soa);
    match own.map(ResourceRecordSet::name) {
        Some(name) if !belongs(domain, name) => {
            let name = name.trim_end_matches('.');
            let what =
                format!("hosted zone {zone} is of {name}, to which {domain} does not belong");
            Err(Hinted::user(what, hint()).into())
        }
        _ => Ok(()),
    }
}

/// As [`check`], of every zone that the configuration names, where these credentials may look: no right is
/// granted on what does not exist.
pub(super) async fn check_where_allowed(cx: &Cx) -> Result<()> {
    let of_site = cx.config.hosted_zone.as_ref();
    let of_certificate = match &cx.config.certificate {
        Certificate::Request { hosted_zone } => hosted_zone.as_ref(),
        Certificate::Import(_) | Certificate::Existing { .. } => None,
    };
    let of_certificate = of_certificate.filter(|zone| of_site != Some(zone));
    let named = [(of_site, "[dns] hosted_zone"), (of_certificate, "[certificate] hosted_zone")];
    for (zone, key) in named {
        let Some(zone) = zone else { continue };
        match check(cx, zone, key).await {
            Err(error) if error.downcast_ref::<AwsError>().is_some_and(AwsError::is_denied) => {}
            checked => checked?,
        }
    }
    Ok(())
}

/// Whether a name is that of a zone or below it.
fn belongs(name: &str, zone: &str) -> bool {
    let (name, zone) = (name.to_ascii_lowercase(), zone.trim_end_matches('.').to_ascii_lowercase());
    name == zone || name.strip_suffix(&zone).is_some_and(|rest| rest.ends_with('.'))
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
        .unless(&["NoSuchHostedZone"], format!("looking for {name} in hosted zone {zone}"))?;
    // A zone that is gone has no records; before anything is written, it is looked for.
    let Some(answer) = answer else { return Ok(Vec::new()) };
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

/// The AWS CLI's command that deletes a record of a simple routing policy, and nothing that is otherwise by now:
/// all of it must be as Route 53 has it (`ChangeResourceRecordSets`, "DELETE").
pub(super) fn deletion(zone: &str, record: &ResourceRecordSet) -> String {
    let mut set = json!({ "Name": record.name(), "Type": record.r#type().as_str() });
    if let Some(alias) = record.alias_target() {
        set["AliasTarget"] = json!({
            "HostedZoneId": alias.hosted_zone_id(),
            "DNSName": alias.dns_name(),
            "EvaluateTargetHealth": alias.evaluate_target_health(),
        });
    } else {
        let values = record.resource_records().iter();
        set["TTL"] = json!(record.ttl());
        set["ResourceRecords"] =
            values.map(|value| json!({ "Value": value.value() })).collect::<Vec<_>>().into();
    }
    let batch = json!({ "Changes": [{ "Action": "DELETE", "ResourceRecordSet": set }] });
    let words = format!(
        "route53 change-resource-record-sets --hosted-zone-id {zone} --change-batch {}",
        quoted(&batch.to_string())
    );
    aws_as_admin(&words, false)
}

/// Whether two DNS names are the same: letter case and the last dot do not count.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_holds_its_own_name_and_those_below() {
        assert!(belongs("meet.example.org", "example.org."));
        assert!(belongs("example.org", "Example.org"));
        assert!(!belongs("meet.notexample.org", "example.org."));
        assert!(!belongs("example.org", "meet.example.org."));
    }

    #[test]
    fn the_last_dot_and_case_do_not_count() {
        assert!(same_name("Meet.example.org.", "meet.example.org"));
        assert!(!same_name("meet.example.org", "example.org"));
    }
}
