"""The region with real instances, a real load balancer and real packets. Needs root and some minutes:
runs where SANDBOX_MACHINES=1 is set, and says so where it is not."""

import json
import mailbox
import os
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from trivial_site import TrivialSite, wait_for

from region.cgroups import hierarchies

pytestmark = pytest.mark.skipif(
    os.environ.get("SANDBOX_MACHINES") != "1" or os.geteuid() != 0,
    reason="real instances need root: run with SANDBOX_MACHINES=1",
)
ROOT = Path(__file__).parents[3]
DOMAIN = "meet.example.org"


class Region:
    """A running sandbox of its own, the site in it, and a user on its internet."""

    def __init__(self, directory: Path, certificate: tuple[bytes, bytes]) -> None:
        self.directory = directory
        self.cli("up", "--fast")
        self.known = json.loads((directory / "sandbox.json").read_text())
        self.internet = self.known["prefix"] + "-net"
        self.site = TrivialSite(self.known["endpoint"], certificate)
        self.certificate = certificate

    def cli(self, *arguments: str) -> str:
        argv = [sys.executable, "-P", "-m", "region.cli", "--root", str(ROOT), "--directory", str(self.directory)]
        environment = os.environ | {"PYTHONPATH": f"{ROOT}/tests/sandbox:{ROOT}/tests"}
        done = subprocess.run([*argv, *arguments], capture_output=True, text=True, timeout=900, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def knob(self, method: str, path: str, body: dict | None = None) -> dict:
        request = urllib.request.Request(
            f"{self.known['endpoint']}/sandbox/{path}", method=method,
            data=json.dumps(body).encode() if body is not None else None,
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def balancer_addresses(self) -> list[str]:
        return list(self.knob("GET", "state")["balancers"][0]["addresses"].values())

    def https(self, headers: str = "") -> tuple[str, bytes, ssl.SSLSocket]:
        """(head, body, connection) of a request through the load balancer, by whichever zone answers."""
        from region import netns

        for address in self.balancer_addresses():
            try:
                raw = netns.connect(self.internet, address, 443, 5)
                break
            except OSError:
                continue
        else:
            raise OSError("no address of the load balancer answers")
        context = ssl._create_unverified_context()
        tls = context.wrap_socket(raw, server_hostname=DOMAIN)
        tls.sendall(f"GET / HTTP/1.1\r\nHost: {DOMAIN}\r\n{headers}\r\n".encode())
        answer = tls.makefile("rb", buffering=0)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (byte := answer.read(1)):
                break
            head += byte
        lengths = [line.split(b":")[1] for line in head.splitlines() if line.lower().startswith(b"content-length:")]
        body = b""
        while lengths and len(body) < int(lengths[0]):
            if not (more := answer.read(int(lengths[0]) - len(body))):
                break
            body += more
        return head.decode(), body, tls

    def status(self) -> int:
        """Status code of / through the load balancer; 0 when nothing answers."""
        try:
            head, _, tls = self.https()
        except OSError:
            return 0
        tls.close()
        return int(head.split()[1]) if head else 0

    def udp(self, address: str, timeout: float = 1) -> bytes | None:
        from region import netns

        with netns.make_socket(self.internet, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.sendto(b"ping", (address, 10000))
            try:
                return sock.recv(100)
            except TimeoutError:
                return None

    def run(self, instance: str, *lines: str) -> dict:
        """SSM Run Command to its end."""
        ssm = self.site.client("ssm")
        sent = ssm.send_command(
            DocumentName="AWS-RunShellScript", InstanceIds=[instance], Parameters={"commands": list(lines)}
        )["Command"]["CommandId"]

        def ended():
            found = ssm.get_command_invocation(CommandId=sent, InstanceId=instance)
            return found if found["Status"] not in ("Pending", "InProgress") else None

        return wait_for("end of the command", ended, 60)

    def mail(self) -> str:
        return "\n".join(
            f"{m['Subject']}\n{m.get_payload()}" for m in mailbox.Maildir(self.known["maildir"])
        ).replace("=\n", "")

    def steady(self) -> str:
        """One healthy instance that answers: where every test begins."""
        instance = wait_for("a healthy instance", self.site.healthy, 120)
        wait_for("an answer", lambda: self.status() == 200, 30)
        return instance


def containers(prefix: str) -> list[Path]:
    """Control groups of a sandbox: an init that outlived everything else would be in one."""
    return [group for point in hierarchies() for group in point.glob(f"**/{prefix}-*")]


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    directory = tmp_path_factory.mktemp("region")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={DOMAIN}",
         "-addext", f"subjectAltName=DNS:{DOMAIN}", "-keyout", directory / "key.pem", "-out", directory / "cert.pem"],
        check=True, capture_output=True,
    )
    pair = (directory / "cert.pem").read_bytes(), (directory / "key.pem").read_bytes()
    made = Region(directory / "run", pair)
    yield made
    made.cli("down")
    assert not containers(made.known["prefix"])
    assert made.known["prefix"] not in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout
    assert str(directory) not in Path("/proc/self/mounts").read_text()


def test_user_reaches_the_instance_over_https(region):
    region.steady()
    _, body, tls = region.https()
    assert json.loads(body)["seen"] == {
        "X-Forwarded-For": "198.18.0.10", "X-Forwarded-Proto": "https", "Host": DOMAIN}
    presented = ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True))
    assert presented.strip() == region.certificate[0].decode().strip()


