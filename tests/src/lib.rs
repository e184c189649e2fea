//! What the integration tests share: an emulated AWS, a deployment on disk driven through the
//! built binary, and an account's inventory read through the API, not through our own finders.

pub mod deployment;
pub mod emulator;
pub mod hints;
pub mod inventory;
pub mod schema;
pub mod standins;
pub mod terminal;
pub mod turnstile;
