"""A deployment in a sandbox of its own for the whole run, and the figures it is run for."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / "sandbox")]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

from .deployment import BINARIES, ROOT, Deployment  # noqa: E402
from .table import Figures  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="only the faults that are over within a minute")
    parser.addoption("--sandbox", type=Path, help="where the sandbox lives; kept, and used again, if it is up")


def pytest_configure(config):
    config.addinivalue_line("markers", "quick: over within a minute")


def pytest_collection_modifyitems(config, items):
    ours = [item for item in items if Path(__file__).parent in Path(item.fspath).parents]
    if config.getoption("--quick"):
        slow = [item for item in ours if item.get_closest_marker("quick") is None]
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)
    if reason := cannot_run():
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter):
    if reason := cannot_run():
        terminalreporter.write_line(reason, red=True, bold=True)


@cache
def cannot_run() -> str | None:
    """Why there can be no chaos on this machine."""
    if os.geteuid() != 0:
        return "CHAOS NOT RUN: real instances need root"
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False).returncode:
        return "CHAOS NOT RUN: this machine gives root no namespaces"
    for program in ("jitsi-aws", "jitsi-agent"):
        if not (BINARIES / program).exists():
            return f"CHAOS NOT RUN: {BINARIES / program} is not built"
    return None


@pytest.fixture(scope="session")
def deployment(request, tmp_path_factory):
    kept = request.config.getoption("--sandbox")
    made = Deployment(kept or tmp_path_factory.mktemp("chaos"))
    try:
        if kept is None or not (kept / "home").exists():
            made.set_up()
        yield made
    finally:
        if kept is None:
            made.down()


@pytest.fixture(scope="session")
def figures():
    """Figures of this run, kept beside those of earlier runs."""
    path = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "chaos/figures.json"
    found = Figures(path, json.loads(path.read_text()) if path.exists() else {})
    yield found
    found.save()


@pytest.fixture(scope="session")
def member(deployment):
    """The instance in the group."""
    return deployment.member()
