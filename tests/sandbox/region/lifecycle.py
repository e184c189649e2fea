"""Lifecycle hooks: an instance waits until somebody completes the action, or until nobody did."""

import uuid
from dataclasses import dataclass, field

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
GLOBAL_TIMEOUT = 172_800  # seconds; AWS: 48 hours or 100 heartbeats, whichever is less


@dataclass
class LifecycleAction:
    """One hook's hold on one instance."""

    group: str
    hook: str
    instance_id: str
    transition: str
    heartbeat_timeout: float
    default_result: str
    started: float
    metadata: str | None = None
    token: str = field(default_factory=lambda: str(uuid.uuid4()))
    result: str | None = None
    timed_out: bool = False
    deadline: float = 0.0

    def __post_init__(self) -> None:
        self._ends = self.started + min(GLOBAL_TIMEOUT, 100 * self.heartbeat_timeout)
        self.heartbeat(self.started)

    def heartbeat(self, now: float) -> None:
        """Starts the heartbeat timeout anew, up to the global timeout."""
        self.deadline = min(now + self.heartbeat_timeout, self._ends)

    def complete(self, result: str) -> None:
        self.result = result

    def tick(self, now: float) -> None:
        """Past its deadline the action ends with the hook's default result."""
        if self.result is None and now >= self.deadline:
            self.timed_out = True
            self.result = self.default_result

    @property
    def waiting(self) -> bool:
        return self.result is None

    @property
    def abandoned(self) -> bool:
        return self.result == "ABANDON"

    def why(self) -> str:
        """AWS's words for an abandoned action."""
        reason = "Heartbeat Timeout" if self.timed_out else "Lifecycle Action Completed with ABANDON Result"
        return (
            "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token "
            f"{self.token} was abandoned: {reason}"
        )
