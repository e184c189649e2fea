//! `jitsi-aws`: parse, run, say how it went.

use std::{
    ffi::OsString,
    io,
    os::fd::AsFd,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use jitsi_aws::{args::Args, commands, ui};

static STDOUT_IS_CLOSED: AtomicBool = AtomicBool::new(false);

// Before `main` Rust opens /dev/null in place of what was closed, for reading and writing as some programs open it
// for their children (std::sys::pal::unix, `sanitize_standard_fds`): from then on nobody can tell the two apart.
ctor::declarative::ctor! {
    #[ctor(unsafe)]
    fn look_at_stdout() {
        STDOUT_IS_CLOSED.store(io::stdout().as_fd().try_clone_to_owned().is_err(), Ordering::Relaxed);
    }
}

fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    if STDOUT_IS_CLOSED.load(Ordering::Relaxed) {
        return ExitCode::from(ui::no_stdout(&line));
    }
    ExitCode::from(match Args::read(&line) {
        Ok(args) => commands::run(args),
        Err(said) => ui::usage(&line, &said),
    })
}
