"""Where a boot's time goes: what the agent itself took, beside what apt and the services' start-up took."""

import re
from dataclasses import dataclass
from datetime import datetime, timezone

PACKAGES = re.compile(r"(.*/)?(add-apt|apt|dpkg|debconf)(-\S+)?$")
UNITS = ["prosody", "jicofo", "jitsi-videobridge2", "nginx"]

Interval = tuple[float, float]


@dataclass
class Boot:
    """Seconds since 1970: when the agent began, when it told CONTINUE, its lines, and the services' beginnings."""

    began: float
    ended: float
    lines: list[tuple[float, str]]
    started: dict[str, float]
    looks: list[dict]  # what inside/looks.py printed

    def packages(self) -> list[Interval]:
        """Programs of apt and dpkg, as the agent tells of them when they end."""
        return [interval for program, interval in self._programs() if PACKAGES.match(program)]

    def services(self) -> list[Interval]:
        """systemctl, and each service from its last start to its first good answer."""
        ran = [interval for program, interval in self._programs() if program == "systemctl"]
        return ran + [(start, self._answers(unit, start)) for unit, start in self.started.items()]

    def own(self) -> list[tuple[float, float, str]]:
        """What is left: when, how long, and what the agent said at its end."""
        left, at = [], self.began
        for start, end in merged([*self.packages(), *self.services(), (self.ended, self.ended)]):
            start, end = (min(max(moment, self.began), self.ended) for moment in (start, end))
            if start > at:
                said = next((line for when, line in self.lines if when >= start - 0.001), "")
                left.append((at - self.began, start - at, said))
            at = max(at, end)
        return left

    def _programs(self):
        for at, line in self.lines:
            if found := re.fullmatch(r"`(\S+).*` took (\d+) ms", line):
                yield found[1], (at - int(found[2]) / 1000, at)

    def _answers(self, unit: str, start: float) -> float:
        """When the unit first answered after `start`; until CONTINUE it must have."""
        answers = False
        for look in (look for look in self.looks if look["unit"] == unit):
            if look["at"] >= start and answers:
                break
            if look["at"] >= start and look["answers"]:
                return look["at"]
            answers = look["answers"]
        # It answered so soon that no look saw it away, or was never seen: nothing is taken off.
        return start


def merged(intervals: list[Interval]) -> list[Interval]:
    """The same time, without overlaps, in order."""
    result: list[Interval] = []
    for start, end in sorted(intervals):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def length(intervals: list[Interval]) -> float:
    """Seconds in any of them."""
    return sum(end - start for start, end in merged(intervals))


def moment(text: str) -> float:
    """`Sat 2026-11-21 01:20:35.890329 UTC`, as systemctl shows it with --timestamp=us+utc."""
    parsed = datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S.%f UTC")
    return parsed.replace(tzinfo=timezone.utc).timestamp()
