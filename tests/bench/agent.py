"""Measures the release agent on an instance of the sandbox, deployed by the release deployer with its defaults."""

import json
import math
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from yardstick.ours import Ours
from region_client import Region

from .boot import UNITS, Boot, length, moment
from .figures import Figure, finite, percentile

INSIDE = Path(__file__).with_name("inside")
DOMAIN = "meet.example.org"
WATCHING = 130  # seconds; two meetings at least, at one a minute
RATE, LOAD = 200, 30  # requests a second, seconds
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}
COMMANDS = 9  # runs of each command
BOOT_LIMIT = 900  # seconds


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Instance:
    """The one instance of a deployment, and programs run on it."""

    def __init__(self, region: Region) -> None:
        self._region = region
        found = region.get("state")["instances"][0]
        self.id, self.address = found["id"], found["private"]
        self._enter = region.get(f"enter/{self.id}")["argv"]

    def run(self, *argv: str, timeout: float = 120) -> str:
        done = subprocess.run([*self._enter, *argv], capture_output=True, text=True, timeout=timeout, check=True)
        return done.stdout

    def script(self, name: str, *arguments: object) -> dict | list:
        source = (INSIDE / f"{name}.py").read_text()
        return json.loads(self.run("python3", "-c", source, *map(str, arguments), timeout=300))

    def looks(self) -> subprocess.Popen:
        """Looks at its services until its standard input is closed."""
        source = (INSIDE / "looks.py").read_text()
        pipe = subprocess.PIPE
        return subprocess.Popen([*self._enter, "python3", "-c", source, DOMAIN], stdin=pipe, stdout=pipe, text=True)

    def processor(self, program: str) -> float:
        """Seconds of processor time of all its processes, in steps of 1/100 s."""
        stats = self.run("sh", "-c", 'cat $(printf "/proc/%s/stat " $(pgrep -x "$1"))', "sh", program)
        return sum(int(field) for stat in stats.splitlines() for field in stat.rpartition(")")[2].split()[11:13]) / 100

    def show(self, unit: str, what: str) -> str:
        return self.run("systemctl", "show", "--timestamp=us+utc", "--value", "--property", what, unit).strip()

    def lines(self) -> list[tuple[float, str]]:
        """What the agent said."""
        told = self.run("journalctl", "--unit", "jitsi-agent", "--output", "json", "_COMM=jitsi-agent")
        entries = [json.loads(line) for line in told.splitlines()]
        return [(int(entry["__REALTIME_TIMESTAMP"]) / 1e6, entry["MESSAGE"]) for entry in entries]


def measure(root: Path, binaries: Path, directory: Path) -> dict:
    """Every figure, with what explains it. Needs root; leaves nothing behind."""
    region = Region(root, directory / "sandbox")
    region.down()  # what a killed run left
    try:
        cold = cold_start(region)
        instance, boot = deploy(region, binaries, directory / "site")
        say(f"watching for {WATCHING} s")
        pid = instance.show("jitsi-agent", "MainPID")
        watch = instance.script("processor", pid, WATCHING)
        say(f"{RATE} requests/s for {LOAD} s, over TLS and without")
        loads = {"nginx": load_by_nginx(region, instance), "direct": load_direct(instance)}
        watch["resident"] = max(watch["resident"], instance.script("processor", pid, 0.1)["resident"])
        commands = {name: command(instance, name) for name in ("configure", "install")}
    finally:
        region.down()
    size = (binaries / f"jitsi-agent-{platform.machine()}").stat().st_size
    return result(cold, size, boot, watch, loads, commands)


def cold_start(region: Region) -> float:
    """Seconds of `scripts/sandbox up` with a cached base image."""
    say("starting the sandbox; the first time makes its base image")
    region.up("--fast")
    region.down()
    began = time.monotonic()
    region.up("--fast")
    return time.monotonic() - began


def deploy(region: Region, binaries: Path, directory: Path) -> tuple[Instance, Boot]:
    """`jitsi-aws setup all`, watched from inside the instance as soon as there is one."""
    say("setup all")
    certificate = directory / "certificate"
    certificate.mkdir(parents=True)
    region.cli("certificate", DOMAIN, "--out", str(certificate))
    site = Ours(region, binaries, directory, DOMAIN)
    setup = site.start(certificate)
    try:
        instance, looks = begin_looking(region, setup)
        if setup.wait(timeout=BOOT_LIMIT) != 0:
            raise RuntimeError(f"setup all failed: {site.log.read_text()}")
        told = looks.communicate(timeout=30)[0]
    finally:
        setup.kill()
        setup.wait()
    if instance.show("jitsi-agent", "NRestarts") != "0":
        raise RuntimeError("the agent was restarted while it booted")
    lines = instance.lines()
    ended = next(at for at, line in lines if line.endswith(": CONTINUE"))
    return instance, Boot(
        began=moment(instance.show("jitsi-agent", "ExecMainStartTimestamp")),
        ended=ended,
        lines=lines,
        started={unit: moment(instance.show(unit, "InactiveExitTimestamp")) for unit in UNITS},
        looks=[json.loads(line) for line in told.splitlines()],
    )


def begin_looking(region: Region, setup: subprocess.Popen) -> tuple[Instance, subprocess.Popen]:
    """As soon as there is an instance with an init that runs programs."""
    while setup.poll() is None:
        try:
            instance = Instance(region)
            instance.run("test", "-d", "/run/systemd/system")
        except (OSError, IndexError, subprocess.CalledProcessError):
            time.sleep(0.2)
            continue
        return instance, instance.looks()
    raise RuntimeError(f"setup all ended with {setup.returncode} before there was an instance")


