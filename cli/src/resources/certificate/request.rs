//! A certificate requested from ACM, which sees by a DNS record that the domain is ours.

use std::{
    collections::BTreeSet,
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use aws_sdk_acm::types::{
    CertificateDetail, CertificateStatus, CertificateSummary, CertificateType, ResourceRecord, Tag,
    ValidationMethod,
};
use aws_sdk_route53::types::{self as dns, ChangeAction, ResourceRecordSet, RrType};

use super::{
    super::route53::{change, deletion, records, same_name},
    list::{self, describe},
    notes,
};
use crate::{
    aws::{Answer, AwsError},
    cx::Cx,
    engine::{Found, Key, Stage},
    error::Hinted,
    invocation::{aws_as_admin, command, quoted},
    shared::{lock, unlocked},
    tag_list,
    wait::{self, Progress},
};

const RECORD: &str = "validation record";
const NOTE: &str = "note of its hosted zone";
/// As ACM's console has it, in seconds.
const TTL: i64 = 300;

// ACM makes the record known within seconds of the request.
const RECORD_LIMIT: Duration = Duration::from_mins(2);
// ACM looks for the record every few minutes and may take half an hour (ACM user guide, "DNS validation").
const ISSUE_LIMIT: Duration = Duration::from_mins(30);
// For a record made by hand: long enough for ACM to notice one that is there, too short to keep
// somebody waiting who has to ask others for it.
const BY_HAND_LIMIT: Duration = Duration::from_mins(5);

/// Whether a certificate of ours is, or can become, the one that is wanted.
pub(super) fn usable(summary: &CertificateSummary, domain: &str) -> bool {
    summary.r#type() == Some(&CertificateType::AmazonIssued)
        && summary.domain_name() == Some(domain)
        && matches!(
            summary.status(),
            Some(CertificateStatus::Issued | CertificateStatus::PendingValidation)
        )
}

/// Asks ACM for a certificate.
pub(super) async fn request(cx: &Cx) -> Result<String> {
    let domain = cx.config.domain.as_str();
    let answer = cx
        .aws
        .acm
        .request_certificate()
        .domain_name(domain)
        .validation_method(ValidationMethod::Dns)
        .idempotency_token(token()?)
        .set_tags(Some(tag_list!(cx, Stage::Lb, domain, fallible Tag)?))
        .send()
        .await
        .doing(format!("requesting a certificate for {domain}"))?;
    answer.certificate_arn.context("AWS named no certificate ARN")
}

/// Makes a repeated sending of one request one request. ACM remembers a token for an hour; were it the
/// same for the next request, that would be answered with a certificate deleted in between.
fn token() -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(format!("jitsi_{:x}", now.as_nanos()))
}

/// Compares the hosted zone, if one is configured, with what ACM wants to see there, now and at each renewal. In a zone
/// that was configured before, the record is told and left: as long as the domain is served from there, ACM looks
/// there.
pub(super) async fn compare(cx: &Cx, zone: Option<&str>, found: &mut Found) -> Result<()> {
    let detail = describe(cx, &found.id).await?;
    let record = detail.as_ref().and_then(validation_record);
    let noted = notes::zones(cx, &found.id).await?;
    if let Some(zone) = zone {
        let there = match record {
            Some(record) => published(cx, zone, record).await?.is_some(),
            None => false,
        };
        found.compare(RECORD, is_there(there), is_there(true));
        // An earlier version kept none.
        found.compare(NOTE, is_there(noted.iter().any(|noted| noted == zone)), is_there(true));
    }
    let Some(record) = record else { return Ok(()) };
    for former in noted.iter().filter(|noted| zone != Some(noted.as_str())) {
        if is_left(cx, former, record).await? {
            found.warnings.push(left(&found.id, former, record)?);
        }
    }
    Ok(())
}

fn is_there(there: bool) -> &'static str {
    if there { "there" } else { "missing" }
}

