//! An instance that tries on with a recipe that has been changed since. From the third launch that fails
//! the same way on, the agent waits for up to four hours before its group may launch another: for a cause
//! outside that somebody mends, which it then sees by itself. What is wrong in the launch template it was
//! made from, it cannot see mended.

use anyhow::Result;
use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance, LifecycleState};
use jitsi_templates::layout::FAILED_LAUNCHES_TAG;

use super::autoscaling::{arn, made_from, no_action};
use crate::{aws::Answer, cx::Cx, engine::Key, names::Names, policy::Permission};

/// The right to end it.
pub(super) fn permission(names: &Names) -> Permission {
    Permission::write(&["autoscaling:CompleteLifecycleAction"]).on([arn(names)]).on_ours(names)
}

/// Ends the instances of `group` that wait in vain, as their agent would: nobody was ever on them, and
/// the group launches others at once. Their ids.
pub(super) async fn give_up(cx: &Cx, group: &AutoScalingGroup) -> Result<Vec<String>> {
    let waiting: Vec<(&str, i64)> = waiting(group).collect();
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let newest = default_version(cx).await?;
    let mut ended = Vec::new();
    for (id, version) in waiting {
        if Some(version) != newest && abandon(cx, id).await? {
            cx.note(
                &Key::Instance,
                format!(
                    "{id} went on trying what had failed before, with version {version} of the launch \
                     template: it was ended, and the next one is made as configured now"
                ),
            );
            ended.push(id.to_owned());
        }
    }
    Ok(ended)
}

/// Instances that the launch hook holds after launches before them have failed, and the version of the
/// launch template each was made from.
fn waiting(group: &AutoScalingGroup) -> impl Iterator<Item = (&str, i64)> {
    let failed = group.tags().iter().any(|tag| tag.key() == Some(FAILED_LAUNCHES_TAG));
    let instances = group.instances().iter().filter(move |_| failed);
    instances.filter_map(|instance: &Instance| {
        let held = instance.lifecycle_state() == Some(&LifecycleState::PendingWait);
        held.then_some((instance.instance_id()?, made_from(instance)?))
    })
}

/// What the next instance is made from.
async fn default_version(cx: &Cx) -> Result<Option<i64>> {
    let answer = cx
        .aws
        .ec2
        .describe_launch_templates()
        .launch_template_ids(cx.need(&Key::LaunchTemplate)?)
        .send()
        .await
        .doing("looking for the newest version of our launch template")?;
    Ok(answer.launch_templates().first().and_then(|template| template.default_version_number()))
}

/// False when the hook holds it no longer.
async fn abandon(cx: &Cx, id: &str) -> Result<bool> {
    let hook = cx.names.launch_hook();
    let answer = cx
        .aws
        .autoscaling
        .complete_lifecycle_action()
        .auto_scaling_group_name(cx.names.deployment())
        .lifecycle_hook_name(&hook)
        .instance_id(id)
        .lifecycle_action_result("ABANDON")
        .send()
        .await
        .doing(format!("telling lifecycle hook `{hook}` that {id} is given up"));
    match answer {
        Err(error) if no_action(&error) => Ok(false),
        answer => Ok(answer.map(|_| true)?),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{LaunchTemplateSpecification, TagDescription};

    use super::{super::autoscaling::sample_instance, *};

    fn group(failed: bool, state: LifecycleState, version: &str) -> AutoScalingGroup {
        let template = LaunchTemplateSpecification::builder().version(version).build();
        let instance = sample_instance(state, template);
        let tag = TagDescription::builder().key(FAILED_LAUNCHES_TAG).value("3 0123").build();
        let group = AutoScalingGroup::builder().instances(instance);
        if failed { group.tags(tag) } else { group }.build()
    }

    #[test]
    fn only_what_is_held_after_failed_launches_waits_in_vain() {
        let waits = |group: AutoScalingGroup| {
            waiting(&group).map(|(id, version)| format!("{id} {version}")).collect::<Vec<_>>()
        };
        assert_eq!(waits(group(true, LifecycleState::PendingWait, "2")), ["i-1 2"]);
        assert!(waits(group(false, LifecycleState::PendingWait, "2")).is_empty());
        assert!(waits(group(true, LifecycleState::InService, "2")).is_empty());
        assert!(waits(group(true, LifecycleState::PendingWait, "$Default")).is_empty());
    }
}
