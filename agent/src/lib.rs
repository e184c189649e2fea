//! The instance half of a deployment: turns a bare instance into a Jitsi server, tells the truth
//! about it, heals what can be healed and leaves politely.
//!
//! `run` is the life of an instance; below it `install` and `configure` change the machine, `watch`
//! and `departure` observe it and act. What they decide by (`verdict`, `heal`, `drain`, with the
//! figures of `patience`) are state machines without side effects; what they act through (`system`, `http`, `imds`, `lifecycle`,
//! `metrics`, `ssm`) decides nothing.

#![forbid(unsafe_code)]
#![expect(clippy::large_futures, reason = "there is one of each kind, and main's stack holds it")]

pub mod advice;
pub mod aws;
pub mod board;
mod bucket;
mod certificate;
pub mod commands;
pub mod config;
pub mod configure;
pub mod crowd;
mod cure;
mod departure;
mod doctor;
pub mod drain;
pub mod failures;
pub mod heal;
pub mod health;
pub mod http;
pub mod imds;
pub mod install;
pub mod journal;
pub mod lifecycle;
mod mail;
pub mod meeting;
pub mod metrics;
pub mod node;
mod notices;
pub mod patience;
pub mod progress;
mod proven;
pub mod retry;
mod rhythm;
pub mod run;
pub mod secrets;
mod service;
pub mod ssm;
pub mod system;
mod task;
pub mod upkeep;
pub mod verdict;
mod watch;
