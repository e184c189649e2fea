"""AWS Fault Injection Service: a zone taken away by an experiment, and given back; commands meanwhile."""

import json

import pytest
from botocore.exceptions import ClientError
from deployment import TERMINATE, Site

from region.health import CheckResult
from region.machines import CommandResult

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "fis.amazonaws.com"}, "Action": "sts:AssumeRole",
                   "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}}],
}
NEEDED = [
    "ec2:CreateNetworkAcl", "ec2:CreateNetworkAclEntry", "ec2:CreateTags", "ec2:DeleteNetworkAcl",
    "ec2:DescribeManagedPrefixLists", "ec2:DescribeNetworkAcls", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
    "ec2:GetManagedPrefixListEntries", "ec2:ReplaceNetworkAclAssociation", "ec2:InjectApiError",
    "autoscaling:DescribeAutoScalingGroups",
]
TAGS = {"owner": "site"}


class Outage:
    """An experiment on a site's first member's zone, as `start` began it."""

    def __init__(self, site, *, trust=TRUST, allowed=NEEDED, targets=None) -> None:
        self.fis, self.sandbox = site.sandbox.client("fis"), site.sandbox
        iam = self.sandbox.client("iam")
        role = iam.create_role(RoleName="fis", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        statement = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName="fis", PolicyName="permissions", PolicyDocument=policy)
        self.zone = site.members()[0]["AvailabilityZone"]
        subnet = site.subnets["ab".index(self.zone[-1])]
        group = site.asg.describe_auto_scaling_groups()["AutoScalingGroups"][0]["AutoScalingGroupARN"]
        named = {
            "subnet": {"resourceType": "aws:ec2:subnet", "selectionMode": "ALL",
                       "resourceArns": [f"arn:aws:ec2:eu-central-1:123456789012:subnet/{subnet}"]},
            "group": {"resourceType": "aws:ec2:autoscaling-group", "selectionMode": "ALL",
                      "resourceArns": [group]},
        }
        self.template = self.fis.create_experiment_template(
            description="zone outage", roleArn=role, stopConditions=[{"source": "none"}], tags=TAGS,
            targets=named | (targets or {}), actions=actions(self.zone),
        )["experimentTemplate"]["id"]
        self.id = self.fis.start_experiment(experimentTemplateId=self.template, tags=TAGS)["experiment"]["id"]

    def state(self) -> tuple[str, str]:
        state = self.fis.get_experiment(id=self.id)["experiment"]["state"]
        return state["status"], state["reason"]


def actions(zone, **changes):
    duration = {"duration": "PT2M"}
    return {
        "cut-off": {"actionId": "aws:network:disrupt-connectivity", "targets": {"Subnets": "subnet"},
                    "parameters": duration | {"scope": "all"} | changes},
        "no-capacity": {"actionId": "aws:ec2:asg-insufficient-instance-capacity-error",
                        "targets": {"AutoScalingGroups": "group"},
                        "parameters": duration | {"availabilityZoneIdentifiers": zone}},
    }


def test_outage_begins_lasts_and_is_taken_back(sandbox):
    site = Site(sandbox, hooks=False)
    first = site.in_service()
    outage = Outage(site)
    assert outage.state()[0] == "pending"
    sandbox.after(0.5)
    assert outage.state()[0] == "initiating"
    assert sandbox.plane.world.cut_subnets == set()
    sandbox.after(1)
    assert outage.state()[0] == "running"
    assert len(sandbox.plane.world.cut_subnets) == 1
    # the instance itself knows nothing of it
    assert sandbox.machines.alive(first)
    sandbox.after(110)
    assert outage.state()[0] == "running"
    sandbox.after(15)
    assert outage.state()[0] == "completed"
    assert (sandbox.plane.world.cut_subnets, sandbox.plane.world.no_capacity) == (set(), set())