def test_http_is_redirected(region):
    from region import netns

    region.steady()
    with netns.connect(region.internet, region.balancer_addresses()[0], 80, 5) as sock:
        sock.sendall(f"GET /room?a=b HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n".encode())
        head = sock.recv(4096).decode()
    assert " 301 " in head.splitlines()[0]
    assert f"location: https://{DOMAIN}:443/room?a=b" in head


def test_public_address_carries_udp_from_outside_and_from_the_instance_itself(region):
    instance = region.steady()
    public = region.site.describe(instance)["PublicIpAddress"]
    assert region.udp(public) == b"ping from 198.18.0.10"
    hairpin = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); "
        f"s.sendto(b'x', ('{public}', 10000)); print(s.recv(99).decode())"
    )
    assert region.run(instance, f'python3 -c "{hairpin}"')["StandardOutputContent"].strip() == f"x from {public}"


def test_security_groups_decide_what_reaches_the_instance(region):
    from region import netns

    instance = region.steady()
    public = region.site.describe(instance)["PublicIpAddress"]
    with pytest.raises(OSError):
        netns.connect(region.internet, public, 443, 1)
    region.site.forbid(region.site.instance_group, "udp", 10000, "0.0.0.0/0")
    wait_for("UDP blocked", lambda: region.udp(public, 0.3) is None, 10)
    region.site.allow(region.site.instance_group, "udp", 10000, cidr="0.0.0.0/0")
    wait_for("UDP open", lambda: region.udp(public, 0.3), 10)


def test_metadata_needs_a_token_and_knows_the_instance(region):
    instance = region.steady()
    out = region.run(
        instance,
        "md=http://169.254.169.254/latest",
        "curl -s -o /dev/null -w '%{http_code}\\n' $md/meta-data/instance-id",
        "t=$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $md/api/token)",
        "for p in instance-id public-ipv4 autoscaling/target-lifecycle-state iam/security-credentials/ spot; do",
        "  curl -s -w ' %{http_code}\\n' -H \"X-aws-ec2-metadata-token: $t\" $md/meta-data/$p; done",
    )["StandardOutputContent"].split("\n")
    public = region.site.describe(instance)["PublicIpAddress"]
    assert out[:6] == ["401", f"{instance} 200", f"{public} 200", "InService 200", "trivial 200", " 404"]


def test_killed_instance_is_replaced_and_mailed(region):
    first = region.steady()
    region.site.client("ec2").terminate_instances(InstanceIds=[first])
    wait_for("an outage", lambda: region.status() != 200, 20)
    wait_for("another instance", lambda: region.site.healthy(first), 60)
    wait_for("an answer", lambda: region.status() == 200, 10)
    wait_for("mail", lambda: f"Terminate Successful: {first}" in region.mail(), 20)


def test_websocket_lives_through_draining_and_is_cut_at_its_end(region):
    first = region.steady()
    region.site.set_drain(25)
    head, _, websocket = region.https(headers=(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    ))
    assert " 101 " in head.splitlines()[0]
    region.site.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=first, ShouldDecrementDesiredCapacity=False
    )
    wait_for("draining", lambda: "draining" in region.site.target_states().values(), 10)
    wait_for("the successor", lambda: region.site.healthy(first), 60)
    websocket.sendall(b"still there?")
    assert websocket.recv(100) == b"still there?"
    assert json.loads(region.https()[1])["host"] != first
    websocket.settimeout(30)
    try:
        assert websocket.recv(100) == b""
    except (ConnectionResetError, ssl.SSLEOFError):
        pass  # cut without a goodbye
    assert "draining" not in region.site.target_states().values()
    region.site.set_drain(8)


def test_unhealthy_target_is_still_asked_when_it_is_the_only_one_and_then_replaced(region):
    first = region.steady()
    region.site.client("autoscaling").suspend_processes(
        AutoScalingGroupName="trivial", ScalingProcesses=["ReplaceUnhealthy"]
    )
    region.run(first, "touch /run/unhealthy")
    wait_for("unhealthy", lambda: region.site.target_states().get(first) == "unhealthy", 30)
    assert region.status() == 200
    region.site.client("autoscaling").resume_processes(AutoScalingGroupName="trivial")
    wait_for("another instance", lambda: region.site.healthy(first), 60)


