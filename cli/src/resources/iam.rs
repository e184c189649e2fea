//! What the IAM resources share: names of the deployer's policies, tags, documents as IAM returns
//! them, and patience with a service that is eventually consistent.

use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_iam::{
    config::{Builder, retry::RetryConfig},
    error::BuildError,
    types::Tag,
};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::{
    aws::AwsError,
    cx::Cx,
    engine::{Key, Stage},
    names::Names,
    tag_list,
    tags::{self, Owner},
    wait,
};

/// IAM's one way of saying that there is no such thing.
pub(super) const ABSENT: &[&str] = &["NoSuchEntity"];

// What IAM answers while a change made a moment ago is still on its way to all its servers (IAM user
// guide, "Changes that I make are not always immediately visible"): a new user cannot be given a
// policy yet, a detached policy still counts as attached.
const UNSETTLED: &[&str] =
    &["NoSuchEntity", "DeleteConflict", "EntityTemporarilyUnmodifiable", "ConcurrentModification"];
// It takes seconds; a minute means that it is something else.
const SETTLING_LIMIT: Duration = Duration::from_mins(1);

/// The stages that have a policy.
pub(super) const DEPLOYER_STAGES: [Stage; 3] = [Stage::Instances, Stage::Lb, Stage::Monitoring];

/// Name of what the deployer may do in `stage`.
pub(super) fn policy_name(names: &Names, stage: Stage) -> String {
    names.with(stage.word())
}

/// Its ARN.
pub(super) fn policy_arn(names: &Names, stage: Stage) -> String {
    names.iam_arn("policy", &policy_name(names, stage))
}

/// The tags of a new thing, for its create call.
pub(super) fn tagged(cx: &Cx, name: &str) -> Result<Vec<Tag>, BuildError> {
    tag_list!(cx, Stage::Iam, name, fallible Tag)
}

/// Whose a thing is.
pub(super) fn owner(names: &Names, tags: &[Tag]) -> Owner {
    tags::owner(names, tags.iter().map(|tag| (tag.key(), tag.value())))
}

/// Reads a document as IAM returns it: JSON, percent-encoded (RFC 3986).
pub(super) fn document(text: &str) -> Result<Value> {
    let text = percent_decode_str(text).decode_utf8().context("the policy is not UTF-8")?;
    serde_json::from_str(&text).context("the policy is not JSON")
}

/// Repeats a call while IAM has not caught up with the one before it.
pub(super) async fn settled<T, F>(cx: &Cx, key: &Key, call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, AwsError>>,
{
    wait::retry_on(cx, key, UNSETTLED, SETTLING_LIMIT, call).await
}

/// For the create that has no idempotency token: sent once.
pub(super) fn once() -> Builder {
    Builder::default().retry_config(RetryConfig::disabled())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_come_percent_encoded() {
        let read = document("%7B%22Version%22%3A%20%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D");
        assert_eq!(read.unwrap(), json!({ "Version": "2012-10-17", "Statement": [] }));
        assert!(document("%7B").is_err());
    }
}
