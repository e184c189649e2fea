//! The way from the site's certificate to a root: complete, in order, and nothing else.

use std::time::SystemTime;

use x509_parser::{certificate::X509Certificate, error::X509Error, public_key::PublicKey};

use super::{Findings, distinguished, leaf, name, parse};

/// The roots a chain may end at without holding them.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those of this machine, loaded when needed.
    System,
    /// These, in DER.
    Roots(Vec<Vec<u8>>),
}

impl Trust {
    /// The roots of this machine.
    pub fn system() -> Self {
        Self::System
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        match self {
            // A store that cannot be read counts as empty: then a chain needs its root or an intermediate.
            Self::System => rustls_native_certs::load_native_certs()
                .certs
                .into_iter()
                .map(|certificate| certificate.to_vec())
                .collect(),
            Self::Roots(roots) => roots.clone(),
        }
    }
}

/// Whether a certificate vouches for itself. Names alone do not tell: issuer and subject may be the
/// same though another key signed.
pub(super) fn is_self_signed(certificate: &X509Certificate<'_>) -> bool {
    issued(certificate, certificate)
}

/// Whether `issuer` signed `certificate`; by name only where the signature cannot be verified here.
fn issued(issuer: &X509Certificate<'_>, certificate: &X509Certificate<'_>) -> bool {
    issuer.subject().as_raw() == certificate.issuer().as_raw()
        && match certificate.verify_signature(Some(issuer.public_key())) {
            Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => true,
            Err(_) => has_short_rsa_key(issuer) || leaf::is_signed_with_pss(certificate),
        }
}

/// ring verifies nothing below 2048 bits, and PSS only with a salt as long as the hash.
fn has_short_rsa_key(certificate: &X509Certificate<'_>) -> bool {
    matches!(certificate.public_key().parsed(), Ok(PublicKey::RSA(key)) if key.key_size() < 2048)
}

/// Checks the issuers that were given beside the leaf; gives them in order.
pub(super) fn check<'a, 'c>(
    leaf: &'a X509Certificate<'c>,
    given: &'a [X509Certificate<'c>],
    trust: &Trust,
    now: SystemTime,
    findings: &mut Findings<'_>,
) -> Vec<&'a X509Certificate<'c>> {
    let mut unused: Vec<_> = given.iter().collect();
    let mut chain: Vec<&X509Certificate<'_>> = Vec::new();
    let mut last = leaf;
    while !is_self_signed(last)
        && let Some(index) = unused.iter().position(|issuer| issued(issuer, last))
    {
        last = unused.remove(index);
        chain.push(last);
    }
    let file = findings.chain_file();
    if chain.iter().zip(given).any(|(ordered, given)| *ordered != given) {
        let order: Vec<_> = chain.iter().map(|certificate| name(certificate)).collect();
        let reason = format!(
            "is not in order; after the site's certificate must come {}",
            order.join(", then ")
        );
        findings.problem(file, reason);
    }
    if !is_self_signed(last) && !ends_at_a_root(last, !chain.is_empty(), trust) {
        findings.problem(file, incomplete(last, &unused));
    } else if !unused.is_empty() {
        let names: Vec<_> = unused.iter().map(|certificate| name(certificate)).collect();
        findings
            .problem(file, format!("holds what is not part of the chain: {}", names.join(", ")));
    }
    for certificate in &chain {
        check_authority(certificate, now, findings);
    }
    chain
}

fn ends_at_a_root(last: &X509Certificate<'_>, has_intermediate: bool, trust: &Trust) -> bool {
    let roots = trust.roots();
    if roots.is_empty() {
        return has_intermediate;
    }
    roots.iter().filter_map(|root| parse(root)).any(|root| issued(&root, last))
}

fn incomplete(last: &X509Certificate<'_>, unused: &[&X509Certificate<'_>]) -> String {
    let issuer = distinguished(last.issuer());
    let namesake =
        unused.iter().any(|certificate| certificate.subject().as_raw() == last.issuer().as_raw());
    if namesake {
        return format!(
            "holds another {issuer} than the one that signed {}: same name, other key; get the \
             chain that came with this certificate",
            name(last)
        );
    }
    format!(
        "lacks {issuer}, which issued {}; append it (your authority's intermediate certificate, or \
         its root if the authority is your own)",
        name(last)
    )
}

fn check_authority(
    certificate: &X509Certificate<'_>,
    now: SystemTime,
    findings: &mut Findings<'_>,
) {
    let file = findings.chain_file();
    leaf::check_dates(certificate, &format!("{} ", name(certificate)), file, now, findings);
    if !certificate.is_ca() {
        let reason = format!(
            "{} is not an authority's certificate, yet it issued another",
            name(certificate)
        );
        findings.problem(file, reason);
    }
    if !is_self_signed(certificate) {
        leaf::check_signature(certificate, file, findings);
    }
}
