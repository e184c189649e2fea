"""That the strict layer can say no."""

import json
from datetime import UTC, datetime

import pytest
from moto.core.utils import get_service_model

from . import documents, managed, policies, reference, wellformed
from .call import Modelled, route

OURS = {"aws:ResourceTag/team": ["jitsi"]}


def made(service, operation, **parameters):
    model = get_service_model(service).operation_model(operation)
    return Modelled(service, operation, parameters, "eu-central-1", model)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (made("elbv2", "CreateTargetGroup", Protocol="HTTP"), "Name"),
        (made("iam", "CreateUser", UserName="a" * 65), "longer than 64"),
        (made("iam", "CreateUser", UserName="no spaces"), "does not match"),
        (made("elbv2", "CreateTargetGroup", Name="jitsi", Protocol="HTPP"), "is none of"),
        (made("elbv2", "CreateTargetGroup", Name="jitsi", HealthCheckIntervalSeconds=1), "Invalid value"),
        (made("elbv2", "CreateTargetGroup", Name="jitsi", HealthCheckIntervalSeconds=301), "over 300"),
        (made("ec2", "CreateVpc", CidrBlock="10.0.0.0/8"), "/16 to /28"),
        (made("ec2", "CreateVpc", CidrBlock="10.0.0.1/16"), "host bits"),
        (made("ec2", "CreateLaunchTemplate", LaunchTemplateName="ab", LaunchTemplateData={}), "3 to 128"),
        (made("ec2", "CreateSecurityGroup", GroupName="sg-alb", Description="x"), "not beginning with sg-"),
        (made("ec2", "CreateSecurityGroup", GroupName="jitsi", Description="people’s"), "at most 255 of"),
        (made("elbv2", "CreateLoadBalancer", Name="internal-jitsi"), "internal-"),
        (made("elbv2", "CreateLoadBalancer", Name="j" * 33), "at most 32"),
        (made("s3", "CreateBucket", Bucket="xn--jitsi"), "reserved"),
        (made("s3", "CreateBucket", Bucket="jitsi-s3alias"), "reserved"),
        (made("s3", "CreateBucket", Bucket="Jitsi"), "lower-case"),
        (made("autoscaling", "CreateAutoScalingGroup", AutoScalingGroupName="a:b", MinSize=1, MaxSize=1), "no colon"),
        (made("cloudwatch", "PutDashboard", DashboardName="a b", DashboardBody="{}"), "letters"),
    ],
)
def test_what_aws_refuses_is_refused(call, why):
    assert why in "; ".join(wellformed.problems(call))


def test_what_aws_takes_is_taken():
    assert wellformed.problems(made("ec2", "CreateVpc", CidrBlock="10.0.0.0/16")) == []
    assert wellformed.problems(made("ec2", "CreateSecurityGroup", GroupName="sgx-alb", Description="x")) == []
    assert wellformed.problems(made("iam", "CreateUser", UserName="jitsi", Path="/jitsi-aws/")) == []


def test_times_are_parameters_too():
    now = datetime.now(UTC)
    asked = {"Namespace": "jitsi", "MetricName": "Participants", "Period": 60, "StartTime": now, "EndTime": now}
    assert wellformed.problems(made("cloudwatch", "GetMetricStatistics", **asked)) == []
    del asked["EndTime"]
    assert "EndTime" in "; ".join(wellformed.problems(made("cloudwatch", "GetMetricStatistics", **asked)))


def put(*statements):
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return made("iam", "CreatePolicy", PolicyName="p", PolicyDocument=document)


def allow(action, resource="*", condition=None):
    return {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition or {}}


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (allow("ec2:DescribeVpc"), "no such action"),
        (allow("ec2:DescribeVpcs", "arn:aws:ec2:eu-central-1:1:vpc/*"), "is of a type it knows"),
        (allow("iam:GetUser", "arn:aws:iam::1:role/jitsi"), "is of a type it knows"),
        (allow("ec2:DescribeVpcs", condition={"StringEquals": OURS}), "has no value"),
        (allow("sns:Publish", condition={"StringEquals": {"ec2:Vpc": "x"}}), "has no value"),
    ],
)
def test_a_grant_that_says_nothing_is_refused(statement, why):
    assert why in "; ".join(documents.problems(put(statement)))


def test_a_grant_that_says_something_is_taken():
    grant = allow("ec2:DeleteVpc", "arn:aws:ec2:eu-central-1:1:*/*", {"StringEquals": OURS})
    assert documents.problems(put(grant)) == []


