"""Instances as systemd-nspawn containers: a real init on an overlay of the image's layers, in a network
namespace of its own."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from . import cgroups
from .images import Images
from .knobs import NotYet
from .machines import CommandResult, MachineSpec
from .network import Network
from .shell import attempt, run
from .world import log

REBOOT = 133  # systemd-nspawn's exit code when the container asked for a reboot
GRACE = 12.0  # seconds an orderly shutdown may take before the power is cut
COMMAND_WORDS = 1_000_000  # bytes of a command's output kept


@dataclass
class Machine:
    """One container, and where its files are."""

    spec: MachineSpec
    directory: Path
    layers: list[Path] = field(default_factory=list)  # known from the first boot on
    process: subprocess.Popen | None = None
    starting: bool = True
    wanted: bool = True  # False once it was told to stop

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def upper(self) -> Path:
        return self.directory / "upper"


class NspawnMachines:
    """Starts containers on workers; what the control plane asks returns at once."""

    def __init__(self, directory: Path, images: Images, network: Network,
                 record: Callable[[str, int], None]) -> None:
        self._directory, self._images, self._network, self._record = directory, images, network, record
        self._machines: dict[str, Machine] = {}
        self._workers = ThreadPoolExecutor(8, "machine")

    # ---- what the control plane asks

    def start(self, spec: MachineSpec) -> None:
        machine = self._machines.get(spec.instance_id)
        if machine is None:
            home = self._directory / spec.instance_id
            machine = Machine(spec, home)
            self._machines[spec.instance_id] = machine
        machine.starting = machine.wanted = True
        self._workers.submit(self._boot, machine)

    def stop(self, instance_id: str, *, power_cut: bool = False) -> None:
        machine = self._machines.get(instance_id)
        if machine is not None:
            machine.wanted = False
            self._workers.submit(self._halt, machine, power_cut)

    def reboot(self, instance_id: str) -> None:
        machine = self._machines.get(instance_id)
        if machine is not None:
            self._workers.submit(self._restart, machine)

    def alive(self, instance_id: str) -> bool:
        machine = self._machines.get(instance_id)
        return machine is not None and (
            machine.starting or (machine.process is not None and machine.process.poll() is None)
        )

    def discard(self, instance_id: str) -> None:
        machine = self._machines.pop(instance_id, None)
        if machine is not None:
            self._workers.submit(self._remove, machine)

    def make_image(self, instance_id: str, image_id: str) -> None:
        machine = self._machines[instance_id]
        self._images.add(image_id, machine.upper, machine.layers)

    def console(self, instance_id: str) -> str:
        """What it wrote so far; kept after its end."""
        path = self._directory / instance_id / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def command(self, instance_id: str, lines: list[str], timeout: float) -> CommandResult:
        """Runs a shell script as a service of the instance; TimeoutError when it takes too long."""
        script = "#!/bin/sh\n" + "\n".join(lines) + "\n"
        argv = [
            *self.enter(instance_id), "systemd-run", "--quiet", "--pipe", "--wait", "--collect",
            "--service-type=exec", "/bin/sh", "-c", script,
        ]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout,
                                  stdin=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"no end within {timeout} s") from error
        return CommandResult(done.returncode, done.stdout[:COMMAND_WORDS], done.stderr[:COMMAND_WORDS])

    def enter(self, instance_id: str) -> list[str]:
        """The beginning of a command line that runs inside the instance."""
        machine = self._machines.get(instance_id)
        leader = self._leader(machine) if machine else None
        if leader is None:
            raise NotYet(f"{instance_id} has no init yet")
        return ["nsenter", "--target", str(leader), "--mount", "--uts", "--ipc", "--net", "--pid"]

    # ---- on workers

    def _boot(self, machine: Machine) -> None:
        spec = machine.spec
        try:
            if self._network.attachment(spec.instance_id) is None:
                self._network.attach(spec.instance_id, spec.vpc_id, [spec.private_ip])
            self._mount(machine)
            if machine.wanted:
                self._spawn(machine)
        except Exception:
            log.exception("%s does not start", spec.instance_id)
        finally:
            machine.starting = False

    def _mount(self, machine: Machine) -> None:
        if os.path.ismount(machine.root):
            return
        work = machine.directory / "work"
        for path in (machine.upper, work, machine.root):
            path.mkdir(parents=True, exist_ok=True)
        machine.layers = self._images.layers(machine.spec.image_id)
        lower = ":".join(str(layer) for layer in machine.layers)
        options = f"lowerdir={lower},upperdir={machine.upper},workdir={work}"
        run(["mount", "-t", "overlay", "-o", options, machine.spec.instance_id, str(machine.root)])

    def _spawn(self, machine: Machine) -> None:
        spec = machine.spec
        namespace = self._network.attachment(spec.instance_id).namespace
        argv = [
            "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit",
            f"--directory={machine.root}", f"--machine={spec.instance_id}",
            f"--hostname={spec.hostname.split('.')[0]}",
            f"--network-namespace-path=/run/netns/{namespace}",
            "--capability=CAP_NET_ADMIN,CAP_SYS_NICE,CAP_IPC_LOCK",
            "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only",
        ]
        with (machine.directory / "console.log").open("ab") as console:
            machine.process = subprocess.Popen(
                cgroups.contain(self._group(spec.instance_id), argv),
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            )
        self._record(spec.instance_id, machine.process.pid)
        watcher = threading.Thread(target=self._watch, args=(machine, machine.process), daemon=True)
        watcher.start()

    def _group(self, instance_id: str) -> str:
        return f"{self._network.prefix}-{instance_id}"

    def _watch(self, machine: Machine, process: subprocess.Popen) -> None:
        code = process.wait()
        if code == REBOOT and machine.wanted:
            machine.starting = True
            log.info("%s reboots", machine.spec.instance_id)
            self._boot(machine)
        else:
            log.info("%s: machine off (%s)", machine.spec.instance_id, code)

    def _halt(self, machine: Machine, power_cut: bool) -> None:
        process = machine.process
        if process is None or process.poll() is not None:
            return
        if not power_cut:
            process.send_signal(signal.SIGTERM)  # nspawn passes it on as an orderly shutdown
            try:
                process.wait(GRACE)
                return
            except subprocess.TimeoutExpired:
                pass
        # Its init takes everything in the container along; nspawn, if killed first, would not.
        if (leader := self._leader(machine)) is not None:
            os.kill(leader, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
        process.kill()
        process.wait()

    def _restart(self, machine: Machine) -> None:
        try:
            run([*self.enter(machine.spec.instance_id), "systemctl", "reboot"], timeout=20)
        except Exception as error:  # an init that does not answer is reset
            log.info("%s does not reboot by itself (%s), resetting", machine.spec.instance_id, error)
            self._halt(machine, power_cut=True)
            machine.starting = True
            self._boot(machine)

    def _remove(self, machine: Machine) -> None:
        self._halt(machine, power_cut=True)
        self._network.detach(machine.spec.instance_id)
        cgroups.remove(self._group(machine.spec.instance_id))
        unmount(machine.root)
        for part in ("upper", "work", "root"):
            shutil.rmtree(machine.directory / part, ignore_errors=True)

    @staticmethod
    def _leader(machine: Machine) -> int | None:
        """The container's init as the machine sees it: nspawn's child."""
        if machine.process is None:
            return None
        children = Path(f"/proc/{machine.process.pid}/task/{machine.process.pid}/children")
        try:
            return int(children.read_text().split()[0])
        except (OSError, IndexError):
            return None


def unmount(path: Path) -> None:
    """Unmounts, waiting a moment for the last process to let go."""
    for _ in range(20):
        if not os.path.ismount(path) or attempt(["umount", str(path)]):
            return
        time.sleep(0.1)
    attempt(["umount", "--lazy", str(path)])
