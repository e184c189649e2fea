"""What an instance is to the control plane: a machine that can be started, stopped and asked."""

from dataclasses import dataclass
from typing import Protocol


@dataclass
class MachineSpec:
    """All a machine needs to know to start."""

    instance_id: str
    image_id: str
    vpc_id: str
    private_ip: str
    hostname: str


@dataclass
class CommandResult:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


class Machines(Protocol):
    """Starts and stops are asked for and happen by themselves; `alive` tells."""

    def start(self, spec: MachineSpec) -> None: ...

    def stop(self, instance_id: str, *, power_cut: bool = False) -> None: ...

    def reboot(self, instance_id: str) -> None: ...

    def alive(self, instance_id: str) -> bool: ...

    def discard(self, instance_id: str) -> None: ...

    def make_image(self, instance_id: str, image_id: str) -> None: ...

    def console(self, instance_id: str) -> str: ...

    def command(self, instance_id: str, lines: list[str], timeout: float) -> CommandResult: ...


class PretendMachines:
    """No machines at all: for the control plane alone, where there are no privileges, and for tests."""

    def __init__(self) -> None:
        self.running: set[str] = set()

    def start(self, spec: MachineSpec) -> None:
        self.running.add(spec.instance_id)

    def stop(self, instance_id: str, *, power_cut: bool = False) -> None:
        self.running.discard(instance_id)

    def reboot(self, instance_id: str) -> None:
        pass

    def alive(self, instance_id: str) -> bool:
        return instance_id in self.running

    def discard(self, instance_id: str) -> None:
        self.running.discard(instance_id)

    def make_image(self, instance_id: str, image_id: str) -> None:
        pass

    def console(self, instance_id: str) -> str:
        return "no machine: the sandbox runs the control plane only\n"

    def command(self, instance_id: str, lines: list[str], timeout: float) -> CommandResult:
        return CommandResult(1, "", "no machine: the sandbox runs the control plane only\n")
