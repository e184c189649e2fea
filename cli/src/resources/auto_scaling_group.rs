//! The Auto Scaling group over both subnets. It is made empty and with its hooks; the instance, its
//! size of one, is a resource of its own. How it tells a sick instance is the business of `setup lb`.

mod healing;
mod others;

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use aws_sdk_autoscaling::types::{AutoScalingGroup, LaunchTemplateSpecification, Tag};
use serde_json::json;

use super::autoscaling::{Hook, absent, arn, group, owner, span};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource, Stage},
    error::Hinted,
    invocation::command,
    names::Names,
    policy::Permission,
    tags::{self, Owner},
    wait::{self, Progress},
};

/// What keeps the instance alive.
pub struct Group;

/// Whatever version is the default when an instance is launched: a new one needs no change here.
const TEMPLATE_VERSION: &str = "$Default";
/// Free of charge, and what the dashboard and the operator look at after an incident.
const METRICS: [&str; 4] = [
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupPendingInstances",
    "GroupTerminatingInstances",
];

const STATUS: &str = "status";
const LAUNCH_TEMPLATE: &str = "launch template";
const SUBNETS: &str = "subnets";
const TARGET_GROUP: &str = "target group";
const METRICS_COLLECTED: &str = "metrics";
const LIFETIME: &str = "age at which the instance is renewed";

// The group is empty by then; what is left to end are scaling activities.
const DELETE_LIMIT: Duration = Duration::from_mins(15);

