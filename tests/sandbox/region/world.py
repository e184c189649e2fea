"""The region's shared ground: account, clock, lock, knobs, and the moto backends that exist so far."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID

from .knobs import Knobs

log = logging.getLogger("sandbox")


class World:
    """Everything the controllers share. Who reads or changes moto's state holds `lock`."""

    def __init__(self, knobs: Knobs, clock: Callable[[], float] = time.monotonic) -> None:
        self.account = DEFAULT_ACCOUNT_ID
        self.knobs = knobs
        self.clock = clock
        self.lock = threading.RLock()
        # Set by the controllers as they come up.
        self.publish_event: Callable[[str, str, str, dict, list[str]], None] = lambda *_: None
        # What experiments do while they run.
        self.cut_subnets: set[str] = set()
        self.no_capacity: set[tuple[str, str]] = set()  # (ARN of an Auto Scaling group, zone)

    def cut_off(self, zone: str, subnet_id: str | None) -> bool:
        """Whether no packet enters or leaves the subnet."""
        return zone in self.knobs.zones_out or subnet_id in self.cut_subnets

    @property
    def delays(self):
        return self.knobs.delays

    def backends(self, service: Any) -> Iterator[tuple[str, Any]]:
        """(region name, backend) of every region in which the service was used."""
        yield from list(service[self.account].items())


def timestamp() -> str:
    """Now, as AWS writes it in messages."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
