//! Why files could not be rendered, in words for an operator.

use std::fmt::Write as _;

/// The result of rendering.
pub type Result<T> = std::result::Result<T, Error>;

/// Why files could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A template does not fit its context, or a value cannot be written in the file's language.
    #[error("rendering {template}: {reason}")]
    Template {
        /// The template's file name.
        template: &'static str,
        /// The engine's words, causes included; never a value.
        reason: String,
    },
    /// The installed packages lack a module the site cannot do without.
    #[error("Prosody module {module} is not installed: {purpose}")]
    MissingModule {
        /// The module's name without `mod_` and `.lua`.
        module: String,
        /// What does not work without it.
        purpose: &'static str,
    },
    /// Tokens cannot be checked.
    #[error("no secret to check tokens with: the agent has not read SSM parameter {parameter}")]
    MissingTokenSecret {
        /// Name of the SSM parameter.
        parameter: String,
    },
    /// Two Java processes do not fit.
    #[error("{} MiB of memory cannot hold Jitsi's two Java processes: take an instance type with at least {} MiB", bytes >> 20, least >> 20)]
    TooLittleMemory {
        /// Memory found, in bytes.
        bytes: u64,
        /// Least memory accepted, in bytes.
        least: u64,
    },
    /// AWS refuses such user-data.
    #[error("user-data is {size} bytes long, AWS takes at most {limit}")]
    UserDataTooLarge {
        /// Rendered size in bytes.
        size: usize,
        /// AWS's limit in bytes.
        limit: usize,
    },
}

impl Error {
    pub(crate) fn template(template: &'static str, error: &dyn std::error::Error) -> Self {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(reason, ": {error}");
            cause = error.source();
        }
        Self::Template { template, reason }
    }
}
