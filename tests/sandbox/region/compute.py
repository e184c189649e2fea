"""EC2 instances with the states and times of EC2: pending, running, stopping, shutting-down, and the
machines behind them."""

import base64
from dataclasses import dataclass

from moto.core.responses import ActionResult
from moto.ec2 import ec2_backends
from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.instances import Instance, InstanceBackend, InstanceState, StateReason
from moto.ec2.responses.general import General

from .machines import Machines, MachineSpec
from .world import World, log

PENDING, RUNNING, SHUTTING_DOWN, TERMINATED, STOPPING, STOPPED = 0, 16, 32, 48, 64, 80
NAMES = {0: "pending", 16: "running", 32: "shutting-down", 48: "terminated", 64: "stopping", 80: "stopped"}

# The originals, which the controller calls when their time has come.
_terminate = Instance.terminate
_stop = Instance.stop
_start = Instance.start


@dataclass
class Record:
    """What moto's Instance does not know."""

    since: float  # of the present state
    announced: str = ""  # the last state an event was sent for
    dead_since: float | None = None  # the machine does not run although the instance does


class Compute:
    """Brings every instance from the state asked for to the state reached."""

    def __init__(self, world: World, machines: Machines) -> None:
        self.world = world
        self.machines = machines
        self.records: dict[str, Record] = {}
        self._patch()

    def _patch(self) -> None:
        compute = self

        def run_instances(backend, *args, **kwargs):
            reservation = original_run(backend, *args, **kwargs)
            for instance in reservation.instances:
                instance._state = InstanceState(NAMES[PENDING], PENDING)
                compute.records[instance.id] = Record(compute.world.clock())
            return reservation

        def terminate(instance):
            before = InstanceState(instance.state, instance.state_code)
            if instance.state_code not in (SHUTTING_DOWN, TERMINATED):
                instance.state_reason = StateReason(
                    "Client.UserInitiatedShutdown: User initiated shutdown",
                    "Client.UserInitiatedShutdown",
                )
                compute.enter(instance, SHUTTING_DOWN)
                compute.machines.stop(instance.id)
            return before

        def stop(instance):
            before = InstanceState(instance.state, instance.state_code)
            if instance.state_code in (PENDING, RUNNING):
                compute.enter(instance, STOPPING)
                compute.machines.stop(instance.id)
            return before

        def start(instance):
            before = InstanceState(instance.state, instance.state_code)
            if instance.state_code == STOPPED:
                _start(instance)  # takes a new public address
                compute.enter(instance, PENDING)
            return before

        def reboot(instance):
            compute.machines.reboot(instance.id)

        def create_image(backend, instance_id, *args, **kwargs):
            ami = original_image(backend, instance_id, *args, **kwargs)
            compute.machines.make_image(instance_id, ami.id)
            return ami

        def get_console_output(response):
            instance = response.ec2_backend.get_instance(response._get_param("InstanceId"))
            text = compute.machines.console(instance.id)[-64 * 1024 :]
            output = base64.b64encode(text.encode()).decode()
            return ActionResult(
                {"InstanceId": instance.id, "Output": output, "Timestamp": instance.launch_time}
            )

        original_run, original_image = InstanceBackend.run_instances, AmiBackend.create_image
        InstanceBackend.run_instances = run_instances
        AmiBackend.create_image = create_image
        Instance.terminate, Instance.stop, Instance.start, Instance.reboot = terminate, stop, start, reboot
        Instance.instance_status = property(lambda instance: compute.status(instance))
        Instance.system_status = property(lambda instance: compute.status(instance, system=True))
        General.get_console_output = get_console_output

    def enter(self, instance: Instance, code: int) -> None:
        """Puts an instance into a state and tells EventBridge."""
        instance._state = InstanceState(NAMES[code], code)
        record = self.records.setdefault(instance.id, Record(self.world.clock()))
        record.since = self.world.clock()
        self.announce(instance, record)

    def announce(self, instance: Instance, record: Record) -> None:
        if record.announced == instance.state:
            return
        record.announced = instance.state
        log.info("%s %s", instance.id, instance.state)
        region = instance.ec2_backend.region_name
        self.world.publish_event(
            region,
            "aws.ec2",
            "EC2 Instance State-change Notification",
            {"instance-id": instance.id, "state": instance.state},
            [f"arn:aws:ec2:{region}:{self.world.account}:instance/{instance.id}"],
        )

    def instances(self) -> list[Instance]:
        return [i for _, backend in self.world.backends(ec2_backends) for i in backend.all_instances()]

    def zone_out(self, instance: Instance) -> bool:
        return instance.placement.zone in self.world.knobs.zones_out

    def tick(self, now: float) -> None:
        for instance in self.instances():
            record = self.records.setdefault(instance.id, Record(now))
            self.announce(instance, record)
            self._advance(instance, record, now)

    def _advance(self, instance: Instance, record: Record, now: float) -> None:
        waited = now - record.since
        alive = self.machines.alive(instance.id)
        match instance.state_code:
            case 0 if waited >= self.world.delays.instance_pending:
                if self.zone_out(instance):
                    instance.state_reason = StateReason(
                        "Server.InsufficientInstanceCapacity: zone out", "Server.InsufficientInstanceCapacity"
                    )
                    self.enter(instance, SHUTTING_DOWN)
                    return
                self.machines.start(self.spec(instance))
                record.dead_since = None
                self.enter(instance, RUNNING)
            case 16:
                if self.zone_out(instance) and alive:
                    self.machines.stop(instance.id, power_cut=True)
                if alive:
                    record.dead_since = None
                    return
                if record.dead_since is None:
                    record.dead_since = now
                elif not self.zone_out(instance) and now - record.dead_since > 2:
                    # It shut itself down: EC2 follows.
                    ends = instance.instance_initiated_shutdown_behavior == "terminate"
                    self.enter(instance, SHUTTING_DOWN if ends else STOPPING)
            case 32 if not alive and waited >= self.world.delays.instance_shutdown:
                _terminate(instance)
                self.machines.discard(instance.id)
                self.enter(instance, TERMINATED)
            case 64 if not alive:
                _stop(instance)
                self.enter(instance, STOPPED)

    def spec(self, instance: Instance) -> MachineSpec:
        return MachineSpec(
            instance_id=instance.id,
            image_id=instance.image_id,
            vpc_id=instance.vpc_id or "",
            private_ip=instance.private_ip or "",
            hostname=instance.private_dns_name,
        )

    def impaired(self, instance: Instance) -> bool:
        """Whether the status checks fail: the machine has been dead for a while."""
        record = self.records.get(instance.id)
        if record is None or record.dead_since is None:
            return False
        return self.world.clock() - record.dead_since >= self.world.delays.status_check

    def status(self, instance: Instance, *, system: bool = False) -> dict:
        if instance.state_code != RUNNING:
            return {"Status": "not-applicable"}
        # A zone without power fails both checks, a hung or halted machine only its own.
        bad = self.impaired(instance) and (not system or self.zone_out(instance))
        return {
            "Status": "impaired" if bad else "ok",
            "Details": [{"Name": "reachability", "Status": "failed" if bad else "passed"}],
        }
