//! The probe's rooms: unguessable, and recognisable for everybody who counts meetings.

/// What every probe room's name begins with; 128 random bits in hexadecimal follow.
pub const ROOM_PREFIX: &str = "jitsi-probe-";

const RANDOM_DIGITS: usize = 32;

/// Whether `name`, a room's name or its address (`name@conference.D`), is a probe's, so that it
/// is no meeting to wait for, to count or to show.
pub fn is_probe_room(name: &str) -> bool {
    let local = name.split('@').next().unwrap_or_default();
    local.strip_prefix(ROOM_PREFIX).is_some_and(|digits| {
        digits.len() == RANDOM_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probe_rooms_are_recognised_and_others_are_not() {
        let name = format!("{ROOM_PREFIX}{}", "0f".repeat(16));
        assert!(is_probe_room(&name));
        assert!(is_probe_room(&format!("{name}@conference.meet.example.com")));
        assert!(!is_probe_room("jitsi-probe-party"));
        assert!(!is_probe_room("standup@conference.meet.example.com"));
    }
}