def test_zone_outage_moves_the_service(region):
    first = region.steady()
    zone = region.site.describe(first)["Placement"]["AvailabilityZone"]
    region.knob("PUT", f"zones/{zone}", {"out": True})
    try:
        second = wait_for("another instance", lambda: region.site.healthy(first), 90)
        assert region.site.describe(second)["Placement"]["AvailabilityZone"] != zone
        wait_for("an answer", lambda: region.status() == 200, 20)
    finally:
        region.knob("PUT", f"zones/{zone}", {"out": False})


def test_abandoned_launch_is_mailed_and_repeated(region):
    first = region.steady()
    ec2 = region.site.client("ec2")
    for result in ("ABANDON", "CONTINUE"):
        ec2.create_launch_template_version(
            LaunchTemplateName="trivial", LaunchTemplateData=region.site.template_data(result)
        )
        if result == "ABANDON":
            ec2.terminate_instances(InstanceIds=[first])
            wait_for("mail", lambda: "Launch Unsuccessful" in region.mail(), 60)
    wait_for("another instance", lambda: region.site.healthy(first), 90)


def test_image_of_an_instance_carries_its_changes(region):
    first = region.steady()
    region.run(first, "echo golden > /etc/golden")
    image = region.site.client("ec2").create_image(InstanceId=first, Name="golden", NoReboot=True)["ImageId"]
    data = region.site.template_data() | {"ImageId": image}
    region.site.client("ec2").create_launch_template_version(LaunchTemplateName="trivial", LaunchTemplateData=data)
    region.site.client("ec2").terminate_instances(InstanceIds=[first])
    second = wait_for("another instance", lambda: region.site.healthy(first), 60)
    assert region.run(second, "cat /etc/golden")["StandardOutputContent"] == "golden\n"


def test_a_command_inside_has_nothing_of_whoever_asks(region, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOPERATOR")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    said = region.cli("exec", "--instance", region.steady(), "--", "env")
    assert "AKIAOPERATOR" not in said
    assert "AWS_ENDPOINT_URL=http://198.18.0.1:4566" in said


def test_reboot_keeps_the_disk(region):
    instance = region.steady()
    before = region.run(instance, "touch /etc/kept; cat /proc/sys/kernel/random/boot_id /proc/1/stat | cut -c1-400")
    region.site.client("autoscaling").suspend_processes(AutoScalingGroupName="trivial")
    region.site.client("ec2").reboot_instances(InstanceIds=[instance])

    def rebooted():
        out = region.run(instance, "ls /etc/kept; systemctl is-active site")
        return out["Status"] == "Failed" and "/etc/kept" in out["StandardOutputContent"]

    assert before["Status"] == "Success"
    # the trivial server was a transient unit: it is gone, the file is not
    wait_for("the reboot", rebooted, 60)
    region.site.client("autoscaling").resume_processes(AutoScalingGroupName="trivial")
    wait_for("another instance", lambda: region.site.healthy(instance), 90)


def test_balancer_without_targets_answers_503(region):
    region.steady()
    group = region.site.client("autoscaling")
    group.update_auto_scaling_group(AutoScalingGroupName="trivial", MinSize=0, DesiredCapacity=0)
    wait_for("503", lambda: region.status() == 503, 60)
    group.update_auto_scaling_group(AutoScalingGroupName="trivial", MinSize=1, DesiredCapacity=1)
    region.steady()


def test_names_lead_to_the_balancer_in_both_places(region):
    instance = region.steady()
    region.knob("PUT", f"names/{DOMAIN}", {"target": region.site.dns_name})
    out = region.cli("exec", "--", "python3", "-c", f"import socket; print(socket.gethostbyname('{DOMAIN}'))")
    assert out.strip() in region.balancer_addresses()
    inside = region.run(instance, f"python3 -c \"import socket; print(socket.gethostbyname('{DOMAIN}'))\"")
    assert inside["StandardOutputContent"].strip() in region.balancer_addresses()


def test_down_finds_everything_after_a_killed_supervisor(tmp_path):
    """The worst end: nobody cleaned up, the instances live on."""
    lone = Region.__new__(Region)
    lone.directory = tmp_path / "run"
    lone.cli("up", "--fast")
    known = json.loads((lone.directory / "sandbox.json").read_text())
    pair = tmp_path / "k.pem", tmp_path / "c.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x",
                    "-keyout", pair[0], "-out", pair[1]], check=True, capture_output=True)
    site = TrivialSite(known["endpoint"], (pair[1].read_bytes(), pair[0].read_bytes()))
    wait_for("a healthy instance", site.healthy, 90)
    os.kill(known["supervisor"], 9)
    assert str(tmp_path) in Path("/proc/self/mounts").read_text()
    lone.cli("down")
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert known["prefix"] not in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout
    assert not lone.directory.exists()
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True).stdout.split()
    assert [p for p in left if int(p) != os.getpid()] == []
    assert not containers(known["prefix"])
