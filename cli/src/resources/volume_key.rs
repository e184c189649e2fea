//! The key root volumes are encrypted with: the account's default one for EBS. AWS's own works for
//! everybody; where the account made a customer key the default, Auto Scaling's service-linked role
//! needs to be let at it, or every launch ends with `Client.InternalError` (Auto Scaling user guide,
//! "Required AWS KMS key policy for use with encrypted volumes").

use anyhow::Result;
use aws_sdk_kms::types::{GrantOperation, KeyManagerType, KeyState};
use serde_json::Value;

use super::service_linked_role::ServiceLinkedRole;
use crate::{aws::Answer, cx::Cx, engine::Key, error::Hinted, names::Names, policy::Permission};

/// What EC2 calls AWS's own key, as an alias or at the end of its ARN.
const AWS_OWN: &str = "alias/aws/ebs";

/// What a launch takes of the key, by the guide's example policy and grant.
const NEEDED: [(&str, GrantOperation); 4] = [
    ("kms:CreateGrant", GrantOperation::CreateGrant),
    ("kms:Decrypt", GrantOperation::Decrypt),
    ("kms:DescribeKey", GrantOperation::DescribeKey),
    ("kms:GenerateDataKeyWithoutPlaintext", GrantOperation::GenerateDataKeyWithoutPlaintext),
];

/// What [`check`] calls.
pub(super) fn permissions(names: &Names) -> Vec<Permission> {
    let keys =
        format!("arn:{}:kms:{}:{}:key/*", names.partition(), names.region(), names.account());
    vec![
        Permission::write(&["ec2:GetEbsDefaultKmsKeyId"]),
        Permission::write(&["kms:DescribeKey", "kms:GetKeyPolicy", "kms:ListGrants"]).on([keys]),
    ]
}

/// Refuses to go on to a launch that cannot succeed, with the command that mends it. A key that we
/// may not look at is told of, and tried.
pub(super) async fn check(cx: &Cx) -> Result<()> {
    let doing = "asking which key encrypts volumes here";
    let answer = cx.aws.ec2.get_ebs_default_kms_key_id().send().await.doing(doing)?;
    let key = answer.kms_key_id().unwrap_or(AWS_OWN);
    if key.ends_with(AWS_OWN) {
        return Ok(());
    }
    let role = ServiceLinkedRole::AutoScaling.arn(&cx.names);
    let mend = mending(cx.names.region(), key, &role);
    let Some(access) = look(cx, key, &role).await? else {
        cx.note(
            &Key::LaunchTemplate,
            format!(
                "volumes here are encrypted with the customer key {key}, which we may not look at; if \
                 launches fail with Client.InternalError: {mend}"
            ),
        );
        return Ok(());
    };
    let what = match access {
        Access::Given => return Ok(()),
        Access::Unusable(state) => format!(
            "volumes here are encrypted with the customer key {key}, which is {state}: no instance could start"
        ),
        Access::Missing => {
            let what = format!(
                "volumes here are encrypted with the customer key {key}, which Auto Scaling may not use: \
                 no instance could start"
            );
            return Err(Hinted::user(what, mend).into());
        }
    };
    let hint = format!(
        "enable it, or choose another default: aws ec2 modify-ebs-default-kms-key-id --kms-key-id {AWS_OWN} \
         --region {}",
        cx.names.region()
    );
    Err(Hinted::user(what, hint).into())
}

#[derive(Debug, PartialEq, Eq)]
enum Access {
    Given,
    Missing,
    /// The key's state: `Disabled`, `PendingDeletion`.
    Unusable(String),
}

