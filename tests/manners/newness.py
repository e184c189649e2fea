"""What was made a moment ago is not known everywhere: reads may not list it, the next call and other
services may say that there is no such thing (EC2 user guide, "Eventual consistency"; IAM user guide,
"Changes that I make are not always immediately visible"). What is imitated is what Terraform's AWS
provider had to learn to retry, kind by kind: its `internal/service/*` is the catalogue."""

import re
import time
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field

from wire import Call, Refusal

from .manner import Manner, tags_of

NEW_FOR = 40  # calls of the account
AT_MOST = 60  # seconds
NO_GROUP = "AutoScalingGroup name not found - no such group: {id}"


@dataclass(frozen=True)
class Kind:
    """One kind of thing: which call makes it, how it is named, who does not know it yet, and how."""

    name: str
    made_by: tuple[str, str]  # service, action
    element: str  # of the answer, with the id; `=Parameter` is the request's own
    # service: (code, message, actions that may refuse); no actions means all but the making one
    unknown: dict[str, tuple] = field(default_factory=dict)
    hidden_from: tuple[str, ...] = ()  # reads that do not list it yet
    most: int = 2  # refusals, and reads without it


def ec2(what: str, action: str, element: str, code: str, reads: tuple[str, ...]) -> Kind:
    """Things of EC2: their own code, and reads by filter that leave them out."""
    return Kind(what, ("ec2", action), element,
                {"ec2": (code, f"The {what} ID '{{id}}' does not exist", ())}, reads)


KINDS = (
    # internal/service/ec2: errCodeInvalid…NotFound, `ec2PropagationTimeout`
    ec2("vpc", "CreateVpc", "vpcId", "InvalidVpcID.NotFound", ("DescribeVpcs",)),
    ec2("subnet", "CreateSubnet", "subnetId", "InvalidSubnetID.NotFound", ("DescribeSubnets",)),
    ec2("internetGateway", "CreateInternetGateway", "internetGatewayId", "InvalidInternetGatewayID.NotFound",
        ("DescribeInternetGateways",)),
    ec2("routeTable", "CreateRouteTable", "routeTableId", "InvalidRouteTableID.NotFound", ("DescribeRouteTables",)),
    ec2("security group", "CreateSecurityGroup", "groupId", "InvalidGroup.NotFound", ("DescribeSecurityGroups",)),
    ec2("launch template", "CreateLaunchTemplate", "launchTemplateId", "InvalidLaunchTemplateId.NotFound",
        ("DescribeLaunchTemplates",)),
    # internal/service/elbv2/target_group.go and listener.go: `elbv2PropagationTimeout`, terraform#19920, #20454
    Kind("target group", ("elasticloadbalancing", "CreateTargetGroup"), "TargetGroupArn", {
        "elasticloadbalancing": ("TargetGroupNotFound", "One or more target groups not found", ()),
        "autoscaling": ("ValidationError", "Provided Target Groups may not be valid. Please ensure they exist and try "
                        "again.", ()),
    }),
    Kind("load balancer", ("elasticloadbalancing", "CreateLoadBalancer"), "LoadBalancerArn", {
        "elasticloadbalancing": ("LoadBalancerNotFound", "One or more load balancers not found", ()),
    }),
    # subnets and groups at another service than their own: internal/service/elbv2/load_balancer.go
    Kind("subnet", ("ec2", "CreateSubnet"), "subnetId", {
        "elasticloadbalancing": ("SubnetNotFound", "The subnet ID '{id}' does not exist", ()),
        "autoscaling": ("ValidationError", "The subnet ID '{id}' does not exist", ()),
    }),
    Kind("security group", ("ec2", "CreateSecurityGroup"), "groupId", {
        "elasticloadbalancing": ("InvalidSecurityGroup", "The security group '{id}' does not exist", ()),
    }),
    Kind("vpc", ("ec2", "CreateVpc"), "vpcId", {
        "elasticloadbalancing": ("ValidationError", "The VPC ID '{id}' is not found", ()),
    }),
    # internal/service/elbv2/listener.go: CertificateNotFound is retried for 5 minutes
    Kind("certificate", ("acm", "ImportCertificate"), "CertificateArn", {
        "acm": ("ResourceNotFoundException", "Could not find certificate {id}.", ("DescribeCertificate",)),
        "elasticloadbalancing": ("CertificateNotFound", "Certificate '{id}' not found", ()),
    }, most=3),
    # internal/service/autoscaling/group.go
    Kind("group", ("autoscaling", "CreateAutoScalingGroup"), "=AutoScalingGroupName", {
        "autoscaling": ("ValidationError", NO_GROUP, (
            "EnableMetricsCollection", "PutLifecycleHook", "UpdateAutoScalingGroup", "PutNotificationConfiguration",
        )),
    }),
    Kind("launch template", ("ec2", "CreateLaunchTemplate"), "launchTemplateId", {
        "autoscaling": ("ValidationError", "You must use a valid fully-formed launch template. The specified launch "
                        "template, with template ID {id}, does not exist.", ()),
    }),
    # internal/service/autoscaling/group.go: `Invalid IAM Instance Profile`, `iamPropagationTimeout` 2 min
    Kind("instance profile", ("iam", "CreateInstanceProfile"), "=InstanceProfileName", {
        "iam": ("NoSuchEntity", "Instance Profile {id} cannot be found.", ()),
        "autoscaling": ("ValidationError", "You must use a valid fully-formed launch template. Value ({id}) for parameter "
                        "iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name", ("CreateAutoScalingGroup",)),
    }),
    # internal/service/iam: `propagationTimeout` around every call on what was made before
    Kind("user", ("iam", "CreateUser"), "=UserName",
         {"iam": ("NoSuchEntity", "The user with name {id} cannot be found.", ())}),
    Kind("role", ("iam", "CreateRole"), "=RoleName",
         {"iam": ("NoSuchEntity", "The role with name {id} cannot be found.", ())}),
    Kind("policy", ("iam", "CreatePolicy"), "Arn",
         {"iam": ("NoSuchEntity", "Policy {id} was not found.", ())}),
    # internal/service/sns/topic.go
    Kind("topic", ("sns", "CreateTopic"), "TopicArn",
         {"sns": ("NotFound", "Topic does not exist", ())}),
    # internal/service/events/rule.go and target.go
    Kind("rule", ("events", "PutRule"), "=Name",
         {"events": ("ResourceNotFoundException", "Rule {id} does not exist on EventBus default.", ("PutTargets",))}),
    # internal/service/s3: `bucketPropagationTimeout`, NoSuchBucket
    Kind("bucket", ("s3", "PUT"), "/bucket",
         {"s3": ("NoSuchBucket", "The specified bucket does not exist", ())}),
)
# A name that is asked for at a service that does not hold it inside the request: a launch template's profile.
IMPLIED = {("autoscaling", "CreateAutoScalingGroup"): "instance profile"}


