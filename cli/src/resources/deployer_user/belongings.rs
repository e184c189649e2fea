//! What somebody else may have given the deployer: IAM deletes no user that has any of it
//! (`DeleteUser`: "you must delete the items attached to the user manually"). All of it belongs to the
//! user alone and dies with it, except groups, which it only leaves, and MFA devices, which it only lays
//! down: a virtual one stays in the account, for whoever made it.

use anyhow::Result;

use super::super::iam::ABSENT;
use crate::{aws::Answer, cx::Cx, engine::Key, names::Names, policy::Permission};

/// What taking it all off takes.
pub(super) fn permissions(names: &Names) -> Vec<Permission> {
    let user = names.iam_arn("user", &names.deployer_user());
    vec![
        Permission::write(&[
            "iam:DeactivateMFADevice",
            "iam:DeleteLoginProfile",
            "iam:DeleteSSHPublicKey",
            "iam:DeleteServiceSpecificCredential",
            "iam:DeleteSigningCertificate",
            "iam:DeleteUserPolicy",
            "iam:ListGroupsForUser",
            "iam:ListMFADevices",
            "iam:ListSSHPublicKeys",
            "iam:ListServiceSpecificCredentials",
            "iam:ListSigningCertificates",
            "iam:ListUserPolicies",
        ])
        .on([user]),
        // Groups have names of their own.
        Permission::write(&["iam:RemoveUserFromGroup"]),
    ]
}

/// All pages of one kind of belonging; a user that is gone has none.
macro_rules! collected {
    ($pages:expr, $user:expr, $kind:literal) => {{
        let all = $pages.send().try_collect().await;
        let doing = format!("listing the {} of IAM user `{}`", $kind, $user);
        all.unless(ABSENT, doing)?.unwrap_or_default()
    }};
}

/// Takes it all off, and says so.
pub(super) async fn take_off(cx: &Cx, user: &str) -> Result<()> {
    let iam = &cx.aws.iam;
    let mut taken = Vec::new();

    let pages = iam.list_user_policies().user_name(user).into_paginator().items();
    for policy in collected!(pages, user, "inline policies") {
        let answer = iam.delete_user_policy().user_name(user).policy_name(&policy).send().await;
        answer.unless(ABSENT, format!("deleting `{policy}` of IAM user `{user}`"))?;
        taken.push(format!("inline policy `{policy}`"));
    }
    let pages = iam.list_groups_for_user().user_name(user).into_paginator().items();
    for group in collected!(pages, user, "groups") {
        let group = group.group_name();
        let answer = iam.remove_user_from_group().user_name(user).group_name(group).send().await;
        answer.unless(ABSENT, format!("taking IAM user `{user}` out of group `{group}`"))?;
        taken.push(format!("membership of group `{group}`"));
    }
    let answer = iam.delete_login_profile().user_name(user).send().await;
    if answer.unless(ABSENT, format!("deleting the password of IAM user `{user}`"))?.is_some() {
        taken.push("password".to_owned());
    }
    let pages = iam.list_mfa_devices().user_name(user).into_paginator().items();
    for device in collected!(pages, user, "MFA devices") {
        let serial = device.serial_number();
        let call = iam.deactivate_mfa_device().user_name(user).serial_number(serial);
        call.send().await.unless(ABSENT, format!("deactivating {serial} of IAM user `{user}`"))?;
        // A virtual device is an ARN, a real one a serial number (IAM API, `MFADevice`).
        if serial.starts_with("arn:") && serial.contains(":mfa/") {
            taken.push(format!("MFA device {serial}, which stays in the account"));
        } else {
            taken.push(format!("MFA device {serial}"));
        }
    }
    let pages = iam.list_ssh_public_keys().user_name(user).into_paginator().items();
    for key in collected!(pages, user, "SSH keys") {
        let id = key.ssh_public_key_id();
        let answer = iam.delete_ssh_public_key().user_name(user).ssh_public_key_id(id).send().await;
        answer.unless(ABSENT, format!("deleting SSH key {id} of IAM user `{user}`"))?;
        taken.push(format!("SSH key {id}"));
    }
    let pages = iam.list_signing_certificates().user_name(user).into_paginator().items();
    for certificate in collected!(pages, user, "signing certificates") {
        let id = certificate.certificate_id();
        let call = iam.delete_signing_certificate().user_name(user).certificate_id(id);
        let doing = format!("deleting signing certificate {id} of IAM user `{user}`");
        call.send().await.unless(ABSENT, doing)?;
        taken.push(format!("signing certificate {id}"));
    }
    let answer = iam.list_service_specific_credentials().user_name(user).send().await;
    let answer =
        answer.unless(ABSENT, format!("listing the service passwords of IAM user `{user}`"))?;
    for credential in
        answer.and_then(|answer| answer.service_specific_credentials).unwrap_or_default()
    {
        let id = credential.service_specific_credential_id();
        let call = iam.delete_service_specific_credential().user_name(user);
        let answer = call.service_specific_credential_id(id).send().await;
        answer.unless(ABSENT, format!("deleting service password {id} of IAM user `{user}`"))?;
        taken.push(format!("service password {id}"));
    }
    if !taken.is_empty() {
        let text = format!("`{user}` also had, given by somebody else: {}", taken.join(", "));
        cx.note(&Key::DeployerUser, text);
    }
    Ok(())
}
