"""A policy that was just attached, or a version just made the default, is not in force everywhere at
once (IAM user guide, "Changes that I make are not always immediately visible"). The same for a condition
on a tag that the create call set a moment ago: EC2 and Elastic Load Balancing may refuse the next call
on the thing (EC2 user guide, "Eventual consistency")."""

import time

from wire import Call, Refusal

from .manner import Manner

NEW_FOR = 60  # seconds: a right is in force everywhere by then, used or not
GRANTS = ("AttachUserPolicy", "CreatePolicyVersion")
# The first calls on a thing that only its owner tag allows.
BY_TAG = {
    "ec2": ("ModifyVpcAttribute", "AttachInternetGateway", "CreateSubnet", "AuthorizeSecurityGroupIngress",
            "CreateRoute", "ModifySubnetAttribute"),
    "elasticloadbalancing": ("ModifyTargetGroupAttributes", "ModifyLoadBalancerAttributes"),
    "autoscaling": ("EnableMetricsCollection", "PutLifecycleHook"),
}


class NewRights(Manner):
    """Counted per account and service for policies, per account and action for tags."""

    def __init__(self, dice) -> None:
        super().__init__(dice)
        self._grants: dict[str, tuple[float, dict[str, int]]] = {}
        self._tagged: set[tuple[str, str]] = set()

    def refuse(self, call: Call) -> Refusal | None:
        granted, waiting = self._grants.get(call.account, (None, {}))
        # The administrator's rights are old; so are calls that need none.
        if granted is None or time.monotonic() - granted > NEW_FOR or call.service in ("iam", "sts") or not call.key.startswith("AKIA"):
            return None
        left = waiting.setdefault(call.service, self.dice.upto(1, "right", call.service))
        if left:
            waiting[call.service] = left - 1
            return denied(call)
        if call.action in BY_TAG.get(call.service, ()) and (call.account, call.action) not in self._tagged:
            self._tagged.add((call.account, call.action))
            if self.dice.upto(2, "tag", call.action) == 0:
                return denied(call)
        return None

    def rewrite(self, call: Call, status: str, body: bytes) -> None:
        if call.service == "iam" and call.action in GRANTS and status.startswith("200"):
            self._grants[call.account] = (time.monotonic(), {})


def denied(call: Call) -> Refusal:
    """How a service says no."""
    text = f"User: arn:aws:iam::{call.account}:user/jitsi is not authorized to perform: {call.service}:{call.action}"
    if call.service == "ec2":
        return Refusal("UnauthorizedOperation", f"You are not authorized to perform this operation. {text}", 403)
    if call.service == "sns":
        return Refusal("AuthorizationError", text, 403)
    if call.is_json:
        return Refusal("AccessDeniedException", text, 400)
    return Refusal("AccessDenied", text, 403)
