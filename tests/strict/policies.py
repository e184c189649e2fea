"""Reads IAM policies as IAM does, as far as ours go: Allow and Deny, wildcards, conditions (IAM user guide,
"Policy evaluation logic", "IAM JSON policy elements: Condition operators"). An operator or element that
is not known here is an error, never a silent yes or no.
"""

import json
import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Grant:
    """One action of one statement of one policy."""

    policy: str
    action: str
    resources: tuple
    condition: str

    def told(self):
        condition = f" when {self.condition}" if self.condition != "{}" else ""
        return f"{self.policy}: {self.action} on {', '.join(self.resources)}{condition}"


def listed(value):
    return value if isinstance(value, list) else [value]


def statements(document):
    for statement in listed(document["Statement"]):
        unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}
        if unknown:
            raise NotImplementedError(f"policy element {unknown}")
        yield statement


def grants(policy, document):
    """Every action that a document allows, statement by statement."""
    for statement in statements(document):
        if statement["Effect"] == "Allow":
            for action in listed(statement["Action"]):
                yield grant(policy, statement, action)


def grant(policy, statement, action):
    condition = json.dumps(statement.get("Condition") or {}, sort_keys=True)
    return Grant(policy, action, tuple(sorted(listed(statement["Resource"]))), condition)


def allow_everything(documents):
    """Whether somebody is an administrator: one statement that allows all, and nothing is denied."""
    every = [statement for _, document in documents for statement in statements(document)]
    return all(each["Effect"] == "Allow" for each in every) and any(
        "*" in listed(each["Action"]) and "*" in listed(each["Resource"]) and not each.get("Condition") for each in every
    )


@cache
def pattern(text, fold=False):
    """`*` and `?`, nothing else."""
    wild = re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(wild, re.DOTALL | (re.IGNORECASE if fold else 0))


@cache
def arn_pattern(text):
    """Wildcards of an ARN do not cross its first five colons."""
    parts = text.split(":", 5)
    return re.compile(":".join(re.escape(part).replace(r"\*", "[^:]*" if i < 5 else ".*").replace(r"\?", ".")
                               for i, part in enumerate(parts)), re.DOTALL)


def allowing(documents, action, resource, context):
    """The grants that let this pass; empty when it is denied. `context` has a list of texts per key."""
    allowed = []
    for policy, document in documents:
        for statement in statements(document):
            actions = [each for each in listed(statement["Action"]) if pattern(each, fold=True).fullmatch(action)]
            if not actions or not any(covers(each, resource) for each in listed(statement["Resource"])):
                continue
            if not holds(statement.get("Condition") or {}, context):
                continue
            if statement["Effect"] == "Deny":
                return []
            allowed += [grant(policy, statement, each) for each in actions]
    return allowed


def covers(granted, resource):
    """`resource` is an ARN, or `*` for an action that knows none: only `*` grants that."""
    if granted == "*":
        return True
    return resource != "*" and arn_pattern(granted).fullmatch(resource) is not None


def holds(condition, context):
    lowered = {key.lower(): values for key, values in context.items()}
    return all(
        holds_key(operator, key, [str(each) for each in listed(wanted)], lowered.get(key.lower(), []))
        for operator, keys in condition.items()
        for key, wanted in keys.items()
    )


def holds_key(operator, key, wanted, actual):
    if operator == "Null":
        return (not actual) == (wanted[0] == "true")
    quantifier, _, plain = operator.rpartition(":")
    plain, if_exists = (plain[:-8], True) if plain.endswith("IfExists") else (plain, False)
    matches = OPERATORS[plain]
    each = [any(matches(one, value) for one in wanted) for value in actual]
    if quantifier == "ForAllValues":
        return all(each)
    if quantifier not in ("", "ForAnyValue"):
        raise NotImplementedError(operator)
    if quantifier == "" and len(actual) > 1:
        raise NotImplementedError(f"{key} has several values: {operator} needs a set operator")
    return any(each) or (if_exists and not actual)


OPERATORS = {
    "StringEquals": lambda wanted, actual: wanted == actual,
    "StringLike": lambda wanted, actual: pattern(wanted).fullmatch(actual) is not None,
    "ArnLike": lambda wanted, actual: arn_pattern(wanted).fullmatch(actual) is not None,
    "ArnEquals": lambda wanted, actual: arn_pattern(wanted).fullmatch(actual) is not None,
    "Bool": lambda wanted, actual: wanted.lower() == actual.lower(),
}
