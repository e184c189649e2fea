"""`scripts/yardstick`: builds both deployments in one sandbox, harms them, prints the table."""

import argparse
import json
import shutil
import signal
import sys
import time
from pathlib import Path

from . import report
from .case_study import CaseStudy
from .meetings import Meetings
from .ours import Ours, write_config
from region_client import Region
from .scenarios import SCENARIOS, Bench, as_dict

OURS, THEIRS = "jitsi-aws", "case study"
DOMAINS = {OURS: "ours.example.org", THEIRS: "theirs.example.org"}


def say(text: str) -> None:
    """Progress is for people."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/yardstick", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--binaries", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, required=True, help="of the sandbox and all else it writes")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("--document", action="store_true", help="put the table into docs/ha.md, too")
    parser.add_argument("--only", action="append", choices=[s.key for s in SCENARIOS],
                        help="only this harm; repeatable")
    arguments = parser.parse_args()
    # Both ends clean up, also where a shell started this in the background with Ctrl-C ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    directory = arguments.directory.resolve()
    region = Region(arguments.root, directory / "sandbox")
    region.down()  # what a killed run left
    shutil.rmtree(directory / "work", ignore_errors=True)
    try:
        return publish(measure(region, arguments, directory / "work"), arguments, directory)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        say("removing everything")
        region.down()


def publish(results: dict, arguments: argparse.Namespace, directory: Path) -> int:
    """Table or JSON to stdout, all details to a file, the table into the document if so asked."""
    details = json.dumps(as_dict(results), indent=1)
    (directory / "yardstick.json").write_text(details + "\n")
    table = report.table(results, OURS, THEIRS)
    print(details if arguments.json else table, flush=True)
    if arguments.document:
        report.refresh(arguments.root / "docs/ha.md", table)
    missed = report.missed(results, OURS, THEIRS)
    for line in missed:
        say(f"missed: {line}")
    return 1 if missed else 0


def measure(region: Region, arguments: argparse.Namespace, work: Path) -> dict:
    say("starting the sandbox with AWS-like delays")
    region.up()
    # Making a load balancer is not measured, and AWS takes minutes for it.
    region.put("delays", {"balancer_provisioning": 5})
    configs, certificates = {}, {}
    for number, (site, domain) in enumerate(DOMAINS.items()):
        certificates[site] = work / f"certificate-{number}"
        certificates[site].mkdir(parents=True)
        region.cli("certificate", domain, "--out", str(certificates[site]))
        configs[site] = write_config(work, f"probe-{number}", domain, certificates[site], region.known["region"])
    say("building both deployments")
    ours = Ours(region, arguments.binaries, work / "ours", DOMAINS[OURS])
    theirs = CaseStudy(region, DOMAINS[THEIRS])
    setup = ours.start(certificates[OURS])
    try:
        theirs.build(certificates[THEIRS], ours.zones(setup))
        if setup.wait() != 0:
            raise SystemExit(f"yardstick: `setup all` failed\n{ours.log.read_text()}")
    finally:
        setup.kill()
        setup.wait()
    ours.name_its_address()
    meetings = Meetings(region, arguments.binaries / "jitsi-aws", configs)
    try:
        bench = Bench(region, {OURS: ours.group, THEIRS: theirs.group}, meetings, say)
        bench.await_health()
        return {s.key: bench.run(s) for s in SCENARIOS if s.key in (arguments.only or [s.key])}
    finally:
        meetings.end()


if __name__ == "__main__":
    sys.exit(main())
