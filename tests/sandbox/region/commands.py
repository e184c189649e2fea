"""SSM Run Command: shell scripts run inside the instance."""

from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime

from moto.core.exceptions import JsonRESTError
from moto.ec2 import ec2_backends
from moto.ssm.models import SimpleSystemManagerBackend

from .compute import RUNNING, SHUTTING_DOWN, TERMINATED
from .machines import Machines
from .world import World, log

DOCUMENT = "AWS-RunShellScript"
DEFAULT_TIMEOUT = 3600
OUTPUT_LIMIT = 24_000  # characters GetCommandInvocation returns
UNFINISHED = ("Pending", "InProgress")


@dataclass
class Waiting:
    """A command on its way to one instance."""

    command: object
    invocation: dict
    instance: object
    deadline: float  # for taking it


class Commands:
    """Sends commands to machines and keeps what came back where moto's API reads it."""

    def __init__(self, world: World, machines: Machines, executor: Executor) -> None:
        self.world, self._machines, self._executor = world, machines, executor
        self.waiting: list[Waiting] = []
        commands = self
        original = SimpleSystemManagerBackend.send_command

        def send_command(backend, **kwargs):
            ids = list(kwargs.get("instance_ids") or [])
            commands.check(backend, kwargs.get("document_name"), ids)
            command = original(backend, **kwargs)
            command.status = command.status_details = "Pending"
            ec2 = ec2_backends[backend.account_id][backend.region_name]
            deadline = commands.world.clock() + command.timeout_seconds
            for invocation in command.invocations:
                invocation |= {"Status": "Pending", "StatusDetails": "Pending", "ResponseCode": -1}
                invocation["ExecutionStartDateTime"] = invocation["ExecutionEndDateTime"] = ""
                instance = ec2.get_instance_by_id(invocation["InstanceId"])
                commands.waiting.append(Waiting(command, invocation, instance, deadline))
            commands.tick(commands.world.clock())
            return command

        SimpleSystemManagerBackend.send_command = send_command

    def check(self, backend, document: str | None, ids: list[str]) -> None:
        """Refuses what SSM refuses: other documents, instances that are not there or have no role."""
        if document != DOCUMENT:
            raise JsonRESTError("InvalidDocument", f"Document with name {document} does not exist.")
        ec2 = ec2_backends[backend.account_id][backend.region_name]
        for instance_id in ids:
            instance = ec2.get_instance_by_id(instance_id)
            managed = instance_id in ec2.iam_instance_profile_associations
            if instance is None or instance.state_code in (SHUTTING_DOWN, TERMINATED) or not managed:
                why = f"Instances [[{instance_id}]] not in a valid state for account {backend.account_id}"
                raise JsonRESTError("InvalidInstanceId", why)

    def tick(self, now: float) -> None:
        """Hands commands to instances that can be reached, and gives up on the others in time."""
        kept, self.waiting = self.waiting, []
        for one in kept:
            if one.instance.state_code in (SHUTTING_DOWN, TERMINATED):
                self._end(one.command, one.invocation, "Failed", "Undeliverable")
            elif self._reaches(one.instance):
                one.invocation["ExecutionStartDateTime"] = datetime.now(UTC).isoformat()
                one.invocation["Status"] = one.invocation["StatusDetails"] = "InProgress"
                one.command.status = one.command.status_details = "InProgress"
                self._executor.submit(self.execute, one.command, one.invocation)
            elif now >= one.deadline:
                self._end(one.command, one.invocation, "TimedOut", "DeliveryTimedOut")
            else:
                self.waiting.append(one)

    def _reaches(self, instance) -> bool:
        alive = instance.state_code == RUNNING and self._machines.alive(instance.id)
        return alive and not self.world.cut_off(instance.placement.zone, instance.subnet_id)

    def execute(self, command, invocation: dict) -> None:
        """Runs to the end and records it; called on a worker."""
        lines = command.parameters.get("commands", [])
        limit = float((command.parameters.get("executionTimeout") or [DEFAULT_TIMEOUT])[0])
        try:
            result = self._machines.command(invocation["InstanceId"], lines, limit)
            code, out, err = result.code, result.stdout, result.stderr
            status = details = "Success" if code == 0 else "Failed"
        except TimeoutError:
            code, out, err, status, details = -1, "", "", "TimedOut", "ExecutionTimedOut"
        except Exception as error:
            log.exception("command on %s", invocation["InstanceId"])
            code, out, err, status, details = -1, "", str(error), "Failed", "Failed"
        with self.world.lock:
            self._end(command, invocation, status, details, code, out, err)

    @staticmethod
    def _end(command, invocation: dict, status: str, details: str, code=-1, out="", err="") -> None:
        invocation |= {
            "Status": status,
            "StatusDetails": details,
            "ResponseCode": code,
            "StandardOutputContent": out[:OUTPUT_LIMIT],
            "StandardErrorContent": err[:OUTPUT_LIMIT],
            "ExecutionEndDateTime": datetime.now(UTC).isoformat(),
        }
        states = [i["Status"] for i in command.invocations]
        if not any(state in UNFINISHED for state in states):
            bad = next((s for s in states if s != "Success"), None)
            command.status = command.status_details = bad or "Success"
