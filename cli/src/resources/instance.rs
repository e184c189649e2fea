//! The one instance: the group's size. Making it is asking for one and waiting until a meeting was
//! held on it; deleting it is asking for none and waiting until it is gone.

use std::{
    collections::BTreeSet,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use anyhow::{Result, bail};
use async_trait::async_trait;
use aws_sdk_autoscaling::types::{
    Activity, AutoScalingGroup, Instance, LifecycleState, ScalingActivityStatusCode,
};
use aws_sdk_ec2::types::{InstanceStateName, Reservation};
use tokio::time::Instant;

use super::{
    autoscaling::{absent, arn, group, owner, resume, suspended},
    ec2::{filter, on_ours},
    hopeless, running,
};
use crate::{
    aws::{Answer, AwsError},
    cx::Cx,
    engine::{Found, Key, Resource},
    error::Hinted,
    invocation::command,
    names::Names,
    policy::Permission,
    shared::lock,
    wait::{self, Progress},
};

/// The instance.
pub struct TheInstance;

const SIZE: &str = "size (min/desired/max)";
const ONE: &str = "1/1/1";

// Boot, some 800 MB of packages and the first meeting: three to ten minutes, or an attempt that the
// agent gives up on and a second one.
const IN_SERVICE_LIMIT: Duration = Duration::from_mins(30);
// A first launch may fail for a reason that passes, such as a zone without capacity, and the group
// tries again elsewhere at once; the second failure is what a person must know of.
const FAILED_LAUNCHES: usize = 2;
// For so long a launch that fails for an instance profile EC2 does not know does not count: the profile
// is new, and the group tries again (EC2 user guide, "IAM roles for Amazon EC2").
const PROFILE_LIMIT: Duration = Duration::from_mins(5);
// EC2 ends an instance within a minute or two; an operating system that hangs takes longer.
const TERMINATED_LIMIT: Duration = Duration::from_mins(15);
// A launch or a termination under way refuses changes of size.
const BUSY: [&str; 1] = ["ScalingActivityInProgress"];
const BUSY_LIMIT: Duration = Duration::from_mins(5);

#[async_trait]
impl Resource for TheInstance {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        vec![
            Permission::read(&[
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeScalingActivities",
                "ec2:DescribeInstances",
            ]),
            Permission::write(&[
                "autoscaling:UpdateAutoScalingGroup",
                "autoscaling:DeleteLifecycleHook",
                "autoscaling:ResumeProcesses",
            ])
            .on([arn(names)])
            .on_ours(names),
            on_ours(names, &["ec2:TerminateInstances"]),
            hopeless::permission(names),
        ]
        .into_iter()
        .chain(running::permissions(names))
        .collect()
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        if cx.id(&Key::AutoScalingGroup).is_none() {
            return Ok(Vec::new());
        }
        let Some(group) = group(cx).await? else { return Ok(Vec::new()) };
        let size = sizes(&group);
        if size[..2] == [0, 0] && group.instances().is_empty() {
            return Ok(Vec::new());
        }
        let described: Vec<String> = group.instances().iter().map(described).collect();
        let mut found =
            Found::new(self.name(cx), owner(&cx.names, &group)).detail(described.join(", "));
        found.compare(SIZE, size.map(|part| part.to_string()).join("/"), ONE);
        found.remark = running::remark(cx, &group).await?;
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        wait::retry_on(cx, &Key::Instance, &BUSY, BUSY_LIMIT, || resize(cx, 1)).await?;
        Ok(self.name(cx))
    }

    async fn update(&self, cx: &Cx, _found: &Found) -> Result<()> {
        self.create(cx).await.map(drop)
    }

    async fn delete(&self, cx: &Cx, _found: &Found) -> Result<()> {
        // A group that may end nothing goes on listing what EC2 has ended.
        if group(cx).await?.is_some_and(|group| !suspended(&group).is_empty()) {
            resume(cx).await?;
        }
        let empty = wait::retry_on(cx, &Key::Instance, &BUSY, BUSY_LIMIT, || async {
            match resize(cx, 0).await {
                Err(error) if absent(&error) => Ok(()),
                answer => answer,
            }
        });
        empty.await?;
        let mut limit = TERMINATED_LIMIT;
        if cx.drain {
            // Once for the target group to let go, once more for the hook.
            limit += 2 * cx.config.drain;
        } else {
            delete_terminate_hook(cx).await?;
        }
        wait::until(cx, &Key::Instance, limit, || async {
            let in_group = group(cx).await?.map(|group| group.instances.unwrap_or_default());
            let running = running(cx).await?;
            if in_group.iter().flatten().next().is_none() && running.is_empty() {
                return Ok(Progress::Ready(()));
            }
            if !cx.drain {
                terminate(cx, &running).await?;
            }
            let in_group = in_group.iter().flatten().map(described);
            let running = running.iter().map(|(id, state)| format!("{id} {state}"));
            Ok(Progress::Pending(in_group.chain(running).collect::<Vec<_>>().join(", ")))
        })
        .await
    }

    async fn wait(&self, cx: &Cx, _id: &str) -> Result<()> {
        let (failed_before, start) = (OnceLock::new(), Instant::now());
        let given_up = Mutex::new(BTreeSet::new());
        wait::until(cx, &Key::Instance, IN_SERVICE_LIMIT, || async {
            let Some(group) = group(cx).await? else {
                bail!("the Auto Scaling group `{}` is gone", cx.names.deployment())
            };
            let instances = group.instances();
            if instances
                .iter()
                .any(|instance| instance.lifecycle_state() == Some(&LifecycleState::InService))
            {
                return Ok(Progress::Ready(()));
            }
            let given_up = {
                let ended = hopeless::give_up(cx, &group).await?;
                let mut given_up = lock(&given_up);
                given_up.extend(ended);
                given_up.len()
            };
            let activities = activities(cx).await?;
            let before = failed_before
                .get_or_init(|| ids(activities.iter().filter(|activity| failed(activity))));
            let since: Vec<&Activity> = activities
                .iter()
                .filter(|activity| failed(activity))
                .filter(|activity| !before.contains(activity.activity_id().unwrap_or_default()))
                .filter(|activity| !profile_unknown(activity) || start.elapsed() >= PROFILE_LIMIT)
                .collect();
            if since.len() >= FAILED_LAUNCHES + given_up {
                return Err(gave_up(cx, &since).into());
            }
            Ok(Progress::Pending(state(instances, activities.first())))
        })
        .await
    }
}

