//! What the monitoring resources share: the alarms' names, which the topic's policy lists too, and how
//! a difference in a document is told.

use crate::{engine::Found, names::Names};

/// Names of the alarms, behind the deployment's.
pub(super) const HEALTHY_HOSTS: &str = "healthy-hosts";
pub(super) const ELB_5XX: &str = "elb-5xx";
pub(super) const STATUS_CHECK: &str = "status-check";

/// ARN of an alarm.
pub(super) fn alarm_arn(names: &Names, alarm: &str) -> String {
    names.arn("cloudwatch", &format!("alarm:{}", names.with(alarm)))
}

/// Compares documents, which are too long to be shown in a plan.
pub(super) fn compare_document(found: &mut Found, field: &'static str, same: bool) {
    let actual = if same { "ours" } else { "changed by somebody or made by another version" };
    found.compare(field, actual, "ours");
}
