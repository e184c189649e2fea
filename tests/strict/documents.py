"""Whether a policy that is put says anything: each action exists, each resource is of a type the action
knows, each condition key has a value there (Service Authorization Reference). IAM itself takes such
policies and they silently allow nothing; here they are refused.
"""

import json
import re
from functools import cache

from . import policies, reference

PUTS = {"CreatePolicy", "CreatePolicyVersion", "PutRolePolicy", "PutUserPolicy"}


def problems(call):
    if call.service != "iam" or call.operation not in PUTS:
        return []
    document = json.loads(call.parameters["PolicyDocument"])
    found = []
    for statement in policies.statements(document):
        for action in policies.listed(statement["Action"]):
            if "*" not in action:
                found += [f"{action}: {why}" for why in of_action(action, statement)]
    return found


def of_action(action, statement):
    try:
        types = reference.types(action)
    except KeyError:
        yield "no such action"
        return
    prefix = action.split(":")[0]
    patterns = {kind: arn_shape(prefix, kind) for kind in types if kind in reference.services()[prefix]["resources"]}
    resources = policies.listed(statement["Resource"])
    kinds = {kind for kind, shape in patterns.items() for each in resources if each == "*" or meets(each, shape)}
    if not kinds and resources != ["*"]:
        yield f"none of {resources} is of a type it knows: {sorted(types) or 'none'}"
    for operator, keys in (statement.get("Condition") or {}).items():
        for key in keys:
            if not any(reference.knows(action, kind, key) for kind in kinds | {""}):
                yield f"{key} ({operator}) has no value on {sorted(kinds) or 'nothing'}"


def arn_shape(prefix, kind):
    """Fields of a type's ARN, what varies as `*`."""
    template = reference.services()[prefix]["resources"][kind]["arn"]
    return re.sub(r"\$\{\w+\}", "*", template)


def meets(one, other):
    """Whether some text fits both patterns, field by field; the last may hold wildcards on both sides."""
    ours, theirs = one.split(":", 5), other.split(":", 5)
    return len(ours) == len(theirs) and all(overlap(a, b) for a, b in zip(ours, theirs))


@cache
def overlap(one, other):
    if not one and not other:
        return True
    if not one or not other:
        # A field the type leaves open may be empty: AWS's own things belong to no account.
        return (one or other) == "*"
    if one[0] == "*" and overlap(one[1:], other):
        return True
    if other[0] == "*" and overlap(one, other[1:]):
        return True
    if one[0] == "*":
        return overlap(one, other[1:])
    if other[0] == "*":
        return overlap(one[1:], other)
    return one[0] == other[0] and overlap(one[1:], other[1:])
