//! A program to run, and what it said.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::journal::one_line;

/// How long a program may take when nothing else is said: none of them waits for the network.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// A program with its arguments. Secrets go to standard input, which is never shown: arguments can
/// be read by every user of the machine.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    pub(super) input: String,
    pub(super) environment: Vec<(String, String)>,
    pub(super) limit: Duration,
}

impl Command {
    /// `program`, found in `PATH`, with `arguments`.
    pub fn new<A: AsRef<str>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments.into_iter().map(|a| a.as_ref().to_owned()).collect(),
            input: String::new(),
            environment: Vec::new(),
            limit: DEFAULT_LIMIT,
        }
    }

    /// Gives the program `text` on standard input.
    #[must_use]
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.input = text.into();
        self
    }

    /// Sets an environment variable for the program.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Ends the program when it takes longer than `limit`.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// What a program left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit code; `None` when a signal or the limit ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether the exit code is zero.
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Itself when the program succeeded, else an error with the last thing it said.
    pub fn success(self, command: &Command) -> Result<Self> {
        if self.ok() {
            return Ok(self);
        }
        let said = self.last_words();
        match self.code {
            Some(code) => bail!("`{command}` ended with exit code {code}: {said}"),
            None => bail!("`{command}` was ended after {} s: {said}", command.limit.as_secs()),
        }
    }

    /// The end of what it printed, errors before output, on one line.
    pub fn last_words(&self) -> String {
        const LINES: usize = 4;
        let text = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() {
            return "it said nothing".to_owned();
        }
        one_line(&lines[lines.len().saturating_sub(LINES)..].join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_the_last_words_but_never_the_input() {
        let command = Command::new("prosodyctl", ["shell"]).input("hunter2");
        let output =
            Output { code: Some(2), stdout: "a\n".into(), stderr: "E: 1\n\nE: 2\n".into() };
        let error = output.success(&command).unwrap_err().to_string();
        assert_eq!(error, "`prosodyctl shell` ended with exit code 2: E: 1 | E: 2");
        assert!(!format!("{command:?}").contains("hunter2"));
    }
}
