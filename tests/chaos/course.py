"""The course of a fault in a serving instance, from well to well, into the figures."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from .deployment import Instance, wait_for
from .prober import Prober, Timeline, dump
from .table import Figure, Figures

PAUSE = 31.0  # seconds the agent gives what was running when it started
PATIENCE = 60.0  # seconds of bad answers until the load balancer finds the instance unhealthy: 6 checks, 10 s apart
STEADY = 4.0  # seconds of being well that count as well


@dataclass
class Fault:
    """What is done to an instance, and what must come of it."""

    words: str
    begin: Callable[[Instance], object]
    healed_by: float  # seconds, on a busy machine; 0: nobody may notice anything
    end: Callable[[Instance], object] | None = None
    lasts: float | None = None  # seconds; None: ended when it is healed
    told_by: float = 40  # seconds until visitors are turned away from what is not healed by then, on a busy machine
    note: str = ""
    bit: Callable[[Instance], bool] | None = None  # whether the fault bit; what `begin` cannot assert itself
    given_up: bool = False  # whether the load balancer may be told to have the instance replaced


def bring_back(instance: Instance, prober: Prober) -> None:
    """A well instance with an agent that remembers no illness."""
    instance.run("systemctl restart jitsi-agent")
    began = time.monotonic()
    time.sleep(1)
    wait_for("a well instance", lambda: prober.now().well and prober.now().phase == "watch", 120)
    time.sleep(max(0.0, began + PAUSE - time.monotonic()))


def suffer(instance: Instance, key: str, fault: Fault, figures: Figures) -> None:
    """The whole course of one fault, into the figures."""
    prober = instance.prober()
    began = time.monotonic()
    try:
        bring_back(instance, prober)
        room, began = prober.now().room, time.monotonic()
        fault.begin(instance)
        if fault.bit is not None:
            wait_for(f"{fault.words}: the fault has bitten", lambda: fault.bit(instance), 20)
        ended = began
        if fault.lasts is not None:
            time.sleep(max(0.0, began + fault.lasts - time.monotonic()))
            fault.end(instance)
            ended = time.monotonic()
        timeline = prober.timeline
        healed = 0.0 if not fault.healed_by else heal_time(timeline, room, ended, fault.healed_by + 120)
        told = timeline.first(began, lambda look: look.public != 200)
        turned = timeline.first(began, lambda look: look.visitor != 200)
        answer = "" if told is None else str(timeline.at(began + told).public or "no answer")
        figures.add(key, Figure(
            fault.words, fault.lasts, timeline.first(began, lambda look: bool(look.named)), turned, told, answer,
            healed, fault.note,
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
    assert healed is not None, f"{fault.words}: never healed"
    assert healed <= fault.healed_by
    if not fault.healed_by:
        assert told is None and turned is None
    elif turned is not None or healed > fault.told_by:
        assert turned is not None and turned <= fault.told_by
    if not fault.given_up:
        bad = timeline.longest(began, lambda look: look.public != 200)
        assert bad < PATIENCE, f"the group would have replaced the instance: no 200 for {bad:.0f} s"


def heal_time(timeline: Timeline, room: str, ended: float, limit: float) -> float | None:
    """Seconds from the fault's end until well for good; None when that did not come."""
    def settled() -> float | None:
        since = timeline.well_since(ended, room)
        return since if since is not None and time.monotonic() > since + STEADY else None

    try:
        return wait_for("being well for good", settled, limit) - ended
    except AssertionError:
        return None
