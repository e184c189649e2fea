"""Rules of names and values that botocore's models do not hold. EC2's model has neither lengths nor
patterns; cfn-lint's copies of the CloudFormation resource schemas have some. The rest is a table, each
row with the page that says so.
"""

import ipaddress
import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from jsonschema import Draft7Validator

NAME = re.compile
# Operation and parameter: a test, what it asks for, and who says so.
RULES = {
    ("ec2", "CreateLaunchTemplate", "LaunchTemplateName"): (
        NAME(r"[a-zA-Z0-9().\-/_]{3,128}"),
        "3 to 128 of letters, digits and ().-/_",
        "EC2 API, CreateLaunchTemplate",
    ),
    ("ec2", "CreateSecurityGroup", "GroupName"): (
        NAME(r"(?!sg-)[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}"),
        "at most 255, not beginning with sg-",
        "EC2 API, CreateSecurityGroup",
    ),
    ("ec2", "CreateSecurityGroup", "Description"): (
        NAME(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}"),
        "at most 255 of a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{}!$*",
        "EC2 API, CreateSecurityGroup",
    ),
    ("ec2", "ImportKeyPair", "KeyName"): (NAME(r"[ -~]{1,255}"), "at most 255 ASCII", "EC2 API, ImportKeyPair"),
    ("elbv2", "CreateLoadBalancer", "Name"): (
        NAME(r"(?!internal-)(?!-)[a-zA-Z0-9-]{1,32}(?<!-)"),
        "at most 32 letters, digits and hyphens, not beginning with internal-",
        "ELB API, CreateLoadBalancer",
    ),
    ("elbv2", "CreateTargetGroup", "Name"): (
        NAME(r"(?!-)[a-zA-Z0-9-]{1,32}(?<!-)"),
        "at most 32 letters, digits and hyphens",
        "ELB API, CreateTargetGroup",
    ),
    ("s3", "CreateBucket", "Bucket"): (
        NAME(
            r"(?!xn--|sthree-|amzn-s3-demo-)(?!\d+\.\d+\.\d+\.\d+$)(?!.*(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$)"
            r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
        ),
        "3 to 63 lower-case letters, digits, dots and hyphens, without reserved beginnings and endings",
        'S3 user guide, "General purpose bucket naming rules"',
    ),
    ("sns", "CreateTopic", "Name"): (NAME(r"[a-zA-Z0-9_-]{1,256}"), "at most 256", "SNS API, CreateTopic"),
    ("autoscaling", "CreateAutoScalingGroup", "AutoScalingGroupName"): (
        NAME(r"[^:]{1,255}"), "at most 255, no colon", "Auto Scaling API, CreateAutoScalingGroup",
    ),
    ("cloudwatch", "PutDashboard", "DashboardName"): (
        NAME(r"[a-zA-Z0-9_-]{1,255}"), "letters, digits, - and _", "CloudWatch API, PutDashboard",
    ),
}
# Operation, and the CloudFormation resource whose properties are called alike.
SCHEMAS = {
    ("ec2", "CreateVpc"): "AWS::EC2::VPC",
    ("ec2", "CreateSubnet"): "AWS::EC2::Subnet",
    ("ec2", "CreateRoute"): "AWS::EC2::Route",
    ("ec2", "CreateLaunchTemplate"): "AWS::EC2::LaunchTemplate",
    ("ec2", "CreateSecurityGroup"): "AWS::EC2::SecurityGroup",
    ("autoscaling", "CreateAutoScalingGroup"): "AWS::AutoScaling::AutoScalingGroup",
    ("elbv2", "CreateLoadBalancer"): "AWS::ElasticLoadBalancingV2::LoadBalancer",
    ("elbv2", "CreateTargetGroup"): "AWS::ElasticLoadBalancingV2::TargetGroup",
    ("events", "PutRule"): "AWS::Events::Rule",
    ("cloudwatch", "PutMetricAlarm"): "AWS::CloudWatch::Alarm",
    ("sns", "CreateTopic"): "AWS::SNS::Topic",
}
# Properties that are written otherwise in CloudFormation than in the API.
UNLIKE = {"Tags", "TagSpecifications", "Attributes", "VPCZoneIdentifier", "AvailabilityZones", "EventPattern",
          "LaunchTemplateData", "Matcher"}


def problems(call):
    found = [rule for rule in (broken(call, *row) for row in RULES.items()) if rule]
    found += [f"{call.operation}.{path} {why}" for path, why in unlike_schema(call)]
    return found + networks(call)


def broken(call, where, rule):
    service, operation, name = where
    value = call.parameters.get(name)
    if (call.service, call.operation) != (service, operation) or value is None:
        return None
    pattern, asked, source = rule
    return None if pattern.fullmatch(value) else f"{operation}.{name} must be {asked} ({source}): {value!r}"


def networks(call):
    """VPCs and subnets hold /16 to /28, and are written by their first address (EC2 API, `CreateVpc`)."""
    block = call.parameters.get("CidrBlock")
    if call.operation not in ("CreateVpc", "CreateSubnet") or block is None:
        return []
    try:
        network = ipaddress.ip_network(block)
    except ValueError as error:
        return [f"{call.operation}.CidrBlock: {error}"]
    return [] if 16 <= network.prefixlen <= 28 else [f"{call.operation}.CidrBlock must be /16 to /28: {block}"]


@cache
def schema(kind):
    """A resource's schema in us-east-1."""
    # Found without being imported: only its data is of use here, and importing takes a second.
    schemas = Path(find_spec("cfnlint").origin).parent / "data/schemas"
    known = json.loads((schemas / "providers/us-east-1.json").read_text())
    return json.loads((schemas / f"resources/{known[kind]}.json").read_text())


def unlike_schema(call):
    name = SCHEMAS.get((call.service, call.operation))
    if name is None:
        return
    described = schema(name)
    for parameter, value in call.parameters.items():
        property_schema = described["properties"].get(parameter)
        if property_schema is None or parameter in UNLIKE or isinstance(value, (dict, bytes)):
            continue
        whole = {**property_schema, "definitions": described.get("definitions", {})}
        for error in Draft7Validator(whole).iter_errors(value):
            if error.validator in ("minLength", "maxLength", "pattern", "enum", "minimum", "maximum"):
                yield parameter, f"{error.message} (cfn-lint, {described['typeName']})"
