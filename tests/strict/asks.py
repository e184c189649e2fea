"""What AWS asks IAM about a call: each action, on which things, with which context. Rows are written by
hand where the Service Authorization Reference says what types of things an action is about but not by
which parameter they are named. An action with such types and without a row is an error.

Besides what bears the call's own name, AWS asks what the call does in passing: tags, roles that are
passed, other services looked at (each with its source).
"""

from dataclasses import dataclass, field

from . import reference
from .things import Things, pairs

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
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
}
NEW = "0123456789abcdef0"

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

# EC2: action → (type of thing, parameter that names it; `+` makes it).
EC2 = {
    "CreateVpc": [("vpc", "+")],
    "CreateSubnet": [("subnet", "+"), ("vpc", "VpcId")],
    "CreateInternetGateway": [("internet-gateway", "+")],
    "CreateRouteTable": [("route-table", "+"), ("vpc", "VpcId")],
    "CreateSecurityGroup": [("security-group", "+"), ("vpc", "VpcId")],
    "CreateLaunchTemplate": [("launch-template", "+")],
    "CreateRoute": [("route-table", "RouteTableId")],
    "ReplaceRoute": [("route-table", "RouteTableId")],
    "AssociateRouteTable": [("route-table", "RouteTableId"), ("subnet", "SubnetId")],
    "AttachInternetGateway": [("internet-gateway", "InternetGatewayId"), ("vpc", "VpcId")],
    "DetachInternetGateway": [("internet-gateway", "InternetGatewayId"), ("vpc", "VpcId")],
    "DeleteInternetGateway": [("internet-gateway", "InternetGatewayId")],
    "DeleteRouteTable": [("route-table", "RouteTableId")],
    "DeleteSubnet": [("subnet", "SubnetId")],
    "DeleteVpc": [("vpc", "VpcId")],
    "DescribeVpcAttribute": [("vpc", "VpcId")],
    "ModifyVpcAttribute": [("vpc", "VpcId")],
    "ModifySubnetAttribute": [("subnet", "SubnetId")],
    "AuthorizeSecurityGroupIngress": [("security-group", "GroupId")],
    "RevokeSecurityGroupIngress": [("security-group", "GroupId")],
    "DeleteSecurityGroup": [("security-group", "GroupId")],
    "CreateLaunchTemplateVersion": [("launch-template", "LaunchTemplateId")],
    "ModifyLaunchTemplate": [("launch-template", "LaunchTemplateId")],
    "DeleteLaunchTemplate": [("launch-template", "LaunchTemplateId")],
    "ImportKeyPair": [("key-pair", "KeyName")],
    "DeleteKeyPair": [("key-pair", "KeyName")],
    "TerminateInstances": [("instance", "InstanceIds")],
    "GetConsoleOutput": [("instance", "InstanceId")],
    "CreateVolume": [("volume", "+")],
    "DeleteVolume": [("volume", "VolumeId")],
    "GetSecurityGroupsForVpc": [("vpc", "VpcId")],
}
MADE_AS = {"KeyPairId": "key-pair"}


@dataclass
class Ask:
    """May the caller do `action` on `resource` (`*`: on nothing in particular)?"""

    action: str
    resource: str
    kind: str = ""
    context: dict = field(default_factory=dict)


def asks(call, account):
    """Everything AWS asks IAM about a call; empty for what needs no permission."""
    prefix = PREFIX.get(call.service, call.service)
    action = RENAMED.get(f"{prefix}:{call.operation}", f"{prefix}:{call.operation}")
    if action == "sts:GetCallerIdentity":
        return []  # STS API: "No permissions are required"
    asking = Asking(call, account, prefix, action)
    getattr(asking, prefix)()
    for implied in IMPLIED.get(action, ()):
        asking.ask(implied, "*" if not reference.types(implied) else asking.any_arn(implied))
    return [asking.with_context(each) for each in asking.asked]


