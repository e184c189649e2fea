//! The deployment to be tested: found by its names and tags, refused unless it is whole.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, Statistic},
};
use jitsi_templates::layout::{METRICS_DEPLOYMENT, METRICS_NAMESPACE};

use super::{
    harm::Victim,
    look,
    sight::{Member, Sight},
};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{self, Entry, Key, Stage},
    error::Hinted,
    invocation::command,
};

/// What there is to harm, and what to watch.
#[derive(Debug)]
pub struct Deployment {
    /// The instance in service.
    pub victim: Victim,
    /// How long it has been running.
    pub age: Option<Duration>,
    /// What people do on it, as far as its agent told CloudWatch.
    pub usage: Option<Usage>,
    /// The target group's ARN.
    pub target_group: String,
    /// Names of the alarms.
    pub alarms: Vec<String>,
    /// What AWS shows of it before the harm.
    pub sight: Sight,
}

/// What people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Meetings.
    pub meetings: u32,
    /// People in them.
    pub people: u32,
}

const NEEDED: [Key; 5] = [
    Key::AutoScalingGroup,
    Key::HttpsListener,
    Key::ElbHealthCheck,
    Key::Topic,
    Key::HealthyHostsAlarm,
];
const ALARMS: [Key; 3] = [Key::HealthyHostsAlarm, Key::Elb5xxAlarm, Key::StatusCheckAlarm];

impl Deployment {
    /// Finds it. A deployment that lacks something a failover needs is refused with the command that
    /// makes it; so is one that is not healthy.
    pub async fn find(cx: &Cx, catalog: &[Entry]) -> Result<Self> {
        let stages = [Stage::Instances, Stage::Lb, Stage::Monitoring];
        let found = engine::inventory(catalog, &stages, cx).await?;
        for key in NEEDED {
            cx.need(&key)?;
        }
        let target_group = cx.need(&Key::TargetGroup)?;
        let alarms: Vec<String> = found
            .into_iter()
            .filter(|found| ALARMS.contains(&found.key))
            .map(|found| found.found.id)
            .collect();
        let sight = Box::pin(look::look(cx, &target_group)).await?;
        let victim = victim(&sight)?;
        let launched = sight.instances.get(&victim.instance_id).and_then(|member| member.launched);
        let usage = usage(cx).await?;
        Ok(Self { age: launched.and_then(age), victim, usage, target_group, alarms, sight })
    }
}

/// The one instance, if all is well with it.
fn victim(sight: &Sight) -> Result<Victim, Hinted> {
    // A dead one's entry may stay until its terminate hook runs out.
    let there =
        |member: &Member| member.lifecycle.is_some() && member.ec2.as_deref() != Some("terminated");
    let members = || sight.instances.iter().filter(|(_, member)| there(member));
    let Some((id, member)) = members().find(|(_, member)| member.serves()) else {
        let states = members().map(|(id, member)| {
            let why = member.reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            format!("{id} in {} is {}{why}", member.zone, member.state())
        });
        let states: Vec<String> = states.collect();
        let what = "no instance is in service and healthy: there is nothing to fail over from";
        let hint = format!(
            "wait until the group has recovered, see `{}`, or make the instance: `{}`",
            command("setup"),
            command("setup instances")
        );
        return Err(Hinted::user(what, hint).with(states));
    };
    if let Some((other, second)) = members().find(|(other, _)| *other != id) {
        return Err(Hinted::user(
            format!("the group is busy: {other} is {}", second.state()),
            format!("wait until one instance is left, then run `{}` again", command("ha-test")),
        ));
    }
    Ok(Victim {
        instance_id: id.clone(),
        zone: member.zone.clone(),
        subnet_id: member.subnet.clone(),
    })
}

fn age(launched: i64) -> Option<Duration> {
    let launched = UNIX_EPOCH + Duration::from_secs(u64::try_from(launched).ok()?);
    SystemTime::now().duration_since(launched).ok()
}

/// What the agent counted in the last minutes; none when it has not told yet.
async fn usage(cx: &Cx) -> Result<Option<Usage>> {
    let (meetings, people) =
        tokio::try_join!(largest(cx, "Conferences"), largest(cx, "Participants"))?;
    Ok(meetings.zip(people).map(|(meetings, people)| Usage { meetings, people }))
}

// The agent sends once a minute, and CloudWatch takes up to two.
const RECENT: Duration = Duration::from_mins(4);

async fn largest(cx: &Cx, metric: &str) -> Result<Option<u32>> {
    let now = SystemTime::now();
    let here = Dimension::builder().name(METRICS_DEPLOYMENT).value(cx.names.deployment()).build();
    let answer = cx
        .aws
        .cloudwatch
        .get_metric_statistics()
        .namespace(METRICS_NAMESPACE)
        .metric_name(metric)
        .dimensions(here)
        .start_time(DateTime::from(now - RECENT))
        .end_time(DateTime::from(now))
        .period(60)
        .statistics(Statistic::Maximum)
        .send()
        .await
        .doing("asking CloudWatch for the meetings now")?;
    let points =
        answer.datapoints().iter().max_by_key(|point| point.timestamp().map(|at| at.secs()));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of people; the cast saturates"
    )]
    Ok(points.and_then(|point| point.maximum()).map(|people| people as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(members: &[(&str, &str, &str)]) -> Sight {
        let member = |lifecycle: &str, target: &str| Member {
            zone: "eu-central-1a".into(),
            lifecycle: (!lifecycle.is_empty()).then(|| lifecycle.to_owned()),
            ec2: Some("running".into()),
            target: Some(target.to_owned()),
            ..Member::default()
        };
        let instances = members
            .iter()
            .map(|(id, lifecycle, target)| ((*id).to_owned(), member(lifecycle, target)));
        Sight { instances: instances.collect(), activities: Vec::new() }
    }

    #[test]
    fn the_one_healthy_instance_is_the_victim() {
        let found = victim(&sight(&[("i-0", "", "unused"), ("i-1", "InService", "healthy")]));
        assert_eq!(found.unwrap().instance_id, "i-1");
        let mut held =
            sight(&[("i-0", "Terminating:Wait", "unused"), ("i-1", "InService", "healthy")]);
        assert!(victim(&held).is_err());
        held.instances.get_mut("i-0").unwrap().ec2 = Some("terminated".into());
        assert_eq!(victim(&held).unwrap().instance_id, "i-1");
    }

    #[test]
    fn what_is_not_whole_is_not_harmed() {
        let busy = victim(&sight(&[("i-1", "InService", "healthy"), ("i-2", "Pending", "unused")]));
        assert_eq!(busy.unwrap_err().to_string(), "the group is busy: i-2 is Pending, unused");
        assert!(victim(&sight(&[("i-1", "InService", "unhealthy")])).is_err());
        assert!(victim(&sight(&[])).is_err());
    }
}
