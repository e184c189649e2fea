"""What can be turned while the region runs: how long things take, what is broken."""

from dataclasses import asdict, dataclass, field, fields


class NotYet(Exception):
    """What was asked for is still to come: ask again."""


@dataclass
class Delays:
    """Seconds. The defaults are what one sees on AWS; `fast` is for tests that wait for the outcome."""

    instance_pending: float = 20.0  # RunInstances until the machine starts to boot
    instance_shutdown: float = 15.0  # TerminateInstances until `terminated`
    status_check: float = 120.0  # a dead machine until its status checks fail
    group_evaluation: float = 5.0  # a difference in capacity until the group acts on it
    group_health: float = 15.0  # between two looks of the group at its instances
    target_registration: float = 3.0  # RegisterTargets until the first health check
    balancer_provisioning: float = 150.0  # CreateLoadBalancer until `active`
    balancer_interfaces: float = 60.0  # DeleteLoadBalancer until its network interfaces are gone
    subscription: float = 5.0  # until the mail that confirms a subscription is answered; < 0: never
    experiment_start: float = 10.0  # StartExperiment until its actions begin
    experiment_stop: float = 3.0  # StopExperiment until all is put back
    metric_period: float = 60.0  # CloudWatch's minute
    alarm_factor: float = 1.0  # multiplies the period of alarms

    @classmethod
    def fast(cls) -> "Delays":
        return cls(
            instance_pending=0.0,
            instance_shutdown=0.5,
            status_check=5.0,
            group_evaluation=0.5,
            group_health=1.0,
            target_registration=0.2,
            balancer_provisioning=1.0,
            balancer_interfaces=2.0,
            subscription=0.5,
            experiment_start=0.5,
            experiment_stop=0.5,
            metric_period=2.0,
            alarm_factor=1 / 30,
        )


@dataclass
class Fault:
    """Some calls of the AWS API fail."""

    rate: float  # share of matching calls, 0 to 1
    service: str = "*"
    action: str = "*"
    code: str = "Throttling"
    status: int = 400

    def matches(self, service: str, action: str) -> bool:
        return self.service in ("*", service) and self.action in ("*", action)


@dataclass
class Knobs:
    """All of them; read and changed over HTTP under /sandbox/."""

    delays: Delays = field(default_factory=Delays)
    faults: list[Fault] = field(default_factory=list)
    zones_out: set[str] = field(default_factory=set)
    api_latency: float = 0.0  # seconds added to every answer
    clock_ahead: float = 0.0  # seconds AWS's clock is ahead of the instances'
    policies_count: bool = True  # users and instance roles may do what their policies allow

    def change_delays(self, changes: dict) -> None:
        """Sets the named delays; an unknown name is an error."""
        known = {f.name for f in fields(Delays)}
        if unknown := set(changes) - known:
            raise ValueError(f"unknown delays {sorted(unknown)}, known are {sorted(known)}")
        for name, value in changes.items():
            setattr(self.delays, name, float(value))

    def as_dict(self) -> dict:
        return {
            "delays": asdict(self.delays),
            "faults": [asdict(f) for f in self.faults],
            "zones_out": sorted(self.zones_out),
            "api_latency": self.api_latency,
            "clock_ahead": self.clock_ahead,
            "policies_count": self.policies_count,
        }
