"""One sandbox and one workplace for the whole story; evidence where a chapter fails."""

import shutil
import subprocess
from pathlib import Path

import pytest
from workplace import DOMAIN, PROGRAM, ROOT, TARGET, Workplace

SANDBOX = TARGET / "sandbox/end-to-end"  # always the same: the next run finds what a killed one left


def sandbox(*arguments: str) -> subprocess.CompletedProcess:
    argv = [str(ROOT / "scripts/sandbox"), "--directory", str(SANDBOX), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=1800, check=False)


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also the chapters that scripts/chaos tells")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: told with --slow, by scripts/chaos")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """A region that is up, and an empty home with a certificate."""
    able = sandbox("check")
    if able.returncode == 3:
        pytest.skip(f"this machine cannot run instances: {able.stdout.strip()}")
    assert able.returncode == 0, able.stderr
    assert PROGRAM.exists(), "build first: cargo build --locked --workspace --all-targets"
    sandbox("down")
    try:
        up = sandbox("up", "--fast")
        assert up.returncode == 0, up.stderr
        home: Path = tmp_path_factory.mktemp("home")
        made = Workplace(SANDBOX, home)
        made.sandbox("certificate", DOMAIN, "--out", str(home))
        yield made
    finally:
        down = sandbox("down")
    assert down.returncode == 0, down.stderr
    shutil.rmtree(home)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and (place := getattr(item, "funcargs", {}).get("workplace")) is not None:
        try:
            report.sections += place.evidence()
        except Exception as error:
            report.sections.append(("evidence", f"none: {error!r}"))
    return report