/// How it stands between the key and the role; `None` when KMS does not let us look.
async fn look(cx: &Cx, key: &str, role: &str) -> Result<Option<Access>> {
    const CLOSED: &[&str] = &["AccessDeniedException"];
    let kms = &cx.aws.kms;
    let doing = || format!("looking at the key {key}");
    let Some(found) = kms.describe_key().key_id(key).send().await.unless(CLOSED, doing())? else {
        return Ok(None);
    };
    if let Some(metadata) = found.key_metadata() {
        if metadata.key_manager() == Some(&KeyManagerType::Aws) {
            return Ok(Some(Access::Given));
        }
        if let Some(state) = metadata.key_state().filter(|state| **state != KeyState::Enabled) {
            return Ok(Some(Access::Unusable(state.as_str().to_owned())));
        }
    }
    let policy = kms.get_key_policy().key_id(key).policy_name("default").send().await;
    let policy = policy.unless(CLOSED, doing())?;
    let Some(policy) = policy else { return Ok(None) };
    let policy = policy.policy().and_then(|text| serde_json::from_str(text).ok());
    let grants = kms.list_grants().key_id(key).into_paginator().items().send();
    let Some(grants) = grants.try_collect().await.unless(CLOSED, doing())? else {
        return Ok(None);
    };
    let granted: Vec<&GrantOperation> = grants
        .iter()
        .filter(|grant| grant.grantee_principal() == Some(role))
        .flat_map(|grant| grant.operations())
        .collect();
    let policy = policy.unwrap_or(Value::Null);
    let given = NEEDED
        .iter()
        .all(|(action, operation)| granted.contains(&operation) || allows(&policy, role, action));
    Ok(Some(if given { Access::Given } else { Access::Missing }))
}

/// Whether a key policy names the role for the action. Whom it lets in by IAM policies alone, the
/// account's root, it does not let the role in: nothing can be added to a service-linked role's.
fn allows(policy: &Value, role: &str, action: &str) -> bool {
    let statements = match &policy["Statement"] {
        Value::Array(statements) => statements.iter().collect(),
        other => vec![other],
    };
    let texts = |value: &Value| -> Vec<String> {
        match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(values) => {
                values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    };
    statements.into_iter().any(|statement| {
        let named =
            [texts(&statement["Principal"]), texts(&statement["Principal"]["AWS"])].concat();
        statement["Effect"] == "Allow"
            && named.iter().any(|principal| principal == role || principal == "*")
            && texts(&statement["Action"]).iter().any(|pattern| covers(pattern, action))
    })
}

/// IAM's matching of action patterns as key policies use it: a star at the end, whatever the case.
fn covers(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_lowercase(), action.to_lowercase());
    pattern.strip_suffix('*').map_or(pattern == action, |start| action.starts_with(start))
}

/// The guide's command that lets the role at the key.
fn mending(region: &str, key: &str, role: &str) -> String {
    format!(
        "aws kms create-grant --region {region} --key-id {key} --grantee-principal {role} --operations \
         Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext \
         DescribeKey CreateGrant"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/\
                        AWSServiceRoleForAutoScaling";

    #[test]
    fn the_guides_policy_lets_the_role_in_and_the_default_one_does_not() {
        let root = json!({ "Sid": "Enable IAM User Permissions", "Effect": "Allow", "Action": "kms:*",
            "Principal": { "AWS": "arn:aws:iam::123456789012:root" }, "Resource": "*" });
        let all = |policy: &Value| NEEDED.iter().all(|(action, _)| allows(policy, ROLE, action));
        assert!(!all(&json!({ "Statement": [root.clone()] })));
        let usage = json!({ "Effect": "Allow", "Principal": { "AWS": [ROLE] }, "Resource": "*",
            "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"] });
        assert!(!all(&json!({ "Statement": [root.clone(), usage.clone()] })), "no grants");
        let grants = json!({ "Effect": "Allow", "Principal": { "AWS": ROLE }, "Resource": "*",
            "Action": "kms:CreateGrant", "Condition": { "Bool": { "kms:GrantIsForAWSResource": true } } });
        assert!(all(&json!({ "Statement": [root, usage, grants] })));
        assert!(!all(&Value::Null));
        assert!(!allows(
            &json!({ "Statement": { "Effect": "Deny", "Principal": "*", "Action": "kms:*" } }),
            ROLE,
            "kms:Decrypt"
        ));
    }
}
