//! The operator's own certificate in ACM: checked, used, never changed.

use std::time::SystemTime;

use anyhow::{Error, Result};
use aws_sdk_acm::{
    primitives::DateTime,
    types::{CertificateDetail, CertificateStatus},
};

use jitsi_templates::settings::Domain;

use crate::{certificate::covers, cx::Cx, error::Hinted};

/// The error for an ARN behind which ACM has nothing.
pub(super) fn absent(cx: &Cx, arn: &str) -> Error {
    Hinted::user(
        format!("there is no certificate {arn}"),
        format!(
            "set [certificate] arn in jitsi.toml to one that `{}` shows",
            cx.aws_cli("acm list-certificates")
        ),
    )
    .into()
}

/// Refuses a certificate that browsers would refuse.
pub(super) fn check(cx: &Cx, detail: &CertificateDetail) -> Result<()> {
    let problems = problems(detail, &cx.config.domain, SystemTime::now().into());
    if problems.is_empty() {
        return Ok(());
    }
    let arn = detail.certificate_arn().unwrap_or_default();
    Err(Hinted::user(
        format!("certificate {arn} cannot be used"),
        "set [certificate] arn in jitsi.toml to an issued certificate for the domain",
    )
    .with(problems)
    .into())
}

fn problems(detail: &CertificateDetail, domain: &Domain, now: DateTime) -> Vec<String> {
    let mut problems = Vec::new();
    match detail.status() {
        Some(CertificateStatus::Issued) => {}
        status => problems.push(format!(
            "its status is {}, not ISSUED",
            status.map_or("unknown", CertificateStatus::as_str)
        )),
    }
    let names = detail.subject_alternative_names();
    if !names.iter().any(|name| covers(name, domain)) {
        problems.push(format!("it does not cover {domain} but {}", names.join(", ")));
    }
    if detail.not_after().is_some_and(|end| *end <= now) {
        problems.push("it has expired".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> aws_sdk_acm::types::builders::CertificateDetailBuilder {
        CertificateDetail::builder()
            .status(CertificateStatus::Issued)
            .subject_alternative_names("*.example.org")
            .not_after(DateTime::from_secs(2_000))
    }

    fn domain(name: &str) -> Domain {
        Domain::parse(name).expect("a good name")
    }

    #[test]
    fn a_good_certificate_has_no_problem() {
        let good = certificate().build();
        let problems = problems(&good, &domain("meet.example.org"), DateTime::from_secs(1_999));
        assert_eq!(problems, [""; 0]);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let bad = certificate().status(CertificateStatus::PendingValidation).build();
        assert_eq!(
            problems(&bad, &domain("example.org"), DateTime::from_secs(2_000)),
            [
                "its status is PENDING_VALIDATION, not ISSUED",
                "it does not cover example.org but *.example.org",
                "it has expired",
            ]
        );
    }
}
