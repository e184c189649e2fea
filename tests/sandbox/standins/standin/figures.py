"""Statistics and metrics in the words of the recorded ones, with today's values."""

import json
import re
from pathlib import Path

_DATA = Path(__file__).parent / "data"


def recorded_json(name):
    return json.loads((_DATA / name).read_text())


def recorded_text(name):
    return (_DATA / name).read_text()


def metrics(name, values):
    """The recorded exposition `name` with `values` put in; an unknown name is a mistake here."""
    text = recorded_text(name)
    # Figures of the recorded run are nobody's figures now.
    text = re.sub(r"^(\w+_total(?:\{[^}]*\})?) \S+$", r"\1 0.0", text, flags=re.MULTILINE)
    for metric, value in values.items():
        pattern = re.compile(rf"^({re.escape(metric)}(?:\{{[^}}]*\}})?) \S+$", re.MULTILINE)
        text, found = pattern.subn(lambda m, v=value: f"{m[1]} {float(v)}", text)
        if not found:
            raise KeyError(metric)
    return text


def as_text(value):
    """A statistic as an XMPP attribute."""
    return str(value).lower() if isinstance(value, bool) else str(value)