/// Whether the record still stands in a zone, as far as these credentials may see.
async fn is_left(cx: &Cx, zone: &str, record: &ResourceRecord) -> Result<bool> {
    match published(cx, zone, record).await {
        Ok(published) => Ok(published.is_some()),
        Err(error) if is_denied(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

fn is_denied(error: &anyhow::Error) -> bool {
    error.downcast_ref::<AwsError>().is_some_and(AwsError::is_denied)
}

fn left(arn: &str, zone: &str, record: &ResourceRecord) -> Result<String> {
    let forget = format!(
        "acm remove-tags-from-certificate --certificate-arn {arn} --tags Key={}",
        quoted(&notes::key(zone))
    );
    Ok(format!(
        "the validation record {} in hosted zone {zone} is of an earlier configuration; it is left, for [certificate] \
         hosted_zone names another zone or none. Once the domain is served from elsewhere, delete it with `{}`, then \
         have it forgotten with `{}`",
        record.name(),
        deletion(zone, &record_set(record)?),
        aws_as_admin(&forget, true)
    ))
}

/// ACM's record as Route 53 has it.
fn record_set(record: &ResourceRecord) -> Result<ResourceRecordSet> {
    let value = dns::ResourceRecord::builder().value(record.value()).build()?;
    let set = ResourceRecordSet::builder().name(record.name()).r#type(RrType::Cname).ttl(TTL);
    Ok(set.resource_records(value).build()?)
}

/// Publishes the validation record as soon as ACM names it. Another certificate for the same domain
/// has the same one, so it may be there already.
pub(super) async fn publish(cx: &Cx, zone: &str, arn: &str) -> Result<()> {
    let record = wait::until(cx, &Key::Certificate, RECORD_LIMIT, || async {
        let detail = describe(cx, arn).await?;
        Ok(match detail.as_ref().and_then(validation_record) {
            Some(record) => Progress::Ready(record.clone()),
            None => Progress::Pending("ACM has not named the validation record".to_owned()),
        })
    })
    .await?;
    // First: a record that is not noted would be left when another zone is configured.
    notes::note(cx, arn, zone).await?;
    change(cx, zone, ChangeAction::Upsert, record_set(&record)?).await
}

/// Takes the validation record of a certificate that is to be deleted out of every hosted zone it was made in, unless
/// another certificate for the domain needs it. Where these credentials may not, it is told.
pub(super) async fn withdraw(cx: &Cx, detail: &CertificateDetail) -> Result<()> {
    let Some(record) = validation_record(detail) else { return Ok(()) };
    let others = list::all(cx).await?.into_iter().any(|other| {
        other.domain_name() == detail.domain_name()
            && other.certificate_arn() != detail.certificate_arn()
            && other.r#type() == Some(&CertificateType::AmazonIssued)
    });
    if others {
        return Ok(());
    }
    let arn = detail.certificate_arn().unwrap_or_default();
    let configured = cx.config.validation_zone().map(ToString::to_string);
    let mut zones: BTreeSet<String> = notes::zones(cx, arn).await?.into_iter().collect();
    zones.extend(configured.clone());
    if zones.is_empty() {
        let line = zone_line(record);
        cx.note(&Key::Certificate, format!("the DNS record `{line}` is needed no longer"));
    }
    for zone in zones {
        match take_out(cx, &zone, record).await {
            Err(error) if is_denied(&error) && configured.as_ref() != Some(&zone) => cx.note(
                &Key::Certificate,
                format!(
                    "the validation record {} in hosted zone {zone} is needed no longer, and these credentials may not \
                     delete it; do so now with `{}`: nothing will tell of it again",
                    record.name(),
                    deletion(&zone, &record_set(record)?)
                ),
            ),
            done => done?,
        }
    }
    Ok(())
}

async fn take_out(cx: &Cx, zone: &str, record: &ResourceRecord) -> Result<()> {
    match published(cx, zone, record).await? {
        Some(published) => change(cx, zone, ChangeAction::Delete, published).await,
        None => Ok(()),
    }
}

/// Waits until ACM has issued the certificate; without a hosted zone, somebody has to make the record,
/// which is told whole as soon as it is known, and again when the wait ends in vain.
pub(super) async fn issued(cx: &Cx, arn: &str, by_hand: bool) -> Result<()> {
    let limit = if by_hand { BY_HAND_LIMIT } else { ISSUE_LIMIT };
    let asked_for: Mutex<Option<String>> = Mutex::default();
    let waited = wait::until(cx, &Key::Certificate, limit, || async {
        let detail = describe(cx, arn).await?.with_context(|| format!("{arn} is gone"))?;
        let status = detail.status().map_or("unknown", CertificateStatus::as_str);
        match detail.status() {
            Some(CertificateStatus::Issued) => Ok(Progress::Ready(())),
            Some(CertificateStatus::PendingValidation) | None => {
                let Some(record) = validation_record(&detail).map(zone_line) else {
                    let what = "ACM has not named the DNS record it wants to see";
                    return Ok(Progress::Pending(format!("{status}: {what}")));
                };
                if by_hand {
                    cx.note(&Key::Certificate, wanted(cx, &record));
                }
                *lock(&asked_for) = Some(record);
                Ok(Progress::Pending(format!("{status}: ACM looks for its DNS record")))
            }
            _ => {
                let reason = detail.failure_reason().map_or("no reason given", |r| r.as_str());
                bail!("ACM did not issue the certificate: {status}, {reason}")
            }
        }
    })
    .await;
    let record = unlocked(asked_for);
    match (waited, record) {
        (Err(error), Some(record)) if by_hand => {
            let what = format!("the certificate for {} is not issued yet", cx.config.domain);
            let hint = format!(
                "create the record ACM looks for where the domain's DNS is kept, then run `{}` again",
                command("setup lb")
            );
            Err(error.context(Hinted::user(what, hint).with([record])))
        }
        (other, _) => other,
    }
}

/// What somebody has to do by hand; the record stands on a line of its own, to be copied.
fn wanted(cx: &Cx, record: &str) -> String {
    let domain = &cx.config.domain;
    format!("create this DNS record, by which ACM sees that {domain} is yours:\n{record}")
}

/// The record by which ACM sees that the domain is ours. Unknown for some seconds after the request.
fn validation_record(detail: &CertificateDetail) -> Option<&ResourceRecord> {
    detail.domain_validation_options().iter().find_map(|option| option.resource_record())
}

/// The record as the hosted zone has it.
async fn published(
    cx: &Cx,
    zone: &str,
    record: &ResourceRecord,
) -> Result<Option<ResourceRecordSet>> {
    let all = records(cx, zone, record.name()).await?;
    Ok(all.into_iter().find(|published| {
        published.resource_records().iter().any(|value| same_name(value.value(), record.value()))
    }))
}

/// A record as a line of a zone file.
fn zone_line(record: &ResourceRecord) -> String {
    format!("{} {} {}", record.name(), record.r#type().as_str(), record.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_failed_is_made_anew() {
        let summary = |status| {
            CertificateSummary::builder()
                .r#type(CertificateType::AmazonIssued)
                .domain_name("meet.example.org")
                .status(status)
                .build()
        };
        assert!(usable(&summary(CertificateStatus::PendingValidation), "meet.example.org"));
        assert!(!usable(&summary(CertificateStatus::ValidationTimedOut), "meet.example.org"));
        assert!(!usable(&summary(CertificateStatus::Issued), "example.org"));
    }

    #[test]
    fn a_token_is_one_that_acm_takes() {
        let token = token().expect("the clock is past 1970");
        assert!(token.len() <= 32 && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    }
}
