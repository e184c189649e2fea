"""SSM Run Command: shell scripts run inside the instance."""

from concurrent.futures import Executor
from datetime import UTC, datetime

from moto.core.exceptions import JsonRESTError
from moto.ec2 import ec2_backends
from moto.ssm.models import SimpleSystemManagerBackend

from .compute import RUNNING
from .machines import Machines
from .world import World, log

DOCUMENT = "AWS-RunShellScript"
DEFAULT_TIMEOUT = 3600
OUTPUT_LIMIT = 24_000  # characters GetCommandInvocation returns


class Commands:
    """Sends commands to machines and keeps what came back where moto's API reads it."""

    def __init__(self, world: World, machines: Machines, executor: Executor) -> None:
        self.world, self._machines, self._executor = world, machines, executor
        commands = self
        original = SimpleSystemManagerBackend.send_command

        def send_command(backend, **kwargs):
            ids = list(kwargs.get("instance_ids") or [])
            commands.check(backend, kwargs.get("document_name"), ids)
            command = original(backend, **kwargs)
            command.status = command.status_details = "InProgress"
            lines = command.parameters.get("commands", [])
            limit = float((command.parameters.get("executionTimeout") or [DEFAULT_TIMEOUT])[0])
            for invocation in command.invocations:
                invocation |= {"Status": "InProgress", "StatusDetails": "InProgress", "ResponseCode": -1}
                invocation["ExecutionEndDateTime"] = ""
                commands._executor.submit(commands.execute, command, invocation, lines, limit)
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
            if instance is None or instance.state_code != RUNNING or not managed:
                raise JsonRESTError("InvalidInstanceId", f"Instances [[{instance_id}]] not in a valid state")

    def execute(self, command, invocation: dict, lines: list[str], limit: float) -> None:
        """Runs to the end and records it; called on a worker."""
        try:
            result = self._machines.command(invocation["InstanceId"], lines, limit)
            code, out, err = result.code, result.stdout, result.stderr
            status = "Success" if code == 0 else "Failed"
        except TimeoutError:
            code, out, err, status = -1, "", "", "TimedOut"
        except Exception as error:
            log.exception("command on %s", invocation["InstanceId"])
            code, out, err, status = -1, "", str(error), "Failed"
        with self.world.lock:
            invocation |= {
                "Status": status,
                "StatusDetails": status,
                "ResponseCode": code,
                "StandardOutputContent": out[:OUTPUT_LIMIT],
                "StandardErrorContent": err[:OUTPUT_LIMIT],
                "ExecutionEndDateTime": datetime.now(UTC).isoformat(),
            }
            states = [i["Status"] for i in command.invocations]
            if "InProgress" not in states:
                bad = next((s for s in states if s != "Success"), None)
                command.status = command.status_details = bad or "Success"
