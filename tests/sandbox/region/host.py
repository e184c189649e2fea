"""What the machine must have, and getting it: Debian packages, for root only."""

import os
import shutil
import subprocess
import sys
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
POLICY = Path("/usr/sbin/policy-rc.d")  # while it says 101, packages start no services
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

    def run(*argv: str) -> None:
        subprocess.run(argv, check=True, env=environment, stdout=sys.stderr)

    if made := not POLICY.exists():
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
    finally:
        if made:
            POLICY.unlink()
    if "haproxy" in packages and Path("/run/systemd/system").is_dir():
        run("systemctl", "disable", "--quiet", "haproxy.service")
