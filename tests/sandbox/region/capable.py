"""Whether this machine can run instances: what they need is tried, not guessed."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import cgroups
from .shell import CommandFailed, attempt, run

NAME = "jsbtry"  # of the namespace and control group that are tried


def obstacle(area: Path) -> str | None:
    """Why instances cannot run here, or None. Wants the programs of `host` to be there."""
    if os.geteuid() != 0:
        return "instances need root"
    area.mkdir(parents=True, exist_ok=True)
    for what, trial in TRIALS.items():
        with tempfile.TemporaryDirectory(dir=area) as directory:
            try:
                trial(Path(directory))
            except (CommandFailed, OSError) as error:
                return f"{what}: {error}"
    return None


def _overlay(directory: Path) -> None:
    for part in ("lower", "upper", "work", "root"):
        (directory / part).mkdir()
    mount = 'mount -t overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"'
    run(["unshare", "--mount", "sh", "-ec", mount, "sh", str(directory)])


def _network(_: Path) -> None:
    attempt(["ip", "netns", "delete", NAME])
    run(["ip", "netns", "add", NAME])
    try:
        inside = ["ip", "netns", "exec", NAME]
        run([*inside, "ip", "link", "add", "one", "type", "veth", "peer", "name", "two"])
        run([*inside, "ip", "link", "add", "three", "type", "bridge"])
        rules = "table ip t { chain c { type nat hook prerouting priority 0; ct state new accept; }; }"
        run([*inside, "nft", "-f", "-"], stdin=rules)
    finally:
        run(["ip", "netns", "delete", NAME])


def _container(directory: Path) -> None:
    (directory / "usr").mkdir()
    for link in ("bin", "lib", "lib64", "sbin"):
        (directory / link).symlink_to(f"usr/{link}")
    argv = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--bind-ro=/usr",
            "--resolv-conf=off", "--timezone=off", f"--directory={directory}", "/usr/bin/true"]
    try:
        run(cgroups.contain(NAME, argv))
    finally:
        cgroups.remove(NAME)


TRIALS: dict[str, Callable[[Path], None]] = {
    "overlay file systems": _overlay,
    "network namespaces": _network,
    "containers": _container,
}
