"""What a running sandbox leaves on the machine, written down before it is made, and how to remove it all,
whoever was killed in between."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

from . import cgroups
from .nspawn import unmount
from .shell import attempt, run


class RunState:
    """The run directory: `processes` has a line for each process started, `sandbox.json` the rest."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def file(self) -> Path:
        return self.directory / "sandbox.json"

    def exists(self) -> bool:
        return self.file.exists()

    def read(self) -> dict:
        return json.loads(self.file.read_text()) if self.exists() else {}

    def write(self, **fields) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.read() | fields, indent=1) + "\n")
        part.rename(self.file)

    def record(self, name: str, pid: int) -> None:
        """Notes a process with its start time, so that a reused pid is never taken for it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "processes").open("a") as file:
            file.write(f"{pid} {start_time(pid)} {name}\n")

    def processes(self) -> list[int]:
        """Recorded processes that still run."""
        path = self.directory / "processes"
        if not path.exists():
            return []
        rows = [line.split() for line in path.read_text().splitlines()]
        return [int(row[0]) for row in rows if len(row) > 1 and start_time(int(row[0])) == int(row[1])]

    def supervisor(self) -> int | None:
        """The supervisor's pid while it runs."""
        state = self.read()
        pid = state.get("supervisor")
        return pid if pid and start_time(pid) == state.get("supervisor_started") else None

    def clean(self, *, keep: bool = False) -> None:
        """Ends and removes everything of this sandbox; does nothing where nothing is left."""
        prefix = self.read().get("prefix")
        if (pid := self.supervisor()) is not None and pid != os.getpid():
            os.kill(pid, signal.SIGTERM)
            await_end([pid], 30)
            if self.supervisor():
                os.kill(pid, signal.SIGKILL)
        if prefix:
            cgroups.remove(f"{prefix}-")
        kill(self.processes())
        if prefix:
            for name in namespaces(prefix):
                pids = run(["ip", "netns", "pids", name]).split()
                kill([int(p) for p in pids if int(p) != os.getpid()])
        for mount in mounts_below(self.directory):
            unmount(Path(mount))
        if prefix:
            for name in namespaces(prefix):
                attempt(["ip", "netns", "delete", name])
        if self.directory.exists() and not keep:
            shutil.rmtree(self.directory)


def start_time(pid: int) -> int:
    """Clock ticks from boot to the process's start; 0 when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])


def namespaces(prefix: str) -> list[str]:
    """Network namespaces made by the sandbox of this prefix."""
    names = [line.split()[0] for line in run(["ip", "netns", "list"]).splitlines() if line]
    return [n for n in names if n.startswith(f"{prefix}-")]


def mounts_below(directory: Path) -> list[str]:
    """Mount points inside a directory, deepest first."""
    root = str(directory.resolve())
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((p for p in points if p.startswith(root + "/")), key=len, reverse=True)


def kill(pids: list[int]) -> None:
    """Ends processes of this sandbox at once: their files are about to go."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    await_end(pids, 10)


def await_end(pids: list[int], seconds: float) -> None:
    """Returns when none of the processes is left, or after the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(start_time(p) for p in pids):
        time.sleep(0.05)