#[async_trait]
impl Resource for Group {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn intent(&self, cx: &Cx) -> String {
        let instance = &cx.config.instance;
        let renewed = match instance.max_age {
            Some(age) => format!(", renewed after {}", span(age)),
            None => String::new(),
        };
        format!("one {}, in one of the two zones{renewed}", instance.instance_type)
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let ec2 = |kind: &str| names.arn("ec2", &format!("{kind}/*"));
        vec![
            Permission::read(&["autoscaling:DescribeAutoScalingGroups"]),
            others::permission(),
            Permission::write(&["autoscaling:CreateAutoScalingGroup"]).on([arn(names)]).tagging_ours(names),
            Permission::write(&[
                "autoscaling:AttachLoadBalancerTargetGroups",
                "autoscaling:DeleteAutoScalingGroup",
                "autoscaling:EnableMetricsCollection",
                "autoscaling:ResumeProcesses",
                "autoscaling:UpdateAutoScalingGroup",
            ])
            .on([arn(names)])
            .on_ours(names),
            // Auto Scaling tries a launch in the caller's name whenever a group is given a template:
            // with our template, on our network, tagging what it makes.
            super::ec2::on_ours(names, &["ec2:RunInstances"]),
            super::ec2::tagging(names),
            Permission::write(&["ec2:RunInstances"])
                .on([
                    ec2("instance"),
                    ec2("network-interface"),
                    ec2("volume"),
                    names.arn("ec2", &format!("key-pair/{}", names.deployment())),
                    format!("arn:{}:ec2:{}::image/*", names.partition(), names.region()),
                ])
                .when(json!({ "ArnLike": { "ec2:LaunchTemplate": ec2("launch-template") } })),
            Permission::write(&["iam:PassRole"]).on([names.iam_arn("role", &names.instance_role())]).when(
                json!({ "StringEquals": { "iam:PassedToService": names.facts().ec2_principals() } }),
            ),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let Some(group) = group(cx).await? else { return Ok(Vec::new()) };
        let mut found = Found::new(self.name(cx), owner(&cx.names, &group));
        let new = |key: Key| cx.id(&key).unwrap_or_else(|| format!("our {}", key.title()));
        let subnets: BTreeSet<String> = [new(Key::SubnetA), new(Key::SubnetB)].into();
        found
            .compare(STATUS, group.status().unwrap_or("active"), "active")
            .compare(
                LAUNCH_TEMPLATE,
                template(&group),
                format!("{} {TEMPLATE_VERSION}", new(Key::LaunchTemplate)),
            )
            .compare(SUBNETS, joined(&actual_subnets(&group)), joined(&subnets));
        let target_group = new(Key::TargetGroup);
        if !group.target_group_arns().contains(&target_group) {
            found.compare(TARGET_GROUP, group.target_group_arns().join(", "), target_group);
        }
        let missing = METRICS.iter().any(|metric| {
            !group.enabled_metrics().iter().any(|enabled| enabled.metric() == Some(metric))
        });
        if missing {
            found.compare(METRICS_COLLECTED, "some", "all");
        }
        healing::compare(&mut found, &group);
        if found.owner == Owner::Ours {
            let ours = cx.id(&Key::TargetGroup);
            found.warnings = others::told(cx, &group, ours.as_deref()).await?;
        }
        let max_age = cx.config.instance.max_age;
        found.compare(LIFETIME, words(lifetime(&group)), words(max_age));
        if let Some(drift) = found.drift.iter_mut().find(|drift| drift.field == LIFETIME)
            && let Some(max_age) = max_age
        {
            drift.effect = Some(renewal(max_age, cx.config.drain));
        }
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let subnets = [cx.need(&Key::SubnetA)?, cx.need(&Key::SubnetB)?].into();
        let hooks = [Hook::launch(&cx.names), Hook::terminate(&cx.names, cx.config.drain)]
            .map(|hook| hook.specification());
        let tags: Vec<Tag> = tags::new(&cx.names, Stage::Instances, &name)
            .into_iter()
            .map(|(key, value)| {
                Tag::builder()
                    .resource_type("auto-scaling-group")
                    .resource_id(&name)
                    .key(key)
                    .value(value)
                    .propagate_at_launch(true)
                    .build()
            })
            .collect();
        cx.aws
            .autoscaling
            .create_auto_scaling_group()
            .auto_scaling_group_name(&name)
            .min_size(0)
            .max_size(1)
            .desired_capacity(0)
            .launch_template(specification(&cx.need(&Key::LaunchTemplate)?))
            .vpc_zone_identifier(joined(&subnets))
            .target_group_arns(cx.need(&Key::TargetGroup)?)
            .set_lifecycle_hook_specification_list(Some(hooks.into()))
            .set_max_instance_lifetime(cx.config.instance.max_age.map(seconds))
            .set_tags(Some(tags))
            .send()
            .await
            .doing(format!("creating Auto Scaling group `{name}`"))?;
        cx.made(&Key::AutoScalingGroup);
        collect_metrics(cx, &name).await?;
        Ok(name)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        let name = &found.id;
        if found.drifted(STATUS) {
            return Err(Hinted::user(
                format!("AWS is still deleting the Auto Scaling group `{name}`"),
                "run the same command again in a few minutes",
            )
            .into());
        }
        if found.drifted(LAUNCH_TEMPLATE) || found.drifted(SUBNETS) {
            let subnets = [cx.need(&Key::SubnetA)?, cx.need(&Key::SubnetB)?].into();
            cx.aws
                .autoscaling
                .update_auto_scaling_group()
                .auto_scaling_group_name(name)
                .launch_template(specification(&cx.need(&Key::LaunchTemplate)?))
                .vpc_zone_identifier(joined(&subnets))
                .send()
                .await
                .doing(format!("changing Auto Scaling group `{name}`"))?;
        }
        if found.drifted(TARGET_GROUP) {
            cx.aws
                .autoscaling
                .attach_load_balancer_target_groups()
                .auto_scaling_group_name(name)
                .target_group_arns(cx.need(&Key::TargetGroup)?)
                .send()
                .await
                .doing(format!("attaching our target group to Auto Scaling group `{name}`"))?;
        }
        if found.drifted(METRICS_COLLECTED) {
            collect_metrics(cx, name).await?;
        }
        healing::mend(cx, found).await?;
        if found.drifted(LIFETIME) {
            // 0 clears it (`UpdateAutoScalingGroup`).
            cx.aws
                .autoscaling
                .update_auto_scaling_group()
                .auto_scaling_group_name(name)
                .max_instance_lifetime(cx.config.instance.max_age.map_or(0, seconds))
                .send()
                .await
                .doing(format!(
                    "changing how old instances of Auto Scaling group `{name}` become"
                ))?;
        }
        Ok(())
    }

