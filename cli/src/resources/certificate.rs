//! The certificate browsers trust: imported from PEM files, an existing one of the operator's, or one
//! requested from ACM and validated by DNS.

mod existing;
mod import;
mod list;
mod notes;
mod request;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_acm::{
    primitives::{DateTime, DateTimeFormat},
    types::{CertificateStatus, CertificateSummary, CertificateType},
};

use self::list::{NOT_FOUND, describe};
use super::route53;
use crate::{
    aws::Answer,
    certificate,
    config::{Certificate, HostedZoneId},
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::Permission,
    tags::Owner,
    wait,
};

/// The certificate of the deployment's domain.
pub struct SiteCertificate {
    /// The zone the validation record is kept in, for the rights.
    pub zone: Option<HostedZoneId>,
}

#[async_trait]
impl Resource for SiteCertificate {
    fn name(&self, cx: &Cx) -> String {
        cx.config.domain.to_string()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let any = || [names.arn("acm", "certificate/*")];
        let mut permissions = vec![
            Permission::read(&["acm:ListCertificates"]),
            // Of others' too: tags are all that tells ours, and an existing one is described.
            Permission::read(&["acm:ListTagsForCertificate", "acm:DescribeCertificate"]).on(any()),
            Permission::read(&["acm:GetCertificate"]).on(any()).on_ours(names),
            Permission::write(&["acm:ImportCertificate", "acm:AddTagsToCertificate"])
                .on(any())
                .tagging_ours(names),
            // A second import to the same ARN, which carries no tags.
            Permission::write(&["acm:ImportCertificate", "acm:DeleteCertificate"])
                .on(any())
                .on_ours(names),
            Permission::write(&["acm:RequestCertificate"]).tagging_ours(names),
        ];
        permissions.extend(route53::permissions(names, self.zone.as_ref(), "CNAME"));
        permissions
    }

    fn intent(&self, cx: &Cx) -> String {
        match &cx.config.certificate {
            Certificate::Import(paths) => format!("imported from {}", paths.certificate.display()),
            Certificate::Existing { arn } => arn.to_string(),
            Certificate::Request { .. } => "issued by ACM".to_owned(),
        }
    }

    async fn check(&self, cx: &Cx) -> Result<()> {
        match &cx.config.certificate {
            Certificate::Existing { arn } => match describe(cx, arn.as_str()).await? {
                Some(detail) => existing::check(cx, &detail),
                None => Err(existing::absent(cx, arn.as_str())),
            },
            // The zone of the site is looked at by its record.
            Certificate::Request { hosted_zone: Some(zone) }
                if cx.config.hosted_zone.as_ref() != Some(zone) =>
            {
                route53::check(cx, zone, "[certificate] hosted_zone").await
            }
            Certificate::Request { .. } | Certificate::Import(_) => Ok(()),
        }
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let mut all = Vec::new();
        let ours = list::ours(cx).await?;
        match &cx.config.certificate {
            Certificate::Import(paths) => {
                for summary in &ours {
                    let found = found(summary);
                    all.push(match summary.r#type() {
                        Some(CertificateType::Imported) => {
                            import::compare(cx, paths, summary, found).await?
                        }
                        _ => found.stale(true),
                    });
                }
            }
            Certificate::Existing { arn } => {
                let arn = arn.as_str();
                for summary in &ours {
                    let found = found(summary);
                    let stale = found.id != arn;
                    all.push(found.stale(stale));
                }
                if all.iter().all(|found| found.stale)
                    && let Some(detail) = describe(cx, arn).await?
                {
                    let told = told("existing", detail.status(), detail.not_after());
                    let mut found = Found::new(arn, Owner::Borrowed).detail(told);
                    found.expiring = expiring(detail.r#type(), detail.not_after());
                    all.push(found);
                }
            }
            Certificate::Request { hosted_zone } => {
                for summary in &ours {
                    let usable = request::usable(summary, cx.config.domain.as_str());
                    let mut found = found(summary).stale(!usable);
                    if usable {
                        let zone = hosted_zone.as_ref().map(HostedZoneId::as_str);
                        request::compare(cx, zone, &mut found).await?;
                    }
                    all.push(found);
                }
            }
        }
        Ok(all)
    }

