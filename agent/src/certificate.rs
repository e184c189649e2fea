//! The self-signed certificate between load balancer and nginx, and on Prosody's loopback: the
//! load balancer does not verify it, but both need one to speak TLS. Made before the packages are
//! installed, whose questions name it.

use std::path::Path;

use anyhow::{Result, anyhow};
use jitsi_templates::layout;

use crate::system::{Command, Owner, System};

/// Ten years: an instance does not live that long.
const DAYS: &str = "3650";

/// Makes the pair nginx uses, unless it is there.
pub(crate) async fn ensure(system: &dyn System, domain: &str) -> Result<()> {
    let (certificate, key) = (Path::new(layout::NGINX_CERTIFICATE), Path::new(layout::NGINX_KEY));
    if system.exists(certificate) && system.exists(key) {
        return Ok(());
    }
    let subject = format!("/CN={}", common_name(domain));
    let names = format!("subjectAltName=DNS:{domain},DNS:auth.{domain},DNS:guest.{domain}");
    #[rustfmt::skip]
    let command = Command::new("openssl", [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", DAYS, "-subj", &subject, "-addext", &names, "-keyout", "-", "-out", "-",
    ]);
    let made = system.run(&command).await?.success(&command)?.stdout;
    let part = |label| pem(&made, label).ok_or_else(|| anyhow!("`openssl req` printed no {label}"));
    // The key first: a certificate without one would be taken for a finished pair.
    system.write(key, part("PRIVATE KEY")?.as_bytes(), 0o600, Owner::ROOT)?;
    system.write(certificate, part("CERTIFICATE")?.as_bytes(), 0o644, Owner::ROOT)
}

/// A common name holds 64 characters at most (RFC 5280); the full name stands in the alternative names.
fn common_name(domain: &str) -> &str {
    if domain.len() <= 64 { domain } else { "jitsi" }
}

/// The block of `text` with `label`, markers included.
fn pem<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let end_marker = format!("-----END {label}-----\n");
    let start = text.find(&format!("-----BEGIN {label}-----"))?;
    let end = start + text[start..].find(&end_marker)? + end_marker.len();
    Some(&text[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Host;
    use crate::system::fake::Fake;

    #[tokio::test]
    async fn makes_a_pair_once() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(folder.path());
        ensure(&host, "meet.example.com").await.unwrap();
        let read = |path| host.read(Path::new(path)).unwrap().unwrap();
        let (key, certificate) = (read(layout::NGINX_KEY), read(layout::NGINX_CERTIFICATE));
        assert!(key.starts_with(b"-----BEGIN PRIVATE KEY-----"));
        assert!(certificate.ends_with(b"-----END CERTIFICATE-----\n"));
        assert!(host.has_owner_and_mode(Path::new(layout::NGINX_KEY), 0o600, Owner::ROOT).unwrap());
        ensure(&host, "meet.example.com").await.unwrap();
        assert_eq!(read(layout::NGINX_KEY), key);
    }

    #[tokio::test]
    async fn half_an_answer_writes_nothing() {
        let system = Fake::default();
        system.answer("openssl", 0, "-----BEGIN PRIVATE KEY-----\nMI");
        assert!(ensure(&system, "d.example").await.is_err());
        assert!(system.files.lock().unwrap().is_empty());
    }
}
