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
from xml.sax.saxutils import escape

import cbor2
from moto.iam.models import get_account_id_from, iam_backends
from moto.sts.models import sts_backends

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
            return answer_json(start_response, self.told(path.rsplit("/", 1)[1]))
        try:
            refusal = self.refusal(environ)
        except Exception as error:  # a fault of ours must be seen, whatever it is
            traceback.print_exc()
            refusal = ("json", 501, "StrictFault", repr(error)[:500])
        if refusal is None:
            return self.app(environ, start_response)
        print(f"strict: {refusal[2]}: {refusal[3]}", file=sys.stderr, flush=True)
        return refuse(start_response, *refusal)

    def refusal(self, environ):
        """Protocol, status, code and message of the answer; None to go on."""
        made = call.read(environ)
        if made is None:
            return None
        account = get_account_id_from(made.key)
        with self.lock:
            self.calls[account][f"{made.service}:{made.operation}"] += 1
        wrong = wellformed.problems(made) or documents.problems(made)
        if wrong:
            message = "; ".join(wrong)
            with self.lock:
                self.refused[account].append(message)
            return made.protocol, 400, MALFORMED.get(made.protocol, "ValidationException"), message
        who = principal(account, made.key)
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
                return made.protocol, 403, DENIED.get(made.protocol, "AccessDeniedException"), message
            with self.lock:
                self.used[account].update(allowing)
        return None

    def told(self, account):
        """What was called, what was refused, which grants of the account's users and of each role nothing
        used, and which were decided upon (`managed`) but are none."""
        backend = iam_backends[account]["aws"]
        users = [user for user in list(backend.users.values())
                 if not policies.allow_everything(policies_of(account, user))]
        granted = granted_to(account, users)
        roles = {role.name: granted_to(account, [role]) for role in list(backend.roles.values())}
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
        return Principal(user.arn, policies_of(account, user))
    if session := sts_backends[account]["aws"].get_assumed_role_from_access_key(key):
        roles = iam_backends[account]["aws"].roles.values()
        role = next((each for each in roles if each.arn == session.role_arn), None)
        if role is None and session.role_arn.endswith(ADMINISTRATOR):
            return None
        return Principal(session.arn, policies_of(account, role) if role else [])
    return None


def granted_to(account, entities):
    return {
        each
        for entity in entities
        for policy, document in policies_of(account, entity)
        for each in policies.grants(policy, document)
    }


def policies_of(account, entity):
    """Name and document of every policy a user or role has."""
    held = [(name, json.loads(text)) for name, text in entity.policies.items()]
    for policy in list(entity.managed_policies.values()):
        version = next(each for each in policy.versions if each.version_id == policy.default_version_id)
        held.append((policy.name, json.loads(version.document)))
    return held


def refuse(start_response, protocol, status, code, message):
    """An error as the protocol has it."""
    xml = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    bodies = {
        "ec2": f"<Response><Errors><Error>{xml}</Error></Errors><RequestID>strict</RequestID></Response>",
        "query": f"<ErrorResponse><Error><Type>Sender</Type>{xml}</Error><RequestId>strict</RequestId></ErrorResponse>",
        "rest-xml": f"<Error>{xml}<RequestId>strict</RequestId></Error>",
    }
    headers = []
    if protocol in bodies:
        kind, body = "text/xml", bodies[protocol].encode()
    elif protocol == "cbor":
        kind, body = "application/cbor", cbor2.dumps({"__type": code, "message": message})
        headers = [("smithy-protocol", "rpc-v2-cbor")]
    else:
        kind, body = "application/json", json.dumps({"__type": code, "message": message}).encode()
        headers = [("x-amzn-ErrorType", code)]
    start_response(
        f"{status} Refused", [("Content-Type", kind), ("Content-Length", str(len(body))), *headers]
    )
    return [body]


def answer_json(start_response, value):
    body = json.dumps(value).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
