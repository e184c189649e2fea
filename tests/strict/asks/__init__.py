"""What AWS asks IAM about a call: each action, on which things, with which context. Rows are written by
hand where the Service Authorization Reference says what types of things an action is about but not by
which parameter they are named. An action with such types and without a row is an error.

Besides what bears the call's own name, AWS asks what the call does in passing: tags, roles that are
passed, other services looked at (each with its source).
"""

from .. import reference
from .asking import Ask
from .compute import Compute
from .identity import Identity
from .operations import Operations

__all__ = ["Ask", "asks"]

# IAM's prefix, where it is not the service's name in the SDK.
PREFIX = {"elbv2": "elasticloadbalancing", "resourcegroupstaggingapi": "tag"}
# Actions that are not called like the operation (Service Authorization Reference, "Amazon S3").
RENAMED = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:HeadObject": "s3:GetObject",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
}

# Elastic Load Balancing user guide, "Elastic Load Balancing API permissions"; GetSecurityGroupsForVpc
# from AWS's managed policy ElasticLoadBalancingFullAccess (2026-02-23).
IMPLIED = {
    "elasticloadbalancing:CreateLoadBalancer": [
        "ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:DescribeInternetGateways",
        "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:GetSecurityGroupsForVpc",
    ],
    "elasticloadbalancing:SetSecurityGroups": ["ec2:DescribeSecurityGroups", "ec2:GetSecurityGroupsForVpc"],
    "elasticloadbalancing:SetSubnets": ["ec2:DescribeSubnets"],
    "elasticloadbalancing:CreateTargetGroup": ["ec2:DescribeInternetGateways", "ec2:DescribeVpcs"],
}  # fmt: skip


class Asking(Compute, Identity, Operations):
    """One method for each of IAM's prefixes."""


def asks(call, account):
    """Everything AWS asks IAM about a call; empty for what needs no permission."""
    prefix = PREFIX.get(call.service, call.service)
    action = RENAMED.get(f"{prefix}:{call.operation}", f"{prefix}:{call.operation}")
    if action == "sts:GetCallerIdentity":
        return []  # STS API: "No permissions are required"
    asking = Asking(call, account, prefix, action)
    getattr(asking, prefix)()
    for implied in IMPLIED.get(action, ()):
        asking.ask(implied, "*" if not reference.types(implied) else asking.any_arn())
    return [asking.with_context(each) for each in asking.asked]