def test_unhealthy_target_is_replaced_in_the_other_zone_and_the_dead_one_waits_in_its_hook(sandbox):
    site = Site(sandbox, delay=2)
    first = site.in_service()
    outage = Outage(site)
    sandbox.after(12)
    sandbox.health = CheckResult(False, "Target.Timeout", "Request timed out")
    sandbox.after(14)
    sandbox.health = CheckResult(True)
    sandbox.after(10)
    members = {m["InstanceId"]: m for m in site.members()}
    assert members.pop(first)["LifecycleState"] == "Terminating:Wait"
    (second,) = members.values()
    assert second["AvailabilityZone"] != outage.zone
    failed = [a for a in site.activities() if a["StatusCode"] == "Failed"]
    assert len(failed) <= 1  # the group may have tried the zone first
    outage.fis.stop_experiment(id=outage.id)
    assert outage.state()[0] == "stopping"
    sandbox.after(2)
    assert outage.state()[0] == "stopped"
    assert sandbox.plane.world.cut_subnets == set()
    site.complete(TERMINATE, first)
    sandbox.after(5)
    assert first not in [m["InstanceId"] for m in site.members()]


def test_launch_in_the_zone_fails_in_awss_words(sandbox):
    site = Site(sandbox, hooks=False)
    first = site.in_service()
    outage = Outage(site)
    sandbox.after(2)
    only = site.subnets["ab".index(outage.zone[-1])]
    site.asg.update_auto_scaling_group(AutoScalingGroupName="site", VPCZoneIdentifier=only)
    site.ec2.terminate_instances(InstanceIds=[first])
    sandbox.after(4)
    failed = next(a for a in site.activities() if a["StatusCode"] == "Failed")
    message = failed["StatusMessage"]
    assert message.startswith("We currently do not have sufficient t3.large capacity in the Availability Zone")
    assert f"({outage.zone})" in message
    assert message.endswith("Launching EC2 instance failed.")
    outage.fis.stop_experiment(id=outage.id)
    sandbox.after(60)
    assert [m["AvailabilityZone"] for m in site.members()] == [outage.zone]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"trust": TRUST | {"Statement": [TRUST["Statement"][0] | {"Principal": {"Service": "ec2.amazonaws.com"}}]}},
         "not authorized to assume"),
        ({"trust": json.loads(json.dumps(TRUST).replace("123456789012", "210987654321"))},
         "not authorized to assume"),
        ({"allowed": NEEDED[1:]}, "not authorized to perform: ec2:CreateNetworkAcl"),
        ({"targets": {"subnet": {"resourceType": "aws:ec2:subnet", "selectionMode": "ALL",
                                 "resourceTags": {"nobody": "has this"}}}}, "empty set"),
    ],
)
def test_experiment_fails_without_rights_or_targets(sandbox, changes, why):
    site = Site(sandbox, hooks=False)
    site.in_service()
    outage = Outage(site, **changes)
    sandbox.after(2)
    status, reason = outage.state()
    assert status == "failed"
    assert why in reason
    assert sandbox.plane.world.cut_subnets == set()


def test_targets_by_tag_and_field(sandbox):
    site = Site(sandbox, hooks=False)
    site.in_service()
    zone = site.members()[0]["AvailabilityZone"]
    site.ec2.create_tags(Resources=site.subnets, Tags=[{"Key": "owner", "Value": "site"}])
    subnet = {"resourceType": "aws:ec2:subnet", "selectionMode": "ALL", "resourceTags": TAGS,
              "filters": [{"path": "AvailabilityZone", "values": [zone]}]}
    Outage(site, targets={"subnet": subnet})
    sandbox.after(2)
    assert sandbox.plane.world.cut_subnets == {site.subnets["ab".index(zone[-1])]}


