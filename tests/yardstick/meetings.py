"""What the prober saw, and the figure that counts: seconds without meetings."""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from region_client import Region

LASTING = 5  # meetings held in a row before an outage counts as over
NOTICED = 30.0  # seconds within which a harm shows, or there was none


@dataclass(frozen=True)
class Attempt:
    """One meeting; times are of the machine's monotonic clock, in seconds."""

    began: float
    ended: float
    held: bool
    reason: str | None = None


@dataclass(frozen=True)
class Outage:
    """What one harm did to one site; times are seconds after the harm."""

    seconds: float | None  # without meetings; None: not over, or not yet known
    first_failure: float | None = None  # beginning of the first meeting that failed
    attempts: int = 0
    failed: int = 0
    reason: str | None = None  # of the last failure


def outage(attempts: list[Attempt], harm: float) -> Outage:
    """From the harm to the end of the first of LASTING meetings in a row that were held after one had
    failed. Meetings that began before the harm do not count."""
    later = sorted((a for a in attempts if a.began >= harm), key=lambda a: a.began)
    failed = [n for n, a in enumerate(later) if not a.held]
    if not failed:
        unharmed = any(a.began >= harm + NOTICED for a in later)
        return Outage(0.0 if unharmed else None, attempts=len(later))
    seconds, row = None, 0
    for number, attempt in enumerate(later[failed[0]:], failed[0]):
        row = row + 1 if attempt.held else 0
        if row == LASTING:
            seconds = later[number - LASTING + 1].ended - harm
            break
    first, last = later[failed[0]], later[failed[-1]]
    return Outage(seconds, first.began - harm, len(later), len(failed), last.reason)


class Meetings:
    """The prober at work, and its attempts so far by site."""

    def __init__(self, region: Region, binary: Path, configs: dict[str, Path]) -> None:
        self._lock = threading.Lock()
        self._attempts: dict[str, list[Attempt]] = {site: [] for site in configs}
        script = str(Path(__file__).with_name("prober.py"))
        sites = [f"{site}={config}" for site, config in configs.items()]
        self._process = subprocess.Popen(
            region.on_the_internet(sys.executable, "-P", script, str(binary), *sites),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            row = json.loads(line)
            with self._lock:
                self._attempts[row.pop("site")].append(Attempt(**row))

    def of(self, site: str) -> list[Attempt]:
        if self._process.poll() is not None:
            raise RuntimeError(f"the prober ended with {self._process.returncode}")
        with self._lock:
            return list(self._attempts[site])

    def well(self, site: str) -> bool:
        """Whether the latest meetings were all held."""
        latest = sorted(self.of(site), key=lambda a: a.began)[-LASTING:]
        return len(latest) == LASTING and all(a.held for a in latest)

    def end(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
