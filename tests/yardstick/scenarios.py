"""The four harms, done to both deployments at the same moment, and the way back to health after each."""

import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import pairwise

from .meetings import Meetings, Outage, outage
from region_client import Region

BRIDGE = "jitsi-videobridge2"
HEALTHY_LIMIT = 600  # seconds for both to be well before a harm
LOOKS = 15.0  # seconds between two looks of a group at its instances: the sandbox's default
RECOVERY_LIMIT = 600  # seconds a lost instance is waited for
HANG_LIMIT = 300  # seconds a hang is watched


@dataclass
class Measured:
    """One harm's outcome for one deployment."""

    outage: Outage
    zone_before: str
    zone_after: str
    instance_replaced: bool
    load: float  # of the machine when the harm came
    timeline: list[tuple[float, str]] = field(default_factory=list)  # seconds after the harm, event

    def steps(self) -> dict[str, float] | None:
        """How long each step of a replacement took, in seconds; None where nothing was replaced."""
        at = {}
        for seconds, event in self.timeline:
            for mark, words in MARKS.items():
                if re.search(words, event):
                    # a group may launch in a zone that is out first: the last launch is the one that counts
                    at[mark] = at.get(mark, seconds) if mark == "notice" else seconds
        if self.outage.seconds is None or at.keys() != MARKS.keys():
            return None
        times = [0.0, *(at[mark] for mark in MARKS), self.outage.seconds]
        return dict(zip(STEPS, (b - a for a, b in pairwise(times)), strict=True))


# What the sandbox logs at the end of each step but the last, which a meeting ends.
MARKS = {"notice": r"unhealthy: in response", "launch": r"launching i-", "running": r"^i-\S+ running"}
STEPS = ["the group notices", "it launches another", "EC2 starts it", "it boots, installs, holds a meeting"]


@dataclass(frozen=True)
class Scenario:
    """A harm, what it is called, and how long the end of its outage is waited for."""

    key: str
    title: str
    limit: float
    harm: Callable[["Bench"], None]
    mend: Callable[["Bench"], None] | None = None


