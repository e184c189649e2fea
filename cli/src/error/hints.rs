//! What to do about the AWS errors people really meet.

use jitsi_http::Proxy;

use crate::{
    aws::{AwsError, Fate, endpoints_by_hand, shown_address},
    invocation::{as_admin, aws_anywhere, aws_here, quoted, region_here},
    partition::Partition,
};

/// How to sign in where a plain profile or plain keys do not do: an MFA code is never asked for here.
pub(crate) const SIGN_IN: &str = "sign in with MFA first: `aws sso login`, or `aws login` and then, as for a profile with \
     `mfa_serial`, `eval \"$(aws configure export-credentials --profile NAME --format env)\"`";

/// The hint for an AWS error; `None` when there is nothing the user can do.
pub(super) fn of(error: &AwsError) -> Option<String> {
    if error.fate == Fate::NotSent {
        return Some(format!(
            "check whose credentials these are with `{}`, or name a profile: `--profile NAME`; if \
             they ask for an MFA code, {SIGN_IN}",
            aws_anywhere("sts get-caller-identity")
        ));
    }
    if error.code.is_empty()
        && let Ok(Some(proxy)) = Proxy::of_environment()
    {
        return Some(no_way(&proxy));
    }
    let hint = match error.code.as_str() {
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired" => {
            "the session is over: run `aws sso login` (with the profile's name), or renew the credentials you exported, and try again".into()
        }
        "InvalidClientTokenId" | "UnrecognizedClientException" | "AuthFailure"
        | "InvalidAccessKeyId" => {
            format!(
                "AWS does not know this access key, or the region is not enabled for the account: \
                 check with `{}` and `{}`; if the deployer's key was deleted, run `{}` with admin \
                 credentials",
                aws_anywhere("sts get-caller-identity"),
                aws_anywhere(&format!("account get-region-opt-status --region-name {}", region_here())),
                as_admin("setup iam")
            )
        }
        "OptInRequired" => {
            format!(
                "the region or the service is not enabled for this account: `{}`, or choose another \
                 [deployment] region",
                aws_anywhere(&format!("account enable-region --region-name {}", region_here()))
            )
        }
        "SignatureDoesNotMatch" | "RequestTimeTooSkewed" | "InvalidSignatureException" => {
            "either the secret key is wrong or this machine's clock is off: compare with `date -u` and `timedatectl`"
                .into()
        }
        _ if error.is_denied() => denied(error),
        "OperationNotPermitted" => {
            "AWS does not let this account make that yet, as with many new accounts: open a support case, \
             \"Account and billing\", `https://console.aws.amazon.com/support/home#/case/create`, \
             then run the same command again"
                .into()
        }
        code if code.ends_with("LimitExceeded") || code == "ServiceQuotaExceededException" => {
            format!(
                "a quota of the account is used up: see which with `{}` (or ec2, elasticloadbalancing, \
                 iam, s3, sns), free what is no longer needed or ask for more, then run the same command \
                 again",
                aws_here("service-quotas list-service-quotas --service-code vpc")
            )
        }
        "InsufficientInstanceCapacity" | "InstanceLimitExceeded" => {
            "AWS has no such instance to give right now: run the same command again later, or choose another [instance] type"
                .into()
        }
        "DependencyViolation" | "ResourceInUse" | "ResourceInUseException" => {
            "something that jitsi-aws did not make still uses it: remove that, then run the same command again".into()
        }
        "NoSuchHostedZone" | "InvalidHostedZoneId" => {
            format!(
                "set the hosted zone in jitsi.toml to one that `{}` shows",
                aws_here("route53 list-hosted-zones")
            )
        }
        "InvalidInstanceType" => {
            "set [instance] type in jitsi.toml to one of the region, such as t3.large".into()
        }
        code if code.starts_with("InvalidAMIID") => {
            "set [instance] image in jitsi.toml to an image of this region, or remove it".into()
        }
        "" if error.fate == Fate::Unknown => unreachable(),
        _ => return None,
    };
    Some(hint)
}

/// No answer came.
fn unreachable() -> String {
    let by_hand = endpoints_by_hand();
    if by_hand.is_empty() {
        return format!(
            "see whether this machine reaches AWS with `curl -v {}`, then run the same command again",
            sts(&region_here())
        );
    }
    let told = by_hand.iter().map(|(name, url)| {
        let url = shown_address(url);
        format!(
            "calls to AWS go to {url}, as {name} says: see what answers there with `curl -v {}`, or unset it",
            quoted(&url)
        )
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Where the region's Security Token Service answers.
fn sts(region: &str) -> String {
    let suffix = Partition::of(region).map_or("amazonaws.com", |partition| partition.dns_suffix);
    format!("https://sts.{region}.{suffix}")
}

/// No answer came, and a proxy is in between.
fn no_way(proxy: &Proxy) -> String {
    format!(
        "calls to AWS go through the proxy {proxy}, as HTTPS_PROXY or ALL_PROXY says: see what it answers with \
         `curl -v https://sts.amazonaws.com`; user and password are written before its name, \
         `http://USER:PASSWORD@HOST:PORT`; what needs no proxy is named in NO_PROXY"
    )
}

/// Names the missing action when AWS does.
fn denied(error: &AwsError) -> String {
    let iam = as_admin("setup iam");
    match error.denied_action() {
        Some(action) if error.is_denied_explicitly() => format!(
            "a policy refuses {action}, often because it asks for MFA: {SIGN_IN}; otherwise ask whoever made that policy"
        ),
        Some(action) => format!(
            "allow the action {action}, or update the deployer's policies with admin credentials: `{iam}`"
        ),
        None => format!(
            "these credentials may not do that: update the deployer's policies with admin credentials: `{iam}`"
        ),
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
    fn a_policy_that_asks_for_mfa_leads_to_signing_in() {
        let message = "User: x is not authorized to perform: iam:CreateRole on resource: y with an explicit deny \
                       in an identity-based policy";
        assert!(of(&error("AccessDenied", message)).is_some_and(|hint| hint.contains("aws login")));
    }

    #[test]
    fn an_account_too_new_for_load_balancers_is_sent_to_support() {
        let message = "This AWS account currently does not support creating load balancers.";
        let hint = of(&error("OperationNotPermitted", message));
        assert!(hint.is_some_and(|hint| hint.contains("support case")));
    }

    #[test]
    fn what_nobody_can_mend_has_no_hint() {
        assert_eq!(of(&error("InternalError", "")), None);
    }
}
