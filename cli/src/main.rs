//! `jitsi-aws`: parse, run, say how it went.

use std::process::ExitCode;

use jitsi_aws::{args::Args, commands};

fn main() -> ExitCode {
    match Args::read(std::env::args_os()) {
        Ok(args) => ExitCode::from(commands::run(args)),
        Err(error) => {
            // clap prints help to stdout and mistakes to stderr; a closed pipe is no failure.
            let _closed_pipe = error.print();
            ExitCode::from(u8::from(error.use_stderr()))
        }
    }
}
