//! A certificate from PEM files: imported once, and again to the same ARN when the files change, so
//! that the listener need not be touched where ACM allows it.

use std::time::SystemTime;

use anyhow::{Context, Result};
use aws_sdk_acm::{
    config::{Builder, retry::RetryConfig},
    primitives::Blob,
    types::{CertificateSummary, Tag},
};
use jitsi_templates::settings::Problem;
use pem::Pem;
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer, public_key::PublicKey,
};

use crate::{
    aws::Answer,
    certificate::{self, CertificateFiles, Trust},
    config::CertificatePaths,
    cx::Cx,
    engine::{Found, Stage},
    error::Hinted,
    tag_list,
};

const LEAF: &str = "certificate";

/// Imports the configured files, as a new certificate or over the one of `arn`.
pub(super) async fn import(cx: &Cx, paths: &CertificatePaths, arn: Option<&str>) -> Result<String> {
    let name = cx.config.domain.as_str();
    let files = files(cx, paths).map_err(|problems| {
        Hinted::user(
            format!("the certificate of {name} cannot be imported"),
            "correct [certificate] in jitsi.toml or the files it names, and run the command again",
        )
        .with(problems.iter().map(Problem::to_string))
    })?;
    let tags = tag_list!(cx, Stage::Lb, name, fallible Tag)?;
    let new = arn.is_none();
    let answer = cx
        .aws
        .acm
        .import_certificate()
        .set_certificate_arn(arn.map(str::to_owned))
        .certificate(Blob::new(files.certificate))
        .set_certificate_chain(files.chain.map(Blob::new))
        .private_key(Blob::new(files.private_key.pem()))
        // Taken with the first import only (`ImportCertificate`).
        .set_tags(new.then(|| tags.clone()))
        .customize()
        .config_override(once())
        .send()
        .await
        .doing(format!("importing the certificate of {name}"))?;
    let arn = answer.certificate_arn.context("AWS named no certificate ARN")?;
    if !new {
        // So that the version tag names the version that imported what is there now.
        cx.aws
            .acm
            .add_tags_to_certificate()
            .certificate_arn(&arn)
            .set_tags(Some(tags))
            .send()
            .await
            .doing(format!("tagging certificate {arn}"))?;
    }
    Ok(arn)
}

/// Compares what was imported with the files. Unusable files are nothing to compare with: commands
/// that import have looked at them before, and all others can do without.
pub(super) async fn compare(
    cx: &Cx,
    paths: &CertificatePaths,
    summary: &CertificateSummary,
    mut found: Found,
) -> Result<Found> {
    let Ok(files) = files(cx, paths) else { return Ok(found) };
    let Some(ours) = der(&files.certificate) else { return Ok(found) };
    // Type and size of the key cannot change with an import to the same ARN (ACM user guide,
    // "Reimport a certificate"): then a new one takes the place of this.
    let imported = summary.key_algorithm().map(|algorithm| spelling(algorithm.as_str()));
    if imported.is_some_and(|imported| {
        key_algorithm(&ours).is_some_and(|ours| spelling(&ours) != imported)
    }) {
        return Ok(found.stale(true));
    }
    let answer = cx
        .aws
        .acm
        .get_certificate()
        .certificate_arn(&found.id)
        .send()
        .await
        .doing(format!("reading certificate {}", found.id))?;
    let imported = der(answer.certificate().unwrap_or_default());
    let names = imported.as_deref().map(names).unwrap_or_default();
    let actual = if imported == Some(ours) { "that of the files" } else { "another" };
    found.compare(LEAF, actual, "that of the files");
    let covered = names.iter().any(|name| certificate::covers(name, &cx.config.domain));
    if let Some(drift) = found.drift.iter_mut().find(|drift| drift.field == LEAF)
        && !covered
        && !names.is_empty()
    {
        let names = names.join(", ");
        drift.effect = Some(format!("at once browsers keep out who comes by {names}"));
    }
    Ok(found)
}

/// The host names a certificate is for.
fn names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    names.collect()
}

fn files(cx: &Cx, paths: &CertificatePaths) -> Result<CertificateFiles, Vec<Problem>> {
    certificate::check(paths, &cx.config.domain, &Trust::system(), SystemTime::now())
        .map(|checked| checked.files)
}

/// A certificate without the line breaks of its PEM.
fn der(certificate: &str) -> Option<Vec<u8>> {
    pem::parse(certificate).ok().map(Pem::into_contents)
}

/// A key algorithm in one spelling: ACM answers `RSA-2048` and `EC-prime256v1` where its API has
/// `RSA_2048` and `EC_prime256v1` (ACM user guide, "List certificates").
fn spelling(algorithm: &str) -> String {
    algorithm.replace('-', "_").to_ascii_lowercase()
}

/// The key of a certificate as ACM's API names it.
fn key_algorithm(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    match certificate.public_key().parsed().ok()? {
        PublicKey::RSA(key) => Some(format!("RSA_{}", key.key_size())),
        PublicKey::EC(point) => match point.key_size() {
            256 => Some("EC_prime256v1".to_owned()),
            384 => Some("EC_secp384r1".to_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// Sent once: imports have no idempotency token, and a second one after a lost answer would leave a
/// twin. The engine looks before it tries again.
fn once() -> Builder {
    Builder::default().retry_config(RetryConfig::disabled())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_algorithm_is_the_same_however_acm_spells_it() {
        assert_eq!(spelling("RSA-2048"), spelling("RSA_2048"));
        assert_eq!(spelling("EC-prime256v1"), spelling("EC_prime256v1"));
        assert_ne!(spelling("RSA-2048"), spelling("RSA-4096"));
    }
}
