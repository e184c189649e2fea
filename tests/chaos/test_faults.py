"""Faults in a serving instance: each begins in a well instance whose agent has just been started, so that no
earlier restart makes it more patient than it would be on a real one."""

import ctypes
import os
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from .deployment import Instance, dropping, wait_for
from .prober import Prober, Timeline, dump
from .table import Figure

UNITS = {"nginx": "nginx", "prosody": "prosody", "jicofo": "jicofo", "bridge": "jitsi-videobridge2"}
BRIDGE_CONFIG = "/etc/jitsi/videobridge/jvb.conf"
PAUSE = 21.0  # seconds the agent gives what was running when it started
STEADY = 4.0  # seconds of being well that count as well


@dataclass
class Fault:
    """What is done to an instance, and what must come of it."""

    words: str
    begin: Callable[[Instance], object]
    healed_by: float  # seconds, on a busy machine; 0: nobody may notice anything
    end: Callable[[Instance], object] | None = None
    lasts: float | None = None  # seconds; None: ended when it is healed
    told_by: float | None = None  # seconds; None: must be healed before anybody is turned away
    note: str = ""


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
    shared with the process, is connected to a port nobody has."""
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
                if shared.type == socket.SOCK_DGRAM and shared.getsockname()[1:] == (10000,):
                    shared.connect(("127.0.0.1", 9) if shared.getsockname()[0].startswith("127.") else
                                   (shared.getsockname()[0], 9))
        os.close(handle)


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


def kill_words(signal: str, unit: str) -> str:
    return f"systemctl kill --signal={signal} {UNITS[unit]}"


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

QUICK = {
    "nginx-killed": Fault("nginx: kill -9", kill("KILL", "nginx"), healed_by=15, told_by=5),
    "prosody-killed": Fault("Prosody: kill -9", kill("KILL", "prosody"), healed_by=40),
    "bridge-killed": Fault("bridge: kill -9", kill("KILL", "bridge"), healed_by=60, told_by=40),
    "bridge-deaf": Fault("bridge alive, every component green, no media", deafen, healed_by=150, told_by=110,
                         note="found by the meeting of every minute"),
}
SLOW = {
    "jicofo-killed": Fault("jicofo: kill -9", kill("KILL", "jicofo"), healed_by=60, told_by=40),
    "nginx-stopped": Fault("nginx: SIGSTOP", kill("STOP", "nginx"), healed_by=40, told_by=5),
    "prosody-stopped": Fault("Prosody: SIGSTOP", kill("STOP", "prosody"), healed_by=60, told_by=40),
    "jicofo-stopped": Fault("jicofo: SIGSTOP", kill("STOP", "jicofo"), healed_by=60, told_by=40),
    "bridge-stopped": Fault("bridge: SIGSTOP", kill("STOP", "bridge"), healed_by=60, told_by=40),
    "bridge-secret": Fault(
        "wrong password in jvb.conf, bridge restarted",
        edit(BRIDGE_CONFIG, r'(?m)^(\s*PASSWORD\s*=\s*).*$', r'\1"wrong"', UNITS["bridge"]), 60, told_by=40),
    "jicofo-secret": Fault(
        "wrong password in jicofo.conf, jicofo restarted",
        edit("/etc/jitsi/jicofo/jicofo.conf", r'(?m)^(\s*password\s*=\s*).*$', r'\1"wrong"', UNITS["jicofo"]), 60,
        told_by=40),
    "mapping": Fault(
        "mapping of an address that is on no interface, bridge restarted",
        edit(BRIDGE_CONFIG, r'(local-address\s*=\s*)"[^"]*"', r'\1"10.99.99.99"', UNITS["bridge"]), 60, told_by=40,
        note="every component is green: the meeting finds it"),
    "bridge-wrong-type": Fault(
        "bridge alive, never serving: wrong type in jvb.conf",
        edit(BRIDGE_CONFIG, r'(?m)^(\s*port\s*=\s*)10000.*$', r'\1"ten thousand"', UNITS["bridge"]), 60, told_by=40),
    "bridge-port-taken": Fault(
        "bridge alive, never serving: port 8080 taken", shell(OCCUPY), 70, shell("systemctl stop squatter"), 60,
        told_by=40),
    "udp-blocked": Fault("udp/10000 blocked in the security group", udp(False), 60, udp(True), 120, told_by=110,
                         note="found by the meeting of every minute"),
    "prosody-away": Fault(
        "Prosody away", shell(f"{MASK} prosody"), 60, shell("systemctl unmask --runtime -q prosody"), 180, told_by=40),
    "names": Fault("DNS down", lambda i: i.network(dropping("udp dport 53, tcp dport 53")), 0,
                   lambda i: i.network(""), 70, note="nothing of a running server asks it"),
    "disk": Fault("disk full", shell(FILL), 0, shell("rm /var/fill"), 70, note="meetings need none"),
    "disk-and-death": Fault("disk full, jicofo: kill -9", shell(FILL + kill_words("KILL", "jicofo")), 60,
                            shell("rm /var/fill"), told_by=40),
}


def bring_back(instance: Instance, prober: Prober) -> None:
    """A well instance with an agent that remembers no illness."""
    instance.run("systemctl restart jitsi-agent")
    began = time.monotonic()
    time.sleep(1)
    wait_for("a well instance", lambda: prober.now().well and prober.now().phase == "watch", 120)
    time.sleep(max(0.0, began + PAUSE - time.monotonic()))


def suffer(instance: Instance, key: str, fault: Fault, figures) -> None:
    """The whole course of one fault, into the figures."""
    prober = instance.prober()
    try:
        bring_back(instance, prober)
        room, began = prober.now().room, time.monotonic()
        fault.begin(instance)
        ended = began
        if fault.lasts is not None:
            time.sleep(max(0.0, began + fault.lasts - time.monotonic()))
            fault.end(instance)
            ended = time.monotonic()
        timeline = prober.timeline
        healed = 0.0 if not fault.healed_by else heal_time(timeline, room, ended, fault.healed_by + 120)
        told = timeline.first(began, lambda look: look.public != 200)
        answer = next((str(l.public or "no answer") for at, l in timeline.changes if told is not None
                       and at == began + told), "")
        figures.add(key, Figure(
            fault.words, fault.lasts, timeline.first(began, lambda look: bool(look.named)), told, answer, healed,
            fault.note,
        ))
        if not fault.healed_by:
            assert prober.now().room != room, "no meeting was held meanwhile"
    finally:
        prober.end()
        if fault.lasts is None and fault.end is not None:
            fault.end(instance)
        dump(prober.timeline, began, figures.path.parent / f"{key}.txt")
        log = instance.run("journalctl -u jitsi-agent -o cat -n 60", check=False)
        (figures.path.parent / f"{key}.log").write_text(log)
    if not fault.healed_by:
        assert told is None
    assert healed is not None, f"{fault.words}: never healed"
    assert healed <= fault.healed_by
    if fault.told_by is not None and (told is not None or healed > fault.told_by):
        assert told is not None and told <= fault.told_by


def heal_time(timeline: Timeline, room: str, ended: float, limit: float) -> float | None:
    """Seconds from the fault's end until well for good; None when that did not come."""
    def settled() -> float | None:
        since = timeline.well_since(ended, room)
        return since if since is not None and time.monotonic() > since + STEADY else None

    try:
        return wait_for("being well for good", settled, limit) - ended
    except AssertionError:
        return None


@pytest.mark.quick
@pytest.mark.parametrize("key", QUICK)
def test_quick_fault(member, figures, key):
    suffer(member, key, QUICK[key], figures)


@pytest.mark.parametrize("key", SLOW)
def test_fault(member, figures, key):
    suffer(member, key, SLOW[key], figures)
