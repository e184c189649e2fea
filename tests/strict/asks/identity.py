"""What IAM and STS ask."""

from .. import reference
from .asking import Asking


class Identity(Asking):
    """Users, roles, policies."""

    def iam(self):
        operation = self.call.operation
        if operation == "CreateServiceLinkedRole":
            service = self.p["AWSServiceName"]
            arn = f"arn:aws:iam::{self.account}:role/aws-service-role/{service}/"
            names = {"autoscaling": "AutoScaling", "elasticloadbalancing": "ElasticLoadBalancing", "fis": "FIS"}
            arn += "AWSServiceRoleFor" + names[service.split(".")[0]]
            self.ask(self.action, arn, "role", context={"iam:AWSServiceName": [service]})
            return
        if operation == "GetAccessKeyLastUsed":
            self.ask(self.action, self.things.user_of(self.p["AccessKeyId"]), "user")
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

    def sts(self):
        self.plain()
