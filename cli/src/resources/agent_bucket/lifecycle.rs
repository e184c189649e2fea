//! Lifecycle rules that somebody has given the agent's bucket. One that makes objects expire, or moves them to where
//! they must be restored from, takes the agent away from the next instance. It is told and left.

use anyhow::Result;
use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule};

use crate::{aws::Answer, cx::Cx, invocation::aws_as_admin};

/// What such rules do, and what takes them away.
pub(super) async fn told(cx: &Cx, bucket: &str) -> Result<Vec<String>> {
    let call = cx.aws.s3.get_bucket_lifecycle_configuration().bucket(bucket);
    let answer = call.expected_bucket_owner(cx.names.account()).send().await;
    let doing = format!("reading the lifecycle rules of bucket `{bucket}`");
    let answer = answer.unless(&["NoSuchLifecycleConfiguration"], doing)?;
    let rules = answer.and_then(|answer| answer.rules).unwrap_or_default();
    let names: Vec<String> = rules
        .iter()
        .filter(|rule| takes(rule))
        .map(|rule| format!("`{}`", rule.id().unwrap_or_default()))
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "somebody's lifecycle rule {} takes objects out of bucket `{bucket}`: without the agent no instance can be \
         replaced; take all rules away with `{}`",
        names.join(", "),
        aws_as_admin(&format!("s3api delete-bucket-lifecycle --bucket {bucket}"), true)
    )])
}

/// Whether it takes current versions of objects away, now or later; what only tidies up is welcome.
fn takes(rule: &LifecycleRule) -> bool {
    let expires = rule
        .expiration()
        .is_some_and(|expiration| expiration.days().is_some() || expiration.date().is_some());
    *rule.status() == ExpirationStatus::Enabled && (expires || !rule.transitions().is_empty())
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{AbortIncompleteMultipartUpload, LifecycleExpiration};

    use super::*;

    #[test]
    fn what_only_tidies_up_is_nobody_s_business() {
        let rule = |status, days| {
            let expiration = LifecycleExpiration::builder().set_days(days).build();
            let uploads = AbortIncompleteMultipartUpload::builder().days_after_initiation(7);
            LifecycleRule::builder()
                .status(status)
                .expiration(expiration)
                .abort_incomplete_multipart_upload(uploads.build())
                .build()
                .unwrap()
        };
        assert!(takes(&rule(ExpirationStatus::Enabled, Some(30))));
        assert!(!takes(&rule(ExpirationStatus::Disabled, Some(30))));
        assert!(!takes(&rule(ExpirationStatus::Enabled, None)));
    }
}
