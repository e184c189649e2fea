//! How much of an instance's memory each of the two Java processes gets.

use crate::{Error, Result};

const GIB: u64 = 1 << 30;

/// An instance type's nominal memory is never wholly there: firmware and kernel keep up to this
/// share (a `t3.small` of 2 GiB shows 1.87 GiB in `MemTotal`).
const NOMINAL_PERCENT: u64 = 88;

/// Heap sizes and swap for an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// `VIDEOBRIDGE_MAX_MEMORY`, MiB.
    pub videobridge_mib: u32,
    /// `JICOFO_MAX_MEMORY`, MiB.
    pub jicofo_mib: u32,
    /// Size of the swap file, MiB; 0 where none is needed.
    pub swap_mib: u32,
    /// Visitors' requests nginx works on at a time; a WebSocket is one for as long as it lives. Each
    /// costs nginx and Prosody some tens of KiB, so that all of them take less than a tenth.
    pub visits: u32,
}

impl Memory {
    /// The sizes for `total` bytes of memory. The resident size of both processes exceeds the heap
    /// by native buffers, so at least a quarter of the memory stays free of heap. Below 2 GiB
    /// nothing fits: an error.
    pub fn for_total(total: u64) -> Result<Self> {
        let of = |videobridge_mib, jicofo_mib, swap_mib, visits| Self {
            videobridge_mib,
            jicofo_mib,
            swap_mib,
            visits,
        };
        let holds = |gib: u64| total >= gib * GIB / 100 * NOMINAL_PERCENT;
        match total {
            _ if holds(16) => Ok(of(4096, 2048, 0, 4096)),
            _ if holds(8) => Ok(of(3072, 1024, 0, 4096)),
            _ if holds(4) => Ok(of(1536, 512, 0, 2048)),
            _ if holds(2) => Ok(of(512, 256, 2048, 1024)),
            _ => Err(Error::TooLittleMemory { bytes: total, least: 2 * GIB }),
        }
    }
}
