"""The life of a group's instances: hooks, health, replacement, zones, activities, deletion."""

import pytest
from botocore.exceptions import ClientError
from deployment import LAUNCH, TERMINATE, Site


def test_launch_waits_for_the_hook_and_registers_after_it(sandbox):
    site = Site(sandbox)
    sandbox.after(3)
    assert site.states() == ["Pending:Wait"]
    assert site.health() == []
    instance = site.members()[0]["InstanceId"]
    sandbox.after(20)
    assert site.states() == ["Pending:Wait"]
    site.complete(LAUNCH, instance)
    sandbox.after(2)
    assert site.states() == ["InService"]
    assert site.health(instance) == ["healthy"]
    assert [a["StatusCode"] for a in site.activities()] == ["Successful"]


def test_a_second_completion_is_an_error(sandbox):
    site = Site(sandbox)
    instance = site.in_service()
    with pytest.raises(ClientError, match="No active Lifecycle Action found with instance ID"):
        site.complete(LAUNCH, instance)


def test_heartbeats_hold_the_launch_beyond_its_timeout(sandbox):
    site = Site(sandbox)
    sandbox.after(3)
    instance = site.members()[0]["InstanceId"]
    for _ in range(3):
        sandbox.after(50)
        site.asg.record_lifecycle_action_heartbeat(
            AutoScalingGroupName="site", LifecycleHookName=LAUNCH, InstanceId=instance
        )
    assert site.states() == ["Pending:Wait"]
    assert site.members()[0]["InstanceId"] == instance


def test_heartbeat_timeout_abandons_and_the_group_launches_again(sandbox):
    site = Site(sandbox)
    sandbox.after(3)
    first = site.members()[0]["InstanceId"]
    sandbox.after(65)
    assert first not in [m["InstanceId"] for m in site.members()]
    assert site.states() == ["Pending:Wait"]
    failed = [a for a in site.activities() if a["StatusCode"] == "Cancelled"]
    assert "Heartbeat Timeout" in failed[0]["StatusMessage"]


def test_abandon_mails_the_cause_and_launches_another(sandbox):
    site = Site(sandbox)
    site.mail_about(
        {"source": ["aws.autoscaling"], "detail-type": ["EC2 Instance Launch Unsuccessful"]},
        transformer={"InputPathsMap": {"i": "$.detail.EC2InstanceId", "why": "$.detail.StatusMessage"},
                     "InputTemplate": '"<i> failed: <why>"'},
    )
    sandbox.after(3)
    first = site.members()[0]["InstanceId"]
    site.complete(LAUNCH, first, "ABANDON")
    sandbox.after(5)
    assert site.members()[0]["InstanceId"] != first
    assert f"{first} failed: Instance failed to complete" in sandbox.bodies().replace("=\n", "")


def test_termination_drains_first_then_holds_then_ends(sandbox):
    site = Site(sandbox, delay=30)
    instance = site.in_service()
    site.asg.terminate_instance_in_auto_scaling_group(
        InstanceId=instance, ShouldDecrementDesiredCapacity=False
    )
    sandbox.after(20)
    states = {m["InstanceId"]: m["LifecycleState"] for m in site.members()}
    assert states[instance] == "Terminating"
    assert site.health(instance) == ["draining"]
    assert sandbox.plane.groups.target_lifecycle_state(instance) == "Terminated"
    sandbox.after(12)
    states = {m["InstanceId"]: m["LifecycleState"] for m in site.members()}
    assert states[instance] == "Terminating:Wait"
    assert site.health(instance) == ["unused"]
    site.complete(TERMINATE, instance)
    sandbox.after(3)
    assert instance not in [m["InstanceId"] for m in site.members()]
    state = site.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["State"]
    assert state["Name"] == "terminated"


def test_deleting_a_hook_ends_what_waits_for_it(sandbox):
    site = Site(sandbox)
    first = site.in_service()
    site.ec2.terminate_instances(InstanceIds=[first])
    sandbox.after(5)
    states = {m["InstanceId"]: m["LifecycleState"] for m in site.members()}
    assert states.pop(first) == "Terminating:Wait"
    assert list(states.values()) == ["Pending:Wait"]
    for hook in (TERMINATE, LAUNCH):
        site.asg.delete_lifecycle_hook(AutoScalingGroupName="site", LifecycleHookName=hook)
    sandbox.after(2)
    assert not {first, *states} & {m["InstanceId"] for m in site.members()}


def test_killed_instance_is_replaced(sandbox):
    site = Site(sandbox)
    first = site.in_service()
    site.ec2.terminate_instances(InstanceIds=[first])
    sandbox.after(5)
    new = [m for m in site.members() if m["InstanceId"] != first]
    assert [m["LifecycleState"] for m in new] == ["Pending:Wait"]
    causes = " ".join(a["Cause"] for a in site.activities())
    assert "EC2 health check indicating it has been terminated or stopped" in causes


def test_unhealthy_target_is_replaced_only_with_elb_health_and_after_grace(sandbox):
    site = Site(sandbox, hooks=False)
    first = site.in_service()
    from region.health import CheckResult

    sandbox.health = CheckResult(False, "Target.ResponseCodeMismatch", "codes: [503]")
    sandbox.after(8)
    assert site.states() == ["InService"]
    sandbox.after(12)
    sandbox.health = CheckResult(True)
    sandbox.after(20)
    assert [m["InstanceId"] for m in site.members()] != [first]
    assert "ELB system health check failure" in " ".join(a["Cause"] for a in site.activities())


