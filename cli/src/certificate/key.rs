//! The private key: one ACM takes (PEM, not encrypted), and the one the certificate was made for.

use std::path::Path;

use pem::Pem;
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer},
};
use x509_parser::certificate::X509Certificate;
use zeroize::Zeroizing;

use super::{File, Findings, PrivateKey, files};

/// A private key and the public key that belongs to it.
pub(super) struct Key {
    pub(super) pem: PrivateKey,
    /// `SubjectPublicKeyInfo`, DER; `None` for kinds that are refused by their certificate anyway.
    public_key: Option<Vec<u8>>,
}

/// Reads the private key; what stands against it is a problem.
pub(super) fn read(findings: &mut Findings<'_>) -> Option<Key> {
    let path = findings.path(File::PrivateKey)?;
    match from_file(path) {
        Ok(key) => {
            if readable_by_others(path) {
                let advice = format!("can be read by others; run `chmod 600 {}`", path.display());
                findings.warning(File::PrivateKey, advice);
            }
            Some(key)
        }
        Err(reason) => {
            findings.problem(File::PrivateKey, reason);
            None
        }
    }
}

impl Key {
    pub(super) fn check_belongs_to(&self, leaf: &X509Certificate<'_>, findings: &mut Findings<'_>) {
        let certified = leaf.public_key();
        match &self.public_key {
            Some(public_key) if public_key != certified.raw => {
                let certificate = findings.paths.certificate.display();
                let reason = format!("does not belong to {certificate}: the public keys differ");
                findings.problem(File::PrivateKey, reason);
            }
            // Kinds nothing here can read are refused by `leaf`, which knows what an ALB takes.
            None if matches_what_an_alb_takes(leaf) => findings.problem(
                File::PrivateKey,
                "is not an RSA or EC key that can be read; `openssl pkey -in FILE` writes it anew",
            ),
            _ => {}
        }
    }
}

fn matches_what_an_alb_takes(leaf: &X509Certificate<'_>) -> bool {
    super::leaf::algorithm(leaf).is_ok()
}

fn from_file(path: &Path) -> Result<Key, String> {
    let blocks = files::blocks(path)?;
    if let Some(block) = blocks.iter().find(|block| is_private_key(block)) {
        return from_block(block);
    }
    let has_certificate = blocks.iter().any(|block| block.tag() == "CERTIFICATE");
    Err(if has_certificate {
        "holds a certificate and no private key; are the two paths swapped?".into()
    } else {
        "holds no private key (-----BEGIN PRIVATE KEY-----)".into()
    })
}

fn is_private_key(block: &Pem) -> bool {
    block.tag().ends_with("PRIVATE KEY")
}

fn from_block(block: &Pem) -> Result<Key, String> {
    let encrypted = block.tag() == "ENCRYPTED PRIVATE KEY"
        || block.headers().get("Proc-Type").is_some_and(|value| value.contains("ENCRYPTED"));
    if encrypted {
        return Err(
            "is encrypted, which ACM refuses; `openssl pkey -in FILE -out NEW` decrypts it".into(),
        );
    }
    let contents = block.contents();
    let der = match block.tag() {
        "PRIVATE KEY" => PrivateKeyDer::from(PrivatePkcs8KeyDer::from(contents)),
        "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(contents).into(),
        "EC PRIVATE KEY" => PrivateSec1KeyDer::from(contents).into(),
        "OPENSSH PRIVATE KEY" => {
            return Err(
                "is an SSH key; write the path of the key the certificate was made for".into()
            );
        }
        other => return Err(format!("is of a kind ACM does not take: {other}")),
    };
    let public_key = any_supported_type(&der)
        .ok()
        .and_then(|key| key.public_key().map(|public_key| public_key.as_ref().to_vec()));
    Ok(Key { pem: PrivateKey(Zeroizing::new(files::encode(block))), public_key })
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> bool {
    false
}
