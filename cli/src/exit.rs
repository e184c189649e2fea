//! Exit codes: one meaning each, whatever the command.

use std::fmt::Write as _;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// The user can mend it: the command line, the configuration, rights, a file.
    Yours = 1,
    /// AWS failed, or this program.
    Failed = 2,
    /// `plan`: there is something to do.
    Changes = 3,
    /// `probe`: no meeting can be held. `ha-test`: the deployment did not recover.
    Unhealthy = 4,
    /// Ctrl-C, as shells tell it (128 and the signal's number), or SIGTERM.
    Stopped = 130,
}

impl Exit {
    /// All, in order.
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Yours, Self::Failed, Self::Changes, Self::Unhealthy, Self::Stopped];

    /// The number a shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for `--help` and the documents.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or nothing to do",
            Self::Yours => {
                "you can fix it, and the message says how; `plan`: something is in the way"
            }
            Self::Failed => "AWS or jitsi-aws failed, or the result could not be written",
            Self::Changes => "`plan`: there is something to do",
            Self::Unhealthy => {
                "`probe`: no meeting can be held; `ha-test`: the deployment did not recover"
            }
            Self::Stopped => {
                "you stopped it, by Ctrl-C or SIGTERM; the same command goes on from there"
            }
        }
    }

    /// All of them as lines of `--help`.
    pub(crate) fn help() -> String {
        let mut text = String::from("Exit codes:");
        for exit in Self::ALL {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n  {:>3}  {}", exit.code(), exit.meaning());
        }
        text
    }
}
