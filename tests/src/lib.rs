//! What the integration tests share: an emulated AWS, a deployment on disk driven through the
//! built binary, and an account's inventory read through the API, not through our own finders.

#![forbid(unsafe_code)]

pub mod deployment;
pub mod emulator;
pub mod hints;
pub mod inventory;
pub mod schema;
pub mod standins;
pub mod terminal;
pub mod turnstile;

/// The seeds a test draws from: the first one, or as many as `SEEDS` says (`scripts/seeds`).
pub fn seeds(first: u64) -> std::ops::Range<u64> {
    let number = std::env::var("SEEDS").ok().and_then(|number| number.parse().ok()).unwrap_or(1);
    first..first + number
}
