//! HTTP within this machine: a bounded client for the components' own endpoints, and the server that
//! answers `/healthz`.

mod client;
mod server;
mod tls;

pub use client::{Answer, Refused, Request};
pub use server::{HEALTH_PATH, STATUS_PATH, bind, serve};