    async fn used_by(&self, cx: &Cx, found: &Found) -> Result<Option<String>> {
        let detail = describe(cx, &found.id).await?;
        let users = detail.and_then(|detail| detail.in_use_by).unwrap_or_default();
        Ok((!users.is_empty()).then(|| users.join(", ")))
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        match &cx.config.certificate {
            Certificate::Import(paths) => import::import(cx, paths, None).await,
            Certificate::Existing { arn } => Err(existing::absent(cx, arn.as_str())),
            Certificate::Request { hosted_zone } => {
                let arn = request::request(cx).await?;
                cx.made(&Key::Certificate);
                if let Some(zone) = hosted_zone {
                    request::publish(cx, zone.as_str(), &arn).await?;
                }
                Ok(arn)
            }
        }
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        match &cx.config.certificate {
            Certificate::Import(paths) => {
                import::import(cx, paths, Some(&found.id)).await.map(drop)
            }
            Certificate::Request { hosted_zone: Some(zone) } => {
                request::publish(cx, zone.as_str(), &found.id).await
            }
            // Nothing of it can differ, or somebody else makes the record.
            Certificate::Existing { .. } | Certificate::Request { hosted_zone: None } => Ok(()),
        }
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        let Some(detail) = describe(cx, &found.id).await? else { return Ok(()) };
        request::withdraw(cx, &detail).await?;
        // In use until the load balancer has let go of it.
        wait::retry_on(
            cx,
            &Key::Certificate,
            &["ResourceInUseException"],
            super::RELEASE_LIMIT,
            || async {
                cx.aws
                    .acm
                    .delete_certificate()
                    .certificate_arn(&found.id)
                    .send()
                    .await
                    .unless(&NOT_FOUND, format!("deleting certificate {}", found.id))
            },
        )
        .await?;
        Ok(())
    }

    async fn wait(&self, cx: &Cx, id: &str) -> Result<()> {
        match &cx.config.certificate {
            Certificate::Import(_) => Ok(()),
            Certificate::Existing { .. } => {
                let detail = describe(cx, id).await?.with_context(|| format!("{id} is gone"))?;
                existing::check(cx, &detail)
            }
            Certificate::Request { hosted_zone } => {
                request::issued(cx, id, hosted_zone.is_none()).await
            }
        }
    }
}

fn found(summary: &CertificateSummary) -> Found {
    let origin = match summary.r#type() {
        Some(CertificateType::Imported) => "imported",
        _ => "requested",
    };
    let told = told(origin, summary.status(), summary.not_after());
    let arn = summary.certificate_arn().unwrap_or_default();
    let mut found = Found::new(arn, Owner::Ours).detail(told);
    found.expiring = expiring(summary.r#type(), summary.not_after());
    found
}

/// What to do about a certificate that runs out soon. ACM renews its own 60 days ahead (ACM user guide,
/// "Managed certificate renewal"): one that is old by now is not renewed at all.
fn expiring(kind: Option<&CertificateType>, until: Option<&DateTime>) -> Option<String> {
    let until = u64::try_from(until?.secs()).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let left = Duration::from_secs(until).saturating_sub(now);
    if left >= certificate::EXPIRES_SOON {
        return None;
    }
    let days = left.as_secs() / Duration::from_hours(24).as_secs();
    let when = match days {
        0 => "in less than a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    };
    let what = match kind {
        Some(CertificateType::Imported) => "import a new one",
        _ => "ACM renews it only while its validation record stands in the DNS",
    };
    Some(format!("the certificate expires {when}: {what}"))
}

/// "imported, ISSUED, until 2027-01-31".
fn told(origin: &str, status: Option<&CertificateStatus>, until: Option<&DateTime>) -> String {
    let status = status.map_or("", CertificateStatus::as_str);
    let until = until.and_then(|until| until.fmt(DateTimeFormat::DateTime).ok());
    let until = until.map(|until| format!(", until {}", until.get(..10).unwrap_or(&until)));
    format!("{origin}, {status}{}", until.unwrap_or_default())
}
