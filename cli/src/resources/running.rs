//! The instance that runs, beside what the next one will be made of. A new version of the launch template
//! changes nothing about an instance that is there: until it is replaced, what is configured is not what
//! people meet, and that is said.

use anyhow::Result;
use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance, LifecycleState};
use aws_sdk_ec2::{
    primitives::{DateTime, DateTimeFormat},
    types::LaunchTemplateVersion,
};

use super::{
    autoscaling::{arn, made_from, span},
    recipe::Recipe,
};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Drift, Key},
    names::Names,
    policy::Permission,
};

/// The rights to compare, and to replace: the command [`replacing`] names is run with them.
pub(super) fn permissions(names: &Names) -> Vec<Permission> {
    vec![
        Permission::read(&["ec2:DescribeLaunchTemplateVersions"]),
        Permission::write(&["autoscaling:StartInstanceRefresh"]).on([arn(names)]).on_ours(names),
    ]
}

/// The command that has the group replace its instance now, as in every replacement: people inside have
/// the drain to finish.
pub(super) fn replacing(cx: &Cx) -> String {
    let name = cx.names.deployment();
    cx.aws_cli(&format!("autoscaling start-instance-refresh --auto-scaling-group-name {name}"))
}

/// How the instance in service differs from what is launched from now on; `None` when it does not.
pub(super) async fn remark(cx: &Cx, group: &AutoScalingGroup) -> Result<Option<String>> {
    let Some(template) = cx.id(&Key::LaunchTemplate) else { return Ok(None) };
    let Some((id, running)) = in_service(group, &template) else { return Ok(None) };
    let answer = cx
        .aws
        .ec2
        .describe_launch_template_versions()
        .launch_template_id(&template)
        .versions("$Default")
        .versions(running.to_string())
        .send()
        .await
        // Somebody deleted the version: there is nothing to compare with.
        .unless(
            &["InvalidLaunchTemplateId.VersionNotFound"],
            format!("reading versions of launch template {template}"),
        )?;
    let Some(answer) = answer else { return Ok(None) };
    let versions = answer.launch_template_versions();
    let default = versions.iter().find(|version| version.default_version() == Some(true));
    let made = versions.iter().find(|version| version.version_number() == Some(running));
    let (Some(default), Some(made)) = (default, made) else { return Ok(None) };
    let (Some(now), Some(then)) = (recipe(default), recipe(made)) else { return Ok(None) };
    let drift = then.drift(&now);
    if drift.is_empty() {
        return Ok(None);
    }
    let consequence = then.moves_to(&now).map(|(then, now)| {
        format!(" It is set up for {then}: nobody can meet at https://{now} until then.")
    });
    let age = cx.config.instance.max_age.map(span);
    Ok(Some(format!(
        "{id} runs as version {running} of the launch template made it; since {} the next one is made by version {}: \
         {}. It is replaced when it fails{}; now, with {} for people inside to finish, by `{}`.{}",
        since(default.create_time()),
        default.version_number().unwrap_or_default(),
        differences(&drift),
        age.map(|age| format!(" or is {age} old")).unwrap_or_default(),
        span(cx.config.drain),
        replacing(cx),
        consequence.unwrap_or_default(),
    )))
}

/// The instance people meet on, with the version of our template it was made by.
fn in_service<'a>(group: &'a AutoScalingGroup, template: &str) -> Option<(&'a str, i64)> {
    let serves =
        |instance: &&Instance| instance.lifecycle_state() == Some(&LifecycleState::InService);
    let instance = group.instances().iter().find(serves)?;
    let ours = instance.launch_template()?.launch_template_id() == Some(template);
    ours.then_some((instance.instance_id()?, made_from(instance)?))
}

fn recipe(version: &LaunchTemplateVersion) -> Option<Recipe> {
    version.launch_template_data().map(Recipe::read)
}

/// `instance type t3.large, next c7i.xlarge; user data …, next …`.
fn differences(drift: &[Drift]) -> String {
    let told = drift.iter().map(|drift| {
        let Drift { field, actual, wanted, .. } = drift;
        format!("{field} {actual}, next {wanted}")
    });
    told.collect::<Vec<_>>().join("; ")
}

/// To the minute: `2026-11-21 19:05 UTC`.
fn since(time: Option<&DateTime>) -> String {
    let told = time.and_then(|time| time.fmt(DateTimeFormat::DateTime).ok());
    let told = told.and_then(|told| told.get(..16).map(|minute| minute.replace('T', " ")));
    told.map_or_else(|| "a while".to_owned(), |minute| format!("{minute} UTC"))
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::LaunchTemplateSpecification;

    use super::{super::autoscaling::sample_instance, *};

    #[test]
    fn only_what_serves_and_was_made_by_our_template_is_compared() {
        let group = |state: LifecycleState, template: &str, version: &str| {
            let made_by = LaunchTemplateSpecification::builder()
                .launch_template_id(template)
                .version(version)
                .build();
            AutoScalingGroup::builder().instances(sample_instance(state, made_by)).build()
        };
        let serving = group(LifecycleState::InService, "lt-1", "3");
        assert_eq!(in_service(&serving, "lt-1"), Some(("i-1", 3)));
        assert_eq!(in_service(&serving, "lt-2"), None);
        let dying = group(LifecycleState::TerminatingWait, "lt-1", "3");
        assert_eq!(in_service(&dying, "lt-1"), None);
        let unnamed = group(LifecycleState::InService, "lt-1", "$Default");
        assert_eq!(in_service(&unnamed, "lt-1"), None);
    }

    #[test]
    fn times_are_told_to_the_minute() {
        assert_eq!(since(Some(&DateTime::from_secs(1_795_287_900))), "2026-11-21 19:05 UTC");
        assert_eq!(since(None), "a while");
    }
}
