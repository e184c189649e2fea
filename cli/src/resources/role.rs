//! What our roles share, whoever works as them: found, compared, made, mended and deleted alike.

use anyhow::{Context, Result};
use aws_sdk_iam::types::AttachedPermissionsBoundary;
use serde_json::Value;

use super::iam::{ABSENT, document, owner, settled, tagged};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key},
    invocation::{aws_as_admin, quoted},
    names::{IAM_PATH, Names},
    policy::{self, Permission},
    tags::Owner,
};

/// A role as it should be; its id is its name.
pub(super) struct Role {
    pub(super) key: Key,
    pub(super) name: String,
    /// Who may work as it.
    pub(super) trust: Value,
    /// What it may do, in an inline policy.
    pub(super) permissions: Value,
}

const PERMISSIONS: &str = "permissions";
const TRUST: &str = "trust";

/// What the calls below take. The same for all roles, so that they share a statement.
pub(super) fn permissions(names: &Names) -> Vec<Permission> {
    let roles = || {
        [names.instance_role(), names.fault_injection_role()]
            .map(|name| names.iam_arn("role", &name))
    };
    vec![
        Permission::read(&[
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
        ])
        .on(roles()),
        Permission::write(&[
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:DetachRolePolicy",
            "iam:ListInstanceProfilesForRole",
            "iam:PutRolePolicy",
            "iam:TagRole",
            "iam:UpdateAssumeRolePolicy",
        ])
        .on(roles()),
    ]
}

/// A policy that somebody else has given to a role of ours, Systems Manager's quick setup for instance.
enum Added {
    /// Its name.
    Inline(String),
    /// Its ARN.
    Attached(String),
}

impl Added {
    fn name(&self) -> &str {
        match self {
            Self::Inline(name) | Self::Attached(name) => name,
        }
    }

    /// What it does, and what takes it away.
    fn told(&self, role: &str) -> String {
        let command = match self {
            Self::Inline(name) => {
                format!("delete-role-policy --role-name {role} --policy-name {}", quoted(name))
            }
            Self::Attached(arn) => {
                format!("detach-role-policy --role-name {role} --policy-arn {arn}")
            }
        };
        format!(
            "IAM role `{role}` has a policy of somebody else's, which may allow it more than it needs or deny it what it \
             needs: {}; take it away with `{}`",
            self.name(),
            aws_as_admin(&format!("iam {command}"), false)
        )
    }
}

/// The policies of a role that are not ours.
async fn added(cx: &Cx, role: &str) -> Result<Vec<Added>> {
    let iam = &cx.aws.iam;
    let doing = format!("listing the policies of IAM role `{role}`");
    let inline = iam.list_role_policies().role_name(role).into_paginator().items().send();
    let inline = inline.try_collect().await.unless(ABSENT, &doing)?.unwrap_or_default();
    let attached = iam.list_attached_role_policies().role_name(role).into_paginator().items();
    let attached = attached.send().try_collect().await.unless(ABSENT, &doing)?;
    let attached = attached.unwrap_or_default().into_iter().filter_map(|policy| policy.policy_arn);
    let inline = inline.into_iter().filter(|name| name != PERMISSIONS);
    Ok(inline.map(Added::Inline).chain(attached.map(Added::Attached)).collect())
}

/// What a permissions boundary does. It may be a company's rule.
fn bounded(role: &str, boundary: &AttachedPermissionsBoundary) -> String {
    let arn = boundary.permissions_boundary_arn().unwrap_or_default();
    format!(
        "IAM role `{role}` is bounded by {arn} of somebody else's: what that does not allow, fails, whatever the \
         role's own policy says"
    )
}

fn taking(policy: &Added, role: &str) -> String {
    format!("taking {} from IAM role `{role}`", policy.name())
}

