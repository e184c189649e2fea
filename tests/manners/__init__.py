"""AWS's manners, over the emulator: what the real services do and moto does not.

moto is instant and forgiving. `Manners` is WSGI middleware around it in which every call may meet what
it would meet on AWS: a thing made a moment ago that the next service does not know yet, a key that one
service takes and another refuses, throttling, failures inside under each service's own name, a tagging
API that goes on naming the dead. docs/aws.md, "Manners", lists them all with their sources.

Which calls are hit is drawn from a seed, by the kind of thing and not by its id or the hour, so that a
run can be repeated. A delay is counted in calls and is over after a minute in any case; nothing here
sleeps. `off` as seed is the bare emulator.

Only the deployer's calls meet them, known by the name it gives itself. What a test does by hand, or an
instance, is done to an account that has settled.
"""

import random
import threading
from collections import Counter

from wire import read, refuse
from wire.answers import forward, tell

from .conflicts import Conflicts
from .documents import Documents
from .failures import Failures
from .ghosts import Ghosts
from .keys import Keys
from .launches import Launches
from .newness import Newness
from .release import Release
from .rights import NewRights
from .spellings import Spellings
from .throttling import Throttling

ALL = (Spellings, Ghosts, Keys, NewRights, Newness, Release, Throttling, Failures, Documents, Launches, Conflicts)
DEFAULT_SEED = 1
DEPLOYER = "app/jitsi-aws"  # in the user agent of its calls


class Dice:
    """Draws that depend on the seed and on what is asked, never on when."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def upto(self, most: int, *what: str) -> int:
        """0 to `most`, the same for the same question."""
        return random.Random(f"{self.seed} {' '.join(what)}").randint(0, most)


class Manners:
    """The application, with manners."""

    def __init__(self, app, seed: int | None = DEFAULT_SEED, without: tuple = ()) -> None:
        """`None` as seed is no manners at all."""
        self._app, self.seed = app, seed
        self._lock = threading.RLock()
        self.seen = Counter()
        dice = Dice(seed)
        self._manners = [] if seed is None else [kind(dice) for kind in ALL if kind not in without]

    def __call__(self, environ, start_response):
        if environ.get("PATH_INFO") == "/manners":
            with self._lock:  # how often each manner was met, for tests and people
                return tell({"seed": self.seed, "seen": dict(sorted(self.seen.items()))}, start_response)
        if not self._manners or DEPLOYER not in environ.get("HTTP_USER_AGENT", ""):
            return self._app(environ, start_response)
        call = read(environ)
        with self._lock:
            for manner in self._manners:
                if refused := manner.refuse(call):
                    self.seen[f"{type(manner).__name__} {call.service} {refused.code}"] += 1
                    return refuse(call, refused, start_response)
        status, headers, body = forward(self._app, environ)
        with self._lock:
            for manner in self._manners:
                if refused := manner.spoil(call, status):
                    self.seen[f"{type(manner).__name__} {call.service} {refused.code}"] += 1
                    return refuse(call, refused, start_response)
                changed = manner.rewrite(call, status, body)
                if changed is not None and changed != body:
                    self.seen[f"{type(manner).__name__} {call.service} {call.action}"] += 1
                    body = changed
        headers = [(k, v) for k, v in headers if k.lower() != "content-length"]
        headers.append(("Content-Length", str(len(body))))
        start_response(status, headers)
        return [body]


def seed(text: str) -> int | None:
    """A seed as it is given on a command line: a number, or `off`."""
    return None if text == "off" else int(text)
