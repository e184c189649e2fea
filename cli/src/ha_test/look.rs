//! Looking at AWS: the group's instances, what those that boot say on their consoles, their targets and
//! the deployment's alarms as they are now.

use std::collections::BTreeMap;

use anyhow::Result;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_ec2::types::Filter;
use aws_smithy_types::base64;
use futures_util::future::join_all;

use super::sight::{Activity, Member, Sight};
use crate::{aws::Answer, cx::Cx};

// The group makes a handful of activities for each replacement.
const ACTIVITIES: i32 = 20;

/// What AWS shows now.
pub async fn look(cx: &Cx, target_group: &str) -> Result<Sight> {
    let mut sight = Sight::default();
    let (group, activities, ec2, targets) = tokio::join!(
        cx.aws
            .autoscaling
            .describe_auto_scaling_groups()
            .auto_scaling_group_names(cx.names.deployment())
            .send(),
        cx.aws
            .autoscaling
            .describe_scaling_activities()
            .auto_scaling_group_name(cx.names.deployment())
            .max_records(ACTIVITIES)
            .send(),
        // AWS tags them itself; ended ones stay listed for an hour.
        cx.aws
            .ec2
            .describe_instances()
            .filters(
                Filter::builder()
                    .name("tag:aws:autoscaling:groupName")
                    .values(cx.names.deployment())
                    .build(),
            )
            .send(),
        cx.aws.elbv2.describe_target_health().target_group_arn(target_group).send(),
    );
    let ec2 = ec2.doing("looking at our instances")?;
    for instance in ec2.reservations().iter().flat_map(|reservation| reservation.instances()) {
        let member = sight.member(instance.instance_id());
        member.ec2 = text(instance.state().and_then(|state| state.name()));
        let zone = instance.placement().and_then(|placement| placement.availability_zone());
        zone.unwrap_or_default().clone_into(&mut member.zone);
        instance.subnet_id().unwrap_or_default().clone_into(&mut member.subnet);
        member.launched = instance.launch_time().map(DateTime::secs);
    }
    let group = group.doing("looking at our Auto Scaling group")?;
    for instance in group.auto_scaling_groups().iter().flat_map(|group| group.instances()) {
        let member = sight.member(instance.instance_id());
        member.lifecycle = text(instance.lifecycle_state());
        if let Some(zone) = instance.availability_zone() {
            zone.clone_into(&mut member.zone);
        }
    }
    let targets = targets.doing("looking at the health of our targets")?;
    for target in targets.target_health_descriptions() {
        let member = sight.member(target.target().and_then(|target| target.id()));
        let health = target.target_health();
        member.target = text(health.and_then(|health| health.state()));
        member.reason = text(health.and_then(|health| health.reason()));
    }
    let activities = activities.doing("reading what the Auto Scaling group is doing")?;
    sight.activities = activities
        .activities()
        .iter()
        .map(|activity| Activity {
            id: activity.activity_id().unwrap_or_default().to_owned(),
            description: activity.description().unwrap_or_default().to_owned(),
            cause: activity.cause().unwrap_or_default().to_owned(),
            status: text(activity.status_code()).unwrap_or_default(),
            message: activity.status_message().unwrap_or_default().to_owned(),
        })
        .collect();
    let booting = sight.instances.iter_mut().filter(|(_, member)| member.is_held());
    join_all(booting.map(async |(id, member)| member.phases = console(cx, id).await)).await;
    Ok(sight)
}

/// The phases of its boot an agent has told on its console. Only instances on Nitro show theirs at
/// once, others refuse or come minutes late (`GetConsoleOutput`): then less is told, and nothing else
/// depends on it.
async fn console(cx: &Cx, id: &str) -> Vec<String> {
    let answer = cx.aws.ec2.get_console_output().instance_id(id).latest(true).send().await;
    let output = answer.ok().and_then(|answer| answer.output);
    let output = output.and_then(|output| base64::decode(output).ok()).unwrap_or_default();
    phases(&String::from_utf8_lossy(&output))
}

/// `[   31.2] jitsi-agent[612]: phase install`.
fn phases(console: &str) -> Vec<String> {
    let agent = console.lines().filter_map(|line| line.split_once("jitsi-agent["));
    let said = agent.filter_map(|(_, rest)| rest.split_once("]: phase "));
    said.map(|(_, phase)| phase.trim().to_owned()).collect()
}

/// State of each of `alarms`, and when it came to that.
pub type Alarms = BTreeMap<String, (String, Option<DateTime>)>;

/// The deployment's alarms as they are now.
pub async fn alarms(cx: &Cx, names: &[String]) -> Result<Alarms> {
    let answer = cx.aws.cloudwatch.describe_alarms().set_alarm_names(Some(names.to_vec()));
    let answer = answer.send().await.doing("looking at our alarms")?;
    let alarms = answer.metric_alarms().iter().map(|alarm| {
        let state = text(alarm.state_value()).unwrap_or_default();
        let since = alarm.state_updated_timestamp().copied();
        (alarm.alarm_name().unwrap_or_default().to_owned(), (state, since))
    });
    Ok(alarms.collect())
}

/// The alarms whose state is new, with it. One that changed twice between two looks and is back is
/// told as `ALARM`: that is where it has been.
pub fn changed(before: &Alarms, now: &Alarms) -> Vec<(String, String)> {
    let new = now.iter().filter_map(|(name, (state, since))| {
        let (earlier, at) = before.get(name)?;
        let back = earlier == state && state == "OK" && at != since;
        (earlier != state || back)
            .then(|| (name.clone(), if back { "ALARM".to_owned() } else { state.clone() }))
    });
    new.collect()
}

impl Sight {
    fn member(&mut self, id: Option<&str>) -> &mut Member {
        self.instances.entry(id.unwrap_or_default().to_owned()).or_default()
    }
}

/// An SDK's enumeration as AWS spells it.
fn text<T: AsRef<str>>(value: Option<&T>) -> Option<String> {
    value.map(|value| value.as_ref().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_tells_what_the_agent_began() {
        let console = "[    1.0] Linux\r\n[   31.2] jitsi-agent[612]: phase install\r\n\
                       [   32.0] cloud-init[80]: phase of the moon\r\n\
                       [   61.4] jitsi-agent[612]: `apt-get` took 900 ms\r\n\
                       [   61.5] jitsi-agent[612]: phase configure\r\n";
        assert_eq!(phases(console), ["install", "configure"]);
        assert_eq!(phases(""), [""; 0]);
    }

    fn alarms(state: &str, since: i64) -> Alarms {
        [("jitsi-healthy-hosts".to_owned(), (state.to_owned(), Some(DateTime::from_secs(since))))]
            .into()
    }

    #[test]
    fn an_alarm_that_came_and_went_between_two_looks_is_told() {
        let fired = [("jitsi-healthy-hosts".to_owned(), "ALARM".to_owned())];
        assert_eq!(changed(&alarms("OK", 1), &alarms("ALARM", 2)), fired);
        assert_eq!(changed(&alarms("OK", 1), &alarms("OK", 2)), fired);
        assert!(changed(&alarms("OK", 1), &alarms("OK", 1)).is_empty());
    }
}
