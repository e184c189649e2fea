//! The settings of a Jitsi site, shared by the deployer and the agent, and every file rendered
//! from them: what a setting may be and what a file says is decided here and nowhere else.

#![forbid(unsafe_code)]

mod context;
mod error;
mod filters;
mod install;
pub mod layout;
mod memory;
mod modules;
mod owned;
mod prosody;
mod secrets;
pub mod settings;
mod site;
mod template;
mod user_data;

pub use context::{Discovered, InstallContext, SiteContext, Versions};
pub use error::{Error, Result};
pub use install::render_install;
pub use memory::Memory;
pub use modules::ProsodyModules;
pub use owned::{Consumer, OwnedFile};
pub use secrets::{Secret, Secrets};
pub use site::render_site;
pub use user_data::{USER_DATA_LIMIT, UserData, agent_units, user_data};
