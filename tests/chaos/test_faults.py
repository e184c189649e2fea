"""Faults in a serving instance: each begins in a well instance whose agent has just been started, so that no
earlier restart makes it more patient than it would be on a real one."""

import ctypes
import os
import re
import socket
from collections.abc import Callable

import pytest

from .course import Fault, suffer
from .deployment import Instance, dropping

UNITS = {"nginx": "nginx", "prosody": "prosody", "jicofo": "jicofo", "bridge": "jitsi-videobridge2"}
BRIDGE_CONFIG = "/etc/jitsi/videobridge/jvb.conf"


def shell(script: str) -> Callable[[Instance], object]:
    return lambda instance: instance.run(script)


def edit(file: str, pattern: str, text: str, unit: str) -> Callable[[Instance], object]:
    """Changes a file in place, and has its reader read it."""
    def begin(instance: Instance) -> None:
        before = instance.run(f"cat {file}")
        after, changed = re.subn(pattern, text, before)
        assert changed, f"{pattern} is not in {file}"
        instance.run(f"cat > {file} <<'END'\n{after}END\nsystemctl kill --signal=KILL {unit}; systemctl restart {unit}")
    return begin


def udp(allowed: bool) -> Callable[[Instance], object]:
    """The security group's rule for media."""
    def turn(instance: Instance) -> None:
        ec2 = instance.deployment.client("ec2")
        groups = [g["GroupId"] for g in instance.description["SecurityGroups"]]
        call = ec2.authorize_security_group_ingress if allowed else ec2.revoke_security_group_ingress
        call(GroupId=groups[0], IpPermissions=[{
            "IpProtocol": "udp", "FromPort": 10000, "ToPort": 10000, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    return turn


def deafen(instance: Instance) -> None:
    """The bridge's media socket hears nobody any more, and nothing else about the bridge changes: the socket,
    shared with the process, is connected to a port nobody has. Java's is an IPv6 socket that carries IPv4."""
    deafened = 0
    libc = ctypes.CDLL(None, use_errno=True)
    for process in media_processes(instance):
        handle = os.pidfd_open(process)
        for name in os.listdir(f"/proc/{process}/fd"):
            try:
                if not os.readlink(f"/proc/{process}/fd/{name}").startswith("socket:"):
                    continue
            except OSError:
                continue
            number = libc.syscall(438, handle, int(name), 0)  # pidfd_getfd
            if number < 0:
                continue
            with socket.socket(fileno=number) as shared:
                if shared.type == socket.SOCK_DGRAM and shared.getsockname()[1] == 10000:
                    shared.connect((shared.getsockname()[0], 9))
                    deafened += 1
        os.close(handle)
    assert deafened, "the bridge has no media socket"


def media_processes(instance: Instance) -> list[int]:
    """The bridge's processes as the machine outside numbers them."""
    inside = os.stat(f"/run/netns/{instance.namespace}").st_ino
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            ours = os.stat(f"/proc/{name}/ns/net").st_ino == inside
            with open(f"/proc/{name}/cgroup") as file:
                if ours and "jitsi-videobridge2" in file.read():
                    found.append(int(name))
        except OSError:
            continue
    return found


def no_meeting(instance: Instance) -> bool:
    """Whether a meeting really fails, and at its media."""
    said = instance.run("jitsi-agent probe --json 2>/dev/null || :", check=False)
    return '"failed_step":"media"' in said.replace(" ", "")


def kill_words(signal: str, unit: str) -> str:
    """The signal, and an exit code that says whether it bit."""
    name = UNITS[unit]
    bitten = "! kill -0 $pid 2>/dev/null" if signal == "KILL" else "grep -q '^State:.T' /proc/$pid/status"
    return (
        f"pid=$(systemctl show -p MainPID --value {name}); [ $pid -gt 0 ] || exit 8; "
        f"systemctl kill --signal={signal} {name}; "
        f"for _ in $(seq 50); do {bitten} && exit 0; sleep 0.1; done; exit 9"
    )


def no_names(instance: Instance) -> bool:
    """Whether a question to a name server does not even leave."""
    ask = 'import socket; socket.socket(2, 2).sendto(b"x", ("198.51.100.53", 53))'
    return "PermissionError" in instance.run(f"python3 -c '{ask}' 2>&1 || :")


def not_running(unit: str) -> Callable[[Instance], bool]:
    return lambda instance: "inactive" in instance.run(f"systemctl is-active {unit} || :")


def kill(signal: str, unit: str) -> Callable[[Instance], object]:
    return shell(kill_words(signal, unit))


MASK = "systemctl mask --runtime --now -q"
OCCUPY = (
    f"systemctl stop {UNITS['bridge']}; systemd-run -q --collect --unit=squatter python3 -c '"
    "import socket, time; s = socket.create_server((\"127.0.0.1\", 8080)); time.sleep(1000)'; "
    f"systemctl start {UNITS['bridge']}"
)
# /var and /etc on a file system of their own, so that the machine that runs this does not fill up.
FILL = """
mountpoint -q /var || {
  mkdir -p /run/disk && mount -t tmpfs -o size=700m disk /run/disk && cp -a /var /etc /run/disk/ &&
  mount --bind /run/disk/var /var && mount --bind /run/disk/etc /etc
}
dd if=/dev/zero of=/var/fill bs=64k 2>/dev/null; dd if=/dev/zero bs=1 count=65536 2>/dev/null >> /var/fill
! touch /var/file-of-one-block || ! echo full > /var/file-of-one-block
"""

FAULTS = {
    "nginx-killed": Fault("nginx: kill -9", kill("KILL", "nginx"), healed_by=15),
    "bridge-killed": Fault("bridge: kill -9", kill("KILL", "bridge"), healed_by=60),
    "prosody-killed": Fault("Prosody: kill -9", kill("KILL", "prosody"), healed_by=40),
    "jicofo-killed": Fault("jicofo: kill -9", kill("KILL", "jicofo"), healed_by=60),
    "nginx-stopped": Fault("nginx: SIGSTOP", kill("STOP", "nginx"), healed_by=40),
    "prosody-stopped": Fault("Prosody: SIGSTOP", kill("STOP", "prosody"), healed_by=60),
    "jicofo-stopped": Fault("jicofo: SIGSTOP", kill("STOP", "jicofo"), healed_by=60),
    "bridge-stopped": Fault("bridge: SIGSTOP", kill("STOP", "bridge"), healed_by=60),
    "bridge-secret": Fault(
        "wrong password in jvb.conf, bridge restarted",
        edit(BRIDGE_CONFIG, r'(?m)^(\s*PASSWORD\s*=\s*).*$', r'\1"wrong"', UNITS["bridge"]), 60),
    "jicofo-secret": Fault(
        "wrong password in jicofo.conf, jicofo restarted",
        edit("/etc/jitsi/jicofo/jicofo.conf", r'(?m)^(\s*password\s*=\s*).*$', r'\1"wrong"', UNITS["jicofo"]), 60),
    "mapping": Fault(
        "mapping of an address that is on no interface, bridge restarted",
        edit(BRIDGE_CONFIG, r'(local-address\s*=\s*)"[^"]*"', r'\1"10.99.99.99"', UNITS["bridge"]), 60),
    "bridge-wrong-type": Fault(
        "bridge alive, never serving: wrong type in jvb.conf",
        edit(BRIDGE_CONFIG, r'(?m)^(\s*port\s*=\s*)10000.*$', r'\1"ten thousand"', UNITS["bridge"]), 60),
    "bridge-port-taken": Fault(
        "bridge alive, never serving: port 8080 taken", shell(OCCUPY), 70, shell("systemctl stop squatter"), 60,
        bit=lambda i: "active\n" == i.run("systemctl is-active squatter || :")),
    "bridge-deaf": Fault("bridge alive, every component green, no media", deafen, healed_by=150, told_by=110,
                         note="found by the meeting of every minute", bit=no_meeting),
    "udp-blocked": Fault("udp/10000 blocked in the security group", udp(False), 60, udp(True), 120, told_by=110,
                         note="found by the meeting of every minute; a matter of the network: nothing is restarted, "
                              "nothing replaced", bit=no_meeting),
    "prosody-away": Fault(
        "Prosody away", shell(f"{MASK} prosody"), 60, shell("systemctl unmask --runtime -q prosody"), 180,
        bit=not_running("prosody"), given_up=True),
    "names": Fault("DNS down", lambda i: i.network(dropping("udp dport 53, tcp dport 53")), 0,
                   lambda i: i.network(""), 70, note="nothing of a running server asks it", bit=no_names),
    "disk": Fault("disk full", shell(FILL), 0, shell("rm /var/fill"), 70, note="meetings need none"),
    "disk-and-death": Fault("disk full, jicofo: kill -9", shell(FILL + kill_words("KILL", "jicofo")), 60,
                            shell("rm /var/fill")),
}


QUICK = ("nginx-killed", "prosody-killed", "bridge-killed")


@pytest.mark.parametrize("key", [pytest.param(key, marks=[pytest.mark.quick] * (key in QUICK)) for key in FAULTS])
def test_fault(member, figures, key):
    suffer(member, key, FAULTS[key], figures)
