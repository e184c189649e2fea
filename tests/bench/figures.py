"""A figure with its bar, and the table of all."""

import math
from dataclasses import dataclass

KINDS = {"ms": 1, "s": 2, "%": 3, "MiB": 2, "MB": 1, "": 2}  # unit: decimals


@dataclass(frozen=True)
class Figure:
    """`measured` is good up to `bar`, both in `unit`."""

    name: str
    bar: float
    measured: float
    unit: str = ""

    @property
    def missed(self) -> bool:
        return not self.measured <= self.bar

    def row(self) -> list[str]:
        measured = f"{self.measured:.{KINDS[self.unit]}f} {self.unit}".rstrip()
        verdict = "MISSED" if self.missed else "ok"
        return [self.name, f"≤ {self.bar:g} {self.unit}".rstrip(), measured, verdict]

    def as_dict(self) -> dict:
        unit = {"unit": self.unit} if self.unit else {}
        measured = finite(self.measured)
        return {"figure": self.name, "bar": self.bar, "measured": measured, **unit, "missed": self.missed}


def table(figures: list[Figure]) -> str:
    """Every figure with its verdict."""
    rows = [["figure", "bar", "measured", "verdict"], *(figure.row() for figure in figures)]
    widths = [max(len(row[n]) for row in rows) for n in range(3)]
    return "\n".join(
        f"{name:{widths[0]}}  {bar:>{widths[1]}}  {measured:>{widths[2]}}  {verdict}"
        for name, bar, measured, verdict in rows
    )


def percentile(values: list[float], share: float) -> float:
    """The least value that at least `share` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None
