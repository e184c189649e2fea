"""Whether a policy of a resource lets an AWS service do something."""

import fnmatch


def allows(
    policy: dict, principal: str, action: str, resource: str, source_arn: str, account: str
) -> bool:
    """For a service that acts for `source_arn`; deny beats allow."""
    allowed = False
    for statement in policy.get("Statement", []):
        who = statement.get("Principal", {})
        services = who if who == "*" else who.get("Service", [])
        actions = [a.lower() for a in listed(statement.get("Action", []))]
        resources = listed(statement.get("Resource", "*"))
        if (
            (services == "*" or principal in listed(services))
            and any(fnmatch.fnmatchcase(action.lower(), a) for a in actions)
            and any(fnmatch.fnmatchcase(resource, r) for r in resources)
            and _conditions_hold(statement.get("Condition", {}), source_arn, account)
        ):
            if statement.get("Effect") == "Deny":
                return False
            allowed = True
    return allowed


def _conditions_hold(conditions: dict, source_arn: str, account: str) -> bool:
    context = {"aws:sourcearn": source_arn, "aws:sourceaccount": account, "aws:sourceowner": account}
    for operator, wanted in conditions.items():
        for key, patterns in wanted.items():
            value = context.get(key.lower())
            if operator == "Bool" and key.lower() == "aws:securetransport":
                if "true" not in [str(p).lower() for p in listed(patterns)]:
                    return False
                continue
            if value is None:
                return False
            like = operator in ("ArnEquals", "ArnLike", "StringLike")
            if not any(fnmatch.fnmatchcase(value, p) if like else value == p for p in listed(patterns)):
                return False
    return True


def listed(value) -> list:
    """A list of one may be written without its brackets."""
    return value if isinstance(value, list) else [value]
