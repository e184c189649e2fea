//! What the deployer may do in one stage, as a managed policy. What it says is handed down by the
//! catalog, which it is derived from.

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_iam::{
    primitives::DateTime,
    types::{PolicyScopeType, PolicyVersion},
};
use serde_json::Value;

use super::{
    iam::{ABSENT, DEPLOYER_STAGES, document, owner, policy_arn, policy_name, settled, tagged},
    route53,
};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource, Stage},
    names::{IAM_PATH, Names},
    policy::{self, Permission},
    tags::{Foreign, Owner},
};

/// The policy of one stage.
pub struct DeployerPolicy {
    stage: Stage,
    document: fn(&Cx, Stage) -> Value,
}

const PERMISSIONS: &str = "permissions";

// A managed policy keeps this many versions (IAM quotas).
const MAX_VERSIONS: usize = 5;

impl DeployerPolicy {
    /// What the deployer may do in `stage`, as `document` says.
    pub fn of(stage: Stage, document: fn(&Cx, Stage) -> Value) -> Self {
        Self { stage, document }
    }

    fn key(&self) -> Key {
        match self.stage {
            Stage::Lb => Key::LbPolicy,
            Stage::Monitoring => Key::MonitoringPolicy,
            Stage::Iam | Stage::Instances => Key::InstancesPolicy,
        }
    }

    fn document(&self, cx: &Cx) -> Value {
        (self.document)(cx, self.stage)
    }
}

#[async_trait]
impl Resource for DeployerPolicy {
    fn name(&self, cx: &Cx) -> String {
        policy_name(&cx.names, self.stage)
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        // The same for all three, so that they share a statement.
        let policies = || DEPLOYER_STAGES.map(|stage| policy_arn(names, stage));
        vec![
            Permission::read(&["iam:GetPolicy", "iam:GetPolicyVersion"]).on(policies()),
            Permission::write(&["iam:ListPolicies"]), // before it is made
            Permission::write(&[
                "iam:CreatePolicy",
                "iam:CreatePolicyVersion",
                "iam:DeletePolicy",
                "iam:DeletePolicyVersion",
                "iam:ListEntitiesForPolicy",
                "iam:ListPolicyVersions",
                "iam:TagPolicy",
            ])
            .on(policies()),
        ]
    }

    /// The hosted zones that rights are granted on.
    async fn check(&self, cx: &Cx) -> Result<()> {
        if self.stage == Stage::Lb { route53::check_where_allowed(cx).await } else { Ok(()) }
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let (name, arn) = (self.name(cx), policy_arn(&cx.names, self.stage));
        let answer = cx.aws.iam.get_policy().policy_arn(&arn).send().await;
        let answer = answer.unless(ABSENT, format!("looking for IAM policy `{name}`"))?;
        let Some(policy) = answer.and_then(|answer| answer.policy) else {
            return namesake(cx, &name, &arn).await;
        };
        let mut found = Found::new(&arn, owner(&cx.names, policy.tags()));
        if found.owner == Owner::Ours {
            let answer = cx
                .aws
                .iam
                .get_policy_version()
                .policy_arn(&arn)
                .version_id(policy.default_version_id().unwrap_or_default())
                .send()
                .await
                .doing(format!("reading IAM policy `{name}`"))?;
            let version = answer.policy_version.context("AWS returned no policy version")?;
            let actual = document(version.document().unwrap_or_default())
                .with_context(|| format!("reading IAM policy `{name}`"))?;
            found.drift.extend(policy::drift(PERMISSIONS, &actual, &self.document(cx)));
        }
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        cx.aws
            .iam
            .create_policy()
            .policy_name(&name)
            .path(IAM_PATH)
            .policy_document(self.document(cx).to_string())
            .set_tags(Some(tagged(cx, &name)?))
            .send()
            .await
            .doing(format!("creating IAM policy `{name}`"))?;
        Ok(policy_arn(&cx.names, self.stage))
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        let versions = self.versions(cx).await?;
        if versions.len() >= MAX_VERSIONS
            && let Some(oldest) = versions
                .iter()
                .filter(|version| !version.is_default_version())
                .min_by_key(|version| version.create_date().map(DateTime::as_nanos))
        {
            self.delete_version(cx, oldest).await?;
        }
        cx.aws
            .iam
            .create_policy_version()
            .policy_arn(&found.id)
            .policy_document(self.document(cx).to_string())
            .set_as_default(true)
            .send()
            .await
            .doing(format!("changing IAM policy `{}`", self.name(cx)))?;
        Ok(())
    }

