//! `[instance] image`: the newest image of a Debian release, or one image by its id.

use std::fmt;

use super::ImageId;

/// What `[instance] image` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageChoice {
    /// This image and no other.
    Id(ImageId),
    /// The newest of a release when one must be chosen; a newer one alone changes nothing.
    Newest(Debian),
}

/// A Debian release instances were proven on, end to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debian {
    /// Debian 13: Prosody 13 and Java 21 are its own.
    Trixie,
    /// Debian 12.
    Bookworm,
}

impl Debian {
    /// Every proven release, the default one first.
    pub const ALL: [Self; 2] = [Self::Trixie, Self::Bookworm];

    /// As the names of Debian's images and `jitsi.toml` spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trixie => "debian-13",
            Self::Bookworm => "debian-12",
        }
    }

    /// The version of its glibc (Debian's package `libc6`).
    pub fn glibc(self) -> (u32, u32) {
        match self {
            Self::Trixie => (2, 41),
            Self::Bookworm => (2, 36),
        }
    }
}

impl fmt::Display for Debian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trixie => "Debian 13",
            Self::Bookworm => "Debian 12",
        })
    }
}

impl ImageChoice {
    /// Checks `debian-13`, `debian-12` or an AMI id.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(release) = Debian::ALL.into_iter().find(|release| release.as_str() == text) {
            return Ok(Self::Newest(release));
        }
        ImageId::parse(text).map(Self::Id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_or_an_id() {
        assert_eq!(ImageChoice::parse("debian-12"), Ok(ImageChoice::Newest(Debian::Bookworm)));
        assert!(matches!(ImageChoice::parse("ami-0123456789abcdef0"), Ok(ImageChoice::Id(_))));
        for wrong in ["debian-11", "Debian-13", "debian", "ubuntu-24.04", "ami-xyz", ""] {
            assert!(ImageChoice::parse(wrong).is_err(), "{wrong}");
        }
    }
}
