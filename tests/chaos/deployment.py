"""A deployment the built programs made in a sandbox of its own, and the instances in it."""

import base64
import os
import subprocess
import time
import urllib.error
from pathlib import Path

from region_client import Region

from .prober import Prober

ROOT = Path(__file__).parents[2]
BINARIES = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
NAME, DOMAIN, REGION = "chaos", "meet.example.org", "eu-central-1"
SETTINGS = f"""
deployment = {{ name = "{NAME}", region = "{REGION}" }}
site = {{ domain = "{DOMAIN}" }}
certificate = {{ mode = "import", certificate = "cert.pem", private_key = "privkey.pem", chain = "chain.pem" }}

"""
# What would replace or stop a patient while it is watched.
REPLACING = ["Launch", "Terminate", "HealthCheck", "ReplaceUnhealthy", "AZRebalance"]


class Deployment:
    """`jitsi-aws setup all` in a region that lives in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.region = Region(ROOT, directory)
        self.region.up("--fast")
        self.client = self.region.client

    def set_up(self) -> None:
        """Everything, from an empty region to an instance in service."""
        home = self.region.directory / "home"
        home.mkdir(exist_ok=True)
        self.region.cli("certificate", DOMAIN, "--out", str(home))
        (home / "privkey.pem").chmod(0o600)
        (home / "jitsi.toml").write_text(SETTINGS + self.region.settings())
        _run([BINARIES / "jitsi-aws", "--yes", "setup", "all"], 600, cwd=home,
             env=self.region.environment() | {"HOME": str(home), "PATH": os.environ["PATH"]})

    def down(self) -> None:
        self.region.down()

    # ---- instances

    def member(self) -> "Instance":
        """The group's instance, which the group no longer replaces."""
        self.client("autoscaling").suspend_processes(AutoScalingGroupName=NAME, ScalingProcesses=REPLACING)
        group = self.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[NAME])
        return Instance(self, group["AutoScalingGroups"][0]["Instances"][0]["InstanceId"])

    def launch(self) -> "Instance":
        """One more instance of the launch template, outside the group."""
        groups = self.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[NAME])
        group = groups["AutoScalingGroups"][0]
        subnet = group["VPCZoneIdentifier"].split(",")[0]
        template = group["LaunchTemplate"]
        versions = self.client("ec2").describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"], Versions=[template["Version"]])
        data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        wire = data["NetworkInterfaces"][0] | {"SubnetId": subnet}
        # Said again, because moto's RunInstances takes less from a template than AWS's.
        run = self.client("ec2").run_instances(
            MinCount=1, MaxCount=1, ImageId=data["ImageId"], InstanceType=data["InstanceType"],
            UserData=base64.b64decode(data["UserData"]).decode(), IamInstanceProfile=data["IamInstanceProfile"],
            NetworkInterfaces=[wire],
        )
        return Instance(self, run["Instances"][0]["InstanceId"])

    def agent_object(self) -> tuple[str, str, bytes]:
        """Bucket, key and content of the agent that instances fetch."""
        s3 = self.client("s3")
        for bucket in s3.list_buckets()["Buckets"]:
            for found in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
                if "agent" in found["Key"]:
                    body = s3.get_object(Bucket=bucket["Name"], Key=found["Key"])["Body"].read()
                    return bucket["Name"], found["Key"], body
        raise LookupError("no agent in any bucket")


class Instance:
    """A patient."""

    def __init__(self, deployment: Deployment, identifier: str) -> None:
        self.deployment, self.identifier = deployment, identifier
        prefix = deployment.region.known["prefix"]
        self.namespace = f"{prefix}-i-{identifier.rsplit('-', 1)[-1][-10:]}"

    @property
    def description(self) -> dict:
        found = self.deployment.client("ec2").describe_instances(InstanceIds=[self.identifier])
        return found["Reservations"][0]["Instances"][0]

    def prober(self) -> Prober:
        return Prober(self.namespace, self._init)

    def boots(self) -> bool:
        """Whether there is an init, and so a network of its own."""
        return self._enter() is not None

    def _enter(self) -> list | None:
        """How a command line begins that runs inside; None before there is an init."""
        try:
            return self.deployment.region.get(f"enter/{self.identifier}")["argv"]
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
            return None

    def _init(self) -> int:
        """The process id of its init as seen from here."""
        argv = self._enter()
        if argv is None:
            raise ConnectionError(f"{self.identifier} has no init yet")
        return int(argv[argv.index("--target") + 1])

    def run(self, script: str, limit: float = 60, check: bool = True) -> str:
        """Runs a shell script inside; without `check` a failure prints nothing, nor does what has no init."""
        enter = self._enter()
        if enter is None and not check:
            return ""
        assert enter is not None, f"{self.identifier} has no init yet"
        return _run([*enter, "/bin/sh", "-c", script], limit, check=check)

    def network(self, rules: str) -> None:
        """Packet rules in the instance's own namespace, in place of those before."""
        text = f"table inet chaos {{}}\ndelete table inet chaos\n{rules}\n"
        _run(["ip", "netns", "exec", self.namespace, "nft", "-f", "-"], 10, input=text)

    def console(self) -> str:
        return self.deployment.region.get(f"console/{self.identifier}")["console"]

    def terminate(self) -> None:
        self.deployment.client("ec2").terminate_instances(InstanceIds=[self.identifier])


def dropping(packets: str) -> str:
    """Rules that drop what the instance sends and what matches."""
    return ("table inet chaos {\n chain out {\n  type filter hook output priority 0\n"
            + "".join(f"  {match} drop\n" for match in packets.split(", ")) + " }\n}")


def _run(argv: list, limit: float, check: bool = True, input: str = "", **options) -> str:
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, errors="replace", timeout=limit,
                          input=input, check=False, **options)
    if check and done.returncode:
        words = (done.stdout + done.stderr)[-3000:]
        raise AssertionError(f"{' '.join(map(str, argv))}: exit code {done.returncode}\n{words}")
    return done.stdout


def wait_for(what: str, ask, seconds: float, every: float = 0.1):
    """Asks until the answer is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {what}")
