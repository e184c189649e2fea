"""AWS fails inside, and calls it differently in every service: IAM `ServiceFailure`, CloudWatch
`InternalServiceFault`, Elastic Load Balancing `InternalFailure`, S3 and EC2 `InternalError` (each
service's "Common errors"). Whether the call took effect is not known."""

from wire import Call, Refusal

from .manner import Manner

ONE_IN = 9
READS = ("Describe", "Get", "List", "Head", "GET", "HEAD")
CODES = {
    "iam": "ServiceFailure",
    "monitoring": "InternalServiceFault",
    "sns": "InternalError",
    "ec2": "InternalError",
    "s3": "InternalError",
    "acm": "InternalFailure",
    "events": "InternalException",
    "autoscaling": "InternalFailure",
    "elasticloadbalancing": "InternalFailure",
}


class Failures(Manner):
    """One writing action in nine fails at an account's first call of it, half of these after it took effect."""

    def __init__(self, dice) -> None:
        super().__init__(dice)
        self._first: set[tuple[str, str, str]] = set()

    def refuse(self, call: Call) -> Refusal | None:
        return self._fail(call, before=True)

    def spoil(self, call: Call, status: str) -> Refusal | None:
        return self._fail(call, before=False) if status.startswith("2") else None

    def _fail(self, call: Call, before: bool) -> Refusal | None:
        first = (call.account, call.service, call.action)
        if call.action.startswith(READS) or call.service not in CODES or first in self._first:
            return None
        if before == bool(self.dice.upto(1, "before", call.service, call.action)):
            return None
        self._first.add(first)
        if self.dice.upto(ONE_IN - 1, "fail", call.service, call.action):
            return None
        return Refusal(CODES[call.service], "We encountered an internal error. Please try again.", 500)
