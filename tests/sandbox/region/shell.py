"""Runs a system program and, when it fails, says which one and why."""

import fcntl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class CommandFailed(RuntimeError):
    """A program ended with another code than 0; the message carries its last words."""


def run(argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60) -> str:
    """Runs `argv` to its end and returns its standard output."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise CommandFailed(f"{' '.join(argv)}: exit code {done.returncode}: {words}")
    return done.stdout


def attempt(argv: Sequence[str]) -> bool:
    """Runs `argv` where failing is an answer: already gone, not there yet."""
    return subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time is inside; the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
