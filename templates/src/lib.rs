//! The settings of a Jitsi site, shared by the deployer and the agent, and every file rendered
//! from them: what a setting may be and what a file says is decided here and nowhere else.

pub mod settings;
