"""An operator's workplace beside a sandbox: the built programs, a home directory of its own, and the ways to
look at a deployment and to disturb it."""

import json
import mailbox
import os
import pty
import subprocess
import time
from pathlib import Path

import boto3

ROOT = Path(__file__).parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
PROGRAM = TARGET / "debug/jitsi-aws"
DOMAIN, NAME, REGION = "meet.example.org", "jitsi", "eu-central-1"
# The watch looks more often than by default and is as patient: seconds until a verdict matter to this story, too.
QUICK = {"component_interval": 2, "strikes": 8, "meeting_interval": 10}


def wait_for(what: str, ask, seconds: float = 240, every: float = 0.5):
    """Asks until the answer is true; what was seen last is in the error."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what} (last answer: {answer!r})")
        time.sleep(every)
    return answer


class Workplace:
    """Runs `jitsi-aws` as its user would."""

    def __init__(self, sandbox: Path, home: Path) -> None:
        self.directory, self.home = sandbox, home
        known = json.loads((sandbox / "sandbox.json").read_text())
        self.maildir = known["maildir"]
        self.aws = {
            "endpoint_url": known["endpoint"], "region_name": REGION,
            "aws_access_key_id": known["access_key_id"], "aws_secret_access_key": known["secret_access_key"],
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        self._environment = kept | {
            "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": known["endpoint"],
            "AWS_ACCESS_KEY_ID": known["access_key_id"], "AWS_SECRET_ACCESS_KEY": known["secret_access_key"],
            "NO_COLOR": "1",
        }
        self._clients = {}

    # ---- programs

    def run(self, *argv: str, expect: int | None = 0, timeout: float = 900) -> subprocess.CompletedProcess:
        """A command in the home directory, to its end; all its words are in the error."""
        done = subprocess.run(argv, cwd=self.home, env=self._environment, capture_output=True, text=True,
                              timeout=timeout, check=False, stdin=subprocess.DEVNULL)
        assert expect is None or done.returncode == expect, (
            f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def jitsi_aws(self, *arguments: str, expect: int | None = 0) -> subprocess.CompletedProcess:
        """`jitsi-aws` where the operator is."""
        return self.run(str(PROGRAM), *arguments, expect=expect)

    def sandbox(self, *arguments: str, expect: int | None = 0) -> subprocess.CompletedProcess:
        """`scripts/sandbox`."""
        argv = (str(ROOT / "scripts/sandbox"), "--directory", str(self.directory))
        return self.run(*argv, *arguments, expect=expect)

    def outside(self, *arguments: str, expect: int | None = 0) -> subprocess.CompletedProcess:
        """`jitsi-aws` on the sandbox's internet, where users are."""
        return self.sandbox("exec", "--", str(PROGRAM), *arguments, expect=expect)

    def asked_outside(self, *arguments: str, question: str, keys: bytes) -> tuple[int, str]:
        """`jitsi-aws` where users are, on a terminal of its own, with `keys` typed at its question; exit code and
        what was on the screen."""
        argv = ("setsid", "--ctty", str(ROOT / "scripts/sandbox"), "--directory", str(self.directory), "exec", "--",
                str(PROGRAM), *arguments)
        keyboard, screen = pty.openpty()
        process = subprocess.Popen(argv, cwd=self.home, env=self._environment, stdin=screen, stdout=screen,
                                   stderr=screen)
        os.close(screen)
        seen = b""
        try:
            while piece := os.read(keyboard, 4096):
                if question.encode() in (seen := seen + piece) and keys:
                    os.write(keyboard, keys)
                    keys = b""
        except OSError:
            pass  # Linux's way of saying that nobody has the other end open any more
        finally:
            os.close(keyboard)
        return process.wait(60), seen.decode(errors="replace")

    def inside(self, instance: str, *argv: str, expect: int | None = 0) -> str:
        """A program inside an instance."""
        return self.sandbox("exec", "--instance", instance, "--", *argv, expect=expect).stdout

    # ---- looking

    def client(self, service: str):
        """A boto3 client with the administrator's credentials."""
        if service not in self._clients:
            self._clients[service] = boto3.client(service, **self.aws)
        return self._clients[service]

    def state(self) -> dict:
        """The sandbox's own view: instances, targets, activities."""
        return json.loads(self.sandbox("status", "--json").stdout)

    def serving(self) -> list[str]:
        """Instances in service and healthy."""
        state = self.state()
        healthy = {t["id"] for t in state["targets"] if t["state"] == "healthy"}
        return [i["id"] for i in state["instances"] if i["lifecycle"] == "InService" and i["id"] in healthy]

    def probe(self) -> dict:
        """The verdict on a meeting held over the load balancer and UDP, the user's whole way."""
        done = self.outside("--json", "probe", expect=None)
        return json.loads(done.stdout)["result"] if done.returncode in (0, 4) else {"outcome": done.stderr}

    def meets(self) -> bool:
        return self.probe()["outcome"] == "held"

    def steady(self, other_than: str | None = None) -> str:
        """Waits for one instance that serves, another one if asked, and a meeting; its id."""
        def one():
            found = self.serving()
            return found[0] if len(found) == 1 and found[0] != other_than else None

        instance = wait_for("one healthy instance in service", one, 420)
        wait_for("a meeting", self.meets, 60)
        return instance

    def status(self, instance: str) -> dict:
        """What the agent knows; empty while it does not answer."""
        out = self.inside(instance, "jitsi-agent", "status", "--json", expect=None)
        return json.loads(out) if out.startswith("{") else {}

    def healthz(self, instance: str) -> tuple[int, list[str]]:
        """What the load balancer is told, and the parts that are missing; 0 for no answer."""
        out = self.inside(instance, "curl", "-sk", "-m3", "-w", " %{http_code}", "https://127.0.0.1:8443/healthz",
                          expect=None)
        body, _, code = out.rpartition(" ")
        return int(code or 0), json.loads(body).get("missing", []) if body.startswith("{") else []

    def mail(self) -> list[str]:
        """Subject and text of every mail that was delivered."""
        return [f"{m['Subject']}\n{m.get_payload(decode=True).decode()}"
                for m in mailbox.Maildir(self.maildir, create=False)]

    def inventory(self) -> dict[str, list[str]]:
        """What exists in the account, beside what AWS itself makes: the same before and after a deployment."""
        def of(service: str, call: str, key: str, name, **arguments):
            return sorted(name(row) for row in getattr(self.client(service), call)(**arguments)[key])

        live = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
        ours = [{"Name": "is-default", "Values": ["false"]}]
        return {
            "vpcs": of("ec2", "describe_vpcs", "Vpcs", lambda r: r["VpcId"], Filters=ours),
            "instances": of("ec2", "describe_instances", "Reservations",
                            lambda r: r["Instances"][0]["InstanceId"], Filters=live),
            "templates": of("ec2", "describe_launch_templates", "LaunchTemplates", lambda r: r["LaunchTemplateName"]),
            "keys": of("ec2", "describe_key_pairs", "KeyPairs", lambda r: r["KeyName"]),
            "gateways": of("ec2", "describe_internet_gateways", "InternetGateways",
                           lambda r: r["InternetGatewayId"]),
            "groups": of("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups",
                         lambda r: r["AutoScalingGroupName"]),
            "balancers": of("elbv2", "describe_load_balancers", "LoadBalancers", lambda r: r["LoadBalancerName"]),
            "targets": of("elbv2", "describe_target_groups", "TargetGroups", lambda r: r["TargetGroupName"]),
            "certificates": of("acm", "list_certificates", "CertificateSummaryList", lambda r: r["CertificateArn"]),
            "topics": of("sns", "list_topics", "Topics", lambda r: r["TopicArn"]),
            "rules": of("events", "list_rules", "Rules", lambda r: r["Name"]),
            "alarms": of("cloudwatch", "describe_alarms", "MetricAlarms", lambda r: r["AlarmName"]),
            "dashboards": of("cloudwatch", "list_dashboards", "DashboardEntries", lambda r: r["DashboardName"]),
            "buckets": of("s3", "list_buckets", "Buckets", lambda r: r["Name"]),
            "users": of("iam", "list_users", "Users", lambda r: r["UserName"]),
            "policies": of("iam", "list_policies", "Policies", lambda r: r["PolicyName"], Scope="Local"),
            "profiles": of("iam", "list_instance_profiles", "InstanceProfiles", lambda r: r["InstanceProfileName"]),
            # the service-linked ones belong to the account and stay
            "roles": [r for r in of("iam", "list_roles", "Roles", lambda r: r["RoleName"])
                      if not r.startswith("AWSServiceRole")],
        }

    # ---- disturbing

    def edit(self, old: str, new: str) -> None:
        """Changes jitsi.toml."""
        file = self.home / "jitsi.toml"
        text = file.read_text()
        assert old in text, f"{old!r} is not in jitsi.toml"
        file.write_text(text.replace(old, new))

    # ---- when something failed

    def evidence(self) -> list[tuple[str, str]]:
        """What one looks at first: the region, every instance's agent and console, the supervisor's log."""
        found = [("sandbox status", self.sandbox("status", expect=None).stdout)]
        for console in sorted(self.directory.glob("instances/*/console.log"), key=lambda p: p.stat().st_mtime)[-3:]:
            instance = console.parent.name
            for title, argv in (("agent status", ["jitsi-agent", "status"]),
                                ("agent log", ["journalctl", "-u", "jitsi-agent", "-n", "60", "--no-pager"])):
                if out := self.inside(instance, *argv, expect=None):
                    found.append((f"{title} of {instance}", out))
            found.append((f"console of {instance}", last_lines(console, 40)))
        found.append(("mail", "\n\n".join(self.mail()[-4:])))
        found.append(("supervisor's log", last_lines(self.directory / "supervisor.log", 80)))
        return found


def last_lines(file: Path, count: int) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-count:]) if file.exists() else "(none)"
