//! The probe's rooms: unguessable, and recognisable for everybody who counts meetings.

use std::fmt::Write;

use ring::rand::{SecureRandom, SystemRandom};

use crate::failure::Failure;

/// What every probe room's name begins with; 128 random bits in hexadecimal follow.
pub const ROOM_PREFIX: &str = "jitsi-probe-";

const RANDOM_BYTES: usize = 16;

/// Whether `name`, a room's name or its address (`name@conference.D`), is a probe's, so that it
/// is no meeting to wait for, to count or to show.
pub fn is_probe_room(name: &str) -> bool {
    let local = name.split('@').next().unwrap_or_default();
    local.strip_prefix(ROOM_PREFIX).is_some_and(|digits| {
        digits.len() == 2 * RANDOM_BYTES && digits.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// A room for one probe, and the other random names the probe needs.
pub(crate) struct Room {
    name: String,
    muc_domain: String,
    nicks: [String; 2],
    ssrcs: [u32; 2],
}

impl Room {
    pub(crate) fn random(muc_domain: &str) -> Result<Self, Failure> {
        Ok(Self {
            name: format!("{ROOM_PREFIX}{}", random_hex::<RANDOM_BYTES>()?),
            muc_domain: muc_domain.to_owned(),
            nicks: [random_hex::<4>()?, random_hex::<4>()?],
            ssrcs: sources()?,
        })
    }

    /// The name alone.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `name@conference.D`.
    pub(crate) fn address(&self) -> String {
        format!("{}@{}", self.name, self.muc_domain)
    }

    /// Eight hexadecimal digits for each participant, as Jitsi's clients choose them.
    pub(crate) fn nicks(&self) -> [&str; 2] {
        [&self.nicks[0], &self.nicks[1]]
    }

    #[cfg(feature = "call")]
    /// The RTP source of each participant.
    pub(crate) fn ssrcs(&self) -> [u32; 2] {
        self.ssrcs
    }

    /// What names this machine to jicofo: anything, new each time.
    pub(crate) fn machine_uid(&self) -> &str {
        &self.name
    }
}

/// Two different ones, neither of them 0: that is no source (jicofo, `ValidatingConferenceSourceMap`).
fn sources() -> Result<[u32; 2], Failure> {
    let one = u32::from_be_bytes(random()?) | 1;
    Ok([one, one ^ 2])
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::Setup("the system gives no random numbers".into()))?;
    Ok(bytes)
}

fn random_hex<const N: usize>() -> Result<String, Failure> {
    let bytes = random::<N>()?;
    Ok(bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probe_rooms_are_recognised_and_others_are_not() {
        let room = Room::random("conference.meet.example.com").unwrap();
        assert!(is_probe_room(room.name()));
        assert!(is_probe_room(&room.address()));
        assert!(!is_probe_room("jitsi-probe-party"));
        assert!(!is_probe_room("standup@conference.meet.example.com"));
    }

    #[test]
    fn no_room_is_used_twice() {
        let name = || Room::random("muc").unwrap().name().to_owned();
        assert_ne!(name(), name());
    }
}
