//! Errors that say what to do next: an `anyhow` chain in which one link may carry a command.

use std::fmt;

/// One link of an error chain: what was being done, and the operator's next step.
#[derive(Debug)]
pub struct Advice {
    what: String,
    next: String,
}

impl Advice {
    /// A link that says `what` went wrong and which command or change comes `next`.
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into() }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Advice {}

/// The next step named by the outermost [`Advice`] of a chain.
pub fn next_step(error: &anyhow::Error) -> Option<&str> {
    error.downcast_ref::<Advice>().map(|advice| advice.next.as_str())
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn the_next_step_survives_later_context() {
        let error = Err::<(), _>(anyhow!("404"))
            .context(Advice::new("fetching the key", "check jitsi.apt.key_url"))
            .context("install")
            .unwrap_err();
        assert_eq!(format!("{error:#}"), "install: fetching the key: 404");
        assert_eq!(next_step(&error), Some("check jitsi.apt.key_url"));
    }
}
