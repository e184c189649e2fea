//! AWS's error codes by what they mean, service by service: slow down, failed inside, and "not yet",
//! which is how AWS speaks of what was made a moment ago.

/// What AWS may merely not know yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotYet {
    /// The access key.
    Key,
    /// A right: a policy that is new, or a tag it asks for that was set a moment ago.
    Right,
    /// A thing that the call names.
    Thing,
    /// A thing that this program makes does exist already: it is only not listed.
    Listing,
}

// Codes by which AWS asks to slow down (botocore's `_retry.json`, smithy's `THROTTLING_ERRORS`).
// `LimitExceededException` is in both lists, but is a quota used up in the services used here.
const THROTTLING: [&str; 14] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "Throttled",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "TooManyRequests",
    "SlowDown",
    "Reduce your request rate",
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
];

// How services refuse a key they have not heard of: the query services and IAM, JSON, EC2, S3.
const KEY: [&str; 4] =
    ["InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "InvalidAccessKeyId"];

/// How services say no (each service's "Common errors"). `Forbidden` is an answer without a body.
pub(super) const DENIED: [&str; 6] = [
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthorizationError",
    "AuthorizationErrorException",
    FORBIDDEN,
];

/// What an HTTP 403 without a code is called: an answer to HEAD has no body to tell more.
pub(super) const FORBIDDEN: &str = "Forbidden";

// "No such thing" by other names than `…NotFound…`.
const ABSENT: [&str; 5] =
    ["NoSuchEntity", "NoSuchBucket", "InvalidSecurityGroup", "InvalidSubnet", "MalformedPolicy"];
// Codes that mean much, and the words by which they mean a thing that is not known (Auto Scaling has no
// code of its own for that; Terraform's provider goes by the same words).
const ABSENT_BY_WORDS: [&str; 3] =
    ["ValidationError", "InvalidParameterValue", "InvalidConfigurationRequest"];
const WORDS: [&str; 6] = [
    "does not exist",
    "not found",
    "Invalid IAM Instance Profile",
    "may not be valid",
    "has no associated IAM Roles",
    "Invalid principal",
];
// What only the operator names.
const GIVEN: [&str; 3] = ["InvalidAMIID.NotFound", "NoSuchHostedZone", "ParameterNotFound"];

pub(super) fn throttling(code: &str) -> bool {
    THROTTLING.contains(&code)
}

/// What may have been too new for this answer, if anything.
pub(super) fn not_yet(code: &str, message: &str) -> Option<NotYet> {
    let told = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if KEY.contains(&code) {
        Some(NotYet::Key)
    } else if DENIED.contains(&code) {
        Some(NotYet::Right)
    } else if GIVEN.contains(&code) {
        None
    } else if code.contains("NotFound")
        || ABSENT.contains(&code)
        || (ABSENT_BY_WORDS.contains(&code) && told(&WORDS))
    {
        Some(NotYet::Thing)
    } else if code.contains("AlreadyExists") || code.contains("AlreadyOwned") || duplicate(code) {
        Some(NotYet::Listing)
    } else {
        None
    }
}

// `DuplicateListener`, `InvalidGroup.Duplicate`, `InvalidSubnet.Conflict`.
fn duplicate(code: &str) -> bool {
    code.starts_with("Duplicate")
        || code.ends_with(".Duplicate")
        || code == "InvalidSubnet.Conflict"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_its_own_way_of_saying_not_yet() {
        for (code, message, means) in [
            ("InvalidAccessKeyId", "", NotYet::Key),
            ("UnrecognizedClientException", "", NotYet::Key),
            ("UnauthorizedOperation", "", NotYet::Right),
            ("CertificateNotFound", "", NotYet::Thing),
            ("InvalidVpcID.NotFound", "", NotYet::Thing),
            ("ResourceNotFoundException", "", NotYet::Thing),
            ("NotFound", "Topic does not exist", NotYet::Thing),
            (
                "ValidationError",
                "AutoScalingGroup name not found - no such group: x",
                NotYet::Thing,
            ),
            ("ValidationError", "… Invalid IAM Instance Profile name", NotYet::Thing),
            ("EntityAlreadyExists", "", NotYet::Listing),
            ("DuplicateTargetGroupName", "", NotYet::Listing),
            ("InvalidLaunchTemplateName.AlreadyExistsException", "", NotYet::Listing),
        ] {
            assert_eq!(not_yet(code, message), Some(means), "{code} {message}");
        }
    }

    #[test]
    fn what_the_operator_named_wrongly_will_not_come() {
        assert_eq!(not_yet("InvalidAMIID.NotFound", ""), None);
        assert_eq!(not_yet("ValidationError", "2 validation errors detected"), None);
        assert_eq!(not_yet("LimitExceeded", ""), None);
    }

    #[test]
    fn a_quota_is_no_throttling() {
        assert!(throttling("RequestLimitExceeded") && !throttling("LimitExceededException"));
    }
}
