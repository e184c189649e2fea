//! The one place an `SdkError` is turned into words: what was being done, AWS's code and reason,
//! and whether the call may have taken effect.

use std::error::Error as _;

use aws_smithy_runtime_api::{client::result::SdkError, http::Response};
use aws_smithy_types::error::{display::DisplayErrorContext, metadata::ProvideErrorMetadata};

use super::codes::{self, DENIED, FORBIDDEN, NotYet};

/// A call that AWS refused or never answered.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {}", self.why())]
pub struct AwsError {
    /// What was being done to which resource: "creating VPC `jitsi`".
    pub doing: String,
    /// AWS's error code, `DependencyViolation`; empty when AWS never answered.
    pub code: String,
    /// AWS's reason, or the transport's.
    pub message: String,
    /// The request id AWS support asks for.
    pub request_id: Option<String>,
    /// What is known of the call's effect.
    pub fate: Fate,
}

/// What became of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was never sent: no credentials, an unusable request.
    NotSent,
    /// AWS said no.
    Refused,
    /// AWS asked to slow down: it had no effect.
    Throttled,
    /// The answer was lost, or AWS failed inside: it may have taken effect.
    Unknown,
}

impl AwsError {
    /// Whether AWS answered with one of `codes`.
    pub fn is(&self, codes: &[&str]) -> bool {
        codes.contains(&self.code.as_str())
    }

    /// Whether AWS said that these credentials may not do that.
    pub fn is_denied(&self) -> bool {
        self.is(&DENIED)
    }

    /// Whether a policy that somebody made says no, which no other policy can outweigh.
    pub fn is_denied_explicitly(&self) -> bool {
        self.is_denied() && self.message.contains("explicit deny")
    }

    /// The action that was denied, where AWS names it: "… is not authorized to perform: iam:CreateRole on …".
    pub fn denied_action(&self) -> Option<&str> {
        let (_, rest) = self.message.split_once("authorized to perform: ")?;
        rest.split_whitespace().next()
    }

    /// What may merely be too new for AWS to know it everywhere; `None` when waiting will not help.
    pub fn not_yet(&self) -> Option<NotYet> {
        (self.fate == Fate::Refused).then(|| codes::not_yet(&self.code, &self.message))?
    }

    fn why(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            ("", message) => message.to_owned(),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}: {}", message.trim_end_matches('.')),
        }
    }
}

/// Turns an SDK answer into one of ours.
pub trait Answer<T> {
    /// Names what was being done, in case it failed.
    fn doing(self, what: impl Into<String>) -> Result<T, AwsError>;

    /// As [`Answer::doing`], but one of `codes` is not a failure: the service's own named way of
    /// saying that there is no such thing.
    fn unless(self, codes: &[&str], what: impl Into<String>) -> Result<Option<T>, AwsError>
    where
        Self: Sized,
    {
        match self.doing(what) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is(codes) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<T, E> Answer<T> for Result<T, SdkError<E, Response>>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn doing(self, what: impl Into<String>) -> Result<T, AwsError> {
        self.map_err(|error| aws_error(&error, what.into()))
    }
}

fn aws_error<E>(error: &SdkError<E, Response>, doing: String) -> AwsError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let SdkError::ServiceError(context) = error {
        let meta = context.err().meta();
        let status = context.raw().status();
        let unnamed = if status.as_u16() == 403 { FORBIDDEN } else { "no error code" };
        let code = meta.code().unwrap_or(unnamed).to_owned();
        // Every service has names of its own for having failed inside: `ServiceFailure`,
        // `InternalServiceFault`. What they have in common is the status.
        let fate = if codes::throttling(&code) {
            Fate::Throttled
        } else if status.is_server_error() {
            Fate::Unknown
        } else {
            Fate::Refused
        };
        return AwsError {
            doing,
            fate,
            code,
            message: meta.message().unwrap_or_default().to_owned(),
            request_id: meta.extra("aws_request_id").map(str::to_owned),
        };
    }
    let (fate, message) = match error {
        SdkError::ConstructionFailure(_) => (Fate::NotSent, innermost(error)),
        SdkError::TimeoutError(_) => (Fate::Unknown, "no answer in time".to_owned()),
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            (Fate::NotSent, innermost(error))
        }
        SdkError::DispatchFailure(failure) => {
            // Credentials are resolved while dispatching; without them nothing was sent.
            // A connection that breaks before the answer is whole is told as "other".
            let other = failure.as_other().is_some();
            let sent = failure.is_io() || failure.is_timeout() || other;
            (if sent { Fate::Unknown } else { Fate::NotSent }, innermost(error))
        }
        other => (Fate::Unknown, format!("unreadable answer: {}", DisplayErrorContext(other))),
    };
    AwsError { doing, code: String::new(), message, request_id: None, fate }
}

/// The cause at the bottom of the chain, which is the one that says something.
fn innermost<E>(error: &SdkError<E, Response>) -> String
where
    E: std::error::Error + 'static,
{
    let mut cause: Option<&dyn std::error::Error> = error.source();
    let mut text = error.to_string();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}
