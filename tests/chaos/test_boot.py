"""Faults while an instance boots, from the bare image to ready."""

import time
from itertools import pairwise

import pytest

from .deployment import Deployment, Instance, dropping, wait_for
from .prober import Prober, dump
from .table import Figure

READY_LIMIT = 240  # seconds on a busy machine; an undisturbed boot takes 30


class Boot:
    """An instance from its launch on."""

    def __init__(self, deployment: Deployment, figures, key: str) -> None:
        self.began = time.monotonic()
        self.figures, self.key = figures, key
        self.instance = deployment.launch()
        wait_for("an init", self.instance.boots, 60, every=0.05)
        self.prober: Prober = self.instance.prober()

    def phase(self, phase: str) -> None:
        wait_for(f"phase {phase}", lambda: self.prober.now().phase == phase, READY_LIMIT, every=0.02)

    def ready(self) -> float:
        """Seconds from the launch until ready."""
        wait_for("a well instance", lambda: self.prober.now().well, READY_LIMIT)
        return time.monotonic() - self.began

    def never_lied(self) -> bool:
        """Whether /healthz was never 200 before a meeting was held."""
        # The two answers a look is made of come up to a tenth of a second apart.
        return not any(look.public == 200 and not look.held and until - at > 0.5
                       for (at, look), (until, _) in pairwise(self.prober.timeline.changes))

    def end(self) -> None:
        self.prober.end()
        dump(self.prober.timeline, self.began, self.figures.path.parent / f"{self.key}.txt")
        (self.figures.path.parent / f"{self.key}.log").write_text(self.instance.console())
        self.instance.terminate()


@pytest.fixture
def boot(deployment, figures, request):
    made = []

    def start() -> Boot:
        made.append(Boot(deployment, figures, request.node.name.removeprefix("test_")))
        return made[-1]

    yield start
    for each in made:
        each.end()


def note(boot: Boot, words: str, lasts: float | None, ready: float, text: str = "") -> None:
    boot.figures.add(boot.key, Figure(words, lasts, None, None, None, "not ready", ready, text))
    assert boot.never_lied()


def test_boot(boot):
    patient = boot()
    note(patient, "none: from the launch of a bare image", None, patient.ready())


def test_packages_down(boot, deployment):
    deployment.region.put("packages", {"down": True})
    try:
        patient = boot()
        time.sleep(120)
        assert not patient.prober.now().well
    finally:
        deployment.region.put("packages", {"down": False})
    patient.began = time.monotonic()
    note(patient, "package repositories down from the launch on", 120, patient.ready())


def test_names_down(boot):
    patient = boot()
    patient.instance.network(dropping("udp dport 53, tcp dport 53"))
    time.sleep(60)
    patient.instance.network("")
    patient.began = time.monotonic()
    note(patient, "DNS down from the launch on", 60, patient.ready(),
         "the sandbox's repositories and AWS have addresses, not names: nothing waits for it")


def test_agent_truncated(boot, deployment):
    bucket, key, body = deployment.agent_object()
    s3 = deployment.client("s3")
    s3.put_object(Bucket=bucket, Key=key, Body=body[: len(body) // 2])
    try:
        patient = boot()
        wait_for("a refusal", lambda: "SHA-256" in patient.instance.console(), 120)
        time.sleep(30)
    finally:
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    patient.began = time.monotonic()
    note(patient, "half of the agent downloaded", 30, patient.ready())


def test_clock_an_hour_off(boot, deployment):
    """The container has the machine's clock, so it is AWS's that differs: to the instance that is the same."""
    patient = boot()  # seconds before it asks anything of AWS
    deployment.region.put("clock", {"ahead": 3600})
    try:
        ready = patient.ready()
        # Before ready nothing of AWS but the agent's binary is needed; the hooks come after.
        log = wait_for("an answer of AWS to the agent", lambda: heard(patient.instance), 60, every=0.5)
    finally:
        deployment.region.put("clock", {"ahead": 0})
    assert "RequestTimeTooSkewed" not in log and "SignatureDoesNotMatch" not in log
    note(patient, "clock an hour slow", None, ready, "user-data and the SDK take AWS's time from its refusal")


def heard(instance: Instance) -> str | None:
    """The agent's log, once the hook has answered."""
    log = instance.run("journalctl -u jitsi-agent -o cat", check=False)
    return log if "waits for nothing" in log or "told the hook" in log else None


def test_agent_killed_in_every_phase(boot):
    patient = boot()
    kill = "systemctl kill --signal=KILL --kill-whom=main jitsi-agent"
    began = time.monotonic()
    patient.phase("install")
    # In the middle of unpacking, which leaves half an installation; packages have a unit of their own.
    wait_for("dpkg at work", lambda: patient.instance.run("pgrep -x dpkg || :"), 120, every=0.02)
    patient.instance.run("systemctl kill --signal=KILL jitsi-agent jitsi-agent-install")
    patient.phase("discover")
    patient.phase("configure")
    patient.instance.run(kill)
    patient.phase("discover")
    patient.phase("prove")
    patient.instance.run(kill)
    patient.phase("discover")
    patient.phase("watch")
    patient.began = began
    note(patient, "agent: kill -9 in install (with dpkg), configure and prove", None, patient.ready())


