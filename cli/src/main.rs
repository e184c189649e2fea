//! `jitsi-aws`: parse, run, say how it went.

use std::{ffi::OsString, process::ExitCode};

use jitsi_aws::{args::Args, commands, ui};

fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    ExitCode::from(match Args::read(&line) {
        Ok(args) => commands::run(args),
        Err(said) => ui::usage(&line, &said),
    })
}
