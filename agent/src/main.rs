//! Entry point: parse, run, print the error with its next command, exit.

#![expect(clippy::large_futures, reason = "it is the only one on main's stack")]

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    jitsi_agent::commands::main().await
}