class Bench:
    """Both deployments, the meetings held on them, and the hand that harms."""

    def __init__(self, region: Region, groups: dict[str, str], meetings: Meetings, say) -> None:
        self.region, self.groups, self.meetings, self.say = region, groups, meetings, say
        self.before: dict[str, dict] = {}

    # ---- what there is

    def instances(self) -> dict[str, dict]:
        """The instance in service of each deployment: id and zone."""
        known = self.region.get("state")["instances"]
        found = {}
        for site, group in self.groups.items():
            for instance in known:
                if instance["group"] == group and instance["lifecycle"] == "InService":
                    found[site] = instance
        return found

    def healthy(self) -> dict[str, dict] | None:
        """Both instances, when each is in service and meetings are held on both."""
        found = self.instances()
        well = len(found) == len(self.groups) and all(self.meetings.well(site) for site in self.groups)
        return found if well and all(i["state"] == "running" for i in found.values()) else None

    def await_health(self) -> dict[str, dict]:
        end = time.monotonic() + HEALTHY_LIMIT
        while time.monotonic() < end:
            if found := self.healthy():
                return found
            time.sleep(0.5)
        state = {site: [a.reason for a in self.meetings.of(site)[-3:]] for site in self.groups}
        raise SystemExit(f"yardstick: no meetings on both within {HEALTHY_LIMIT} s: {state}")

    def everywhere(self, *argv: str) -> None:
        """Runs a command inside both instances at once."""
        with ThreadPoolExecutor(len(self.before)) as pool:
            list(pool.map(lambda i: self.region.inside(i["id"], *argv), self.before.values()))

    # ---- one scenario

    def run(self, scenario: Scenario) -> dict[str, Measured]:
        self.before = self.await_health()
        self._look_together()
        load = os.getloadavg()[0]
        self.say(f"{scenario.title} (load of the machine: {load:.1f})")
        harmed, wall = time.monotonic(), time.time()
        scenario.harm(self)
        outages = self._await_outages(harmed, scenario.limit)
        if scenario.mend:
            scenario.mend(self)
        after = self.await_health()
        timeline = self._timeline(wall)
        measured = {}
        for site, result in outages.items():
            ids = {self.before[site]["id"], after[site]["id"]}
            measured[site] = Measured(
                result, self.before[site]["zone"], after[site]["zone"], len(ids) > 1, load,
                [(round(s, 1), t) for s, t, words in timeline if words & {*ids, self.groups[site]}],
            )
        return measured

    def _look_together(self) -> None:
        """Groups look at their instances every 15 s, each in its own rhythm. Both look now, so that
        neither deployment has the better luck, and the harm comes at the worst moment for both."""
        self.region.put("delays", {"group_health": 3600})
        time.sleep(LOOKS + 1)
        self.region.put("delays", {"group_health": LOOKS})
        time.sleep(1)

    def _await_outages(self, harmed: float, limit: float) -> dict[str, Outage]:
        told: set[str] = set()
        while True:
            time.sleep(1)
            found = {site: outage(self.meetings.of(site), harmed) for site in self.groups}
            late = time.monotonic() > harmed + limit
            for site, result in found.items():
                if site not in told and (late or result.seconds is not None):
                    told.add(site)
                    shown = f"{result.seconds:.0f} s" if result.seconds is not None else "no end seen"
                    self.say(f"  {site}: {shown} without meetings ({result.failed} failed: {result.reason})")
            if len(told) == len(found):
                return found

    def _timeline(self, wall: float) -> list[tuple[float, str, set[str]]]:
        """What the sandbox's log says of the time since: seconds, text, its words."""
        events = []
        for line in (self.region.directory / "supervisor.log").read_text().splitlines():
            match = re.match(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) (.*)", line)
            if match is None:
                continue
            seconds = datetime.fromisoformat(match[1]).timestamp() + int(match[2]) / 1000 - wall
            if seconds >= 0:
                events.append((seconds, match[3], set(re.split(r"[ :]+", match[3]))))
        return events


def kill_instances(bench: Bench) -> None:
    ids = [i["id"] for i in bench.before.values()]
    bench.region.client("ec2").terminate_instances(InstanceIds=ids)


def kill_bridges(bench: Bench) -> None:
    bench.everywhere("systemctl", "kill", "--signal=KILL", BRIDGE)


def hang_bridges(bench: Bench) -> None:
    bench.everywhere("systemctl", "kill", "--signal=STOP", BRIDGE)


def restart_hanging(bench: Bench) -> None:
    """What an operator would do, where nobody else did."""
    for site, instance in bench.before.items():
        if not bench.meetings.well(site):
            bench.region.inside(instance["id"], "systemctl", "kill", "--signal=KILL", BRIDGE)
            bench.region.inside(instance["id"], "systemctl", "start", BRIDGE)


def cut_zones(bench: Bench) -> None:
    for zone in {i["zone"] for i in bench.before.values()}:
        bench.region.put(f"zones/{zone}", {"out": True})


def restore_zones(bench: Bench) -> None:
    for zone in {i["zone"] for i in bench.before.values()}:
        bench.region.put(f"zones/{zone}", {"out": False})


SCENARIOS = [
    Scenario("instance", "the instance is terminated", RECOVERY_LIMIT, kill_instances),
    Scenario("killed", "the bridge is killed", HANG_LIMIT, kill_bridges, restart_hanging),
    Scenario("hanging", "the bridge hangs", HANG_LIMIT, hang_bridges, restart_hanging),
    Scenario("zone", "the zone goes out", RECOVERY_LIMIT, cut_zones, restore_zones),
]


def as_dict(results: dict[str, dict[str, Measured]]) -> dict:
    return {k: {site: asdict(m) | {"steps": m.steps()} for site, m in row.items()} for k, row in results.items()}
