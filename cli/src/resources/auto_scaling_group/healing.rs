//! What of a group's own settings keeps it from replacing its instance, or from being deleted: processes that
//! are suspended, instances protected from it, zones it may not leave, protection against deletion.

use anyhow::Result;
use aws_sdk_autoscaling::types::{
    AutoScalingGroup, AvailabilityZoneDistribution, CapacityDistributionStrategy,
    DeletionProtection,
};

use super::super::autoscaling::{resume, suspended};
use crate::{aws::Answer, cx::Cx, engine::Found};

const PROCESSES: &str = "suspended processes";
/// Neither an instance refresh nor a group that is made empty ends a protected instance (Amazon EC2 Auto
/// Scaling user guide, "Use instance scale-in protection").
const PROTECTION: &str = "scale-in protection";
/// `balanced-only` goes on trying in a zone that fails instead of launching in the other (same guide, "Auto
/// Scaling group Availability Zone distribution").
const ZONES: &str = "zone distribution";
/// Protection against deletion would make `setup delete` fail half-way.
pub(super) const DELETION: &str = "deletion protection";

/// Compares them.
pub(super) fn compare(found: &mut Found, group: &AutoScalingGroup) {
    let suspended = suspended(group);
    if !suspended.is_empty() {
        found.compare(PROCESSES, suspended.join(", "), "none");
    }
    let protected = group.new_instances_protected_from_scale_in() == Some(true);
    found.compare(PROTECTION, if protected { "on" } else { "off" }, "off");
    let zones = group.availability_zone_distribution();
    let zones = zones.and_then(AvailabilityZoneDistribution::capacity_distribution_strategy);
    let wanted = CapacityDistributionStrategy::BalancedBestEffort;
    found.compare(ZONES, zones.unwrap_or(&wanted), &wanted);
    let deletion = group.deletion_protection().unwrap_or(&DeletionProtection::None);
    found.compare(DELETION, deletion, DeletionProtection::None);
}

/// Puts right what differs.
pub(super) async fn mend(cx: &Cx, found: &Found) -> Result<()> {
    let name = &found.id;
    if found.drifted(PROCESSES) {
        resume(cx).await?;
    }
    if [PROTECTION, ZONES, DELETION].iter().any(|field| found.drifted(field)) {
        let zones = AvailabilityZoneDistribution::builder()
            .capacity_distribution_strategy(CapacityDistributionStrategy::BalancedBestEffort)
            .build();
        cx.aws
            .autoscaling
            .update_auto_scaling_group()
            .auto_scaling_group_name(name)
            .new_instances_protected_from_scale_in(false)
            .availability_zone_distribution(zones)
            .deletion_protection(DeletionProtection::None)
            .send()
            .await
            .doing(format!("letting Auto Scaling group `{name}` replace its instance"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::SuspendedProcess;

    use super::*;
    use crate::tags::Owner;

    #[test]
    fn only_what_healing_takes_must_not_be_suspended() {
        let process = |name: &str| SuspendedProcess::builder().process_name(name).build();
        let drift = |names: &[&str]| {
            let suspended = names.iter().map(|name| process(name)).collect();
            let group =
                AutoScalingGroup::builder().set_suspended_processes(Some(suspended)).build();
            let mut found = Found::new("jitsi", Owner::Ours);
            compare(&mut found, &group);
            found.drift.into_iter().map(|drift| drift.actual).collect::<Vec<_>>()
        };
        assert_eq!(drift(&["Terminate", "AZRebalance", "Launch"]), ["Launch, Terminate"]);
        assert_eq!(drift(&["ScheduledActions", "AlarmNotification"]), [""; 0]);
    }
}
