"""What the machine must have, and getting it: Debian packages, for root only."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

# program -> package that brings it
PROGRAMS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "haproxy": "haproxy",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "dpkg-deb": "dpkg",
    "apt-ftparchive": "apt-utils",
    "gpg": "gnupg",
    "sysctl": "procps",
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def missing() -> list[str]:
    """Debian packages the sandbox needs and the machine has not."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    packages = {package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)}
    if not KEYRING.exists():
        packages.add("debian-archive-keyring")
    return sorted(packages)


def prepare(say: Callable[[str], None]) -> None:
    """Installs what is missing. Services that packages bring along are not started."""
    packages = missing()
    if not packages:
        return
    say(f"installing {', '.join(packages)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    running = Path("/run/systemd/system").is_dir()
    if "haproxy" in packages and running:
        subprocess.run(["systemctl", "mask", "--runtime", "--quiet", "haproxy.service"], check=False)
    argv = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    subprocess.run(argv, check=True, env=environment, stdout=subprocess.DEVNULL)
    if "haproxy" in packages and running:
        subprocess.run(["systemctl", "unmask", "--runtime", "--quiet", "haproxy.service"], check=False)
        subprocess.run(["systemctl", "disable", "--quiet", "haproxy.service"], check=False)
