//! What to do about the AWS errors people really meet.

use jitsi_http::Proxy;

use crate::aws::{AwsError, Fate};

/// The hint for an AWS error; `None` when there is nothing the user can do.
pub(super) fn of(error: &AwsError) -> Option<String> {
    if error.fate == Fate::NotSent {
        return Some(
            "check whose credentials these are with `aws sts get-caller-identity`, or name a profile: `--profile NAME`"
                .into(),
        );
    }
    if error.code.is_empty()
        && let Ok(Some(proxy)) = Proxy::of_environment()
    {
        return Some(no_way(&proxy));
    }
    let hint = match error.code.as_str() {
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired" => {
            "the session is over: run `aws sso login`, or renew the credentials you exported, and try again".into()
        }
        "InvalidClientTokenId" | "UnrecognizedClientException" | "AuthFailure" => {
            "AWS does not know this access key, or the region is not enabled for the account: \
             check with `aws sts get-caller-identity` and `aws account get-region-opt-status`; \
             if the deployer's key was deleted, run `jitsi-aws setup iam` with admin credentials"
                .into()
        }
        "OptInRequired" => {
            "the region or the service is not enabled for this account: \
             `aws account enable-region --region-name REGION`, or choose another [deployment] region"
                .into()
        }
        "SignatureDoesNotMatch" | "RequestTimeTooSkewed" | "InvalidSignatureException" => {
            "either the secret key is wrong or this machine's clock is off: compare with `date -u` and `timedatectl`"
                .into()
        }
        code if DENIED.contains(&code) => denied(&error.message),
        code if code.ends_with("LimitExceeded") || code == "ServiceQuotaExceededException" => {
            "a quota of the account is used up: see which with `aws service-quotas list-service-quotas`, \
             free what is no longer needed or ask for more, then run the same command again"
                .into()
        }
        "InsufficientInstanceCapacity" | "InstanceLimitExceeded" => {
            "AWS has no such instance to give right now: run the same command again later, or choose another [instance] type"
                .into()
        }
        "DependencyViolation" | "ResourceInUse" | "ResourceInUseException" => {
            "something that jitsi-aws did not make still uses it: remove that, then run the same command again".into()
        }
        _ => return None,
    };
    Some(hint)
}

/// No answer came, and a proxy is in between.
fn no_way(proxy: &Proxy) -> String {
    format!(
        "calls to AWS go through the proxy {proxy}, as HTTPS_PROXY or ALL_PROXY says: see what it answers with \
         `curl -v https://sts.amazonaws.com`; what needs no proxy is named in NO_PROXY"
    )
}

// How services say no (each service's "Common errors").
const DENIED: [&str; 5] = [
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthorizationError",
    "AuthorizationErrorException",
];

/// Names the missing action when AWS does: "… is not authorized to perform: iam:CreateRole on …".
fn denied(message: &str) -> String {
    let action = message
        .split("authorized to perform: ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    match action {
        Some(action) => format!(
            "allow the action {action}, or update the deployer's policies with admin credentials: `jitsi-aws setup iam`"
        ),
        None => "these credentials may not do that: update the deployer's policies with admin credentials: `jitsi-aws setup iam`".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str) -> AwsError {
        AwsError {
            doing: "creating IAM role `x`".into(),
            code: code.into(),
            message: message.into(),
            request_id: None,
            fate: Fate::Refused,
        }
    }

    #[test]
    fn a_denied_action_is_named() {
        let message = "User: arn:aws:iam::1:user/x is not authorized to perform: iam:CreateRole on resource: y";
        assert!(
            of(&error("AccessDenied", message)).is_some_and(|hint| hint.contains("iam:CreateRole"))
        );
    }

    #[test]
    fn what_nobody_can_mend_has_no_hint() {
        assert_eq!(of(&error("InternalError", "")), None);
    }
}
