//! The agent's binary on this machine: read, checked and hashed before AWS is asked for anything.

use std::{fmt, fmt::Write as _, path::Path};

use sha2::{Digest, Sha256};

use crate::{config::Config, error::Hinted};

/// A processor architecture EC2 offers under Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit Intel and AMD.
    X86,
    /// AWS Graviton.
    Arm,
}

impl Architecture {
    /// Reads it off an instance type's name: after the generation, `g` stands for Graviton, and `a1`
    /// was its first family (EC2 instance type guide, "Instance type naming conventions").
    pub fn of(kind: &str) -> Self {
        let family = kind.split('.').next().unwrap_or(kind);
        let options = family.trim_start_matches(|c: char| !c.is_ascii_digit());
        if family == "a1" || options.contains('g') { Self::Arm } else { Self::X86 }
    }

    /// As EC2 names it.
    pub fn aws(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "arm64",
        }
    }

    /// As Debian and Ubuntu name it.
    pub fn debian(self) -> &'static str {
        match self {
            Self::X86 => "amd64",
            Self::Arm => "arm64",
        }
    }

    /// From an ELF header's `e_machine` (ELF-64 object file format: 62 and 183).
    fn of_elf(header: &[u8]) -> Option<Self> {
        const CLASS_64_LITTLE_ENDIAN: [u8; 2] = [2, 1];
        if header.get(..4)? != b"\x7fELF" || header.get(4..6)? != CLASS_64_LITTLE_ENDIAN {
            return None;
        }
        match header.get(18..20)? {
            [62, 0] => Some(Self::X86),
            [183, 0] => Some(Self::Arm),
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.aws())
    }
}

/// The agent, as it will lie in the bucket.
pub struct AgentFile {
    /// The program.
    pub bytes: Vec<u8>,
    /// SHA-256 of `bytes`.
    pub digest: [u8; 32],
}

impl AgentFile {
    /// Reads `[agent] binary`. What is not a Linux program for the instance type's processor is the
    /// user's to mend.
    pub async fn read(config: &Config) -> Result<Self, Hinted> {
        let (path, kind) = (&config.agent, config.instance.instance_type.as_str());
        let bytes = tokio::fs::read(path).await.map_err(|error| {
            Hinted::user(
                format!("the agent `{}` cannot be read: {error}", path.display()),
                "put jitsi-agent beside jitsi-aws, or set [agent] binary in jitsi.toml to it",
            )
        })?;
        check(path, &bytes, kind)?;
        let digest = Sha256::digest(&bytes).into();
        Ok(Self { bytes, digest })
    }

    /// SHA-256 in hexadecimal.
    pub fn sha256(&self) -> String {
        hex(&self.digest)
    }

    /// The object's key: another agent is another object, so that nothing is ever overwritten.
    pub fn key(&self) -> String {
        format!("{PREFIX}{}", self.sha256())
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where agents lie in the bucket; the instance's role may read nothing else.
pub const PREFIX: &str = "agents/";

fn check(path: &Path, bytes: &[u8], kind: &str) -> Result<(), Hinted> {
    let needed = Architecture::of(kind);
    let wrong = |what: String| {
        let hint = format!(
            "set [agent] binary in jitsi.toml to a jitsi-agent built for Linux on {needed}"
        );
        Hinted::user(format!("the agent `{}` {what}", path.display()), hint)
    };
    match Architecture::of_elf(bytes) {
        None => Err(wrong("is not a 64-bit Linux program".into())),
        Some(built) if built != needed => {
            Err(wrong(format!("is built for {built}, but {kind} has a processor for {needed}")))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(machine: u8) -> Vec<u8> {
        let mut header = b"\x7fELF\x02\x01".to_vec();
        header.resize(18, 0);
        header.extend([machine, 0]);
        header
    }

    #[test]
    fn graviton_is_told_by_name() {
        for kind in
            ["t4g.small", "c7gn.large", "m6gd.xlarge", "im4gn.large", "a1.large", "r8g.large"]
        {
            assert_eq!(Architecture::of(kind), Architecture::Arm, "{kind}");
        }
        for kind in
            ["t3.large", "c7i.xlarge", "g4dn.xlarge", "g6e.xlarge", "gr6.4xlarge", "m7a.large"]
        {
            assert_eq!(Architecture::of(kind), Architecture::X86, "{kind}");
        }
    }

    #[test]
    fn the_agent_must_fit_the_processor() {
        let said = |bytes: &[u8], kind| {
            check(Path::new("jitsi-agent"), bytes, kind).err().map(|hinted| hinted.to_string())
        };
        assert_eq!(said(&elf(62), "t3.large"), None);
        assert_eq!(said(&elf(183), "t4g.large"), None);
        assert_eq!(
            said(&elf(62), "t4g.large").as_deref(),
            Some(
                "the agent `jitsi-agent` is built for x86_64, but t4g.large has a processor for arm64"
            )
        );
        for other in [&b"#!/bin/sh"[..], b"", &elf(40)] {
            assert_eq!(
                said(other, "t3.large").as_deref(),
                Some("the agent `jitsi-agent` is not a 64-bit Linux program")
            );
        }
    }

    #[test]
    fn the_key_is_the_digest() {
        let agent = AgentFile { bytes: Vec::new(), digest: Sha256::digest(b"").into() };
        assert_eq!(
            agent.key(),
            "agents/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