impl Role {
    pub(super) async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let name = &self.name;
        let answer = cx.aws.iam.get_role().role_name(name).send().await;
        let answer = answer.unless(ABSENT, format!("looking for IAM role `{name}`"))?;
        let Some(role) = answer.and_then(|answer| answer.role) else { return Ok(Vec::new()) };
        let mut found = Found::new(name, owner(&cx.names, role.tags()));
        if found.owner == Owner::Ours {
            let reading = || format!("reading IAM role `{name}`");
            let actual = document(role.assume_role_policy_document().unwrap_or("null"))
                .with_context(reading)?;
            found.drift.extend(policy::drift(TRUST, &actual, &self.trust));
            let call = cx.aws.iam.get_role_policy().role_name(name).policy_name(PERMISSIONS);
            let actual = match call.send().await.unless(ABSENT, reading())? {
                Some(answer) => document(answer.policy_document()).with_context(reading)?,
                None => Value::Null,
            };
            found.drift.extend(policy::drift(PERMISSIONS, &actual, &self.permissions));
            let boundary = role.permissions_boundary();
            found.warnings.extend(boundary.map(|boundary| bounded(name, boundary)));
            found.warnings.extend(added(cx, name).await?.iter().map(|one| one.told(name)));
        }
        Ok(vec![found])
    }

    pub(super) async fn create(&self, cx: &Cx) -> Result<String> {
        let name = &self.name;
        cx.aws
            .iam
            .create_role()
            .role_name(name)
            .path(IAM_PATH)
            .assume_role_policy_document(self.trust.to_string())
            .set_tags(Some(tagged(cx, name)?))
            .send()
            .await
            .doing(format!("creating IAM role `{name}`"))?;
        cx.made(&self.key);
        self.put_permissions(cx).await?;
        Ok(name.clone())
    }

    pub(super) async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        if found.drifted(TRUST) {
            let call = cx.aws.iam.update_assume_role_policy().role_name(&found.id);
            let answer = call.policy_document(self.trust.to_string()).send().await;
            answer.doing(format!("saying who may use IAM role `{}`", found.id))?;
        }
        if found.drifted(PERMISSIONS) {
            self.put_permissions(cx).await?;
        }
        Ok(())
    }

    /// IAM deletes no role that is in an instance profile (`DeleteRole`); only that of the same name is ours.
    pub(super) async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        let role = &found.id;
        let pages = cx.aws.iam.list_instance_profiles_for_role().role_name(role).into_paginator();
        let profiles = pages.items().send().try_collect().await;
        let doing = format!("listing the instance profiles that IAM role `{role}` is in");
        let profiles = profiles.unless(ABSENT, doing)?.unwrap_or_default().into_iter();
        let others =
            profiles.filter(|profile| profile.instance_profile_name() != cx.names.instance_role());
        Ok(others.map(|profile| format!("the instance profile {}", profile.arn())).collect())
    }

    pub(super) async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        // IAM deletes no role that has a policy, whoever gave it.
        let (iam, role) = (&cx.aws.iam, &found.id);
        let added = added(cx, role).await?;
        if !added.is_empty() {
            let names: Vec<&str> = added.iter().map(Added::name).collect();
            let names = names.join(", ");
            cx.note(&self.key, format!("`{role}` also had, given by somebody else: {names}"));
        }
        let own = Added::Inline(PERMISSIONS.to_owned());
        for policy in [own].iter().chain(&added) {
            let answer = match policy {
                Added::Inline(name) => {
                    let call = iam.delete_role_policy().role_name(role).policy_name(name);
                    call.send().await.map(drop).unless(ABSENT, taking(policy, role))
                }
                Added::Attached(arn) => {
                    let call = iam.detach_role_policy().role_name(role).policy_arn(arn);
                    call.send().await.map(drop).unless(ABSENT, taking(policy, role))
                }
            };
            answer?;
        }
        settled(cx, &self.key, || async {
            let answer = iam.delete_role().role_name(role).send().await;
            answer.unless(ABSENT, format!("deleting IAM role `{role}`"))
        })
        .await?;
        Ok(())
    }

    async fn put_permissions(&self, cx: &Cx) -> Result<()> {
        let (name, wanted) = (&self.name, self.permissions.to_string());
        settled(cx, &self.key, || async {
            let call = cx.aws.iam.put_role_policy().role_name(name).policy_name(PERMISSIONS);
            let answer = call.policy_document(&wanted).send().await;
            answer.doing(format!("giving IAM role `{name}` its permissions"))
        })
        .await?;
        Ok(())
    }
}
