"""Whether a request says what the service's model asks for: required members, length, range, pattern and
enumerated values (botocore's models; an SDK checks the first three at most, AWS all of them), and the
rules of names that EC2's model is silent about.
"""

import re
from functools import cache

from botocore.validate import ParamValidator

from . import naming

# Patterns of the models in Java's dialect that Python reads otherwise.
POSIX = {r"\p{IsAlphabetic}": "a-zA-Z", r"\p{L}": "a-zA-ZÀ-ɏ", r"\p{Z}": " ", r"\p{N}": "0-9", r"\p{M}": "",
         r"\p{S}": "+=<>|~^$`", r"\p{P}": "!-/:-@\\[-`{-~", r"\p{ASCII}": "\x00-\x7f", r"\p{Graph}": "!-~"}


def problems(call):
    """What AWS would refuse in it, in words."""
    shape = call.model.input_shape
    if shape is None:
        return []
    # Streams are opaque.
    report = ParamValidator().validate(readable(call.parameters, shape), shape)
    found = [report.generate_report()] if report.has_errors() else []
    found += values(call.parameters, shape, call.operation)
    found += naming.problems(call)
    return found


def readable(value, shape):
    """Parameters without what the parsers of requests leave of absent members."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            name: readable(each, shape.members[name])
            for name, each in value.items()
            if each is not None and name in shape.members
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [readable(each, shape.member) for each in value]
    return value


def values(value, shape, where):
    """What botocore's own validation leaves out: maximum, pattern, enumeration."""
    kind = shape.type_name
    if value is None:
        return []
    if kind == "structure" and isinstance(value, dict):
        unknown = [f"{where} has no {name}" for name in value if name not in shape.members]
        inner = ((name, value[name], member) for name, member in shape.members.items() if name in value)
        return unknown + [each for name, one, member in inner for each in values(one, member, f"{where}.{name}")]
    limits = shape.metadata
    found = []
    if kind == "list":
        found = [each for i, one in enumerate(value) for each in values(one, shape.member, f"{where}[{i}]")]
    if kind == "map":
        for key, one in value.items():
            found += values(key, shape.key, f"{where} key") + values(one, shape.value, f"{where}[{key}]")
    if kind in ("list", "map", "string", "blob") and len(value) > limits.get("max", len(value)):
        found.append(f"{where} is longer than {limits['max']}: {len(value)}")
    if kind in ("integer", "long", "double", "float") and value > limits.get("max", value):
        found.append(f"{where} is over {limits['max']}: {value}")
    if kind == "string":
        if shape.enum and value not in shape.enum:
            found.append(f"{where} is none of {', '.join(shape.enum[:12])}: {value!r}")
        pattern = compiled(limits.get("pattern"))
        if pattern is not None and not pattern.search(value):
            found.append(f"{where} does not match {limits['pattern']}: {value!r}")
    return found


@cache
def compiled(pattern):
    """The pattern as AWS means it, the whole text; None for one Python cannot read."""
    if pattern is None:
        return None
    for name, characters in POSIX.items():
        pattern = pattern.replace(f"[{name}]", f"[{characters}]").replace(name, characters)
    try:
        return re.compile(rf"\A(?:{pattern})\Z", re.DOTALL)
    except re.error:
        return None
