"""Registered targets of every target group: health by real checks, draining for the deregistration delay."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from moto.ec2 import ec2_backends
from moto.elbv2 import elbv2_backends
from moto.elbv2.exceptions import InvalidTargetError, TargetGroupNotFoundError
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeTargetGroup

from .compute import RUNNING, SHUTTING_DOWN, STOPPED, STOPPING, TERMINATED
from .health import CheckRequest, CheckResult, HealthTracker
from .world import World, log

Probe = Callable[[CheckRequest], CheckResult]


@dataclass
class Target:
    """One registration of one instance."""

    instance_id: str
    port: int
    next_check: float
    health: HealthTracker = field(default_factory=HealthTracker)
    pending: Future | None = None
    draining_until: float | None = None

    @property
    def draining(self) -> bool:
        return self.draining_until is not None


class Targets:
    """Keeps every registration's state; the load balancer and the groups read it."""

    def __init__(self, world: World, probe: Probe, executor: Executor) -> None:
        self.world, self._probe, self._executor = world, probe, executor
        self._by_group: dict[str, dict[str, Target]] = {}
        self._patch()

    def _patch(self) -> None:
        targets = self
        original_register = FakeTargetGroup.register

        def register(group, rows):
            original_register(group, rows)
            now = targets.world.clock()
            for row in rows:
                targets._track(group, row["Id"], int(row.get("Port") or group.port), now)

        def deregister(group, rows):
            for row in rows:
                if row["Id"] not in group.targets:
                    raise InvalidTargetError()
                targets._drain(group, row["Id"], targets.world.clock())

        def describe_target_health(backend, target_group_arn, rows):
            group = backend.target_groups.get(target_group_arn)
            if group is None:
                raise TargetGroupNotFoundError()
            ids = [r["Id"] for r in rows] or list(targets.of(target_group_arn))
            return [targets._status(group, i) for i in ids]

        FakeTargetGroup.register, FakeTargetGroup.deregister = register, deregister
        FakeTargetGroup.deregister_terminated_instances = lambda group, ids: None
        ELBv2Backend.describe_target_health = describe_target_health

    # ---- what others ask

    def of(self, arn: str) -> dict[str, Target]:
        """Targets of a group by instance id, draining ones included."""
        return self._by_group.get(arn, {})

    def state(self, arn: str, instance_id: str) -> str | None:
        target = self.of(arn).get(instance_id)
        return None if target is None else "draining" if target.draining else target.health.state

    def register(self, arn: str, instance_id: str) -> None:
        """Registers unless it is registered."""
        if (group := self._group(arn)) is None:
            return
        target = self.of(arn).get(instance_id)
        if target is None or target.draining:
            group.register([{"Id": instance_id, "Port": group.port}])

    def deregister(self, arn: str, instance_id: str, now: float) -> None:
        if (group := self._group(arn)) is not None and instance_id in group.targets:
            self._drain(group, instance_id, now)

    def drained(self, arn: str, instance_id: str) -> bool:
        return instance_id not in self.of(arn)

    def balancers(self, arn: str) -> list:
        """Load balancers one of whose listeners forwards to the target group."""
        found = []
        for _, backend in self.world.backends(elbv2_backends):
            for balancer in backend.load_balancers.values():
                if arn in forwarded_to(balancer):
                    found.append(balancer)
        return found

    # ---- the clock

    def tick(self, now: float) -> None:
        for _, backend in self.world.backends(elbv2_backends):
            for group in list(backend.target_groups.values()):
                for target in list(self.of(group.arn).values()):
                    self._advance(group, target, now)

    def _advance(self, group, target: Target, now: float) -> None:
        instance = self._instance(group, target.instance_id)
        gone = instance is None or instance.state_code in (SHUTTING_DOWN, TERMINATED)
        if gone and not target.draining:
            self._drain(group, target.instance_id, now)
        if target.draining:
            # A target that is gone has no connections left to wait for.
            if gone or now >= target.draining_until or not self.balancers(group.arn):
                self._by_group[group.arn].pop(target.instance_id, None)
                log.info("%s: %s deregistered", group.name, target.instance_id)
            return
        if target.pending is not None:
            if target.pending.done():
                self._record(group, target, now)
            return
        if now < target.next_check or not group.health_check_enabled:
            return
        balancers = [b for b in self.balancers(group.arn) if b.state == "active"]
        if not balancers or instance.state_code != RUNNING:
            return
        target.health.checking()
        request = check_request(group, target, instance.private_ip, balancers[0].arn)
        target.pending = self._executor.submit(self._probe, request)

    def _record(self, group, target: Target, now: float) -> None:
        future, target.pending = target.pending, None
        try:
            result = future.result()
        except Exception as error:
            log.exception("health check of %s", target.instance_id)
            result = CheckResult(False, "Elb.InternalError", str(error))
        target.next_check = now + float(group.health_check_interval_seconds)
        changed = target.health.record(
            result, int(group.healthy_threshold_count), int(group.unhealthy_threshold_count)
        )
        if changed:
            log.info("%s: %s %s %s", group.name, target.instance_id, target.health.state,
                     target.health.description or "")

    # ---- registrations

    def _track(self, group, instance_id: str, port: int, now: float) -> None:
        known = self._by_group.setdefault(group.arn, {})
        if instance_id not in known or known[instance_id].draining:
            known[instance_id] = Target(instance_id, port, now + self.world.delays.target_registration)
            log.info("%s: %s registered", group.name, instance_id)

    def _drain(self, group, instance_id: str, now: float) -> None:
        group.targets.pop(instance_id, None)
        target = self.of(group.arn).get(instance_id)
        if target is not None and not target.draining:
            delay = float(group.attributes.get("deregistration_delay.timeout_seconds", 300))
            target.draining_until = now + delay
            log.info("%s: %s draining for %.0f s", group.name, instance_id, delay)

    def _group(self, arn: str):
        for _, backend in self.world.backends(elbv2_backends):
            if arn in backend.target_groups:
                return backend.target_groups[arn]
        return None

    @staticmethod
    def _instance(group, instance_id: str):
        return ec2_backends[group.account_id][group.region_name].get_instance_by_id(instance_id)

    def _status(self, group, instance_id: str) -> FakeHealthStatus:
        target = self.of(group.arn).get(instance_id)
        port = target.port if target else group.port

        def status(state: str, reason: str | None = None, description: str | None = None):
            return FakeHealthStatus(instance_id, port, group.health_check_port, state, reason, description)

        if target is None:
            return status("unused", "Target.NotRegistered", "Target is not registered to the target group")
        if target.draining:
            return status(
                "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
            )
        if not self.balancers(group.arn):
            return status(
                "unused", "Target.NotInUse",
                "Target group is not configured to receive traffic from the load balancer",
            )
        instance = self._instance(group, instance_id)
        if instance is not None and instance.state_code in (STOPPING, STOPPED):
            return status("unused", "Target.InvalidState", "Target is in the stopped state")
        return status(target.health.state, target.health.reason, target.health.description)


def forwarded_to(balancer) -> set[str]:
    """Target groups a load balancer's listeners forward to, by any rule."""
    arns = set()
    for listener in balancer.listeners.values():
        for rule in listener.rules.values():
            for action in rule.actions:
                arns.update(forward_arns(action))
    return arns


def forward_arns(action) -> list[str]:
    """Target groups of one forward action, which AWS lets one write in two ways."""
    data = action.data
    if data.get("Type") != "forward":
        return []
    if arn := data.get("TargetGroupArn"):
        return [arn]
    return [t["TargetGroupArn"] for t in data.get("ForwardConfig", {}).get("TargetGroups", [])]


def check_request(group, target: Target, host: str, balancer_arn: str) -> CheckRequest:
    port = group.health_check_port
    return CheckRequest(
        balancer_arn=balancer_arn,
        host=host,
        port=target.port if port in (None, "traffic-port") else int(port),
        protocol=group.health_check_protocol or group.protocol,
        path=group.health_check_path or "/",
        matcher=str((group.matcher or {}).get("HttpCode") or "200"),
        timeout=float(group.health_check_timeout_seconds),
    )
