"""The figures, and the table in docs/agent.md that shows them."""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

BEGIN, END = "<!-- chaos: made by scripts/chaos -->", "<!-- end of chaos -->"


@dataclass
class Figure:
    """One fault, in seconds from its beginning; `healed` from its end when it lasts."""

    fault: str
    lasts: float | None  # None: until the agent ends it
    named: float | None  # until /status names it
    turned: float | None  # until a visitor gets no page any more
    told: float | None  # until /healthz through nginx is no 200 any more
    answer: str  # what it was then, or what it was all the time
    healed: float | None
    note: str = ""


class Figures:
    """By test, in the order of the tests."""

    def __init__(self, path: Path, known: dict[str, dict]) -> None:
        self.path, self._known = path, known

    def add(self, key: str, figure: Figure) -> None:
        self._known[key] = asdict(figure)
        self.save()

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self._known, indent=1) + "\n")


def render(known: dict[str, dict]) -> str:
    rows = ["| fault | named in `/status` | visitors turned away | `/healthz` | well again | |", "|---|---|---|---|---|---|"]
    for row in known.values():
        figure = Figure(**row)
        told = f"{figure.answer} after {figure.told:.1f} s" if figure.told is not None else figure.answer or "stays 200"
        healed = "no" if figure.healed is None else f"{figure.healed:.1f} s"
        if figure.healed == 0:
            healed = "stays well"
        elif figure.lasts is not None and figure.healed is not None:
            healed += " after its end"
        lasts = "" if figure.lasts is None else f", {figure.lasts:.0f} s long"
        named = "–" if figure.named is None else f"{figure.named:.1f} s"
        turned = "no" if figure.turned is None else f"after {figure.turned:.1f} s"
        if figure.told is None and figure.answer:
            turned = "until ready"
        rows.append(f"| {figure.fault}{lasts} | {named} | {turned} | {told} | {healed} | {figure.note} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("--into", type=Path, help="a document that has a place for the table")
    arguments = parser.parse_args()
    table = render(json.loads(arguments.figures.read_text()))
    print(table)
    if arguments.into:
        text = arguments.into.read_text()
        before, rest = text.split(BEGIN, 1)
        after = rest.split(END, 1)[1]
        arguments.into.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