def allowed(statement, action, resource, context=None):
    return bool(policies.allowing([("p", {"Statement": [statement]})], action, resource, context or {}))


def test_policies_are_read_as_iam_reads_them():
    vpc = "arn:aws:ec2:eu-central-1:1:vpc/vpc-1"
    narrow = allow("ec2:DeleteVpc", "arn:aws:ec2:eu-central-1:1:*/*", {"StringEquals": {"aws:ResourceTag/team": "jitsi"}})
    assert allowed(narrow, "ec2:DeleteVpc", vpc, OURS)
    assert allowed(narrow, "EC2:deletevpc", vpc, OURS), "actions have no letter case"
    assert not allowed(narrow, "ec2:DeleteVpc", vpc), "without the tag"
    assert not allowed(narrow, "ec2:DeleteVpc", vpc, {"aws:ResourceTag/team": ["Jitsi"]})
    assert not allowed(narrow, "ec2:DeleteVpc", vpc.replace("eu-central-1", "eu-west-1"), OURS)
    assert not allowed(narrow, "ec2:DeleteSubnet", vpc, OURS)
    assert not allowed(allow("ec2:DescribeVpcs", vpc), "ec2:DescribeVpcs", "*"), "an ARN grants nothing there"


def test_conditions():
    every = {"ForAllValues:StringEquals": {"route53:Types": ["A"]}}
    assert policies.holds(every, {"route53:Types": ["A", "A"]})
    assert not policies.holds(every, {"route53:Types": ["A", "TXT"]})
    assert policies.holds(every, {}), "no value at all is all of them"
    assert policies.holds({"Null": {"ec2:CreateAction": "false"}}, {"ec2:CreateAction": ["CreateVpc"]})
    assert not policies.holds({"Null": {"ec2:CreateAction": "false"}}, {})
    assert policies.holds({"ArnLike": {"k": "arn:aws:ec2:*:1:launch-template/*"}}, {"k": ["arn:aws:ec2:x:1:launch-template/lt-1"]})
    assert not policies.holds({"ArnLike": {"k": "arn:aws:*"}}, {"k": ["arn:aws:ec2:x:1:vpc/y"]}), "six fields"
    with pytest.raises(KeyError):
        policies.holds({"NumericEquals": {"k": "1"}}, {"k": ["1"]})


def test_an_administrator_is_known():
    assert policies.allow_everything([("p", {"Statement": [allow("*")]})])
    assert not policies.allow_everything([])
    assert not policies.allow_everything([("p", {"Statement": [allow("*", condition={"Null": {"aws:sourceIp": "true"}})]})])
    assert not policies.allow_everything([("p", {"Statement": [allow("ec2:*"), allow("s3:*", "*")]})])


def test_keys_that_differ_from_case_to_case_are_known():
    assert reference.knows("kms:Decrypt", "key", "kms:EncryptionContext:PARAMETER_ARN")
    assert reference.knows("ssm:GetParameter", "parameter", "ssm:resourceTag/team")
    assert reference.knows("s3:ListBucket", "bucket", "s3:prefix")
    assert not reference.knows("sns:Publish", "topic", "s3:prefix")
    assert not reference.knows("kms:Decrypt", "key", "kms:ViaServices")


def test_a_deny_wins():
    both = [("p", {"Statement": [allow("ec2:*"), {"Effect": "Deny", "Action": "ec2:DeleteVpc", "Resource": "*"}]})]
    assert policies.allowing(both, "ec2:DescribeVpcs", "*", {})
    assert not policies.allowing(both, "ec2:DeleteVpc", "*", {})


def test_rest_calls_are_told_apart():
    assert route("s3", "PUT", "/bucket/a/key", {}, {})[0] == "PutObject"
    assert route("s3", "PUT", "/bucket/a/key", {}, {"x-amz-copy-source": "x"})[0] == "CopyObject"
    assert route("s3", "GET", "/bucket", {"list-type": "2"}, {}) == ("ListObjectsV2", {"Bucket": "bucket"})
    assert route("route53", "POST", "/2013-04-01/hostedzone/Z1/rrset/", {}, {})[0] == "ChangeResourceRecordSets"


def test_the_decisions_on_managed_policies_name_real_actions():
    for (service, policy, _), decisions in managed.POLICIES.items():
        assert service in reference.services(), policy
        for action, decision in decisions.items():
            prefix, verb = action.split(":")
            assert decision and prefix != service, (policy, action)
            if decision == managed.GRANTED:
                assert verb in reference.services()[prefix]["privileges"], action
