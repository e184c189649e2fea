//! What may carry our owner tag and is never listed by the tagging API: Auto Scaling groups, and IAM's users,
//! roles, policies and instance profiles ("Services that support the Resource Groups Tagging API"). Groups are
//! asked for by tag. IAM cannot be: what lies below our path is listed, and asked for its tags one by one,
//! which is little; what lies elsewhere would take a call for everything of the account.

use anyhow::Result;
use aws_sdk_autoscaling::types::{Filter, TagDescription};
use aws_sdk_iam::types::{PolicyScopeType, Tag};

use crate::{
    aws::{Answer, Aws},
    cx::Cx,
    engine::{Key, Stage},
    names::{IAM_PATH, Names},
    policy::Permission,
    tags::{self, Owner},
};

/// What looking through IAM takes.
pub(super) fn permissions(names: &Names) -> Vec<Permission> {
    let below = |kind: &str| [names.iam_arn(kind, "*")];
    vec![
        Permission::read(&[
            "iam:ListInstanceProfiles",
            "iam:ListPolicies",
            "iam:ListRoles",
            "iam:ListUsers",
        ]),
        Permission::read(&["iam:GetInstanceProfile"]).on(below("instance-profile")),
        Permission::read(&["iam:GetPolicy"]).on(below("policy")),
        Permission::read(&["iam:GetRole"]).on(below("role")),
        Permission::read(&["iam:GetUser"]).on(below("user")),
    ]
}

/// ARNs of what carries our tag and has a name that we never give. `named` knows those that we do.
pub(super) async fn strangers(
    stages: &[Stage],
    named: impl Fn(&Key, &str) -> bool,
    cx: &Cx,
) -> Result<Vec<String>> {
    let mut strangers = Vec::new();
    if stages.contains(&Stage::Instances) {
        strangers.extend(groups(&named, cx).await?);
    }
    if stages.contains(&Stage::Iam) {
        strangers.extend(users(&named, cx).await?);
        strangers.extend(roles(&named, cx).await?);
        strangers.extend(policies(&named, cx).await?);
        strangers.extend(profiles(&named, cx).await?);
    }
    Ok(strangers)
}

async fn groups(named: &impl Fn(&Key, &str) -> bool, cx: &Cx) -> Result<Vec<String>> {
    let filter = Filter::builder().name(format!("tag:{}", tags::DEPLOYMENT));
    let filter = filter.values(cx.names.deployment()).build();
    let call = cx.aws.autoscaling.describe_auto_scaling_groups().filters(filter);
    let groups = call.into_paginator().items().send().try_collect().await;
    let groups = groups.doing("looking for Auto Scaling groups that carry our tag")?;
    let pair = |tag: &TagDescription| {
        (tag.key().unwrap_or_default().to_owned(), tag.value().unwrap_or_default().to_owned())
    };
    let strangers = groups.into_iter().filter(|group| {
        let tags: Vec<(String, String)> = group.tags().iter().map(pair).collect();
        let tags = tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let name = group.auto_scaling_group_name().unwrap_or_default();
        !named(&Key::AutoScalingGroup, name) && tags::owner(&cx.names, tags) == Owner::Ours
    });
    Ok(strangers.filter_map(|group| group.auto_scaling_group_arn).collect())
}

fn ours(cx: &Cx, tags: &[Tag]) -> bool {
    tags::owner(&cx.names, tags.iter().map(|tag| (tag.key(), tag.value()))) == Owner::Ours
}

const GONE: &[&str] = &["NoSuchEntity"];

async fn users(named: &impl Fn(&Key, &str) -> bool, cx: &Cx) -> Result<Vec<String>> {
    let Aws { iam, .. } = &cx.aws;
    let all = iam.list_users().path_prefix(IAM_PATH).into_paginator().items().send();
    let all = all.try_collect().await.doing("listing the IAM users below our path")?;
    let mut strangers = Vec::new();
    for user in all.iter().filter(|user| !named(&Key::DeployerUser, user.user_name())) {
        let name = user.user_name();
        let answer = iam.get_user().user_name(name).send().await;
        let answer = answer.unless(GONE, format!("reading the tags of IAM user `{name}`"))?;
        if answer.and_then(|answer| answer.user).is_some_and(|user| ours(cx, user.tags())) {
            strangers.push(user.arn().to_owned());
        }
    }
    Ok(strangers)
}

async fn roles(named: &impl Fn(&Key, &str) -> bool, cx: &Cx) -> Result<Vec<String>> {
    let Aws { iam, .. } = &cx.aws;
    let all = iam.list_roles().path_prefix(IAM_PATH).into_paginator().items().send();
    let all = all.try_collect().await.doing("listing the IAM roles below our path")?;
    let known = |name: &str| {
        [Key::InstanceRole, Key::FaultInjectionRole].iter().any(|key| named(key, name))
    };
    let mut strangers = Vec::new();
    for role in all.iter().filter(|role| !known(role.role_name())) {
        let name = role.role_name();
        let answer = iam.get_role().role_name(name).send().await;
        let answer = answer.unless(GONE, format!("reading the tags of IAM role `{name}`"))?;
        if answer.and_then(|answer| answer.role).is_some_and(|role| ours(cx, role.tags())) {
            strangers.push(role.arn().to_owned());
        }
    }
    Ok(strangers)
}

async fn policies(named: &impl Fn(&Key, &str) -> bool, cx: &Cx) -> Result<Vec<String>> {
    let Aws { iam, .. } = &cx.aws;
    let all = iam.list_policies().scope(PolicyScopeType::Local).path_prefix(IAM_PATH);
    let all = all.into_paginator().items().send().try_collect().await;
    let all = all.doing("listing the IAM policies below our path")?;
    let keys = [Key::InstancesPolicy, Key::LbPolicy, Key::MonitoringPolicy];
    let mut strangers = Vec::new();
    for policy in all {
        let (name, arn) = (policy.policy_name.unwrap_or_default(), policy.arn.unwrap_or_default());
        if keys.iter().any(|key| named(key, &name)) {
            continue;
        }
        let answer = iam.get_policy().policy_arn(&arn).send().await;
        let answer = answer.unless(GONE, format!("reading the tags of IAM policy `{name}`"))?;
        if answer.and_then(|answer| answer.policy).is_some_and(|policy| ours(cx, policy.tags())) {
            strangers.push(arn);
        }
    }
    Ok(strangers)
}

async fn profiles(named: &impl Fn(&Key, &str) -> bool, cx: &Cx) -> Result<Vec<String>> {
    let Aws { iam, .. } = &cx.aws;
    let all = iam.list_instance_profiles().path_prefix(IAM_PATH).into_paginator().items().send();
    let all = all.try_collect().await.doing("listing the instance profiles below our path")?;
    let known = |name: &str| named(&Key::InstanceProfile, name);
    let mut strangers = Vec::new();
    for profile in all.iter().filter(|profile| !known(profile.instance_profile_name())) {
        let name = profile.instance_profile_name();
        let answer = iam.get_instance_profile().instance_profile_name(name).send().await;
        let answer =
            answer.unless(GONE, format!("reading the tags of instance profile `{name}`"))?;
        let profile_now = answer.and_then(|answer| answer.instance_profile);
        if profile_now.is_some_and(|profile| ours(cx, profile.tags())) {
            strangers.push(profile.arn().to_owned());
        }
    }
    Ok(strangers)
}