    /// IAM deletes no policy that is attached to anything, or bounds it (`DeletePolicy`).
    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        let doing = format!("listing what IAM policy `{}` is attached to", self.name(cx));
        let mut pages =
            cx.aws.iam.list_entities_for_policy().policy_arn(&found.id).into_paginator().send();
        let mut all = Vec::new();
        while let Some(page) = pages.next().await {
            let Some(page) = page.unless(ABSENT, &doing)? else { break };
            let users = page.policy_users().iter().filter_map(|user| user.user_name());
            let users = users.filter(|user| *user != cx.names.deployer_user());
            all.extend(users.map(|user| format!("the IAM user `{user}`")));
            let roles = page.policy_roles().iter().filter_map(|role| role.role_name());
            all.extend(roles.map(|role| format!("the IAM role `{role}`")));
            let groups = page.policy_groups().iter().filter_map(|group| group.group_name());
            all.extend(groups.map(|group| format!("the IAM group `{group}`")));
        }
        Ok(all)
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        for version in self.versions(cx).await? {
            if !version.is_default_version() {
                self.delete_version(cx, &version).await?;
            }
        }
        // Our own user is gone by now.
        settled(cx, &self.key(), || async {
            let answer = cx.aws.iam.delete_policy().policy_arn(&found.id).send().await;
            answer.unless(ABSENT, format!("deleting IAM policy `{}`", self.name(cx)))
        })
        .await?;
        Ok(())
    }
}

impl DeployerPolicy {
    async fn versions(&self, cx: &Cx) -> Result<Vec<PolicyVersion>> {
        let arn = policy_arn(&cx.names, self.stage);
        let versions = cx.aws.iam.list_policy_versions().policy_arn(arn).into_paginator().items();
        let versions = versions.send().try_collect().await;
        let versions = versions
            .unless(ABSENT, format!("listing the versions of IAM policy `{}`", self.name(cx)))?;
        Ok(versions.unwrap_or_default())
    }

    async fn delete_version(&self, cx: &Cx, version: &PolicyVersion) -> Result<()> {
        let id = version.version_id().unwrap_or_default();
        cx.aws
            .iam
            .delete_policy_version()
            .policy_arn(policy_arn(&cx.names, self.stage))
            .version_id(id)
            .send()
            .await
            .unless(ABSENT, format!("deleting version {id} of IAM policy `{}`", self.name(cx)))?;
        Ok(())
    }
}

/// A policy of the same name under another path: names are taken once in an account, whatever their case
/// (`CreatePolicy`, `PolicyName`). Who may only look is told when it is to be made.
async fn namesake(cx: &Cx, name: &str, ours: &str) -> Result<Vec<Found>> {
    let pages = cx.aws.iam.list_policies().scope(PolicyScopeType::Local).into_paginator();
    let policies = pages.items().send().try_collect().await;
    let policies = match policies.doing(format!("looking for another IAM policy `{name}`")) {
        Err(error) if error.is_denied() => return Ok(Vec::new()),
        policies => policies?,
    };
    let same = policies.iter().find(|policy| {
        let taken = policy.policy_name().is_some_and(|taken| taken.eq_ignore_ascii_case(name));
        taken && policy.arn() != Some(ours) // which is merely new
    });
    Ok(same
        .map(|policy| {
            let why = Foreign::Other(format!("its path is `{}`", policy.path().unwrap_or("/")));
            Found::new(policy.arn().unwrap_or_default(), Owner::Foreign(why))
        })
        .into_iter()
        .collect())
}