def test_ec2_health_alone_never_sees_a_bad_target(sandbox):
    site = Site(sandbox, hooks=False, health_type="EC2")
    first = site.in_service()
    from region.health import CheckResult

    sandbox.health = CheckResult(False, "Target.Timeout", "Request timed out")
    sandbox.after(60)
    assert [m["InstanceId"] for m in site.members()] == [first]
    assert site.health(first) == ["unhealthy"]


def test_what_is_suspended_is_not_done(sandbox):
    site = Site(sandbox, hooks=False)
    first = site.in_service()
    site.asg.suspend_processes(AutoScalingGroupName="site", ScalingProcesses=["ReplaceUnhealthy"])
    from region.health import CheckResult

    sandbox.health = CheckResult(False, "Target.Timeout", "Request timed out")
    sandbox.after(60)
    assert [m["InstanceId"] for m in site.members()] == [first]
    site.asg.resume_processes(AutoScalingGroupName="site", ScalingProcesses=["ReplaceUnhealthy"])
    sandbox.health = CheckResult(True)
    sandbox.after(20)
    assert [m["InstanceId"] for m in site.members()] != [first]


def test_zone_outage_moves_the_instance_to_the_other_zone(sandbox):
    site = Site(sandbox, hooks=False)
    first = site.in_service()
    zone = site.members()[0]["AvailabilityZone"]
    sandbox.plane.control("PUT", f"zones/{zone}", {"out": True})
    sandbox.after(60)
    after = site.members()
    assert [m["LifecycleState"] for m in after] == ["InService"]
    assert after[0]["InstanceId"] != first
    assert after[0]["AvailabilityZone"] != zone
    assert not sandbox.machines.alive(first)


def test_scale_out_spreads_over_zones_and_in_again(sandbox):
    site = Site(sandbox, hooks=False)
    site.in_service()
    site.asg.update_auto_scaling_group(AutoScalingGroupName="site", MaxSize=2)
    site.asg.set_desired_capacity(AutoScalingGroupName="site", DesiredCapacity=2)
    sandbox.after(4)
    assert {m["AvailabilityZone"] for m in site.members()} == {"eu-central-1a", "eu-central-1b"}
    site.asg.set_desired_capacity(AutoScalingGroupName="site", DesiredCapacity=1)
    sandbox.after(20)
    assert len(site.members()) == 1


def test_deletion_needs_force_and_shows_itself(sandbox):
    site = Site(sandbox, hooks=False, delay=5)
    site.in_service()
    with pytest.raises(ClientError) as refused:
        site.asg.delete_auto_scaling_group(AutoScalingGroupName="site")
    assert refused.value.response["Error"]["Code"] == "ResourceInUse"
    site.asg.delete_auto_scaling_group(AutoScalingGroupName="site", ForceDelete=True)
    group = site.asg.describe_auto_scaling_groups()["AutoScalingGroups"][0]
    assert group["Status"] == "Delete in progress"
    sandbox.after(10)
    assert site.asg.describe_auto_scaling_groups()["AutoScalingGroups"] == []


def test_refresh_replaces_and_can_launch_first(sandbox):
    site = Site(sandbox, hooks=False, delay=2)
    first = site.in_service()
    site.asg.start_instance_refresh(
        AutoScalingGroupName="site", Preferences={"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}
    )
    with pytest.raises(ClientError) as refused:
        site.asg.start_instance_refresh(AutoScalingGroupName="site")
    assert refused.value.response["Error"]["Code"] == "InstanceRefreshInProgress"
    sandbox.after(2)
    assert len(site.members()) == 2
    sandbox.after(15)
    assert first not in [m["InstanceId"] for m in site.members()]
    refresh = site.asg.describe_instance_refreshes(AutoScalingGroupName="site")["InstanceRefreshes"][0]
    assert (refresh["Status"], refresh["PercentageComplete"]) == ("Successful", 100)


def test_metadata_of_a_hook_is_kept_and_no_made_up_target(sandbox):
    site = Site(sandbox)
    hooks = site.asg.describe_lifecycle_hooks(AutoScalingGroupName="site")["LifecycleHooks"]
    launch = next(h for h in hooks if h["LifecycleHookName"] == LAUNCH)
    assert launch["NotificationMetadata"] == "note"
    assert "NotificationTargetARN" not in launch
    assert launch["GlobalTimeout"] == 6000


def test_an_instance_is_renewed_when_it_is_old(sandbox):
    site = Site(sandbox)
    first = site.in_service()
    site.asg.update_auto_scaling_group(AutoScalingGroupName="site", MaxInstanceLifetime=86_400)
    sandbox.after(86_390, step=600)
    assert [(m["InstanceId"], m["LifecycleState"]) for m in site.members()] == [(first, "InService")]
    sandbox.after(20)
    states = {m["InstanceId"]: m["LifecycleState"] for m in site.members()}
    assert states.pop(first).startswith("Terminating")
    assert list(states.values()) == ["Pending:Wait"]
