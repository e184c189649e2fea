"""What EC2, Auto Scaling and Elastic Load Balancing ask."""

from .. import reference
from .asking import NEW, Asking

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
    "AuthorizeSecurityGroupEgress": [("security-group", "GroupId")],
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
# What is given tags after it was made, by how its id begins.
TAGGED = {"vpc": "vpc", "subnet": "subnet", "igw": "internet-gateway", "rtb": "route-table"}


class Compute(Asking):
    """Networks, instances and what stands before them."""

    def ec2(self):
        specified = {
            each["ResourceType"]: each.get("Tags", []) for each in self.p.get("TagSpecifications", [])
        }
        if self.call.operation == "CreateTags":
            for name in self.p["Resources"]:
                kind = TAGGED[name.split("-")[0]]
                self.ask(self.action, self.arn("ec2", kind, name), kind, context=self.request_tags(self.p["Tags"]))
            return
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
            given += self.p.get("ResourceArns", [])  # AddTags, RemoveTags
            kinds = {"loadbalancer": "loadbalancer/app/", "listener": "listener/app", "targetgroup": "targetgroup"}
            for arn in given[:1]:
                self.ask(self.action, arn, kinds[arn.split(":")[5].split("/")[0]], context=context)
            if not given:
                self.plain()
            return
        if tags:
            context = {**context, "elasticloadbalancing:CreateAction": [operation]}
            self.ask("elasticloadbalancing:AddTags", arn, kind, context=context)
