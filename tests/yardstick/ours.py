"""This project's deployment, made by the built `jitsi-aws setup all` with its defaults."""

import os
import platform
import subprocess
import time
from pathlib import Path

from region_client import Region

NAME = "ours"


class Ours:
    """A directory with jitsi.toml and certificate, and what `setup all` made of it."""

    def __init__(self, region: Region, binaries: Path, directory: Path, domain: str) -> None:
        self._region, self._binaries, self._directory = region, binaries, directory
        self.domain, self.group = domain, NAME
        (directory / "home").mkdir(parents=True)

    def start(self, certificate: Path) -> subprocess.Popen:
        """Runs `setup all`; its progress goes to a file."""
        config = write_config(self._directory, NAME, self.domain, certificate, self._region.known["region"])
        # Without debugging symbols: an instance fetches it at every boot.
        agent = self._directory / "jitsi-agent"
        static = self._binaries / f"jitsi-agent-{platform.machine()}"
        built = static if static.exists() else self._binaries / "jitsi-agent"
        subprocess.run(["strip", "-o", str(agent), str(built)], check=True)
        with config.open("a") as file:
            file.write(f'[agent]\nbinary = "{agent}"\n')
            file.write('[monitoring]\nemails = ["ops@example.org"]\n')
            file.write(self._region.settings())
        environment = {
            **self._region.environment(),
            "HOME": str(self._directory / "home"),
            "PATH": os.environ["PATH"],
        }
        self.log = self._directory / "setup.log"
        with self.log.open("w") as log:
            return subprocess.Popen(
                [str(self._binaries / "jitsi-aws"), "--config", str(config), "--yes", "setup", "all"],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )

    def zones(self, setup: subprocess.Popen) -> list[str]:
        """The zones of its group, in the group's order, as soon as there is one."""
        scaling, ec2 = self._region.client("autoscaling"), self._region.client("ec2")
        while setup.poll() is None:
            groups = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[NAME])["AutoScalingGroups"]
            if groups:
                subnets = groups[0]["VPCZoneIdentifier"].split(",")
                found = {s["SubnetId"]: s["AvailabilityZone"] for s in ec2.describe_subnets()["Subnets"]}
                return [found[subnet] for subnet in subnets]
            time.sleep(0.2)
        raise SystemExit(f"yardstick: setup ended with {setup.returncode}\n{self.log.read_text()}")

    def name_its_address(self) -> None:
        """The record that `setup lb` asks for."""
        balancers = self._region.client("elbv2").describe_load_balancers(Names=[NAME])["LoadBalancers"]
        self._region.put(f"names/{self.domain}", {"target": balancers[0]["DNSName"]})


def write_config(directory: Path, name: str, domain: str, certificate: Path, region: str) -> Path:
    """The least jitsi.toml; `jitsi-aws probe` needs no more."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.toml"
    path.write_text(
        f'[deployment]\nname = "{name}"\nregion = "{region}"\n[site]\ndomain = "{domain}"\n'
        f'[certificate]\nmode = "import"\ncertificate = "{certificate / "cert.pem"}"\n'
        f'private_key = "{certificate / "privkey.pem"}"\nchain = "{certificate / "chain.pem"}"\n'
    )
    return path
