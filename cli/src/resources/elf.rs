//! What a Linux program needs of the machine that shall run it, as its ELF file says.

use object::{
    Endianness,
    elf::{EM_AARCH64, EM_X86_64, FileHeader64, VER_FLG_WEAK},
    read::elf::{FileHeader, ProgramHeader},
};

use crate::config::Architecture;

/// A 64-bit Linux program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// The processor it is built for.
    pub(super) architecture: Architecture,
    /// What loads it: `/lib64/ld-linux-x86-64.so.2`; nothing when it is static.
    pub(super) loader: Option<String>,
    /// The oldest glibc it starts with, when it is linked against one.
    pub(super) glibc: Option<(u32, u32)>,
}

impl Program {
    /// `None` for whatever else the bytes are.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
        let endian = header.endian().ok().filter(|endian| *endian == Endianness::Little)?;
        let architecture = match header.e_machine(endian) {
            EM_X86_64 => Architecture::X86,
            EM_AARCH64 => Architecture::Arm,
            _ => return None,
        };
        let segments = header.program_headers(endian, bytes).ok()?;
        let loader = segments
            .iter()
            .find_map(|segment| segment.interpreter(endian, bytes).ok().flatten())
            .map(|path| String::from_utf8_lossy(path).into_owned());
        let glibc = versions(header, endian, bytes).ok()?;
        Some(Self { architecture, loader, glibc: glibc.into_iter().max() })
    }

    /// Whether Debian and its kin have what loads it: glibc's own loader at its fixed path, which
    /// musl's and those of other distributions are not.
    pub(super) fn loads_anywhere(&self) -> bool {
        let known = match self.architecture {
            Architecture::X86 => "/lib64/ld-linux-x86-64.so.2",
            Architecture::Arm => "/lib/ld-linux-aarch64.so.1",
        };
        self.loader.as_deref().is_none_or(|loader| loader == known)
    }
}

/// The `GLIBC_…` versions it needs (section `.gnu.version_r`; System V ABI, "Symbol versioning"). A weak
/// one may be missing.
fn versions(
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    bytes: &[u8],
) -> object::Result<Vec<(u32, u32)>> {
    let sections = header.sections(endian, bytes)?;
    let Some((mut files, link)) = sections.gnu_verneed(endian, bytes)? else {
        return Ok(Vec::new());
    };
    let strings = sections.strings(endian, bytes, link)?;
    let mut found = Vec::new();
    while let Some((_, mut needed)) = files.next()? {
        while let Some(version) = needed.next()? {
            if version.vna_flags.get(endian) & VER_FLG_WEAK == 0 {
                found.extend(parse(version.name(endian, strings)?));
            }
        }
    }
    Ok(found)
}

