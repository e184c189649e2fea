//! The one place an `SdkError` is turned into words: what was being done, AWS's code and reason,
//! and whether the call may have taken effect.

use std::error::Error as _;

use aws_smithy_runtime_api::{client::result::SdkError, http::Response};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::{
    codes::{self, DENIED, FORBIDDEN, NotYet},
    foreign,
    turn::NotOurTurn,
};

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
    /// An answer that can be read, but is not AWS's.
    pub(super) fn not_aws(doing: &str) -> Self {
        let message = "the answer names neither account nor user: it is not AWS's".to_owned();
        let (doing, code) = (doing.to_owned(), String::new());
        Self { doing, code, message, request_id: None, fate: Fate::Refused }
    }

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

    /// Whether S3 says no as it does for a bucket of another account: without a word about the right that is
    /// missing, which it names in one's own (S3 user guide, "Troubleshoot access denied errors": more is said
    /// "for requests made to resources within the same AWS account").
    pub fn is_of_another_account(&self) -> bool {
        self.is_denied() && !self.is_denied_explicitly() && self.denied_action().is_none()
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
        let empty = context.raw().body().bytes().is_some_and(<[u8]>::is_empty);
        let code = match meta.code() {
            Some(code) => foreign::plain(code, foreign::WORD),
            // An answer to HEAD has no body to tell more.
            None if status.as_u16() == 403 && empty => FORBIDDEN.to_owned(),
            // Not in AWS's words: something else answered.
            None => String::new(),
        };
        // Every service has names of its own for having failed inside: `ServiceFailure`,
        // `InternalServiceFault`. What they have in common is the status.
        let fate = if codes::throttling(&code) {
            Fate::Throttled
        } else if status.is_server_error() || status.is_success() {
            // Done, but told in words that cannot be read, is not refused either.
            Fate::Unknown
        } else {
            Fate::Refused
        };
        return AwsError {
            doing,
            fate,
            code,
            message: match meta.code() {
                Some(_) => foreign::plain(meta.message().unwrap_or_default(), foreign::MESSAGE),
                None if empty && !status.is_success() => format!("HTTP {status} without a reason"),
                None => foreign::answer(context.raw()),
            },
            request_id: meta.extra("aws_request_id").map(|id| foreign::plain(id, foreign::WORD)),
        };
    }
    if let Some(not_sent) = cause::<NotOurTurn>(error) {
        let (code, message) = (String::new(), not_sent.to_string());
        return AwsError { doing, code, message, request_id: None, fate: Fate::NotSent };
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
        SdkError::ResponseError(context) => (Fate::Unknown, unreadable(context.raw(), error)),
        _ => (Fate::Unknown, innermost(error)),
    };
    AwsError { doing, code: String::new(), message, request_id: None, fate }
}

/// An answer that came, but not whole or not in AWS's words.
fn unreadable<E>(raw: &Response, error: &SdkError<E, Response>) -> String
where
    E: std::error::Error + 'static,
{
    // The body is there when all of it could be read.
    match raw.body().bytes() {
        Some(_) => foreign::answer(raw),
        None => format!("HTTP {}, but the answer ends early: {}", raw.status(), innermost(error)),
    }
}

/// The first cause of this type.
fn cause<'a, C: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a C> {
    error.downcast_ref().or_else(|| cause(error.source()?))
}

/// The cause at the bottom of the chain, which is the one that says something, as a person says it.
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
    foreign::transport(&text)
}
