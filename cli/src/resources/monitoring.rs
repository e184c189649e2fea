//! What the monitoring resources share: the alarms' names, which the topic's policy lists too.

use crate::names::Names;

/// Names of the alarms, behind the deployment's.
pub(super) const HEALTHY_HOSTS: &str = "healthy-hosts";
pub(super) const ELB_5XX: &str = "elb-5xx";
pub(super) const STATUS_CHECK: &str = "status-check";

/// ARN of the topic, which its name tells before it is made.
pub(super) fn topic_arn(names: &Names) -> String {
    names.arn("sns", names.deployment())
}

/// ARN of an alarm.
pub(super) fn alarm_arn(names: &Names, alarm: &str) -> String {
    names.arn("cloudwatch", &format!("alarm:{}", names.with(alarm)))
}