/// `GLIBC_2.34`, and the mark of relative relocations, which came with 2.36 (glibc NEWS).
fn parse(name: &[u8]) -> Option<(u32, u32)> {
    let version = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
    if version == "ABI_DT_RELR" {
        return Some((2, 36));
    }
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file with an ELF header for `machine`, the loader it names and the versions it needs.
    pub(in super::super) fn elf(machine: u16, loader: &str, versions: &[(&str, u16)]) -> Vec<u8> {
        const HEADER: usize = 64 + 56;
        let mut strings = b"\0libc.so.6\0".to_vec();
        let mut needs = Vec::new();
        for (index, (name, flags)) in versions.iter().enumerate() {
            let next = if index + 1 == versions.len() { 0u32 } else { 16 };
            needs.extend(0u32.to_le_bytes());
            needs.extend(flags.to_le_bytes());
            needs.extend(2u16.to_le_bytes());
            needs.extend(u32::try_from(strings.len()).unwrap().to_le_bytes());
            needs.extend(next.to_le_bytes());
            strings.extend([name.as_bytes(), b"\0"].concat());
        }
        let mut verneed: Vec<u8> = Vec::new();
        verneed.extend(1u16.to_le_bytes());
        verneed.extend(u16::try_from(versions.len()).unwrap().to_le_bytes());
        for word in [1u32, 16, 0] {
            verneed.extend(word.to_le_bytes());
        }
        verneed.extend(needs);
        let path = [loader.as_bytes(), b"\0"].concat();
        let at = |before: usize| u64::try_from(before).unwrap();
        let (strings_at, verneed_at) = (HEADER + path.len(), HEADER + path.len() + strings.len());
        let sections_at = (verneed_at + verneed.len()).next_multiple_of(8);

        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        for half in [3u16, machine] {
            file.extend(half.to_le_bytes());
        }
        file.extend(1u32.to_le_bytes());
        for long in [0, 64, if versions.is_empty() { 0 } else { at(sections_at) }] {
            file.extend(u64::to_le_bytes(long));
        }
        file.extend(0u32.to_le_bytes());
        let (segments, sections) =
            (u16::from(!loader.is_empty()), 3 * u16::from(!versions.is_empty()));
        for half in [64u16, 56, segments, 64, sections, u16::from(sections > 0)] {
            file.extend(half.to_le_bytes());
        }
        for word in [3u32, 4] {
            file.extend(word.to_le_bytes()); // PT_INTERP, readable
        }
        for long in [at(HEADER), 0, 0, at(path.len()), at(path.len()), 1] {
            file.extend(long.to_le_bytes());
        }
        file.extend([path, strings.clone(), verneed.clone()].concat());
        file.resize(sections_at, 0);
        let entries = at(usize::from(!versions.is_empty()));
        for (kind, offset, size, link, info) in [
            (0u32, 0, 0, 0u32, 0u64),
            (3, at(strings_at), at(strings.len()), 0, 0),
            (0x6fff_fffe, at(verneed_at), at(verneed.len()), 1, entries),
        ] {
            file.extend([0u32.to_le_bytes(), kind.to_le_bytes()].concat());
            for long in [0, 0, offset, size] {
                file.extend(u64::to_le_bytes(long));
            }
            file.extend(link.to_le_bytes());
            file.extend(u32::try_from(info).unwrap().to_le_bytes());
            for long in [1u64, 0] {
                file.extend(long.to_le_bytes());
            }
        }
        file
    }

    #[test]
    fn a_static_program_needs_nothing() {
        let program = Program::read(&elf(EM_AARCH64, "", &[])).unwrap();
        assert_eq!(program, Program { architecture: Architecture::Arm, loader: None, glibc: None });
        assert!(program.loads_anywhere());
    }

    #[test]
    fn the_newest_version_counts_and_weak_ones_do_not() {
        let versions = [("GLIBC_2.2.5", 0), ("GLIBC_2.34", 0), ("GLIBC_2.39", VER_FLG_WEAK)];
        let program =
            Program::read(&elf(EM_X86_64, "/lib64/ld-linux-x86-64.so.2", &versions)).unwrap();
        assert_eq!(program.glibc, Some((2, 34)));
        assert!(program.loads_anywhere());
        let relocations = [("GLIBC_2.34", 0), ("GLIBC_ABI_DT_RELR", 0), ("GLIBC_PRIVATE", 0)];
        let program = Program::read(&elf(EM_X86_64, "/lib64/ld-linux-x86-64.so.2", &relocations));
        assert_eq!(program.unwrap().glibc, Some((2, 36)));
    }

    #[test]
    fn other_loaders_are_not_there() {
        for loader in
            ["/lib/ld-musl-x86_64.so.1", "/nix/store/x-glibc-2.40/lib/ld-linux-x86-64.so.2"]
        {
            assert!(!Program::read(&elf(EM_X86_64, loader, &[])).unwrap().loads_anywhere());
        }
    }

    #[test]
    fn this_very_program_is_read() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        if cfg!(target_os = "linux") {
            let program = Program::read(&own).unwrap();
            assert_eq!(program.architecture.machine(), std::env::consts::ARCH);
        }
    }

    #[test]
    fn anything_else_is_no_program() {
        let mut big = elf(EM_X86_64, "", &[]);
        big[5] = 2; // big endian
        let mut small = elf(EM_X86_64, "", &[]);
        small[4] = 1; // 32 bits
        let cut = &elf(EM_X86_64, "", &[])[..40];
        for other in [&b"#!/bin/sh"[..], b"", &elf(40, "", &[]), &big, &small, cut] {
            assert_eq!(Program::read(other), None);
        }
    }
}
