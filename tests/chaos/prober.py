"""Looks ten times a second at what an instance says of itself, by a monotonic clock: `/healthz` as the load
balancer sees it and a room's page as a visitor does, both through nginx, and the agent's own account by its socket."""

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from region import netns

STEP = 0.1  # seconds between two looks: figures are exact to that
LOOK_LIMIT = 1.0  # a load balancer that waits for seconds sees no answer
HEALTH_PORT = 8443  # where nginx answers the load balancer's check
AGENT_SOCKET = "run/jitsi-agent/http.sock"
_ANY_CERTIFICATE = ssl._create_unverified_context()


class _Connection(http.client.HTTPConnection):
    """HTTP over what `dial` gives."""

    def __init__(self, dial: Callable[[], socket.socket]) -> None:
        super().__init__("localhost")
        self._dial = dial

    def connect(self) -> None:
        self.sock = self._dial()


@dataclass(frozen=True)
class Look:
    """One moment."""

    public: int | None  # status of /healthz through nginx; None: no answer
    visitor: int | None = None  # status of a room's page, as a visitor asks for it
    named: tuple[str, ...] = ()  # the parts /status calls ill or missing
    phase: str = ""
    room: str = ""  # of the newest meeting
    held: bool = False
    restarts: tuple[int, ...] = ()

    @property
    def well(self) -> bool:
        return self.public == self.visitor == 200 and not self.named and self.held


@dataclass
class Timeline:
    """Every change, with its time."""

    changes: list[tuple[float, Look]] = field(default_factory=list)

    def add(self, at: float, look: Look) -> None:
        if not self.changes or self.changes[-1][1] != look:
            self.changes.append((at, look))

    def first(self, since: float, wanted) -> float | None:
        """Seconds from `since` until a look was as wanted."""
        found = next((at for at, look in self.changes if at >= since and wanted(look)), None)
        return None if found is None else found - since

    def longest(self, since: float, wanted) -> float:
        """Seconds of the longest stretch of looks as wanted, from `since` until now."""
        longest, start = 0.0, None
        for at, look in [*self.changes, (time.monotonic(), None)]:
            if look is not None and at >= since and wanted(look):
                start = at if start is None else start
            elif start is not None:
                longest, start = max(longest, at - start), None
        return longest

    def at(self, moment: float) -> Look:
        """What was seen last at that time."""
        return next(look for at, look in reversed(self.changes) if at <= moment + STEP / 2)

    def well_since(self, since: float, old_room: str) -> float | None:
        """When it became well for good, proven by a meeting in another room; None while it is not."""
        start = None
        for at, look in reversed(self.changes):
            if not look.well or at < since or look.room == old_room:
                break
            start = at
        return start


class Prober:
    """Looks until it is ended; `init` gives the process id of the instance's init as seen here."""

    def __init__(self, namespace: str, init: Callable[[], int]) -> None:
        self.timeline = Timeline()
        self._namespace, self._init, self._pid = namespace, init, init()
        self._public: int | None = None
        self._visitor: int | None = None
        self._status: dict = {}
        self._ending = threading.Event()
        self._lock = threading.Lock()
        for ask in (self._ask_public, self._ask_visitor, self._ask_status):
            threading.Thread(target=self._repeat, args=(ask,), daemon=True).start()

    def end(self) -> None:
        self._ending.set()

    def now(self) -> Look:
        with self._lock:
            return self._look()

    def _repeat(self, ask) -> None:
        while not self._ending.is_set():
            began = time.monotonic()
            note = ask()
            with self._lock:
                note()
                self.timeline.add(time.monotonic(), self._look())
            self._ending.wait(max(0.0, STEP - (time.monotonic() - began)))

    def _ask_public(self):
        status, _ = self._get(lambda: self._dial_nginx(HEALTH_PORT), "/healthz")

        def note():
            self._public = status
        return note

    def _ask_visitor(self):
        status, _ = self._get(lambda: self._dial_nginx(443), "/ChaosLooks")

        def note():
            self._visitor = status
        return note

    def _ask_status(self):
        status, body = self._get(self._dial_agent, "/status")

        def note():
            self._status = json.loads(body) if status == 200 else {"missing": ["agent: no answer"]}
        return note

    def _dial_nginx(self, port: int) -> socket.socket:
        raw = netns.connect(self._namespace, "127.0.0.1", port, LOOK_LIMIT)
        return _ANY_CERTIFICATE.wrap_socket(raw, server_hostname="any")

    def _dial_agent(self) -> socket.socket:
        agent = socket.socket(socket.AF_UNIX)
        agent.settimeout(LOOK_LIMIT)
        try:
            agent.connect(f"/proc/{self._pid}/root/{AGENT_SOCKET}")
        except OSError:
            agent.close()
            with suppress(OSError):  # while it reboots there is none
                self._pid = self._init()
            raise
        return agent

    def _get(self, dial: Callable[[], socket.socket], path: str) -> tuple[int | None, bytes]:
        connection = _Connection(dial)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return None, b""
        finally:
            connection.close()

    def _look(self) -> Look:
        status = self._status
        meeting = status.get("meeting") or {}
        components = status.get("components") or []
        named = [m.split(":")[0] for m in status.get("missing", [])]
        named += [c["component"] for c in components if not c["ok"]]
        report = meeting.get("report", {})
        return Look(
            self._public, self._visitor, tuple(sorted(set(named))), status.get("phase", ""), report.get("room", ""),
            report.get("outcome") == "held", tuple(c["restarts"] for c in components),
        )


def dump(timeline: Timeline, origin: float, path: Path) -> None:
    """Every change as a line, for whoever wonders about a figure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{at - origin:8.1f}  {look}\n" for at, look in timeline.changes))
