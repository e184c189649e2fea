"""AWS asks to slow down when an account makes many calls at once, each service by its own code (EC2 API
reference "Request throttling", S3 "503 Slow Down", Route 53 "Throttling errors"; the list all SDKs
retry is botocore's `_retry.json`)."""

from wire import Call, Refusal

from .manner import Manner

ONE_IN = 6


class Throttling(Manner):
    """One action in six is throttled at an account's first call of it."""

    def __init__(self, dice) -> None:
        super().__init__(dice)
        self._first: set[tuple[str, str, str]] = set()

    def refuse(self, call: Call) -> Refusal | None:
        first = (call.account, call.service, call.action)
        if call.service == "*" or first in self._first:
            return None
        self._first.add(first)
        if self.dice.upto(ONE_IN - 1, "throttle", call.service, call.action):
            return None
        if call.service == "ec2":
            return Refusal("RequestLimitExceeded", "Request limit exceeded.", 503)
        if call.service == "s3":
            return Refusal("SlowDown", "Please reduce your request rate.", 503)
        code = "ThrottlingException" if call.is_json else "Throttling"
        return Refusal(code, "Rate exceeded", 400)
