//! The deployer: from `jitsi.toml` to a complete Jitsi Meet deployment on AWS and back to nothing.
//! Arrows point one way: commands → catalog → resources → engine; only `ui` prints, only `wait` sleeps.

#![forbid(unsafe_code)]

pub mod args;
pub mod aws;
pub mod catalog;
pub mod certificate;
pub mod commands;
pub mod config;
pub mod cx;
pub mod deployments;
pub mod engine;
pub mod error;
mod excerpt;
pub mod exit;
pub mod ha_test;
pub mod input_file;
pub mod invocation;
pub mod lease;
pub mod leftovers;
pub mod local;
pub mod names;
pub mod partition;
pub mod policy;
pub mod recent;
pub mod resources;
mod shared;
pub mod site_record;
mod tagged;
pub mod tags;
pub mod ui;
pub mod visitor;
pub mod wait;
