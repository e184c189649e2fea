"""The small rules by themselves: health thresholds, matchers, lifecycle actions, faults, knobs."""

import pytest
from botocore.exceptions import ClientError
from deployment import Site

from region.health import CheckResult, HealthTracker, matches
from region.knobs import Fault, Knobs
from region.lifecycle import LAUNCHING, LifecycleAction

GOOD, BAD = CheckResult(True), CheckResult(False, "Target.Timeout", "Request timed out")


def test_new_target_needs_one_good_check_and_later_a_threshold():
    tracker = HealthTracker()
    assert tracker.state == "initial"
    assert tracker.record(GOOD, 3, 2)
    assert tracker.state == "healthy"
    assert not tracker.record(BAD, 3, 2)
    assert tracker.record(BAD, 3, 2)
    assert (tracker.state, tracker.reason) == ("unhealthy", "Target.Timeout")
    assert [tracker.record(GOOD, 3, 2) for _ in range(3)] == [False, False, True]


def test_one_good_check_resets_the_bad_ones():
    tracker = HealthTracker()
    for result in (GOOD, BAD, GOOD, BAD, GOOD):
        tracker.record(result, 2, 2)
    assert tracker.state == "healthy"


@pytest.mark.parametrize(
    ("matcher", "status", "expected"),
    [("200", 200, True), ("200", 301, False), ("200,301", 301, True), ("200-299", 204, True)],
)
def test_matchers(matcher, status, expected):
    assert matches(matcher, status) is expected


def test_global_timeout_ends_what_heartbeats_prolong():
    action = LifecycleAction("g", "h", "i", LAUNCHING, 10, "ABANDON", 0)
    for now in range(0, 2000, 5):
        action.tick(now)
        if not action.waiting:
            break
        action.heartbeat(now)
    assert now == 1000
    assert action.abandoned


def test_faults_hit_the_named_action_only(sandbox):
    sandbox.plane.control(
        "PUT", "faults", {"faults": [{"rate": 1, "service": "ec2", "action": "DescribeVpcs", "code": "Throttling",
                                      "status": 400}]}
    )
    ec2 = sandbox.client("ec2")
    ec2.describe_subnets()
    with pytest.raises(ClientError) as refused:
        ec2.describe_vpcs()
    assert refused.value.response["Error"]["Code"] == "Throttling"
    sandbox.plane.control("PUT", "faults", {"faults": [{"rate": 1, "service": "ssm", "code": "AccessDenied"}]})
    with pytest.raises(ClientError) as refused:
        sandbox.client("ssm").describe_instance_information()
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    assert not Fault(1, service="ec2").matches("ssm", "SendCommand")


@pytest.mark.parametrize(("service", "call"), [
    ("ec2", "describe_vpcs"), ("iam", "list_users"), ("s3", "list_buckets"), ("route53", "list_hosted_zones"),
    ("acm", "list_certificates"), ("fis", "list_experiments"), ("cloudwatch", "list_metrics")])
def test_a_fault_is_told_as_the_service_tells_its_own(sandbox, service, call):
    sandbox.plane.control("PUT", "faults", {"faults": [{"rate": 1, "code": "AccessDenied", "status": 403}]})
    with pytest.raises(ClientError) as refused:
        getattr(sandbox.client(service), call)()
    error = refused.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("AccessDenied", "injected by the sandbox")


def test_unknown_delay_is_refused():
    with pytest.raises(ValueError, match="unknown delays"):
        Knobs().change_delays({"instance_pendnig": 3})


def test_balancer_interfaces_outlive_it_and_hold_the_group(sandbox):
    site = Site(sandbox, hooks=False)
    sandbox.after(2)
    state = site.elb.describe_load_balancers()["LoadBalancers"][0]["State"]["Code"]
    assert state == "active"
    mine = {"Filters": [{"Name": "description", "Values": ["ELB app/site/*"]}]}
    assert len(site.ec2.describe_network_interfaces(**mine)["NetworkInterfaces"]) == 2
    site.elb.delete_load_balancer(LoadBalancerArn=site.balancer)
    sandbox.after(1)
    assert len(site.ec2.describe_network_interfaces(**mine)["NetworkInterfaces"]) == 2
    sandbox.after(3)
    assert site.ec2.describe_network_interfaces(**mine)["NetworkInterfaces"] == []


def test_stopped_instance_starts_again_with_another_address(sandbox):
    site = Site(sandbox, hooks=False)
    instance = site.in_service()
    site.asg.suspend_processes(AutoScalingGroupName="site")

    def look():
        return site.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]

    before = look()["PublicIpAddress"]
    site.ec2.stop_instances(InstanceIds=[instance])
    sandbox.after(1)
    assert look()["State"]["Name"] == "stopped"
    site.ec2.start_instances(InstanceIds=[instance])
    sandbox.after(1)
    assert look()["State"]["Name"] == "running"
    assert look()["PublicIpAddress"] != before


def test_machine_that_powers_off_stops_the_instance(sandbox):
    site = Site(sandbox, hooks=False)
    instance = site.in_service()
    site.asg.suspend_processes(AutoScalingGroupName="site")
    sandbox.machines.running.discard(instance)
    sandbox.after(5)
    state = site.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["State"]
    assert state["Name"] == "stopped"
