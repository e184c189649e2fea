//! What the Auto Scaling resources share: the group as AWS describes it, its ARN and its hooks.

use std::time::Duration;

use anyhow::Result;
use aws_sdk_autoscaling::types::{
    AutoScalingGroup, Instance, LifecycleHook, LifecycleHookSpecification,
};

use crate::{
    aws::{Answer, AwsError},
    cx::Cx,
    names::Names,
    tags::{self, Owner},
};

/// The group of our name, whoever it belongs to.
pub(super) async fn group(cx: &Cx) -> Result<Option<AutoScalingGroup>> {
    let answer = cx
        .aws
        .autoscaling
        .describe_auto_scaling_groups()
        .auto_scaling_group_names(cx.names.deployment())
        .send()
        .await
        .doing("looking for our Auto Scaling group")?;
    Ok(answer.auto_scaling_groups.unwrap_or_default().into_iter().next())
}

/// A duration as one writes it in `jitsi.toml`: `45d`, `20m`; humantime would make months of so many days.
pub(super) fn span(duration: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match duration.as_secs() {
        seconds if seconds >= DAY && seconds.is_multiple_of(DAY) => format!("{}d", seconds / DAY),
        _ => humantime::format_duration(duration).to_string(),
    }
}

/// Whose a group is.
pub(super) fn owner(names: &Names, group: &AutoScalingGroup) -> Owner {
    let tags = group.tags().iter();
    tags::owner(
        names,
        tags.map(|tag| (tag.key().unwrap_or_default(), tag.value().unwrap_or_default())),
    )
}

/// The launch template's version an instance was made from: a number, as kops relies on when it looks for
/// instances that need an update (`awsup/aws_cloud.go`, `findInstanceLaunchConfiguration`).
pub(super) fn made_from(instance: &Instance) -> Option<i64> {
    instance.launch_template()?.version()?.parse().ok()
}

/// ARN of our group; AWS puts an id of its own before the name.
pub(super) fn arn(names: &Names) -> String {
    names.arn(
        "autoscaling",
        &format!("autoScalingGroup:*:autoScalingGroupName/{}", names.deployment()),
    )
}

/// What must go on by itself: a sick instance is noticed, ended, replaced and put behind the load balancer, and the
/// command that replaces it now works (Amazon EC2 Auto Scaling user guide, "Suspend and resume Amazon EC2 Auto
/// Scaling processes"). AWS itself suspends launches that have failed for a day.
const NEEDED: [&str; 6] = [
    "AddToLoadBalancer",
    "HealthCheck",
    "InstanceRefresh",
    "Launch",
    "ReplaceUnhealthy",
    "Terminate",
];

/// What of that is suspended.
pub(super) fn suspended(group: &AutoScalingGroup) -> Vec<&str> {
    let suspended = group.suspended_processes().iter().filter_map(|process| process.process_name());
    let mut suspended: Vec<&str> = suspended.filter(|name| NEEDED.contains(name)).collect();
    suspended.sort_unstable();
    suspended
}

/// Resumes it.
pub(super) async fn resume(cx: &Cx) -> Result<()> {
    let name = cx.names.deployment();
    let call = cx.aws.autoscaling.resume_processes().auto_scaling_group_name(name);
    let call = call.set_scaling_processes(Some(NEEDED.map(str::to_owned).into()));
    call.send().await.doing(format!("resuming what Auto Scaling group `{name}` does"))?;
    Ok(())
}

/// Whether a group or hook does not exist: Auto Scaling has no error code of its own for that.
pub(super) fn absent(error: &AwsError) -> bool {
    const WORDS: [&str; 2] = ["AutoScalingGroup name not found", "No Lifecycle Hook found"];
    error.is(&["ValidationError"]) && WORDS.iter().any(|words| error.message.contains(words))
}

/// Whether a hook waits for no answer about an instance: it was told, or has run out.
pub(super) fn no_action(error: &AwsError) -> bool {
    error.is(&["ValidationError"]) && error.message.contains("No active Lifecycle Action found")
}

/// A lifecycle hook as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) name: String,
    pub(super) transition: &'static str,
    pub(super) default_result: &'static str,
    /// How long AWS waits for a heartbeat, in seconds.
    pub(super) heartbeat: i32,
}

// From launch to the agent's first heartbeat: boot, cloud-init and fetching the agent take one to
// three minutes. The agent then sends one a minute, for at most 100 times this (`PutLifecycleHook`).
const LAUNCH_HEARTBEAT: i32 = 600;
// For the agent to stop what runs and report, after the drain is over.
const TAIL: Duration = Duration::from_mins(1);
// `PutLifecycleHook`, HeartbeatTimeout.
const HEARTBEATS: (u64, u64) = (30, 7200);

impl Hook {
    /// Holds a new instance until a meeting was held on it; one that never gets there is replaced.
    pub(super) fn launch(names: &Names) -> Self {
        Self {
            name: names.launch_hook(),
            transition: "autoscaling:EC2_INSTANCE_LAUNCHING",
            default_result: "ABANDON",
            heartbeat: LAUNCH_HEARTBEAT,
        }
    }

    /// Holds a dying instance. It is reached only after the target group's deregistration delay,
    /// which is the drain; but where the load balancer has let go early, or does not exist yet, the
    /// agent waits out the drain here.
    pub(super) fn terminate(names: &Names, drain: Duration) -> Self {
        let heartbeat = (drain + TAIL).as_secs().clamp(HEARTBEATS.0, HEARTBEATS.1);
        Self {
            name: names.terminate_hook(),
            transition: "autoscaling:EC2_INSTANCE_TERMINATING",
            default_result: "CONTINUE",
            heartbeat: i32::try_from(heartbeat).unwrap_or(i32::MAX),
        }
    }

    /// The hook for the call that makes its group.
    pub(super) fn specification(&self) -> LifecycleHookSpecification {
        LifecycleHookSpecification::builder()
            .lifecycle_hook_name(&self.name)
            .lifecycle_transition(self.transition)
            .default_result(self.default_result)
            .heartbeat_timeout(self.heartbeat)
            .build()
    }

    /// The hook that AWS has under this name, in these terms.
    pub(super) fn read(hook: &LifecycleHook) -> (&str, &str, i32) {
        (
            hook.lifecycle_transition().unwrap_or_default(),
            hook.default_result().unwrap_or_default(),
            hook.heartbeat_timeout().unwrap_or_default(),
        )
    }
}

/// An instance of a group, for tests.
#[cfg(test)]
pub(super) fn sample_instance(
    state: aws_sdk_autoscaling::types::LifecycleState,
    made_by: aws_sdk_autoscaling::types::LaunchTemplateSpecification,
) -> Instance {
    Instance::builder()
        .instance_id("i-1")
        .availability_zone("eu-central-1b")
        .lifecycle_state(state)
        .health_status("Healthy")
        .protected_from_scale_in(false)
        .launch_template(made_by)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_as_one_writes_it() {
        let told = |hours| span(Duration::from_hours(hours));
        assert_eq!([24 * 45, 24 * 365, 36].map(told), ["45d", "365d", "1day 12h"]);
    }

    #[test]
    fn the_terminate_hook_outlasts_the_drain() {
        let names = Names::new("jitsi", "eu-central-1", "123456789012");
        let heartbeat = |drain| Hook::terminate(&names, Duration::from_secs(drain)).heartbeat;
        assert_eq!(heartbeat(0), 60);
        assert_eq!(heartbeat(1800), 1860);
        assert_eq!(heartbeat(3600), 3660);
        assert_eq!(heartbeat(100_000), 7200);
    }
}
