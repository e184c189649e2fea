//! CloudWatch alarms: no healthy target, errors of the load balancer, failed status checks.

use anyhow::Result;
use async_trait::async_trait;
use aws_sdk_cloudwatch::types::{
    AlarmType, ComparisonOperator, Dimension, MetricAlarm, Statistic, Tag,
};

use super::{
    elbv2::dimension,
    monitoring::{ELB_5XX, HEALTHY_HOSTS, STATUS_CHECK, alarm_arn, topic_arn},
};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource, Stage},
    names::Names,
    policy::Permission,
    tag_list, tags,
};

/// An alarm of the deployment; it sends mail when it begins and when it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// No target is healthy: nobody can meet.
    HealthyHosts,
    /// The load balancer itself answers 5xx: it reaches no instance.
    Elb5xx,
    /// EC2 finds the instance or its host impaired.
    StatusCheck,
}

/// What an alarm watches.
struct Settings {
    namespace: &'static str,
    metric: &'static str,
    statistic: Statistic,
    comparison: ComparisonOperator,
    threshold: f64,
    /// Minutes that must breach, out of how many.
    datapoints: (i32, i32),
    /// What a minute without data means.
    missing: &'static str,
    description: &'static str,
}

// Every metric below comes once a minute.
const PERIOD: i32 = 60;

impl Alarm {
    fn suffix(self) -> &'static str {
        match self {
            Self::HealthyHosts => HEALTHY_HOSTS,
            Self::Elb5xx => ELB_5XX,
            Self::StatusCheck => STATUS_CHECK,
        }
    }

    fn settings(self) -> Settings {
        match self {
            // Without registered targets the metric is not reported at all, hence `breaching`.
            Self::HealthyHosts => Settings {
                namespace: "AWS/ApplicationELB",
                metric: "HealthyHostCount",
                statistic: Statistic::Minimum,
                comparison: ComparisonOperator::LessThanThreshold,
                threshold: 1.0,
                datapoints: (2, 2),
                missing: "breaching",
                description: "No instance is healthy behind the load balancer: nobody can meet. The \
                              group replaces it by itself; `jitsi-aws probe` tells when it is back.",
            },
            // A replacement makes a burst of 503 that the alarm above tells of already; this one is
            // for errors that stay while a target counts as healthy. Reported only if not zero.
            Self::Elb5xx => Settings {
                namespace: "AWS/ApplicationELB",
                metric: "HTTPCode_ELB_5XX_Count",
                statistic: Statistic::Sum,
                comparison: ComparisonOperator::GreaterThanOrEqualToThreshold,
                threshold: 10.0,
                datapoints: (3, 5),
                missing: "notBreaching",
                description: "The load balancer answers requests with 5xx because it gets no answer \
                              from the instance. `jitsi-aws probe` shows what is wrong.",
            },
            // No data means no instance, which the group and the first alarm tell of.
            Self::StatusCheck => Settings {
                namespace: "AWS/EC2",
                metric: "StatusCheckFailed",
                statistic: Statistic::Maximum,
                comparison: ComparisonOperator::GreaterThanOrEqualToThreshold,
                threshold: 1.0,
                datapoints: (2, 2),
                missing: "notBreaching",
                description: "EC2 finds the instance or the machine under it impaired. The group \
                              replaces it by itself; `jitsi-aws probe` tells when it is back.",
            },
        }
    }

    /// Name and value of each dimension. What is not there yet is made before it matters.
    fn dimensions(self, cx: &Cx) -> Vec<(&'static str, String)> {
        let suffix =
            |key| cx.id(key).map_or("none yet".to_owned(), |arn| dimension(&arn).to_owned());
        let alb = || ("LoadBalancer", suffix(&Key::LoadBalancer));
        match self {
            Self::HealthyHosts => vec![alb(), ("TargetGroup", suffix(&Key::TargetGroup))],
            Self::Elb5xx => vec![alb()],
            Self::StatusCheck => {
                vec![("AutoScalingGroupName", cx.names.deployment().to_owned())]
            }
        }
    }

    fn compare(self, cx: &Cx, found: &mut Found, alarm: &MetricAlarm) {
        let wanted = self.settings();
        let statistic = alarm.statistic().map_or("none", Statistic::as_str);
        let actual = format!(
            "{statistic} of {} {}",
            alarm.namespace().unwrap_or_default(),
            alarm.metric_name().unwrap_or_default(),
        );
        let ours = format!("{} of {} {}", wanted.statistic, wanted.namespace, wanted.metric);
        found.compare("metric", actual, ours);

        let actual = alarm.dimensions().iter().map(|dimension| {
            (dimension.name().unwrap_or_default(), dimension.value().unwrap_or_default())
        });
        let ours = self.dimensions(cx);
        let ours = ours.iter().map(|(name, value)| (*name, value.as_str()));
        found.compare("dimensions", told(actual), told(ours));

        let condition = |comparison: &ComparisonOperator, threshold, hits, of, period| {
            format!("{} {threshold} in {hits} of {of} × {period} s", comparison.as_str())
        };
        let none = ComparisonOperator::from("none");
        let actual = condition(
            alarm.comparison_operator().unwrap_or(&none),
            alarm.threshold().unwrap_or_default(),
            alarm.datapoints_to_alarm().or(alarm.evaluation_periods()).unwrap_or_default(),
            alarm.evaluation_periods().unwrap_or_default(),
            alarm.period().unwrap_or_default(),
        );
        let (hits, of) = wanted.datapoints;
        let ours = condition(&wanted.comparison, wanted.threshold, hits, of, PERIOD);
        found
            .compare("condition", actual, ours)
            .compare(
                "missing data",
                alarm.treat_missing_data().unwrap_or("missing"),
                wanted.missing,
            )
            .compare("description", alarm.alarm_description().unwrap_or(""), wanted.description);

        let topic = topic_arn(&cx.names);
        let on = if alarm.actions_enabled() == Some(false) { " (turned off)" } else { "" };
        let actions = [alarm.alarm_actions(), alarm.ok_actions()].map(|actions| actions.join(", "));
        found.compare("actions", actions.join("; ") + on, format!("{topic}; {topic}"));
    }
}

