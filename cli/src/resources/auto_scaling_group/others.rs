//! What somebody else has hung on our group and what that does to it: it is told, with the command that takes it
//! away, and left. Scaling policies are not among it: they cannot leave the sizes, which are compared.

use anyhow::Result;
use aws_sdk_autoscaling::types::{AutoScalingGroup, LifecycleHook, ScheduledUpdateGroupAction};

use crate::{
    aws::Answer,
    cx::Cx,
    invocation::{aws_as_admin, quoted},
    policy::Permission,
};

/// What looking takes.
pub(super) fn permission() -> Permission {
    Permission::read(&[
        "autoscaling:DescribeLifecycleHooks",
        "autoscaling:DescribeScheduledActions",
    ])
}

/// What something of somebody else's does, and the words of the AWS CLI that take it away.
type Told = (String, String);

/// A line for each thing that keeps `group` from holding its one instance. `ours`: our target group, if it is there.
pub(super) async fn told(
    cx: &Cx,
    group: &AutoScalingGroup,
    ours: Option<&str>,
) -> Result<Vec<String>> {
    let (actions, hooks) = tokio::try_join!(scheduled(cx), hooks(cx))?;
    let told = actions.iter().filter_map(told_of_action);
    let told = told.chain(hooks.iter().filter_map(|hook| told_of_hook(cx, hook)));
    let told: Vec<Told> = told.chain(told_of_group(group, ours)).collect();
    let name = cx.names.deployment();
    Ok(told
        .into_iter()
        .map(|(what, words)| {
            let (verb, rest) = words.split_once(' ').unwrap_or((&words, ""));
            let words = format!("autoscaling {verb} --auto-scaling-group-name {name} {rest}");
            format!("{what}; take it away with `{}`", aws_as_admin(words.trim_end(), true))
        })
        .collect())
}

async fn scheduled(cx: &Cx) -> Result<Vec<ScheduledUpdateGroupAction>> {
    let name = cx.names.deployment();
    let pages = cx.aws.autoscaling.describe_scheduled_actions().auto_scaling_group_name(name);
    let actions = pages.into_paginator().items().send().try_collect().await;
    Ok(actions.doing(format!("looking what is scheduled for Auto Scaling group `{name}`"))?)
}

/// One that asks for one instance changes nothing.
fn told_of_action(action: &ScheduledUpdateGroupAction) -> Option<Told> {
    let sizes = [action.min_size(), action.desired_capacity(), action.max_size()];
    let differs = sizes.into_iter().flatten().any(|size| size != 1);
    let name = action.scheduled_action_name().filter(|_| differs)?;
    let sizes = sizes.map(|size| size.map_or_else(|| "-".to_owned(), |size| size.to_string()));
    let what = format!(
        "somebody's scheduled action `{name}` will change the size (min/desired/max) to {}",
        sizes.join("/")
    );
    Some((what, format!("delete-scheduled-action --scheduled-action-name {}", quoted(name))))
}

async fn hooks(cx: &Cx) -> Result<Vec<LifecycleHook>> {
    let name = cx.names.deployment();
    let call = cx.aws.autoscaling.describe_lifecycle_hooks().auto_scaling_group_name(name);
    let answer = call.send().await;
    let answer = answer.doing(format!("listing the hooks of Auto Scaling group `{name}`"))?;
    Ok(answer.lifecycle_hooks.unwrap_or_default())
}

fn told_of_hook(cx: &Cx, hook: &LifecycleHook) -> Option<Told> {
    let ours = [cx.names.launch_hook(), cx.names.terminate_hook()];
    let name = hook.lifecycle_hook_name().filter(|name| !ours.iter().any(|own| own == name))?;
    let launching = hook.lifecycle_transition() == Some("autoscaling:EC2_INSTANCE_LAUNCHING");
    let what = format!(
        "somebody's lifecycle hook `{name}` holds every {} for up to {} s, then {}",
        if launching { "new instance" } else { "instance that is to end" },
        hook.heartbeat_timeout().unwrap_or_default(),
        match (launching, hook.default_result()) {
            (true, Some("CONTINUE")) => "lets it into service",
            (true, _) => "gives it up",
            (false, _) => "lets it end",
        },
    );
    Some((what, format!("delete-lifecycle-hook --lifecycle-hook-name {}", quoted(name))))
}

/// What the group's description tells by itself.
fn told_of_group(group: &AutoScalingGroup, ours: Option<&str>) -> Vec<Told> {
    let mut told = Vec::new();
    let targets =
        group.target_group_arns().iter().filter(|arn| ours.is_some_and(|own| own != *arn));
    for arn in targets {
        told.push((
            format!(
                "the instance is replaced whenever somebody's target group {arn} finds it unhealthy"
            ),
            format!("detach-load-balancer-target-groups --target-group-arns {arn}"),
        ));
    }
    for name in group.load_balancer_names() {
        told.push((
            format!("the instance is replaced whenever somebody's load balancer `{name}` finds it unhealthy"),
            format!("detach-load-balancers --load-balancer-names {}", quoted(name)),
        ));
    }
    if group.warm_pool_configuration().is_some_and(|pool| pool.status().is_none()) {
        told.push((
            "somebody's warm pool keeps further instances, each of which is paid for and goes through our hooks"
                .to_owned(),
            "delete-warm-pool --force-delete".to_owned(),
        ));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_that_asks_for_one_instance_is_nobody_s_business() {
        let action = |size| {
            let action = ScheduledUpdateGroupAction::builder().scheduled_action_name("nightly");
            told_of_action(&action.set_desired_capacity(size).build()).map(|(what, _)| what)
        };
        assert_eq!([action(None), action(Some(1))], [None, None]);
        assert!(action(Some(0)).is_some_and(|what| what.ends_with("to -/0/-")));
    }

    #[test]
    fn our_own_target_group_is_not_told() {
        let group = AutoScalingGroup::builder().target_group_arns("a").target_group_arns("b");
        let told = told_of_group(&group.clone().build(), Some("a"));
        assert_eq!(told.len(), 1);
        assert!(told[0].1.ends_with("--target-group-arns b"));
        assert!(told_of_group(&group.build(), None).is_empty(), "nobody knows which is ours");
    }
}
