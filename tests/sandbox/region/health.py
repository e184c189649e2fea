"""Whether a target is healthy: thresholds over the results of health checks, and the checks themselves."""

import http.client
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class CheckResult:
    """One health check's outcome in the load balancer's words."""

    ok: bool
    reason: str | None = None
    description: str | None = None


@dataclass
class CheckRequest:
    """One health check to make, from the load balancer's own address."""

    balancer_arn: str
    host: str
    port: int
    protocol: str
    path: str
    matcher: str
    timeout: float


class HealthTracker:
    """Counts checks: a new target needs one good one, later changes need a whole threshold in a row."""

    def __init__(self) -> None:
        self.state = "initial"
        self.reason: str | None = "Elb.RegistrationInProgress"
        self.description: str | None = "Target registration is in progress"
        self._good = self._bad = 0

    def checking(self) -> None:
        """The first check is on its way."""
        if self.state == "initial":
            self.reason = "Elb.InitialHealthChecking"
            self.description = "Initial health checks in progress"

    def record(self, result: CheckResult, healthy_threshold: int, unhealthy_threshold: int) -> bool:
        """Takes one result; True when the state changed."""
        before = self.state
        if result.ok:
            self._good, self._bad = self._good + 1, 0
            if self.state == "initial" or self._good >= healthy_threshold:
                self.state, self.reason, self.description = "healthy", None, None
        else:
            self._good, self._bad = 0, self._bad + 1
            if self._bad >= unhealthy_threshold:
                self.state, self.reason, self.description = "unhealthy", result.reason, result.description
        return self.state != before


def matches(matcher: str, status: int) -> bool:
    """`200`, `200,202`, `200-299` as target groups write them."""
    for part in matcher.split(","):
        low, _, high = part.strip().partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False


def check(request: CheckRequest, connect: Callable[[CheckRequest], socket.socket]) -> CheckResult:
    """One HTTP or HTTPS request; certificates are not verified, redirects not followed, as an ALB does."""
    try:
        raw = connect(request)
    except OSError as error:
        return _failure(error)
    try:
        raw.settimeout(request.timeout)
        if request.protocol == "HTTPS":
            context = ssl._create_unverified_context()  # noqa: S323  an ALB verifies no target certificate
            raw = context.wrap_socket(raw)
        elif request.protocol == "TCP":
            return CheckResult(True)
        connection = http.client.HTTPConnection(request.host, request.port, timeout=request.timeout)
        connection.sock = raw
        headers = {"Host": request.host, "User-Agent": "ELB-HealthChecker/2.0", "Connection": "close"}
        connection.request("GET", request.path, headers=headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return _failure(error)
    finally:
        raw.close()
    if matches(request.matcher, status):
        return CheckResult(True)
    return CheckResult(
        False, "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]"
    )


def _failure(error: Exception) -> CheckResult:
    if isinstance(error, TimeoutError):
        return CheckResult(False, "Target.Timeout", "Request timed out")
    return CheckResult(False, "Target.FailedHealthChecks", "Health checks failed")
