"""Reads jvb.conf and jicofo.conf as the real programs do, bad ones included.

The real programs exit 1 on what their HOCON parser refuses; a value of the wrong type kills only
the thread that asked for it, and the process lives on without ever serving.
"""

import datetime
import re
import sys
from pathlib import Path

from pyhocon import ConfigFactory
from pyhocon.config_tree import ConfigTree, NoneValue

_UNITS = {
    "ns": 1e-9, "nano": 1e-9, "us": 1e-6, "micro": 1e-6, "ms": 1e-3, "milli": 1e-3, "s": 1.0,
    "second": 1.0, "m": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0,
}
_MISSING = object()


class WrongType(Exception):
    """A value is not what the program wants: it goes on living and never serves."""


class Config:
    """Typed access by path; what is not set has the program's default."""

    def __init__(self, tree):
        self._tree = tree

    @classmethod
    def load(cls, path):
        """Reads `path`, or ends the process with 1 as the real programs do."""
        try:
            text = Path(path).read_text(encoding="utf-8")
            if text.count('"""') % 2 == 0 and re.search(r'^[^#/]*[=:]\s*"[^"\n]*$', text, re.MULTILINE):
                raise ValueError("a quoted string does not end on its line")
            return cls(ConfigFactory.parse_string(text, resolve=True))
        except Exception as error:  # noqa: BLE001 - whatever the parser throws means the same
            print(f"Exception in thread \"main\" ConfigException: {error}", file=sys.stderr)
            sys.exit(1)

    def raw(self, path, default=None):
        value = self._tree.get(path, _MISSING)
        return default if value is _MISSING or isinstance(value, NoneValue) else value

    def tree(self, path):
        """The named children of an object: name and `Config` each."""
        value = self.raw(path)
        if value is None:
            return []
        if not isinstance(value, ConfigTree):
            raise WrongType(f"{path} has type {type(value).__name__} rather than OBJECT")
        return [(name.strip('"'), Config(child)) for name, child in value.items() if isinstance(child, ConfigTree)]

    def objects(self, path):
        value = self.raw(path, [])
        if not isinstance(value, list) or not all(isinstance(item, ConfigTree) for item in value):
            raise WrongType(f"{path} is not a list of objects")
        return [Config(item) for item in value]

    def text(self, path, default=None):
        value = self.raw(path, default)
        if isinstance(value, (list, ConfigTree)):
            raise WrongType(f"{path} has type {type(value).__name__} rather than STRING")
        return default if value is None else str(value)

    def flag(self, path, default):
        value = self.raw(path, default)
        if isinstance(value, str) and value.lower() in ("true", "yes", "on", "false", "no", "off"):
            value = value.lower() in ("true", "yes", "on")
        if not isinstance(value, bool):
            raise WrongType(f"{path} has value {value!r} rather than BOOLEAN")
        return value

    def integer(self, path, default):
        value = self.raw(path, default)
        if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise WrongType(f"{path} has value {value!r} rather than NUMBER")
        return value

    def seconds(self, path, default):
        """A duration; bare numbers are milliseconds (HOCON.md)."""
        value = self.raw(path, default)
        if value is default:
            return float(default)
        if hasattr(value, "days"):
            # pyhocon gives dateutil's relativedelta where that is installed, else a timedelta.
            start = datetime.datetime(2000, 1, 1)
            return (start + value - start).total_seconds()
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value / 1000
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(value))
        unit = match and (match[2].rstrip("s") or ("s" if match[2] else "ms"))
        for name in ((match[2], unit, unit + "second") if match else ()):
            if name in _UNITS:
                return float(match[1]) * _UNITS[name]
        raise WrongType(f"{path} has value {value!r} rather than a duration")
