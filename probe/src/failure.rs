//! Why no meeting could be held, in words an operator understands.

/// Why no meeting could be held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The target itself makes no sense, or the machine's trust store cannot be read.
    #[error("{0}")]
    Setup(String),
}