class Newness(Manner):
    """Up to `most` refusals for each service and action that names a new thing, as many reads without it."""

    def __init__(self, dice) -> None:
        super().__init__(dice)
        # of an account, with the number of the call that made it and its time
        self._made: dict[str, list[tuple[Kind, str, int, float]]] = {}
        self._calls = Counter()
        self._left: dict[tuple[str, str, str, str], int] = {}

    def refuse(self, call: Call) -> Refusal | None:
        self._calls[call.account] += 1
        for kind, name in self._new(call):
            if call.service not in kind.unknown or (call.service, call.action) == kind.made_by:
                continue
            code, message, actions = kind.unknown[call.service]
            if (actions and call.action not in actions) or not self._names(call, kind, name):
                continue
            if self._draw(call, kind, name):
                status = 404 if call.service in ("iam", "s3", "sns") else 400
                return Refusal(code, message.format(id=name), status)
        return None

    def rewrite(self, call: Call, status: str, body: bytes) -> bytes | None:
        if not status.startswith("2"):
            return None
        for kind in KINDS:
            if (call.service, call.action) == kind.made_by and (name := self._named(call, kind, body)):
                made = (kind, name, self._calls[call.account], time.monotonic())
                self._made.setdefault(call.account, []).append(made)
        hidden = {
            name for kind, name in self._new(call)
            if call.service == kind.made_by[0] and call.action in kind.hidden_from
            and name.encode() in body and self._draw(call, kind, name)
        }
        return without(body, hidden) if hidden else None

    def _new(self, call: Call) -> list[tuple[Kind, str]]:
        calls, now = self._calls[call.account], time.monotonic()
        made = self._made.get(call.account, [])
        return [(kind, name) for kind, name, at, when in made if calls - at < NEW_FOR and now - when < AT_MOST]

    def _draw(self, call: Call, kind: Kind, name: str) -> bool:
        """Whether this call is one that does not know the thing."""
        this = (call.account, name, call.service, call.action)
        if this not in self._left:
            self._left[this] = self.dice.upto(kind.most, "new", kind.name, call.service, call.action)
        self._left[this] -= 1
        return self._left[this] >= 0

    @staticmethod
    def _named(call: Call, kind: Kind, body: bytes) -> str | None:
        if kind.element == "/bucket":
            parts = call.path.strip("/").split("/")
            return parts[0] if len(parts) == 1 and parts[0] else None
        if kind.element.startswith("="):
            if found := call.parameters.get(kind.element[1:]):
                return found
            match = re.search(rf'"{kind.element[1:]}": ?"([^"]+)"', call.text)
            return match and match[1]
        match = re.search(rf'"{kind.element}": ?"([^"]+)"', body.decode(errors="replace"))
        found = tags_of(body, kind.element)
        return found[0] if found else (match and match[1])

    @staticmethod
    def _names(call: Call, kind: Kind, name: str) -> bool:
        if IMPLIED.get((call.service, call.action)) == kind.name:
            return True
        if call.service == "iam" and kind.element.startswith("="):
            # a role and its instance profile have one name
            return call.parameters.get(kind.element[1:]) == name
        if call.service == "s3":
            return call.path.strip("/").split("/")[0] == name
        if call.parameters:
            # a list of subnets is one value; a prefix of another name is not the name
            return any(name in re.split(r"[,\s]", value) for value in call.parameters.values())
        return f'"{name}"' in call.text


def without(body: bytes, hidden: set[str]) -> bytes:
    """An answer of EC2 without the items of these ids."""
    root = ET.fromstring(body)
    if match := re.match(r"\{(.*)\}", root.tag):
        ET.register_namespace("", match[1])
    for group in root:
        for item in list(group):
            if any((child.text or "") in hidden for child in item):
                group.remove(item)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)
