//! The site's certificate as PEM files: checked as a whole before AWS is asked, because ACM reports
//! one mistake at a time and an ALB only shows the rest to visitors.

mod chain;
mod files;
mod key;
mod leaf;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use jitsi_templates::settings::{Domain, Problem};
use sha2::{Digest, Sha256};
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};
use zeroize::Zeroizing;

pub use chain::Trust;
pub use leaf::covers;

use crate::config::CertificatePaths;

/// Below this a certificate is worth a warning: most authorities ask for renewal 30 days ahead.
pub(crate) const EXPIRES_SOON: Duration = Duration::from_hours(30 * 24);

/// A certificate ready for ACM's import: leaf and chain apart, as `ImportCertificate` wants them.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The leaf, PEM.
    pub certificate: String,
    /// Its private key.
    pub private_key: PrivateKey,
    /// The issuers in order, PEM; `None` for a self-signed certificate.
    pub chain: Option<String>,
    /// When it expires.
    pub not_after: SystemTime,
    /// The host names it covers.
    pub subject_alt_names: Vec<String>,
    /// SHA-256 of the leaf (DER), 64 hexadecimal digits: tells whether the files changed.
    pub sha256: String,
}

/// A private key in PEM: not printed, and wiped when dropped.
#[derive(Clone)]
pub struct PrivateKey(Zeroizing<String>);

impl PrivateKey {
    /// The PEM text.
    pub fn pem(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// Files that can be imported.
#[derive(Debug)]
pub struct Checked {
    /// What to import.
    pub files: CertificateFiles,
    /// What works but should be thought about.
    pub warnings: Vec<Problem>,
}

/// Checks the files for `domain` as of `now`: that they can be read, belong together, are complete
/// and in order, cover the domain (if it is known), and are something an ALB takes. Every problem
/// is reported.
pub fn check<'d>(
    paths: &CertificatePaths,
    domain: impl Into<Option<&'d Domain>>,
    trust: &Trust,
    now: SystemTime,
) -> Result<Checked, Vec<Problem>> {
    let mut findings = Findings::new(paths);
    let key = key::read(&mut findings);
    let files = files::read(&mut findings);
    let parsed = files.as_ref().map(|files| files.parse(&mut findings));
    let Some((leaf, issuers)) = parsed.as_ref().and_then(|certificates| certificates.split_first())
    else {
        return Err(findings.problems);
    };
    if leaf.is_ca()
        && let Some(site) = issuers.iter().find(|certificate| !certificate.is_ca())
    {
        let reason = format!(
            "begins with {}, which is an authority's certificate; {} must stand first",
            name(leaf),
            name(site)
        );
        findings.problem(File::Certificate, reason);
        return Err(findings.problems);
    }
    let self_signed = chain::is_self_signed(leaf);
    let subject_alt_names = leaf::check(leaf, self_signed, domain.into(), now, &mut findings);
    if let Some(key) = &key {
        key.check_belongs_to(leaf, &mut findings);
    }
    let ordered = chain::check(leaf, issuers, trust, now, &mut findings);
    let (Some(key), true) = (key, findings.problems.is_empty()) else {
        return Err(findings.problems);
    };
    let files = CertificateFiles {
        certificate: files::to_pem([leaf]),
        private_key: key.pem,
        chain: (!ordered.is_empty()).then(|| files::to_pem(ordered)),
        not_after: system_time(leaf.validity().not_after),
        subject_alt_names,
        sha256: hex(&Sha256::digest(leaf.as_raw())),
    };
    Ok(Checked { files, warnings: findings.warnings })
}

/// Which of the files a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    Certificate,
    PrivateKey,
    Chain,
}

/// What was found so far, each with the key of the configuration and the path.
struct Findings<'a> {
    paths: &'a CertificatePaths,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Findings<'a> {
    fn new(paths: &'a CertificatePaths) -> Self {
        Self { paths, problems: Vec::new(), warnings: Vec::new() }
    }

    fn path(&self, file: File) -> Option<&'a std::path::Path> {
        match file {
            File::Certificate => Some(&self.paths.certificate),
            File::PrivateKey => Some(&self.paths.private_key),
            File::Chain => self.paths.chain.as_deref(),
        }
    }

    /// The file issuers are looked for in first.
    fn chain_file(&self) -> File {
        if self.paths.chain.is_some() { File::Chain } else { File::Certificate }
    }

    fn problem(&mut self, file: File, reason: impl Into<String>) {
        let problem = self.about(file, reason.into());
        self.problems.push(problem);
    }

    fn warning(&mut self, file: File, reason: impl Into<String>) {
        let warning = self.about(file, reason.into());
        self.warnings.push(warning);
    }

    fn about(&self, file: File, reason: String) -> Problem {
        let key = match file {
            File::Certificate => "certificate.certificate",
            File::PrivateKey => "certificate.private_key",
            File::Chain => "certificate.chain",
        };
        match self.path(file) {
            Some(path) => Problem {
                value: Some(format!("\"{}\"", path.display())),
                ..Problem::new(key, reason)
            },
            None => Problem::new(key, reason),
        }
    }
}

/// The first certificate in `der`.
fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

/// How a certificate is named in messages: its subject's common name, else the whole subject.
fn name(certificate: &X509Certificate<'_>) -> String {
    distinguished(certificate.subject())
}

fn distinguished(name: &x509_parser::x509::X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|name| name.as_str().ok());
    format!("\"{}\"", common.map_or_else(|| name.to_string(), str::to_owned))
}

fn system_time(time: ASN1Time) -> SystemTime {
    match u64::try_from(time.timestamp()) {
        Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        Err(_) => SystemTime::UNIX_EPOCH, // before 1970
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    })
}
