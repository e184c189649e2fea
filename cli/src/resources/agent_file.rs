//! The agent's binary on this machine: read, checked and hashed before AWS is asked for anything.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::elf::Program;
use crate::{
    config::{Architecture, Config, Debian, ImageChoice},
    error::Hinted,
    input_file,
};

/// The agent, as it will lie in the bucket.
pub struct AgentFile {
    /// The program.
    pub bytes: Vec<u8>,
    /// SHA-256 of `bytes`.
    pub digest: [u8; 32],
    path: PathBuf,
    program: Program,
}

impl AgentFile {
    /// Reads `[agent] binary`. What would not start on the instance is the user's to mend.
    pub async fn read(config: &Config) -> Result<Self, Hinted> {
        let (path, kind) = (&config.agent, config.instance.instance_type.as_str());
        let glibc = match config.instance.image {
            None => Debian::ALL[0].glibc(),
            Some(ImageChoice::Newest(release)) => release.glibc(),
            Some(ImageChoice::Id(_)) => OLDEST_GLIBC,
        };
        let from = path.clone();
        let read = move || input_file::read(&from, input_file::PROGRAM);
        let read = tokio::task::spawn_blocking(read).await;
        let bytes = read.unwrap_or_else(|ended| Err(ended.into())).map_err(|error| {
            let why = input_file::why(&error);
            Hinted::user(
                format!("the agent `{}` cannot be read: {why}", path.display()),
                "build it with `scripts/build-agent`, or set [agent] binary in jitsi.toml to it",
            )
        })?;
        let program = check(path, &bytes, kind, glibc)?;
        let digest = Sha256::digest(&bytes).into();
        Ok(Self { path: path.clone(), program, bytes, digest })
    }

    /// Looks again once AWS has said which image it will run on, with the glibc that one has.
    pub(super) fn check_glibc(&self, image: Option<(u32, u32)>) -> Result<(), Hinted> {
        image.map_or(Ok(()), |glibc| check_glibc(&self.path, &self.program, glibc))
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

/// Refuses what would not start on the instance. `glibc` is the image's, where it is known.
fn check(path: &Path, bytes: &[u8], kind: &str, glibc: (u32, u32)) -> Result<Program, Hinted> {
    let needed = Architecture::of(kind);
    let wrong = |what: String| unusable(path, &what, needed);
    let program =
        Program::read(bytes).ok_or_else(|| wrong("is not a 64-bit Linux program".into()))?;
    if program.architecture != needed {
        let built = program.architecture;
        return Err(wrong(format!(
            "is built for {built}, but {kind} has a processor for {needed}"
        )));
    }
    if !program.loads_anywhere() {
        let loader = program.loader.unwrap_or_default();
        return Err(wrong(format!("is loaded by {loader}, which no image has")));
    }
    check_glibc(path, &program, glibc)?;
    Ok(program)
}

fn check_glibc(path: &Path, program: &Program, glibc: (u32, u32)) -> Result<(), Hinted> {
    match program.glibc {
        Some(needs) if needs > glibc => Err(unusable(
            path,
            &format!("needs glibc {}.{}, the image has {}.{}", needs.0, needs.1, glibc.0, glibc.1),
            program.architecture,
        )),
        _ => Ok(()),
    }
}

fn unusable(path: &Path, what: &str, needed: Architecture) -> Hinted {
    let machine = needed.machine();
    Hinted::user(
        format!("the agent `{}` {what}", path.display()),
        format!(
            "make one that runs on every image with `scripts/build-agent {machine}`, and set [agent] \
             binary in jitsi.toml to it or put it beside jitsi-aws"
        ),
    )
}

/// The least of the glibc versions an image may have: what it is, nobody knows before AWS is asked
/// (Ubuntu 22.04, the oldest system the agent installs on).
const OLDEST_GLIBC: (u32, u32) = (2, 35);

#[cfg(test)]
mod tests {
    use object::elf::{EM_AARCH64, EM_X86_64};

    use super::{super::elf::tests::elf, *};

    const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

    fn said(bytes: &[u8], kind: &str, glibc: (u32, u32)) -> Option<String> {
        check(Path::new("jitsi-agent"), bytes, kind, glibc).err().map(|hinted| hinted.to_string())
    }

    #[test]
    fn the_agent_must_fit_the_processor() {
        assert_eq!(said(&elf(EM_X86_64, "", &[]), "t3.large", OLDEST_GLIBC), None);
        assert_eq!(said(&elf(EM_AARCH64, "", &[]), "t4g.large", OLDEST_GLIBC), None);
        assert_eq!(
            said(&elf(EM_X86_64, "", &[]), "t4g.large", OLDEST_GLIBC).as_deref(),
            Some(
                "the agent `jitsi-agent` is built for x86_64, but t4g.large has a processor for arm64"
            )
        );
        assert_eq!(
            said(b"#!/bin/sh", "t3.large", OLDEST_GLIBC).as_deref(),
            Some("the agent `jitsi-agent` is not a 64-bit Linux program")
        );
    }

    #[test]
    fn the_agent_must_fit_the_images_libraries() {
        let agent = elf(EM_X86_64, LOADER, &[("GLIBC_2.39", 0)]);
        assert_eq!(said(&agent, "t3.large", Debian::Trixie.glibc()), None);
        assert_eq!(
            said(&agent, "t3.large", Debian::Bookworm.glibc()).as_deref(),
            Some("the agent `jitsi-agent` needs glibc 2.39, the image has 2.36")
        );
        let musl = elf(EM_X86_64, "/lib/ld-musl-x86_64.so.1", &[]);
        assert_eq!(
            said(&musl, "t3.large", OLDEST_GLIBC).as_deref(),
            Some(
                "the agent `jitsi-agent` is loaded by /lib/ld-musl-x86_64.so.1, which no image has"
            )
        );
    }

    #[test]
    fn the_key_is_the_digest() {
        let bytes = elf(EM_X86_64, "", &[]);
        let program = Program::read(&bytes).unwrap();
        let digest = Sha256::digest(b"").into();
        let agent = AgentFile { bytes, digest, path: PathBuf::new(), program };
        assert_eq!(
            agent.key(),
            "agents/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
