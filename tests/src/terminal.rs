//! A program on a pseudo-terminal of its own, as a person sits before it: what is typed is seen by the
//! terminal first, which makes a signal of Ctrl-C and an end of the input of Ctrl-D.

use std::{
    ffi::OsString,
    fs::File,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use nix::{
    pty::openpty,
    sys::termios::{Termios, tcgetattr},
};

use crate::{deployment::Run, hints};

/// Ctrl-C.
pub const INTERRUPT: &[u8] = b"\x03";
/// Ctrl-D.
pub const END: &[u8] = b"\x04";
/// The end of a line.
pub const ENTER: &[u8] = b"\r";

// Only so that a program that hangs fails its test instead of holding it for ever.
const SILENCE: Duration = Duration::from_mins(2);

/// A program and its terminal.
pub struct Terminal {
    line: Vec<OsString>,
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    /// How much of it was waited for.
    looked: usize,
    before: Termios,
}

impl Terminal {
    /// Starts `command` with its own environment on a new terminal, which calls itself `xterm` unless
    /// `TERM` says otherwise; an empty one is not set.
    ///
    /// # Panics
    /// When the system gives no terminal, or the program cannot be run.
    pub fn start(command: &Command) -> Self {
        let pty = openpty(None, None).expect("a pseudo-terminal");
        let keyboard = File::from(pty.master);
        let before = tcgetattr(&keyboard).expect("its settings");
        let line: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(ToOwned::to_owned)
            .collect();
        let mut screen = keyboard.try_clone().expect("the terminal's other end");
        let side = || Stdio::from(pty.slave.try_clone().expect("the terminal's end"));
        // `setsid --ctty` makes it the terminal that signals come from, which only a new session can.
        let mut session = Command::new("/usr/bin/setsid");
        session.arg("--ctty").args(&line).env_clear().env("TERM", "xterm");
        for (name, value) in command.get_envs() {
            match value {
                // A terminal that says nothing of itself.
                Some(value) if name == "TERM" && value.is_empty() => session.env_remove(name),
                Some(value) => session.env(name, value),
                None => &mut session,
            };
        }
        if let Some(directory) = command.get_current_dir() {
            session.current_dir(directory);
        }
        let child = session.stdin(side()).stdout(side()).stderr(side()).spawn().expect("it runs");
        // Our copies of its end would keep the terminal open after it.
        drop((session, pty.slave));
        let (tell, told) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4_096];
            // Linux says EIO once nobody has the other end open.
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                if tell.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { line, child, keyboard, screen: told, seen: String::new(), looked: 0, before }
    }

    /// Waits until `text` stands on the screen, behind what was waited for before.
    ///
    /// # Panics
    /// When the program ends or falls silent without it.
    pub fn wait_for(&mut self, text: &str) {
        loop {
            if let Some(at) = self.seen[self.looked..].find(text) {
                self.looked += at + text.len();
                return;
            }
            match self.screen.recv_timeout(SILENCE) {
                Ok(more) => self.seen.push_str(&String::from_utf8_lossy(&more)),
                Err(why) => panic!("`{text}` does not come ({why}) after:\n{}", self.seen),
            }
        }
    }

    /// Types.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn type_in(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("the terminal takes keys");
    }

    /// Waits for the program's end; all that was on the screen is in `stderr`.
    ///
    /// # Panics
    /// When it does not end, or leaves the terminal other than it was.
    pub fn end(mut self) -> Run {
        while let Ok(more) = self.screen.recv_timeout(SILENCE) {
            self.seen.push_str(&String::from_utf8_lossy(&more));
        }
        let status = self.child.wait().expect("it ends");
        let after = tcgetattr(&self.keyboard).expect("the terminal's settings");
        assert_eq!(after.local_flags, self.before.local_flags, "the terminal is not as it was");
        let hidden = self.seen.rfind("\x1b[?25l").unwrap_or_default();
        assert!(hidden == 0 || self.seen.rfind("\x1b[?25h") > Some(hidden), "no cursor is left");
        let run = Run {
            code: status.code().unwrap_or(-1),
            stdout: String::new(),
            stderr: self.seen.replace("\r\n", "\n"),
        };
        hints::check_line(&self.line, None, &run);
        run
    }
}

impl Drop for Terminal {
    /// Nobody is left to answer a program that still asks.
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
