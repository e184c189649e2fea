"""The control plane: every controller, and the one thread that lets time pass for them."""

import threading
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path

import moto_mends
from moto.ec2.models import elastic_ip_addresses, elastic_network_interfaces
from moto.elbv2 import elbv2_backends

from . import groups_api
from .addresses import PublicAddresses
from .alarms import Alarms
from .balancers import Balancers
from .commands import Commands
from .compute import RUNNING, Compute
from .events import Events
from .fis import Experiments
from .groups import Groups
from .health import CheckRequest, CheckResult
from .knobs import Fault
from .machines import Machines
from .mail import Mail
from .metrics import instance_samples, target_samples
from .refresh import Refreshes
from .targets import Probe, Targets
from .world import World, log

STEP = 0.1  # seconds between two ticks


def always_healthy(_: CheckRequest) -> CheckResult:
    """For a control plane without machines."""
    return CheckResult(True)


class Plane:
    """Puts the controllers behind moto; ticks them in the order in which a change spreads."""

    def __init__(
        self, world: World, machines: Machines, probe: Probe, executor: Executor, maildir: Path
    ) -> None:
        self.world = world
        moto_mends.install()  # the controllers build on it
        addresses = PublicAddresses()
        elastic_network_interfaces.random_public_ip = addresses.take
        elastic_ip_addresses.random_ip = addresses.take
        self.events = Events(world)
        self.mail = Mail(world, maildir)
        self.compute = Compute(world, machines)
        self.balancers = Balancers(world, addresses)
        self.targets = Targets(world, probe, executor)
        self.groups = Groups(world, self.compute, self.targets)
        self.refreshes = Refreshes(world, self.groups)
        groups_api.install(self.groups, self.refreshes)
        self.commands = Commands(world, machines, executor)
        self.experiments = Experiments(world)
        self.metrics = [
            lambda: target_samples(world, self.targets),
            lambda: instance_samples(self.compute),
        ]
        self.alarms = Alarms(world, self.events, self.metrics)
        self.spot_notices: dict[str, dict] = {}
        self._parts = [
            self.experiments, self.compute, self.balancers, self.targets, self.groups, self.refreshes,
            self.commands, self.mail, self.alarms,
        ]
        self._ending = threading.Event()

    def tick(self) -> None:
        """One step of everything; a part that fails is logged and does not stop the others."""
        with self.world.lock:
            for part in self._parts:
                try:
                    part.tick(self.world.clock())
                except Exception:
                    log.exception("%s", type(part).__name__)

    def add(self, part) -> None:
        """One more part to tick."""
        self._parts.append(part)

    def run(self) -> None:
        """Ticks until `end`."""
        while not self._ending.wait(STEP):
            self.tick()

    def end(self) -> None:
        self._ending.set()

    # ---- /sandbox/

    def control(self, method: str, path: str, body: dict) -> dict | None:
        """Answers the knobs; None for an unknown one."""
        with self.world.lock:
            knobs = self.world.knobs
            match (method, path.split("/")):
                case ("GET", ["state"]):
                    return self.state()
                case ("GET", ["knobs"]):
                    return knobs.as_dict()
                case ("PUT", ["delays"]):
                    knobs.change_delays(body)
                    return knobs.as_dict()
                case ("PUT", ["latency"]):
                    knobs.api_latency = float(body["seconds"])
                    return knobs.as_dict()
                case ("PUT", ["clock"]):
                    knobs.clock_ahead = float(body["ahead"])
                    return knobs.as_dict()
                case ("PUT", ["faults"]):
                    knobs.faults = [Fault(**fault) for fault in body["faults"]]
                    return knobs.as_dict()
                case ("PUT", ["iam"]):
                    knobs.policies_count = bool(body["enforced"])
                    return knobs.as_dict()
                case ("PUT", ["zones", zone]):
                    (knobs.zones_out.add if body["out"] else knobs.zones_out.discard)(zone)
                    log.info("zone %s is %s", zone, "out" if body["out"] else "back")
                    return knobs.as_dict()
                case ("PUT", ["spot", instance_id]):
                    self.spot_notices.setdefault(instance_id, {}).update(body)
                    return self.spot_notices[instance_id]
            return None

    def state(self) -> dict:
        """What `scripts/sandbox status` shows."""
        instances = []
        for i in self.compute.instances():
            found = self.groups.find(i.id)
            instances.append(
                {
                    "id": i.id,
                    "state": i.state,
                    "zone": i.placement.zone,
                    "private": i.private_ip if i.state_code <= RUNNING else None,
                    "public": i.public_ip,
                    "group": found[0].name if found else None,
                    "lifecycle": found[1].lifecycle_state if found else None,
                    "status": self.compute.status(i)["Status"],
                }
            )
        targets = [
            {"group": arn.split("/")[-2], "id": t.instance_id, "reason": t.health.reason,
             "description": t.health.description,
             "state": "draining" if t.draining else t.health.state}
            for arn, known in self.targets._by_group.items() for t in known.values()
        ]
        activities = [
            {k: str(v) for k, v in asdict(a).items()
             if k in ("start_time", "status_code", "description", "status_message", "cause")}
            for a in self.groups.activities[:20]
        ]
        balancers = [
            {
                "name": b.name,
                "state": b.state,
                "dns_name": b.dns_name,
                "addresses": {c.availability_zone: c.public_ip for c in self.balancers.interfaces(b.arn)},
            }
            for _, backend in self.world.backends(elbv2_backends) for b in backend.load_balancers.values()
        ]
        return {
            "balancers": balancers,
            "instances": instances,
            "targets": targets,
            "activities": activities,
            "undelivered": self.events.undelivered,
            "knobs": self.world.knobs.as_dict(),
        }