@pytest.mark.parametrize("changes", [{"duration": "PT10S"}, {"duration": "two minutes"}, {"scope": "vpc"}])
def test_template_is_checked(sandbox, changes):
    site = Site(sandbox, hooks=False)
    site.in_service()
    subnet = {"resourceType": "aws:ec2:subnet", "selectionMode": "ALL",
              "resourceArns": ["arn:aws:ec2:eu-central-1:123456789012:subnet/subnet-1"]}
    group = subnet | {"resourceType": "aws:ec2:autoscaling-group"}
    with pytest.raises(ClientError) as refused:
        sandbox.client("fis").create_experiment_template(
            description="", roleArn="arn:aws:iam::123456789012:role/fis", stopConditions=[{"source": "none"}],
            targets={"subnet": subnet, "group": group}, actions=actions("eu-central-1a", **changes),
        )
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_template_is_known_by_its_tags_until_it_is_deleted(sandbox):
    site = Site(sandbox, hooks=False)
    site.in_service()
    outage = Outage(site)

    def tagged():
        rows = sandbox.client("resourcegroupstaggingapi").get_resources(
            ResourceTypeFilters=["fis:experiment-template"],
            TagFilters=[{"Key": k, "Values": [v]} for k, v in TAGS.items()],
        )["ResourceTagMappingList"]
        return [row["ResourceARN"].rsplit("/", 1)[-1] for row in rows]

    assert tagged() == [outage.template]
    # an experiment goes on without the template it was started from
    outage.fis.delete_experiment_template(id=outage.template)
    assert tagged() == []
    sandbox.after(2)
    assert outage.state()[0] == "running"


def send(sandbox, instance):
    ssm = sandbox.client("ssm")
    command = ssm.send_command(
        DocumentName="AWS-RunShellScript", InstanceIds=[instance], TimeoutSeconds=30,
        Parameters={"commands": ["systemctl kill --signal=KILL nginx.service"]},
    )["Command"]["CommandId"]

    def details() -> tuple[str, str]:
        got = ssm.get_command_invocation(CommandId=command, InstanceId=instance)
        return got["Status"], got["StatusDetails"]

    return details


@pytest.fixture
def managed(sandbox, monkeypatch):
    """A site whose member has an instance profile, and whose machines run any command."""
    site = Site(sandbox, hooks=False)
    instance = site.in_service()
    iam = sandbox.client("iam")
    iam.create_instance_profile(InstanceProfileName="site")
    site.ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": "site"})
    results = [CommandResult(0, "", "")]

    def command(_id, _lines, _timeout):
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    monkeypatch.setattr(sandbox.machines, "command", command)
    return site, instance, results


def test_command_ends_as_it_went(sandbox, managed):
    _, instance, results = managed
    for result, expected in (
        (CommandResult(0, "", ""), ("Success", "Success")),
        (CommandResult(5, "", "no unit"), ("Failed", "Failed")),
        (TimeoutError(), ("TimedOut", "ExecutionTimedOut")),
    ):
        results[0] = result
        assert send(sandbox, instance)() == expected


def test_command_to_an_instance_cut_off_waits_and_is_given_up(sandbox, managed):
    site, instance, _ = managed
    site.asg.suspend_processes(AutoScalingGroupName="site")
    outage = Outage(site)
    sandbox.after(2)
    given_up = send(sandbox, instance)
    sandbox.after(20)
    in_time = send(sandbox, instance)
    assert given_up() == in_time() == ("Pending", "Pending")
    sandbox.after(12)
    assert given_up() == ("TimedOut", "DeliveryTimedOut")
    outage.fis.stop_experiment(id=outage.id)
    sandbox.after(2)
    assert in_time() == ("Success", "Success")


def test_command_to_an_instance_that_is_going_is_refused(sandbox, managed):
    site, instance, _ = managed
    site.ec2.terminate_instances(InstanceIds=[instance])
    with pytest.raises(ClientError) as refused:
        send(sandbox, instance)
    assert refused.value.response["Error"]["Code"] == "InvalidInstanceId"