def load_by_nginx(region: Region, instance: Instance) -> dict:
    """From the load balancer's place in the network, as its health checks come."""
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
    balancer = next(name for name in names if name.startswith(f"{region.known['prefix']}-lb-"))
    argv = ["https", instance.address, "8443", "/healthz", str(RATE), str(LOAD)]
    before = {program: instance.processor(program) for program in ("nginx", "jitsi-agent")}
    command = ["ip", "netns", "exec", balancer, sys.executable, INSIDE / "load.py", *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    used = {program: (instance.processor(program) - seconds) * 1000 for program, seconds in before.items()}
    return told | {"processor_ms": {program: ms / (RATE * LOAD) for program, ms in used.items()}}


def load_direct(instance: Instance) -> dict:
    return instance.script("load", "unix", "/run/jitsi-agent/http.sock", 0, "/healthz", RATE, LOAD)


def command(instance: Instance, name: str) -> dict:
    """Milliseconds of `jitsi-agent NAME` when there is nothing to do."""
    took = instance.script("command", COMMANDS, "jitsi-agent", name)
    return {"median_ms": statistics.median(took), "most_ms": max(took)}


def meeting_costs(watch: dict) -> list[dict]:
    """What each meeting in the time watched took, and the processor time of the agent around it: a little too
    much, for rounds of looks fall into it, too. A meeting's end is told in whole seconds."""
    (first, _), (last, _) = watch["samples"][0], watch["samples"][-1]
    costs = []
    for meeting in watch["meetings"]:
        took = meeting["report"]["took_ms"]
        begin, end = meeting["at"] - took / 1000 - 0.2, meeting["at"] + 1.2
        if first <= begin and end <= last:
            during = [used for at, used in watch["samples"] if begin <= at <= end]
            costs.append({"took_ms": took, "processor_ms": (during[-1] - during[0]) / 1e6})
    return costs


def result(cold: float, size: int, boot: Boot, watch: dict, loads: dict, commands: dict) -> dict:
    own = boot.own()
    meetings = meeting_costs(watch)
    meeting = statistics.mean(cost["processor_ms"] for cost in meetings)
    slow = {}
    for way, told in loads.items():
        # A request without a good answer took forever.
        told["milliseconds"] += [math.inf] * told["failed"]
        slow[way] = percentile(told["milliseconds"], 0.99)
    figures = [
        Figure("sandbox: cold start", 60, cold, "s"),
        Figure("agent: size", 8, size / 2**20, "MiB"),
        Figure("agent: resident", 16, watch["resident"] / 2**20, "MiB"),
        Figure("agent: processor while watching", 0.2, watch["used"] / watch["seconds"] * 100, "%"),
        Figure(f"/healthz by nginx, p99 at {RATE}/s", 5, slow["nginx"], "ms"),
        Figure(f"/healthz direct, p99 at {RATE}/s", 5, slow["direct"], "ms"),
        Figure("configure, nothing to do", 200, commands["configure"]["median_ms"], "ms"),
        Figure("install, nothing to do", 1000, commands["install"]["median_ms"], "ms"),
        Figure("boot: own time until CONTINUE", 2, sum(took for _, took, _ in own), "s"),
        Figure("meeting: own time", 100, meeting, "ms"),
        Figure("meeting: processor at one a minute", 1, meeting / 60000 * 100, "%"),
    ]
    requests = {
        way: {
            "requests": len(told["milliseconds"]), "failed": told["failed"],
            "processor_ms": told.get("processor_ms", {}),
            **{name: finite(percentile(told["milliseconds"], share)) for name, share in SHARES.items()},
        }
        for way, told in loads.items()
    }  # fmt: skip
    return {
        "figures": figures,
        "boot": {
            "seconds": boot.ended - boot.began,
            "packages": length(boot.packages()),
            "services": length([*boot.packages(), *boot.services()]) - length(boot.packages()),
            "own": [{"at": at, "seconds": took, "until": said} for at, took, said in own],
            "journal": [[at - boot.began, line] for at, line in boot.lines if at <= boot.ended],
        },
        "healthz_ms": requests,
        "meetings": meetings,
        "most_resident_mib": watch["most_resident"] / 2**20,
        "commands": commands,
    }


def details(result: dict) -> str:
    """What explains the figures."""
    boot = result["boot"]
    lines = [
        "boot: {seconds:.1f} s, of it {packages:.1f} s packages and {services:.1f} s services' start-up; "
        "the rest, until the agent said:".format(**boot)
    ]
    lines += [f"  {own['seconds']:6.2f} s from {own['at']:5.1f} s  {own['until'][:90]}" for own in boot["own"]]
    for way, told in result["healthz_ms"].items():
        times = "  ".join(f"{name} {told[name] or math.inf:.2f}" for name in SHARES)
        lines.append(f"/healthz, {way}: {told['requests']} requests, {told['failed']} failed, ms: {times}")
        lines += [f"  {ms:.2f} ms of {program}'s processor time each" for program, ms in told["processor_ms"].items()]
    for meeting in result["meetings"]:
        line = "meeting: held in {took_ms:.0f} ms with {processor_ms:.1f} ms of the agent's processor time"
        lines.append(line.format(**meeting))
    lines.append(f"agent: at most {result['most_resident_mib']:.2f} MiB resident so far")
    return "\n".join(lines)
