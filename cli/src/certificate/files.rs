//! Reads certificates out of PEM files, and writes them as ACM wants them.

use std::{io, path::Path};

use pem::{EncodeConfig, LineEnding, Pem};
use x509_parser::certificate::X509Certificate;

use super::{File, Findings, parse};
use crate::input_file;

/// The certificates of both files in the order they stand, in DER; the leaf first, none twice.
pub(super) struct Certificates(Vec<(File, Vec<u8>)>);

/// Reads the certificate file and the chain file; what cannot be read is a problem. `None` when
/// there is not even a leaf.
pub(super) fn read(findings: &mut Findings<'_>) -> Option<Certificates> {
    let mut all: Vec<(File, Vec<u8>)> = Vec::new();
    let mut leaf = false;
    for file in [File::Certificate, File::Chain] {
        let Some(path) = findings.path(file) else { continue };
        match certificates(path) {
            Ok(found) => {
                leaf |= file == File::Certificate;
                for der in found {
                    if !all.iter().any(|(_, known)| *known == der) {
                        all.push((file, der));
                    }
                }
            }
            Err(reason) => findings.problem(file, reason),
        }
    }
    leaf.then_some(Certificates(all))
}

impl Certificates {
    /// Parses them; what is no X.509 is a problem. Empty when the leaf is none.
    pub(super) fn parse(&self, findings: &mut Findings<'_>) -> Vec<X509Certificate<'_>> {
        let mut parsed = Vec::new();
        for (index, (file, der)) in self.0.iter().enumerate() {
            if let Some(certificate) = parse(der) {
                parsed.push(certificate);
                continue;
            }
            findings.problem(*file, "holds a damaged certificate; export it anew");
            if index == 0 {
                return Vec::new();
            }
        }
        parsed
    }
}

fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let blocks = blocks(path)?;
    let has_key = blocks.iter().any(|block| block.tag().ends_with("PRIVATE KEY"));
    let certificates: Vec<_> = blocks
        .into_iter()
        .filter(|block| matches!(block.tag(), "CERTIFICATE" | "X509 CERTIFICATE"))
        .map(Pem::into_contents)
        .collect();
    match (certificates.is_empty(), has_key) {
        (false, _) => Ok(certificates),
        (true, true) => {
            Err("holds a private key and no certificate; are the two paths swapped?".into())
        }
        (true, false) => Err("holds no certificate (-----BEGIN CERTIFICATE-----)".into()),
    }
}

/// Everything between BEGIN and END lines of a file.
pub(super) fn blocks(path: &Path) -> Result<Vec<Pem>, String> {
    let bytes = input_file::read(path, input_file::TEXT).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "cannot be read: permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => format!("cannot be read: {}", input_file::why(&error)),
    })?;
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Err(
            "is not PEM; convert a .pfx or .p12 file with `openssl pkcs12 -in FILE -nodes \
                    -out NEW`, a DER file with `openssl x509 -inform der -in FILE -out NEW`"
                .into(),
        );
    };
    // A block without its end is skipped by the parser.
    let begun = text.matches("-----BEGIN ").count();
    match pem::parse_many(text) {
        Ok(blocks) if blocks.len() == begun => Ok(blocks),
        _ => Err("is damaged PEM: a block is cut off or not base64; copy it anew".into()),
    }
}

/// Certificates as PEM, one after the other.
pub(super) fn to_pem<'a>(
    certificates: impl IntoIterator<Item = &'a X509Certificate<'a>>,
) -> String {
    certificates.into_iter().map(|it| encode(&Pem::new("CERTIFICATE", it.as_raw()))).collect()
}

pub(super) fn encode(block: &Pem) -> String {
    pem::encode_config(block, EncodeConfig::new().set_line_ending(LineEnding::LF))
}
