"""`scripts/bench`: measures the deployer, and with root the agent; exit code 1 when a bar is missed."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from . import deployer
from .figures import Figure, table

ROOT = Path(__file__).parents[2]


def machine() -> dict:
    return {"processors": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--only", choices=["deployer", "agent"], help="one of the two")
    parser.add_argument("--binaries", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    binaries, directory = options.binaries.resolve(), options.directory.resolve()
    results, figures, texts, skipped = {"before": machine()}, [], [], None
    if options.only != "agent":
        results["deployer"] = measured = deployer.measure(str(binaries / "jitsi-aws"))
        figures += deployer.figures(measured)
        texts.append(deployer.details(measured))
    if options.only != "deployer":
        if os.geteuid() == 0:
            from . import agent  # wants what only root's sandbox installs

            shutil.rmtree(directory, ignore_errors=True)
            results["agent"] = measured = agent.measure(ROOT, binaries, directory)
            figures += measured.pop("figures")
            texts.append(agent.details(measured))
        else:
            skipped = "the agent was NOT MEASURED: its sandbox needs root"
    results["after"] = machine()
    if options.json:
        document = results | {"figures": [figure.as_dict() for figure in figures], "skipped": skipped}
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print("\n\n".join([*texts, show(figures, results)]))
    if skipped:
        print(f"\n{skipped}", file=sys.stderr)
    return 1 if any(figure.missed for figure in figures) else 0


def show(figures: list[Figure], results: dict) -> str:
    load = f"load {results['before']['load']} before, {results['after']['load']} after"
    return f"{results['before']['processors']} processors, {load}\n\n{table(figures)}"


if __name__ == "__main__":
    sys.exit(main())
