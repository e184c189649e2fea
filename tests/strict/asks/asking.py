"""One question to IAM, and what all services put such questions with."""

from dataclasses import dataclass, field

from .. import reference
from ..things import Things, pairs

NEW = "0123456789abcdef0"  # ends the id of what a call makes


@dataclass
class Ask:
    """May the caller do `action` on `resource` (`*`: on nothing in particular)?"""

    action: str
    resource: str
    kind: str = ""
    context: dict = field(default_factory=dict)


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

    def any_arn(self):
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
