"""A control group of its own for every container: containers that share one take each other's processes
for theirs."""

import logging
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from .shell import attempt

log = logging.getLogger("sandbox")

SYSTEMD = Path("/run/systemd/system")
ENTER = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; exec "$@"'


def hierarchies() -> list[Path]:
    """Mount points a container's systemd uses: the unified one, and systemd's own where version 1 is about."""
    points = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            points.append(Path(point))
    return points


def contain(name: str, argv: list[str]) -> list[str]:
    """The command line that runs `argv` in a control group called `name`."""
    if SYSTEMD.is_dir():
        return ["systemd-run", "--scope", "--quiet", "--collect", "--property=Delegate=yes",
                f"--unit={name}", *argv]
    groups = [point / name for point in hierarchies()]
    for group in groups:
        group.mkdir(exist_ok=True)
    return ["sh", "-ec", ENTER, "sh", *map(str, groups), "--", *argv]


def remove(prefix: str) -> None:
    """Ends what still runs in the control groups whose name begins so, and removes them.

    A container's init outlives a systemd-nspawn that was killed: only here is it found again.
    """
    if SYSTEMD.is_dir():
        attempt(["systemctl", "kill", "--signal=KILL", f"{prefix}*.scope"])
        attempt(["systemctl", "stop", "--quiet", f"{prefix}*.scope"])
        return
    groups = [group for point in hierarchies() for group in point.glob(f"{prefix}*")]
    for _ in range(50):
        for group in groups:
            for pid in members(group):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        groups = [group for group in groups if not _remove(group)]
        if not groups:
            return
        time.sleep(0.1)
    log.warning("not removed: %s", ", ".join(map(str, groups)))


def members(group: Path) -> set[int]:
    """Processes anywhere in a control group."""
    pids = set()
    for file in group.rglob("cgroup.procs"):
        with suppress(OSError):  # removed meanwhile
            pids.update(int(line) for line in file.read_text().split())
    return pids


def _remove(group: Path) -> bool:
    """Bottom up; False while the kernel still holds a process."""
    try:
        for child in sorted((p for p in group.rglob("*") if p.is_dir()), key=lambda p: -len(p.parts)):
            child.rmdir()
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