#[async_trait]
impl Resource for Alarm {
    fn name(&self, cx: &Cx) -> String {
        cx.names.with(self.suffix())
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let alarm = || [alarm_arn(names, self.suffix())];
        vec![
            // Narrower than `*` it is denied as soon as a composite alarm exists (`DescribeAlarms`).
            Permission::read(&["cloudwatch:DescribeAlarms"]),
            Permission::read(&["cloudwatch:ListTagsForResource"]).on(alarm()),
            Permission::write(&["cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"])
                .on(alarm())
                .tagging_ours(names),
            Permission::write(&["cloudwatch:DeleteAlarms"]).on(alarm()),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let name = self.name(cx);
        let answer = cx
            .aws
            .cloudwatch
            .describe_alarms()
            .alarm_names(&name)
            .alarm_types(AlarmType::MetricAlarm)
            .send()
            .await
            .doing(format!("looking for alarm `{name}`"))?;
        let Some(alarm) = answer.metric_alarms().first() else { return Ok(Vec::new()) };
        let tags = cx
            .aws
            .cloudwatch
            .list_tags_for_resource()
            .resource_arn(alarm.alarm_arn().unwrap_or_default())
            .send()
            .await
            .doing(format!("reading the tags of alarm `{name}`"))?;
        let tags = tags.tags().iter();
        let tags = tags.map(|tag| (tag.key().unwrap_or_default(), tag.value().unwrap_or_default()));
        let state = alarm.state_value().map_or("", |state| state.as_str());
        let mut found = Found::new(&name, tags::owner(&cx.names, tags)).detail(state);
        self.compare(cx, &mut found, alarm);
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let topic = cx.need(&Key::Topic)?;
        let Settings { datapoints: (hits, of), .. } = self.settings();
        let settings = self.settings();
        let dimensions = self
            .dimensions(cx)
            .into_iter()
            .map(|(name, value)| Dimension::builder().name(name).value(value).build());
        cx.aws
            .cloudwatch
            .put_metric_alarm()
            .alarm_name(&name)
            .alarm_description(settings.description)
            .namespace(settings.namespace)
            .metric_name(settings.metric)
            .set_dimensions(Some(dimensions.collect()))
            .statistic(settings.statistic)
            .period(PERIOD)
            .datapoints_to_alarm(hits)
            .evaluation_periods(of)
            .comparison_operator(settings.comparison)
            .threshold(settings.threshold)
            .treat_missing_data(settings.missing)
            .alarm_actions(&topic)
            .ok_actions(&topic)
            // Taken when the alarm is new, ignored when it is changed (`PutMetricAlarm`).
            .set_tags(Some(tag_list!(cx, Stage::Monitoring, &name, Tag)))
            .send()
            .await
            .doing(format!("setting alarm `{name}`"))?;
        Ok(name)
    }

    async fn update(&self, cx: &Cx, _: &Found) -> Result<()> {
        self.create(cx).await.map(drop)
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        cx.aws
            .cloudwatch
            .delete_alarms()
            .alarm_names(&found.id)
            .send()
            .await
            .unless(&["ResourceNotFound"], format!("deleting alarm `{}`", found.id))?;
        Ok(())
    }
}

/// Dimensions in words, whatever their order.
fn told<'a>(dimensions: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut words: Vec<String> =
        dimensions.map(|(name, value)| format!("{name} {value}")).collect();
    words.sort_unstable();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_dimensions_is_no_drift() {
        assert_eq!(
            told([("b", "2"), ("a", "1")].into_iter()),
            told([("a", "1"), ("b", "2")].into_iter())
        );
    }
}
