//! The failover test: harm a running deployment on purpose, watch it from outside as users and as
//! AWS see it, and say how long nobody could meet.

pub mod harm;

use crate::policy::Permission;

/// What looking on takes. What the harm takes stands with the harm.
pub fn permissions() -> Vec<Permission> {
    vec![Permission::read(&[
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeScalingActivities",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricStatistics",
        "ec2:DescribeInstances",
        "elasticloadbalancing:DescribeTargetHealth",
    ])]
}
