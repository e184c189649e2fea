//! Errors a person reads: what was being done, why it failed, and what to type next.

mod hints;

pub(crate) use hints::SIGN_IN;

use std::fmt;

use serde::Serialize;

use crate::{aws::AwsError, exit::Exit};

/// What to do where a name is taken by what cannot be removed.
pub(crate) const ANOTHER_NAME: &str = "choose another [deployment] name in jitsi.toml";

/// Whose turn it is to mend something; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The user can fix it: exit code 1.
    User,
    /// AWS or this program failed: exit code 2.
    Ours,
    /// Nobody's: the user stopped it, exit code 130.
    Nobodys,
}

/// An error with a hint: several things wrong at once have one line each.
#[derive(Debug)]
pub struct Hinted {
    what: String,
    details: Vec<String>,
    hint: String,
    fault: Fault,
}

impl Hinted {
    /// Something the user can fix, and how.
    pub fn user(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), details: Vec::new(), hint: hint.into(), fault: Fault::User }
    }

    /// Something the user cannot fix, and what is left to do.
    pub fn ours(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { fault: Fault::Ours, ..Self::user(what, hint) }
    }

    /// The user asked to stop, and how to go on.
    pub fn stopped(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { fault: Fault::Nobodys, ..Self::user(what, hint) }
    }

    /// What to do; empty when there is nothing.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// The single things that are wrong.
    pub fn details(&self) -> &[String] {
        &self.details
    }

    /// Adds the single things that are wrong.
    #[must_use]
    pub fn with(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Hinted {}

/// The user pressed Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// An error as it is shown, in text or JSON.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What failed and why, on one line.
    pub what: String,
    /// Single problems.
    pub details: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// AWS's error code, where AWS refused.
    pub aws_code: Option<String>,
    /// What AWS support asks for.
    pub request_id: Option<String>,
    /// [`Exit`]'s code.
    pub exit_code: u8,
}

impl Report {
    /// Reads a chain of errors.
    pub fn of(error: &anyhow::Error) -> Self {
        let aws = error.downcast_ref::<AwsError>();
        let hinted = error.downcast_ref::<Hinted>();
        let known = aws.and_then(hints::of);
        let stopped = error.is::<Interrupted>().then_some(Fault::Nobodys);
        let exit = match stopped.or(hinted.map(|hinted| hinted.fault)) {
            Some(Fault::Nobodys) => Exit::Stopped,
            Some(Fault::User) => Exit::Yours,
            None if known.is_some() => Exit::Yours,
            Some(Fault::Ours) | None => Exit::Failed,
        };
        Self {
            what: format!("{error:#}"),
            details: hinted.map(|hinted| hinted.details.clone()).unwrap_or_default(),
            hint: hinted
                .map(|hinted| hinted.hint.clone())
                .filter(|hint| !hint.is_empty())
                .or(known),
            aws_code: aws.map(|aws| aws.code.clone()).filter(|code| !code.is_empty()),
            request_id: aws.and_then(|aws| aws.request_id.clone()),
            exit_code: exit.code(),
        }
    }
}
