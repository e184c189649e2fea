"""What a load balancer held stays held for a while after DeleteLoadBalancer: its network interfaces
outlive it by up to minutes (EC2 user guide, "Requester-managed network interfaces"; Terraform waits for
them in `aws_lb`), and its certificate and target group still count as in use."""

from wire import Call, Refusal

from .manner import Manner

HELD = {
    ("ec2", "DeleteSecurityGroup"): ("DependencyViolation", "resource {id} has a dependent object"),
    ("ec2", "DeleteSubnet"): ("DependencyViolation", "The subnet '{id}' has dependencies and cannot be deleted."),
    ("ec2", "DetachInternetGateway"): (
        "DependencyViolation",
        "Network vpc has some mapped public address(es). Please unmap those before detaching the gateway.",
    ),
    ("acm", "DeleteCertificate"): ("ResourceInUseException", "Certificate {id} is in use."),
    ("elasticloadbalancing", "DeleteTargetGroup"): (
        "ResourceInUse", "Target group '{id}' is currently in use by a listener or a rule",
    ),
}


class Release(Manner):
    """The first one or two tries after a load balancer was deleted are refused."""

    def __init__(self, dice) -> None:
        super().__init__(dice)
        self._held: dict[tuple[str, str, str], int] = {}

    def refuse(self, call: Call) -> Refusal | None:
        what = (call.account, call.service, call.action)
        if self._held.get(what):
            self._held[what] -= 1
            code, text = HELD[what[1:]]
            named = [v for k, v in call.parameters.items() if k not in ("Action", "Version")]
            return Refusal(code, text.format(id=(named or ["it"])[0]), 400)
        return None

    def rewrite(self, call: Call, status: str, body: bytes) -> None:
        if call.action == "DeleteLoadBalancer" and status.startswith("200"):
            for service, action in HELD:
                self._held[call.account, service, action] = self.dice.upto(2, "held", action)
