"""The layer before the emulator: reads every request, refuses what AWS would refuse, and remembers which
calls were made and which grants let them pass. `GET /strict/<account>` tells it.

Rights are asked of IAM users and of instances with a role, with the policies they have at that moment; the
emulator's root, the sessions the tests begin with and whoever was granted everything are administrators.
"""

import json
import sys
import threading
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass

import wire
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from wire.answers import tell

from . import asks, call, documents, managed, policies, wellformed

DENIED = {"ec2": "UnauthorizedOperation", "query": "AccessDenied", "rest-xml": "AccessDenied"}
MALFORMED = {"ec2": "InvalidParameterValue", "query": "ValidationError", "rest-xml": "InvalidRequest"}
# The role whose sessions the emulator's tests begin with (`tests/src/emulator.rs`); it needs not exist.
ADMINISTRATOR = ":role/admin"


@dataclass
class Principal:
    """Whoever calls, with name and document of every policy."""

    arn: str
    policies: list


class Strict:
    """WSGI middleware; `rights` says whether policies count at the moment."""

    def __init__(self, app, rights=lambda: True):
        self.app, self.rights = app, rights
        self.lock = threading.Lock()
        self.calls = defaultdict(Counter)
        self.used = defaultdict(set)
        self.refused = defaultdict(list)

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path.startswith("/strict/"):
            return tell(self.told(path.rsplit("/", 1)[1]), start_response)
        asked = wire.read(environ)
        try:
            refusal = self.refusal(asked, environ)
        except Exception as error:  # a fault of ours must be seen, whatever it is
            traceback.print_exc()
            refusal = wire.Refusal("StrictFault", repr(error)[:500], 501)
        if refusal is None:
            return self.app(environ, start_response)
        print(f"strict: {refusal.code}: {refusal.message}", file=sys.stderr, flush=True)
        return wire.refuse(asked, refusal, start_response)

    def refusal(self, asked, environ):
        """The answer when AWS would say no; None to go on."""
        if not asked.key:
            return None  # nobody signed it, so it is none of AWS's
        made, account = call.read(asked, environ), asked.account
        with self.lock:
            self.calls[account][f"{made.service}:{made.operation}"] += 1
        wrong = wellformed.problems(made) or documents.problems(made)
        if wrong:
            message = "; ".join(wrong)
            with self.lock:
                self.refused[account].append(message)
            return wire.Refusal(MALFORMED.get(asked.protocol, "ValidationException"), message)
        who = principal(account, asked.key)
        if not self.rights() or who is None or policies.allow_everything(who.policies):
            return None
        for ask in asks.asks(made, account):
            allowing = policies.allowing(who.policies, ask.action, ask.resource, ask.context)
            if not allowing:
                context = ", ".join(f"{key}={value}" for key, value in sorted(ask.context.items()))
                message = (
                    f"User: {who.arn} is not authorized to perform: {ask.action} on resource: {ask.resource} "
                    f"because no identity-based policy allows the {ask.action} action"
                )
                with self.lock:
                    self.refused[account].append(f"{made.operation}: {message} [{context}]")
                return wire.Refusal(DENIED.get(asked.protocol, "AccessDeniedException"), message, 403)
            with self.lock:
                self.used[account].update(allowing)
        return None

    def told(self, account):
        """What was called, what was refused, which grants of the account's users and of each role nothing
        used, and which were decided upon (`managed`) but are none."""
        backend = iam_backends[account]["aws"]
        users = [user for user in list(backend.users.values())
                 if not policies.allow_everything(policies_of(user))]
        granted = granted_to(users)
        roles = {role.name: granted_to([role]) for role in list(backend.roles.values())}
        decided = {
            action
            for decisions in managed.POLICIES.values()
            for action, decision in decisions.items()
            if decision == managed.GRANTED
        }
        with self.lock:
            return {
                "missing": sorted(decided - {each.action for each in granted}),
                "calls": dict(self.calls[account]),
                "refused": list(self.refused[account]),
                "unused": sorted(each.told() for each in granted - self.used[account]),
                "unused_by_roles": {
                    name: sorted(each.told() for each in granted - self.used[account])
                    for name, granted in roles.items()
                },
            }


def principal(account, key):
    """The user or role whose key this is; None for the emulator's root and an administrator's session."""
    if user := iam_backends[account]["aws"].get_user_from_access_key_id(key):
        return Principal(user.arn, policies_of(user))
    if session := sts_backends[account]["aws"].get_assumed_role_from_access_key(key):
        roles = iam_backends[account]["aws"].roles.values()
        role = next((each for each in roles if each.arn == session.role_arn), None)
        if role is None and session.role_arn.endswith(ADMINISTRATOR):
            return None
        return Principal(session.arn, policies_of(role) if role else [])
    return None


def granted_to(entities):
    return {
        each
        for entity in entities
        for policy, document in policies_of(entity)
        for each in policies.grants(policy, document)
    }


def policies_of(entity):
    """Name and document of every policy a user or role has."""
    held = [(name, json.loads(text)) for name, text in entity.policies.items()]
    for policy in list(entity.managed_policies.values()):
        version = next(each for each in policy.versions if each.version_id == policy.default_version_id)
        held.append((policy.name, json.loads(version.document)))
    return held
