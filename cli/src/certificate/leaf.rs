//! The site's own certificate: its names, its dates, and whether an ALB takes its key.

use std::time::SystemTime;

use jitsi_templates::settings::Domain;
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
        OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA,
        OID_SIG_ED25519, asn1_rs::Oid,
    },
    public_key::PublicKey,
};

use super::{EXPIRES_SOON, File, Findings, name, system_time};

/// Checks the leaf; gives the host names it covers.
pub(super) fn check(
    leaf: &X509Certificate<'_>,
    self_signed: bool,
    domain: Option<&Domain>,
    now: SystemTime,
    findings: &mut Findings<'_>,
) -> Vec<String> {
    let names = host_names(leaf);
    if let Some(domain) = domain {
        check_names(&names, has_names(leaf), domain, findings);
    }
    check_dates(leaf, "", File::Certificate, now, findings);
    if let Err(reason) = algorithm(leaf) {
        findings.problem(File::Certificate, reason);
    }
    if leaf.is_ca() && !self_signed {
        let reason = format!("is {}, an authority's certificate and not the site's", name(leaf));
        findings.problem(File::Certificate, reason);
    }
    let usage = leaf.extended_key_usage().ok().flatten();
    if usage.is_some_and(|usage| !usage.value.server_auth && !usage.value.any) {
        findings.problem(
            File::Certificate,
            "is not for web servers (its extended key usage lacks serverAuth)",
        );
    }
    check_signature(leaf, File::Certificate, findings);
    if self_signed {
        findings.warning(
            File::Certificate,
            "is self-signed: every browser will warn, and the Jitsi apps will refuse the site",
        );
    }
    names
}

fn host_names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let extension = leaf.subject_alternative_name().ok().flatten();
    let names =
        extension.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

/// Whether it has subject alternative names of any kind: host names, IP addresses, mail addresses.
fn has_names(leaf: &X509Certificate<'_>) -> bool {
    let extension = leaf.subject_alternative_name().ok().flatten();
    extension.is_some_and(|extension| !extension.value.general_names.is_empty())
}

/// Longest list of names repeated in a message.
const NAMES_SHOWN: usize = 5;

fn check_names(names: &[String], has_others: bool, domain: &Domain, findings: &mut Findings<'_>) {
    if names.iter().any(|name| covers(name, domain)) {
        return;
    }
    let reason = if names.is_empty() && has_others {
        format!(
            "does not cover {domain}: its subject alternative names are no host names, but IP addresses \
             or the like"
        )
    } else if names.is_empty() {
        format!(
            "does not cover {domain}: it has no subject alternative names, the only ones browsers \
             look at"
        )
    } else {
        let shown =
            names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(NAMES_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("does not cover {domain}: it names {shown}{more}")
    };
    findings.problem(File::Certificate, reason);
}

/// Whether a name of a certificate covers a domain: `*` stands for exactly one label, the first
/// (RFC 6125 §6.4.3 as browsers apply it).
pub fn covers(name: &str, domain: &Domain) -> bool {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("*.") {
        Some(parent) => domain.as_str().split_once('.').is_some_and(|(_, rest)| rest == parent),
        None => name == domain.as_str(),
    }
}

/// Checks that `certificate` is valid now and stays so for a while; `who` begins the message unless
/// it is about the file's own certificate.
pub(super) fn check_dates(
    certificate: &X509Certificate<'_>,
    who: &str,
    file: File,
    now: SystemTime,
    findings: &mut Findings<'_>,
) {
    let validity = certificate.validity();
    let (begin, end) = (system_time(validity.not_before), system_time(validity.not_after));
    let day = |time: x509_parser::time::ASN1Time| time.to_datetime().date().to_string();
    if now >= end {
        findings.problem(file, format!("{who}expired on {}; renew it", day(validity.not_after)));
    } else if now < begin {
        let reason = format!(
            "{who}is valid only from {}; wait, or set this machine's clock",
            day(validity.not_before)
        );
        findings.problem(file, reason);
    } else if let Ok(left) = end.duration_since(now)
        && left < EXPIRES_SOON
    {
        let days = left.as_secs() / 86_400;
        let reason =
            format!("{who}expires on {}, in {days} days; renew it soon", day(validity.not_after));
        findings.warning(file, reason);
    }
}

/// Whether an ALB takes the certificate's key (ELB user guide, "SSL certificates"; ACM user guide,
/// "Prerequisites for importing certificates"); the error says what it takes.
pub(super) fn algorithm(leaf: &X509Certificate<'_>) -> Result<(), String> {
    let allowed = "the load balancer takes RSA of 2048, 3072 or 4096 bits and EC on P-256 or P-384";
    let key = leaf.public_key();
    let what = match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => match rsa.key_size() {
            2048 | 3072 | 4096 => return Ok(()),
            bits => format!("an RSA key of {bits} bits"),
        },
        _ if key.algorithm.algorithm == OID_PKCS1_RSASSAPSS => {
            return Err(format!(
                "has an RSA-PSS key (rsassaPss), which ACM does not know; {allowed}: have it issued for a plain RSA \
                 key (rsaEncryption)"
            ));
        }
        _ if key.algorithm.algorithm == OID_SIG_ED25519 => "an Ed25519 key".to_owned(),
        _ if key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => {
            let curve = key.algorithm.parameters.as_ref().and_then(|it| it.as_oid().ok());
            match curve {
                Some(curve) if curve == OID_EC_P256 || curve == OID_NIST_EC_P384 => return Ok(()),
                Some(curve) if curve == OID_NIST_EC_P521 => "an EC key on P-521".to_owned(),
                _ => "an EC key on another curve".to_owned(),
            }
        }
        _ => "a key of another kind".to_owned(),
    };
    Err(format!("has {what}; {allowed}"))
}

/// Signatures browsers have refused for years.
const WEAK: [(Oid<'_>, &str); 3] = [
    (OID_PKCS1_MD5WITHRSAENC, "MD5"),
    (OID_PKCS1_SHA1WITHRSA, "SHA-1"),
    (OID_SHA1_WITH_RSA, "SHA-1"),
];

/// Whether the signature is RSA's with PSS (RFC 4055).
pub(super) fn is_signed_with_pss(certificate: &X509Certificate<'_>) -> bool {
    certificate.signature_algorithm.algorithm == OID_PKCS1_RSASSAPSS
}

/// Checks that `certificate` is signed with an algorithm browsers accept.
pub(super) fn check_signature(
    certificate: &X509Certificate<'_>,
    file: File,
    findings: &mut Findings<'_>,
) {
    let algorithm = &certificate.signature_algorithm.algorithm;
    if is_signed_with_pss(certificate) {
        let reason = format!(
            "{} is signed with RSA-PSS, of which AWS does not say whether ACM takes it; if it is refused, have \
             it issued anew with another signature (sha256WithRSAEncryption)",
            name(certificate)
        );
        findings.warning(file, reason);
    }
    if let Some((_, hash)) = WEAK.iter().find(|(weak, _)| weak == algorithm) {
        let reason = format!(
            "{} is signed with {hash}, which browsers refuse; have it issued anew",
            name(certificate)
        );
        findings.problem(file, reason);
    }
}
