//! The user stages 01 to 03 run as, with the deployer's policies attached. Policies that somebody
//! else attached, a company's guard rails for instance, are shown and left alone: detaching them
//! would fight whoever did it.

mod belongings;

use anyhow::Result;
use async_trait::async_trait;
use aws_sdk_iam::types::AttachedPolicy;

use super::iam::{ABSENT, DEPLOYER_STAGES, owner, policy_arn, policy_name, settled, tagged};
use crate::{
    aws::{Answer, AwsError},
    cx::Cx,
    engine::{Found, Key, Resource},
    names::{IAM_PATH, Names},
    policy::Permission,
    tags::Owner,
};

/// The deployer.
pub struct User;

const ATTACHED: &str = "attached policies";

#[async_trait]
impl Resource for User {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployer_user()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let user = || [names.iam_arn("user", &names.deployer_user())];
        vec![
            Permission::read(&["iam:GetUser", "iam:ListAttachedUserPolicies"]).on(user()),
            Permission::write(&[
                "iam:AttachUserPolicy",
                "iam:CreateUser",
                "iam:DeleteUser",
                "iam:DetachUserPolicy",
                "iam:TagUser",
            ])
            .on(user()),
        ]
        .into_iter()
        .chain(belongings::permissions(names))
        .collect()
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let name = self.name(cx);
        let answer = cx.aws.iam.get_user().user_name(&name).send().await;
        let answer = answer.unless(ABSENT, format!("looking for IAM user `{name}`"))?;
        let Some(user) = answer.and_then(|answer| answer.user) else { return Ok(Vec::new()) };
        let mut found = Found::new(&name, owner(&cx.names, user.tags()));
        if found.owner == Owner::Ours {
            let attached = attached(cx).await?;
            let (ours, others): (Vec<_>, Vec<_>) = attached.iter().partition(|policy| {
                let arns = DEPLOYER_STAGES.map(|stage| policy_arn(&cx.names, stage));
                arns.iter().any(|arn| policy.policy_arn() == Some(arn))
            });
            if !others.is_empty() {
                found.detail = format!("also has {}, not ours", listed(names_of(&others)));
            }
            let wanted = DEPLOYER_STAGES.map(|stage| policy_name(&cx.names, stage));
            found.compare(ATTACHED, listed(names_of(&ours)), listed(wanted.into()));
        }
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        cx.aws
            .iam
            .create_user()
            .user_name(&name)
            .path(IAM_PATH)
            .set_tags(Some(tagged(cx, &name)?))
            .send()
            .await
            .doing(format!("creating IAM user `{name}`"))?;
        cx.made(&Key::DeployerUser);
        for stage in DEPLOYER_STAGES {
            attach(cx, &policy_arn(&cx.names, stage)).await?;
        }
        Ok(name)
    }

    async fn update(&self, cx: &Cx, _: &Found) -> Result<()> {
        let attached = attached(cx).await?;
        for arn in DEPLOYER_STAGES.map(|stage| policy_arn(&cx.names, stage)) {
            if !attached.iter().any(|policy| policy.policy_arn() == Some(&arn)) {
                attach(cx, &arn).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        let (iam, user) = (&cx.aws.iam, &found.id);
        for policy in attached(cx).await? {
            let arn = policy.policy_arn().unwrap_or_default();
            let answer = iam.detach_user_policy().user_name(user).policy_arn(arn).send().await;
            answer.unless(ABSENT, format!("detaching {arn} from IAM user `{user}`"))?;
        }
        belongings::take_off(cx, user).await?;
        settled(cx, &Key::DeployerUser, || async {
            let answer = iam.delete_user().user_name(user).send().await;
            answer.unless(ABSENT, format!("deleting IAM user `{user}`"))
        })
        .await?;
        Ok(())
    }
}

async fn attached(cx: &Cx) -> Result<Vec<AttachedPolicy>, AwsError> {
    let user = cx.names.deployer_user();
    let policies = cx.aws.iam.list_attached_user_policies().user_name(&user).into_paginator();
    let policies = policies.items().send().try_collect().await;
    let policies =
        policies.unless(ABSENT, format!("listing the policies attached to IAM user `{user}`"))?;
    Ok(policies.unwrap_or_default())
}

async fn attach(cx: &Cx, arn: &str) -> Result<()> {
    let user = cx.names.deployer_user();
    settled(cx, &Key::DeployerUser, || async {
        let call = cx.aws.iam.attach_user_policy().user_name(&user).policy_arn(arn);
        call.send().await.doing(format!("attaching {arn} to IAM user `{user}`"))
    })
    .await?;
    Ok(())
}

fn names_of(policies: &[&AttachedPolicy]) -> Vec<String> {
    policies.iter().filter_map(|policy| policy.policy_name()).map(str::to_owned).collect()
}

/// One line, sorted: IAM lists policies in no order.
fn listed(mut names: Vec<String>) -> String {
    names.sort_unstable();
    names.join(", ")
}
