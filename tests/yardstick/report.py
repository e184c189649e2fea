"""The table, what was expected of it, and its place in docs/ha.md."""

import os
from pathlib import Path

from .scenarios import HANG_LIMIT, SCENARIOS, STEPS, Measured

BEGIN, END = "<!-- yardstick: begin -->", "<!-- yardstick: end -->"
SLOWER = 5.0  # seconds by which a replacement may take longer than the case study's
KILLED, HANGING = 30.0, 60.0  # seconds within which meetings must be back

Results = dict[str, dict[str, Measured]]


def table(results: Results, ours: str, theirs: str) -> str:
    """Markdown: seconds without meetings, and the steps of those that took a new instance."""
    lines = [f"| what happens | {theirs} | {ours} |", "|---|---:|---:|"]
    for scenario in SCENARIOS:
        if row := results.get(scenario.key):
            cells = [cell(row[site], scenario.limit) for site in (theirs, ours)]
            lines.append(f"| **{scenario.title}** | {' | '.join(cells)} |")
            steps = [row[site].steps() for site in (theirs, ours)]
            if all(steps):
                lines += [f"| … {s} | {' | '.join(f'{each[s]:.0f} s' for each in steps)} |" for s in STEPS]
    # Others' work on the machine lengthens both figures, most of all what installs.
    loads = ", ".join(f"{row[ours].load:.1f}" for row in results.values())
    lines += ["", f"Measured on {os.cpu_count()} processors; load of the machine at each harm: {loads}."]
    return "\n".join(lines)


def cell(measured: Measured, limit: float) -> str:
    seconds = measured.outage.seconds
    text = f"not within {limit / 60:.0f} min" if seconds is None else f"{seconds:.0f} s"
    if measured.zone_before != measured.zone_after:
        text += f", {measured.zone_before[-1]} → {measured.zone_after[-1]}"
    return text


def missed(results: Results, ours: str, theirs: str) -> list[str]:
    """What this project promises and the run did not show."""
    def seconds(key: str, site: str) -> float:
        found = results[key][site].outage.seconds
        return float("inf") if found is None else found

    found = []
    if "instance" in results and seconds("instance", ours) > seconds("instance", theirs) + SLOWER:
        found.append(f"an instance is replaced more than {SLOWER:.0f} s slower than the case study's")
    if "killed" in results and seconds("killed", ours) > KILLED:
        found.append(f"a killed bridge is back within {KILLED:.0f} s")
    if "hanging" in results and seconds("hanging", ours) > HANGING:
        found.append(f"a hanging bridge is back within {HANGING:.0f} s")
    if "hanging" in results and seconds("hanging", theirs) <= HANG_LIMIT:
        found.append("nobody mends the case study's hanging bridge")
    if "zone" in results:
        zone = results["zone"][ours]
        if zone.outage.seconds is None or zone.zone_before == zone.zone_after:
            found.append("meetings are held in the other zone after an outage")
    return found


def refresh(document: Path, text: str) -> None:
    """Puts the table between the markers."""
    before, _, rest = document.read_text().partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"yardstick: {document} has no place for the table")
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