fn sizes(group: &AutoScalingGroup) -> [i32; 3] {
    [group.min_size(), group.desired_capacity(), group.max_size()].map(Option::unwrap_or_default)
}

/// `i-0c4d… eu-central-1b Pending:Wait`.
fn described(instance: &Instance) -> String {
    format!(
        "{} {} {}",
        instance.instance_id().unwrap_or_default(),
        instance.availability_zone().unwrap_or_default(),
        instance.lifecycle_state().map_or("", LifecycleState::as_str)
    )
}

/// Asks for this many instances.
async fn resize(cx: &Cx, instances: i32) -> Result<(), AwsError> {
    let name = cx.names.deployment();
    cx.aws
        .autoscaling
        .update_auto_scaling_group()
        .auto_scaling_group_name(name)
        .min_size(instances)
        .max_size(1)
        .desired_capacity(instances)
        .send()
        .await
        .doing(format!("asking Auto Scaling group `{name}` for {instances} instances"))
        .map(drop)
}

/// Without it nothing holds a dying instance: what waits in it goes on at once (`DeleteLifecycleHook`).
async fn delete_terminate_hook(cx: &Cx) -> Result<()> {
    let hook = cx.names.terminate_hook();
    let answer = cx
        .aws
        .autoscaling
        .delete_lifecycle_hook()
        .auto_scaling_group_name(cx.names.deployment())
        .lifecycle_hook_name(&hook)
        .send()
        .await
        .doing(format!("deleting lifecycle hook `{hook}`"));
    match answer {
        Err(error) if !absent(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// The group's instances that EC2 has not ended yet, with their state. AWS tags them itself.
async fn running(cx: &Cx) -> Result<Vec<(String, InstanceStateName)>> {
    let mut pages = cx
        .aws
        .ec2
        .describe_instances()
        .filters(filter("tag:aws:autoscaling:groupName", cx.names.deployment()))
        .into_paginator()
        .items()
        .send();
    let mut running = Vec::new();
    while let Some(reservation) = pages.next().await {
        running.extend(alive(&reservation.doing("looking for our instances")?));
    }
    Ok(running)
}

/// Ended instances stay listed for an hour.
fn alive(reservation: &Reservation) -> Vec<(String, InstanceStateName)> {
    reservation
        .instances()
        .iter()
        .filter_map(|instance| {
            let state = instance.state()?.name()?;
            let id = instance.instance_id()?.to_owned();
            (*state != InstanceStateName::Terminated).then(|| (id, state.clone()))
        })
        .collect()
}

/// Ends them now: the group itself would first wait for the target group to let go.
async fn terminate(cx: &Cx, running: &[(String, InstanceStateName)]) -> Result<()> {
    let ids: Vec<String> = running
        .iter()
        .filter(|(_, state)| *state != InstanceStateName::ShuttingDown)
        .map(|(id, _)| id.clone())
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let doing = format!("terminating {}", ids.join(", "));
    cx.aws
        .ec2
        .terminate_instances()
        .set_instance_ids(Some(ids))
        .send()
        .await
        .unless(&["InvalidInstanceID.NotFound"], doing)?;
    Ok(())
}

/// The group's latest activities, newest first.
async fn activities(cx: &Cx) -> Result<Vec<Activity>> {
    let answer = cx
        .aws
        .autoscaling
        .describe_scaling_activities()
        .auto_scaling_group_name(cx.names.deployment())
        .max_records(20)
        .send()
        .await
        .doing("reading what the Auto Scaling group is doing")?;
    Ok(answer.activities.unwrap_or_default())
}

/// A launch that AWS refused, or that the agent or its silence ended.
fn failed(activity: &Activity) -> bool {
    let launch = activity.description().is_some_and(|what| what.starts_with("Launching"));
    let ended = [ScalingActivityStatusCode::Failed, ScalingActivityStatusCode::Cancelled];
    launch && activity.status_code().is_some_and(|status| ended.contains(status))
}

/// A launch that failed because EC2 had not heard of the instance profile.
fn profile_unknown(activity: &Activity) -> bool {
    const WORDS: [&str; 2] = ["Invalid IAM Instance Profile", "has no associated IAM Roles"];
    let told = [activity.status_message(), activity.description()];
    told.into_iter().flatten().any(|text| WORDS.iter().any(|words| text.contains(words)))
}

fn ids<'a>(activities: impl Iterator<Item = &'a Activity>) -> BTreeSet<String> {
    activities.filter_map(|activity| activity.activity_id().map(str::to_owned)).collect()
}

fn gave_up(cx: &Cx, failed: &[&Activity]) -> Hinted {
    let reason = failed
        .first()
        .and_then(|activity| activity.status_message())
        .unwrap_or("AWS gives no reason");
    Hinted::ours(
        format!("no instance came into service, {} launches failed: {reason}", failed.len()),
        format!(
            "fix that and run `{}` again; meanwhile the group goes on trying, and `{}` tells how it fares",
            command("setup instances"),
            cx.aws_cli(&format!(
                "autoscaling describe-scaling-activities --auto-scaling-group-name {}",
                cx.names.deployment()
            ))
        ),
    )
}

/// What is being waited for, in AWS's words.
fn state(instances: &[Instance], last: Option<&Activity>) -> String {
    if !instances.is_empty() {
        return instances.iter().map(described).collect::<Vec<_>>().join(", ");
    }
    let last = last.and_then(|last| last.status_message().or(last.description()));
    last.unwrap_or("no instance yet").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(id: &str, what: &str, status: ScalingActivityStatusCode) -> Activity {
        building(id, what, status).build()
    }

    fn building(
        id: &str,
        what: &str,
        status: ScalingActivityStatusCode,
    ) -> aws_sdk_autoscaling::types::builders::ActivityBuilder {
        Activity::builder()
            .activity_id(id)
            .auto_scaling_group_name("jitsi")
            .cause("…")
            .start_time(aws_sdk_autoscaling::primitives::DateTime::from_secs(0))
            .description(what)
            .status_code(status)
    }

    #[test]
    fn a_launch_without_the_new_profile_is_known_by_its_words() {
        let reason = "Value (jitsi-instance) for parameter iamInstanceProfile.name is invalid. \
                      Invalid IAM Instance Profile name. Launching EC2 instance failed.";
        let launch = building("1", "Launching", ScalingActivityStatusCode::Failed);
        assert!(profile_unknown(&launch.clone().status_message(reason).build()));
        assert!(!profile_unknown(&launch.status_message("no capacity").build()));
    }

    #[test]
    fn only_launches_that_ended_badly_count_as_failed() {
        let launch = "Launching a new EC2 instance: i-1";
        assert!(failed(&activity("1", launch, ScalingActivityStatusCode::Failed)));
        assert!(failed(&activity("1", launch, ScalingActivityStatusCode::Cancelled)));
        assert!(!failed(&activity("1", launch, ScalingActivityStatusCode::MidLifecycleAction)));
        let end = "Terminating EC2 instance: i-1";
        assert!(!failed(&activity("1", end, ScalingActivityStatusCode::Failed)));
    }

    #[test]
    fn a_wait_names_the_instance_before_the_activity() {
        let last =
            activity("1", "Launching a new EC2 instance", ScalingActivityStatusCode::PreInService);
        assert_eq!(state(&[], Some(&last)), "Launching a new EC2 instance");
        assert_eq!(state(&[], None), "no instance yet");
        let instance = Instance::builder()
            .instance_id("i-1")
            .availability_zone("eu-central-1b")
            .lifecycle_state(LifecycleState::PendingWait)
            .health_status("Healthy")
            .protected_from_scale_in(false)
            .build();
        assert_eq!(state(&[instance], Some(&last)), "i-1 eu-central-1b Pending:Wait");
    }
}