    /// Protected, the group would stay while what it builds on goes.
    async fn occupants(&self, _cx: &Cx, found: &Found) -> Result<Vec<String>> {
        let protected = found.drifted(healing::DELETION);
        let off = command("setup instances");
        Ok(protected
            .then(|| format!("its protection against deletion, which `{off}` takes off"))
            .into_iter()
            .collect())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        let name = &found.id;
        wait::until(cx, &Key::AutoScalingGroup, DELETE_LIMIT, || async {
            let answer = cx
                .aws
                .autoscaling
                .delete_auto_scaling_group()
                .auto_scaling_group_name(name)
                .force_delete(true)
                .send()
                .await
                .doing(format!("deleting Auto Scaling group `{name}`"));
            match answer {
                Err(error) if absent(&error) => {}
                Err(error) if error.is(&["ResourceInUse", "ScalingActivityInProgress"]) => {
                    return Ok(Progress::Pending(error.message));
                }
                answer => drop(answer?),
            }
            // The call returns before the group is gone, and a new one of its name is refused until then.
            let left = group(cx).await?.filter(|group| owner(&cx.names, group) == Owner::Ours);
            Ok(match left {
                Some(group) => {
                    Progress::Pending(group.status.unwrap_or_else(|| "not deleted yet".to_owned()))
                }
                None => Progress::Ready(()),
            })
        })
        .await
    }
}

fn specification(template: &str) -> LaunchTemplateSpecification {
    LaunchTemplateSpecification::builder()
        .launch_template_id(template)
        .version(TEMPLATE_VERSION)
        .build()
}

fn template(group: &AutoScalingGroup) -> String {
    let specification = group.launch_template();
    let part = |part: Option<&str>| part.unwrap_or("none").to_owned();
    format!(
        "{} {}",
        part(specification.and_then(LaunchTemplateSpecification::launch_template_id)),
        // Unnamed means the default (`LaunchTemplateSpecification`).
        specification.and_then(LaunchTemplateSpecification::version).unwrap_or(TEMPLATE_VERSION)
    )
}

fn seconds(age: Duration) -> i32 {
    i32::try_from(age.as_secs()).unwrap_or(i32::MAX)
}

fn lifetime(group: &AutoScalingGroup) -> Option<Duration> {
    let seconds = group.max_instance_lifetime().filter(|seconds| *seconds > 0)?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

fn words(age: Option<Duration>) -> String {
    age.map_or_else(|| "never".to_owned(), span)
}

/// What users will feel of it.
fn renewal(age: Duration, drain: Duration) -> String {
    let [age, drain] = [age, drain].map(span);
    format!(
        "every {age}, and soon when the instance is older already, nobody can come in for two or three \
         minutes; who is inside has {drain} to finish"
    )
}

fn actual_subnets(group: &AutoScalingGroup) -> BTreeSet<String> {
    let subnets = group.vpc_zone_identifier().unwrap_or_default();
    subnets.split(',').map(|subnet| subnet.trim().to_owned()).collect()
}

fn joined(subnets: &BTreeSet<String>) -> String {
    subnets.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

async fn collect_metrics(cx: &Cx, name: &str) -> Result<()> {
    cx.aws
        .autoscaling
        .enable_metrics_collection()
        .auto_scaling_group_name(name)
        .granularity("1Minute")
        .set_metrics(Some(METRICS.map(str::to_owned).into()))
        .send()
        .await
        .doing(format!("turning on the metrics of Auto Scaling group `{name}`"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_compare_in_any_order() {
        let group = AutoScalingGroup::builder().vpc_zone_identifier("subnet-b, subnet-a").build();
        assert_eq!(joined(&actual_subnets(&group)), "subnet-a,subnet-b");
    }

    #[test]
    fn no_lifetime_and_one_of_zero_mean_never() {
        let words_of = |seconds| {
            let group = AutoScalingGroup::builder().set_max_instance_lifetime(seconds).build();
            words(lifetime(&group))
        };
        assert_eq!([words_of(None), words_of(Some(0))], ["never", "never"]);
        assert_eq!(words_of(Some(2_592_000)), words(Some(Duration::from_hours(30 * 24))));
    }

    #[test]
    fn an_unnamed_version_is_the_default() {
        let template_of = |specification: LaunchTemplateSpecification| {
            template(&AutoScalingGroup::builder().launch_template(specification).build())
        };
        let unnamed = LaunchTemplateSpecification::builder().launch_template_id("lt-1").build();
        assert_eq!(template_of(unnamed), template_of(specification("lt-1")));
    }
}