class Asking:
    """One call, looked through service by service."""

    def __init__(self, call, account, prefix, action):
        self.call, self.account, self.prefix, self.action = call, account, prefix, action
        self.p = call.parameters
        self.things = Things(account, call.region)
        self.asked = []

    def ask(self, action, resource, kind="", **context):
        self.asked.append(Ask(action, resource, kind, context.get("context", {})))

    def arn(self, prefix, kind, *names):
        return reference.arn(prefix, kind, *names, region=self.call.region, account=self.account)

    def any_arn(self, implied):
        """Of the network the load balancer stands in."""
        subnets = self.p.get("Subnets") or [m.get("SubnetId") for m in self.p.get("SubnetMappings", [])]
        known = self.things.ec2.get_subnet(subnets[0]) if subnets else None
        return self.arn("ec2", "vpc", known.vpc_id if known else "vpc-" + NEW)

    def with_context(self, ask):
        """Adds the tags of the thing and of the request; drops the keys AWS has no value for there."""
        context = {}
        if ask.resource != "*":
            for key, value in self.things.tags(ask.resource).items():
                context[f"aws:ResourceTag/{key}"] = [value]
                context[f"ec2:ResourceTag/{key}"] = [value]
                context[f"ssm:resourceTag/{key}"] = [value]
        context.update(ask.context)
        ask.context = {
            key: value for key, value in context.items() if reference.knows(ask.action, ask.kind, key)
        }
        return ask

    def plain(self):
        """An action on nothing in particular."""
        required = [kind for kind, needed in reference.types(self.action).items() if needed]
        if required and not self.action.split(":")[1].startswith(("Describe", "List")):
            raise NotImplementedError(f"no row says what {self.action} is about: {required}")
        self.ask(self.action, "*")

    def request_tags(self, tags):
        tags = pairs(tags)
        return {**{f"aws:RequestTag/{k}": [v] for k, v in tags.items()}, **({"aws:TagKeys": list(tags)} if tags else {})}

    def pass_role(self, role, to):
        context = {"iam:PassedToService": [to]} if to else {}
        self.ask("iam:PassRole", role, "role", context=context)

    # One method for each of IAM's prefixes.

    def ec2(self):
        specified = {
            each["ResourceType"]: each.get("Tags", []) for each in self.p.get("TagSpecifications", [])
        }
        rows = EC2.get(self.call.operation)
        if self.call.operation in ("DisassociateRouteTable", "ReplaceRouteTableAssociation"):
            table, subnet = self.things.route_table_of(self.p["AssociationId"])
            named = [("route-table", self.p.get("RouteTableId")), ("route-table", table), ("subnet", subnet)]
            for kind, name in named:
                if name:
                    self.ask(self.action, self.arn("ec2", kind, name), kind)
            return
        if rows is None:
            self.plain()
            return
        for kind, parameter in rows:
            if parameter == "+":
                names = [kind + "-" + NEW]
            else:
                value = self.p.get(parameter) or self.p.get("LaunchTemplateName") or self.p.get("KeyPairId")
                names = value if isinstance(value, list) else [value]
            for name in names:
                if kind == "key-pair" and str(name).startswith("key-"):
                    name = next((p.key_name for p in self.things.ec2.key_pairs.values() if p.id == name), name)
                if kind == "launch-template" and name == self.p.get("LaunchTemplateName"):
                    name = self.things.launch_template({"LaunchTemplateName": name})[0]
                tags = self.request_tags(specified.get(kind, []))
                self.ask(self.action, self.arn("ec2", kind, name), kind, context=tags)
        for kind, tags in specified.items():
            name = self.p.get("KeyName") if kind == "key-pair" else f"{kind}-{NEW}"
            self.created_tags(self.call.operation, kind, name, tags)

    def kms(self):
        if "KeyId" not in self.p:
            self.plain()
            return
        key = self.p["KeyId"]
        self.ask(self.action, key if key.startswith("arn:") else self.arn("kms", "key", key), "key")

    def created_tags(self, operation, kind, name, tags):
        """Tags in a create call (EC2 user guide, "Grant permission to tag resources during creation")."""
        context = {**self.request_tags(tags), "ec2:CreateAction": [operation]}
        self.ask("ec2:CreateTags", self.arn("ec2", kind, name), kind, context=context)

    def autoscaling(self):
        tags = self.p.get("Tags", [])
        # CreateOrUpdateTags and DeleteTags name the group in each tag.
        name = self.p.get("AutoScalingGroupName") or (tags and tags[0].get("ResourceId"))
        if not reference.types(self.action) or not name:
            self.plain()
            return
        tags = self.request_tags(tags)
        group = self.arn("autoscaling", "autoScalingGroup", "uuid", name)
        self.ask(self.action, group, "autoScalingGroup", context=tags)
        template = self.p.get("LaunchTemplate")
        if template:
            self.launch(template)

    def launch(self, template):
        """A launch in the caller's name, tried dry (EC2 Auto Scaling user guide, "Control Amazon EC2
        launch template usage in Auto Scaling groups")."""
        lt, data = self.things.launch_template(template)
        if lt is None:
            return
        lt_arn = self.arn("ec2", "launch-template", lt)
        subnets = (self.p.get("VPCZoneIdentifier") or "").split(",")
        interfaces = data.get("NetworkInterfaces") or []
        groups = [g for each in interfaces for g in each.get("Groups", [])] + (data.get("SecurityGroupIds") or [])
        things = [("instance", f"i-{NEW}"), ("network-interface", f"eni-{NEW}"), ("volume", f"vol-{NEW}")]
        things += [("subnet", each) for each in subnets if each] + [("security-group", each) for each in groups]
        things += [("launch-template", lt)]
        if data.get("KeyName"):
            things.append(("key-pair", data["KeyName"]))
        context = {"ec2:LaunchTemplate": [lt_arn]}
        specified = {each["ResourceType"]: each.get("Tags") or each.get("Tag") or []
                     for each in data.get("TagSpecifications") or data.get("TagSpecification") or []}
        for kind, name in things:
            tags = self.request_tags(specified.get(kind, []))
            self.ask("ec2:RunInstances", self.arn("ec2", kind, name), kind, context={**context, **tags})
        image = f"arn:aws:ec2:{self.call.region}::image/{data.get('ImageId')}"
        self.ask("ec2:RunInstances", image, "image", context=context)
        for kind, tags in specified.items():
            self.created_tags("RunInstances", kind, f"{kind}-{NEW}", tags)
        profile = data.get("IamInstanceProfile") or {}
        role = self.things.role_of_profile(profile.get("Arn") or profile.get("Name") or "")
        if role:
            self.pass_role(role, "ec2.amazonaws.com")

    def elasticloadbalancing(self):
        tags, operation = self.p.get("Tags", []), self.call.operation
        made = {
            "CreateLoadBalancer": ("loadbalancer/app/", (self.p.get("Name"), NEW)),
            "CreateTargetGroup": ("targetgroup", (self.p.get("Name"), NEW)),
        }.get(operation)
        context = {**self.request_tags(tags)}
        if made:
            arn, kind = self.arn("elasticloadbalancing", made[0], *made[1]), made[0]
            self.ask(self.action, arn, kind, context=context)
        elif operation == "CreateListener":
            balancer = self.p["LoadBalancerArn"]
            self.ask(self.action, balancer, "loadbalancer/app/", context=context)
            arn = balancer.replace(":loadbalancer/", ":listener/") + "/" + NEW
            kind = "listener/app"
        else:
            given = [self.p[each] for each in ("LoadBalancerArn", "ListenerArn", "TargetGroupArn") if each in self.p]
            if operation.startswith("Describe"):
                self.ask(self.action, "*")
                return
            kinds = {"loadbalancer": "loadbalancer/app/", "listener": "listener/app", "targetgroup": "targetgroup"}
            for arn in given[:1]:
                self.ask(self.action, arn, kinds[arn.split(":")[5].split("/")[0]])
            if not given:
                self.plain()
            return
        if tags:
            context = {**context, "elasticloadbalancing:CreateAction": [operation]}
            self.ask("elasticloadbalancing:AddTags", arn, kind, context=context)

    def iam(self):
        operation = self.call.operation
        if operation == "CreateServiceLinkedRole":
            service = self.p["AWSServiceName"]
            arn = f"arn:aws:iam::{self.account}:role/aws-service-role/{service}/"
            names = {"autoscaling": "AutoScaling", "elasticloadbalancing": "ElasticLoadBalancing", "fis": "FIS"}
            arn += "AWSServiceRoleFor" + names[service.split(".")[0]]
            self.ask(self.action, arn, "role", context={"iam:AWSServiceName": [service]})
            return
        kinds = reference.types(self.action)
        named = [
            ("policy", self.p.get("PolicyArn")) if "UserName" not in self.p and "RoleName" not in self.p else ("", None),
            ("policy", operation == "CreatePolicy" and self.new("policy", self.p["PolicyName"])),
            ("instance-profile", self.p.get("InstanceProfileName") and self.iam_arn("instance-profile", "InstanceProfileName")),
            ("group", self.p.get("GroupName") and f"arn:aws:iam::{self.account}:group/{self.p['GroupName']}"),
            ("user", self.p.get("UserName") and self.iam_arn("user", "UserName")),
            ("role", self.p.get("RoleName") and self.iam_arn("role", "RoleName")),
        ]
        tags = self.request_tags(self.p.get("Tags", []))
        found = [(kind, arn) for kind, arn in named if arn and kind in kinds]
        for kind, arn in found[:1]:
            self.ask(self.action, arn, kind, context=tags)
        if not found:
            self.plain()
        elif self.p.get("Tags") and operation.startswith("Create"):
            # IAM user guide, "Tags for IAM resources": a create with tags takes the right to tag.
            tagging = operation.replace("Create", "iam:Tag")
            self.ask(tagging, found[0][1], found[0][0], context=tags)
        if operation == "AddRoleToInstanceProfile":
            self.pass_role(self.iam_arn("role", "RoleName"), None)

    def new(self, kind, name):
        return f"arn:aws:iam::{self.account}:{kind}{self.p.get('Path', '/')}{name}"

    def iam_arn(self, kind, parameter):
        if self.call.operation.startswith("Create") and "Path" in self.p:
            return self.new(kind, self.p[parameter])
        return self.things.iam(kind, self.p[parameter])

    def acm(self):
        if not reference.types(self.action):
            self.ask(self.action, "*", context=self.request_tags(self.p.get("Tags", [])))
            return
        arn = self.p.get("CertificateArn") or self.arn("acm", "certificate", NEW)
        tags = self.p.get("Tags", [])
        self.ask(self.action, arn, "certificate", context=self.request_tags(tags))
        if tags and self.call.operation == "ImportCertificate":
            # ACM API, ImportCertificate: the right to tag is asked for too.
            self.ask("acm:AddTagsToCertificate", arn, "certificate", context=self.request_tags(tags))

    def cloudwatch(self):
        operation, tags = self.call.operation, self.p.get("Tags", [])
        alarms = self.p.get("AlarmNames") if operation == "DeleteAlarms" else [self.p.get("AlarmName")]
        dashboards = self.p.get("DashboardNames") or [self.p.get("DashboardName")]
        if operation == "ListTagsForResource":
            self.ask(self.action, self.p["ResourceARN"], "alarm")
        elif "Dashboard" in operation:
            for name in dashboards:
                self.ask(self.action, self.arn("cloudwatch", "dashboard", name), "dashboard")
        elif operation == "DescribeAlarms" or alarms == [None]:
            namespace = {"cloudwatch:namespace": [self.p["Namespace"]]} if "Namespace" in self.p else {}
            self.ask(self.action, "*", context=namespace)
        else:
            for name in alarms:
                alarm = self.arn("cloudwatch", "alarm", name)
                self.ask(self.action, alarm, "alarm", context=self.request_tags(tags))
                if tags:  # CloudWatch API, PutMetricAlarm: "you must also have cloudwatch:TagResource"
                    self.ask("cloudwatch:TagResource", alarm, "alarm", context=self.request_tags(tags))

    def sns(self):
        operation, tags = self.call.operation, self.p.get("Tags", [])
        if operation == "CreateTopic":
            topic = self.arn("sns", "topic", self.p["Name"])
        else:
            topic = self.p.get("TopicArn") or self.p.get("ResourceArn")
        if topic is None or not reference.types(self.action):
            self.plain()
            return
        self.ask(self.action, topic, "topic", context=self.request_tags(tags))
        if tags:  # SNS developer guide, "Tagging Amazon SNS topics"
            self.ask("sns:TagResource", topic, "topic", context=self.request_tags(tags))

    def events(self):
        name = self.p.get("Rule") or self.p.get("Name")
        rule = self.p.get("ResourceARN") or (name and self.arn("events", "rule-on-default-event-bus", name))
        if rule is None:
            self.plain()
            return
        tags = self.p.get("Tags", [])
        kind = "rule-on-default-event-bus"
        self.ask(self.action, rule, kind, context=self.request_tags(tags))
        if tags:  # EventBridge API, PutRule: "you must have both the events:PutRule and events:TagResource"
            self.ask("events:TagResource", rule, kind, context=self.request_tags(tags))

    def s3(self):
        bucket = f"arn:aws:s3:::{self.p['Bucket']}" if "Bucket" in self.p else "*"
        if self.call.operation == "DeleteObjects":
            for each in self.p["Delete"]["Objects"]:
                action = "s3:DeleteObjectVersion" if each.get("VersionId") else "s3:DeleteObject"
                self.ask(action, f"{bucket}/{each['Key']}", "object")
        elif "Key" in self.p:
            deletes = self.call.operation == "DeleteObject" and self.p.get("VersionId")
            action = "s3:DeleteObjectVersion" if deletes else self.action
            self.ask(action, f"{bucket}/{self.p['Key']}", "object")
            if self.p.get("Tagging"):  # S3 API, PutObject: x-amz-tagging
                self.ask("s3:PutObjectTagging", f"{bucket}/{self.p['Key']}", "object")
        else:
            prefix = {"s3:prefix": [self.p["Prefix"]]} if "Prefix" in self.p else {}
            self.ask(self.action, bucket, "bucket", context=prefix)

    def route53(self):
        zone = self.p.get("HostedZoneId") or self.p.get("Id")
        if zone is None:
            self.plain()
            return
        zone = "arn:aws:route53:::hostedzone/" + zone.rsplit("/", 1)[-1]
        changes = [each["ResourceRecordSet"] for each in self.p.get("ChangeBatch", {}).get("Changes", [])]
        actions = [each["Action"] for each in self.p.get("ChangeBatch", {}).get("Changes", [])]
        prefix = "route53:ChangeResourceRecordSets"
        names = [each["Name"].rstrip(".").lower() for each in changes]
        context = {f"{prefix}RecordTypes": [each["Type"] for each in changes],
                   f"{prefix}NormalizedRecordNames": names, f"{prefix}Actions": actions}
        self.ask(self.action, zone, "hostedzone", context=context if changes else {})

    def fis(self):
        operation, tags = self.call.operation, self.request_tags(self.p.get("tags", {}))
        template = lambda name: self.arn("fis", "experiment-template", name)  # noqa: E731
        if operation == "CreateExperimentTemplate":
            self.ask(self.action, template("EXT" + NEW), "experiment-template", context=tags)
            for action in self.p.get("actions", {}).values():
                arn = f"arn:aws:fis:{self.call.region}:{self.account}:action/{action['actionId']}"
                self.ask(self.action, arn, "action", context=tags)
            if tags:
                self.ask("fis:TagResource", template("EXT" + NEW), "experiment-template", context=tags)
            self.pass_role(self.p["roleArn"], "fis.amazonaws.com")
        elif operation == "StartExperiment":
            experiment = self.arn("fis", "experiment", "EXP" + NEW)
            self.ask(self.action, experiment, "experiment", context=tags)
            self.ask(self.action, template(self.p["experimentTemplateId"]), "experiment-template")
            if tags:
                self.ask("fis:TagResource", experiment, "experiment", context=tags)
        elif "id" in self.p:
            kind = "experiment-template" if "Template" in operation else "experiment"
            self.ask(self.action, self.arn("fis", kind, self.p["id"]), kind)
        else:
            self.plain()

    def ssm(self):
        operation = self.call.operation
        if operation == "SendCommand":
            document = f"arn:aws:ssm:{self.call.region}::document/{self.p['DocumentName']}"
            self.ask(self.action, document, "document")
            for instance in self.p.get("InstanceIds", []):
                self.ask(self.action, self.arn("ec2", "instance", instance), "instance")
        elif operation in ("GetParameter", "GetParametersByPath"):
            name = (self.p.get("Name") or self.p.get("Path")).strip("/")
            self.ask(self.action, self.arn("ssm", "parameter", name), "parameter")
            if self.p.get("WithDecryption"):
                # Systems Manager user guide, "How Parameter Store uses KMS"
                for parameter, key in self.things.encrypted_parameters(name):
                    named = {"kms:EncryptionContext:PARAMETER_ARN": [self.arn("ssm", "parameter", parameter)]}
                    self.ask("kms:Decrypt", key, "key", context=named)
        else:
            self.plain()

    def tag(self):
        self.plain()

    def sts(self):
        self.plain()
