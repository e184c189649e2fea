"""One call read with its service's model: which operation, with which parameters.

Requests are read with botocore's service models and the emulator's own parsers of their protocols.
"""

import json
import re
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import unquote

import cbor2
import wire
from moto.core.parse import PROTOCOL_PARSERS
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Request
from wire.call import CBOR
from wire.models import sdk_name, service_model


class Unreadable(Exception):
    """A request no model describes."""


@dataclass
class Modelled:
    """A call, read with the model."""

    service: str  # as the SDKs name it
    operation: str
    parameters: dict
    region: str
    model: object = field(repr=False)


def read(call: wire.Call, environ) -> Modelled:
    """The call with the parameters of its operation; `environ` is the request's."""
    service = service_model(call.service)
    if service is None:
        raise Unreadable(f"no service is signed for as {call.service}")
    if call.protocol in ("rest-xml", "rest-json"):
        return rest(call, environ)
    model = service.operation_model(call.action)
    if call.protocol == CBOR:
        parameters = cbor2.loads(call.body) if call.body else {}
    elif call.protocol == "json":
        parameters = json.loads(call.body or b"{}")
    else:
        parameters = parsed(model, call.protocol, values=MultiDict(call.parameters))
    return Modelled(sdk_name(call.service), call.action, parameters, call.region, model)


def rest(call: wire.Call, environ) -> Modelled:
    """A call whose operation is told by method, path, query and headers."""
    request = Request(environ)
    path = environ.get("RAW_URI", environ["PATH_INFO"]).split("?")[0]
    operation, labels = route(call.service, call.method, path, request.args, request.headers)
    model = service_model(call.service).operation_model(operation)
    parameters = parsed(
        model,
        call.protocol,
        values=MultiDict(request.args),
        headers=request.headers,
        url_params=labels,
        body=b"" if model.has_streaming_input else call.body,  # an object's bytes are of no account here
    )
    parameters = {name: value for name, value in parameters.items() if value not in (None, {})}
    return Modelled(sdk_name(call.service), operation, parameters, call.region, model)


def parsed(model, protocol, **request):
    request = {"body": b"", "headers": {}, "url_params": {}, "values": MultiDict(), **request}
    return PROTOCOL_PARSERS[protocol](model).parse(request)


@cache
def routes(service):
    """Operations of a REST service: method, path, what the query must hold; the most specific first."""
    found = []
    model = service_model(service)
    for name in model.operation_names:
        if model.operation_model(name).deprecated:
            continue  # the same request has another name by now
        http = model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        fixed = dict(part.partition("=")[::2] for part in query.split("&") if part)
        fixed.pop("x-id", None)
        pattern = re.sub(r"\{(\w+)(\+?)\}", lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+'})", path)
        shape = model.operation_model(name).input_shape
        needed = {
            (member.serialization["location"], member.serialization.get("name", label))
            for label, member in (shape.members.items() if shape else ())
            if member.serialization.get("location") in ("querystring", "header") and label in shape.required_members
        }
        specific = (len(fixed) + len(needed), path.count("/"), len(re.sub(r"\{.*?\}", "", path)))
        found.append((specific, http["method"], re.compile(pattern.rstrip("/") + "/?"), fixed, needed, name))
    return sorted(found, key=lambda route: route[0], reverse=True)


def route(service, method, path, query, headers):
    given = {"querystring": query, "header": headers}
    for _, wanted, pattern, fixed, needed, name in routes(service):
        match = pattern.fullmatch(path)
        if (
            method == wanted
            and match
            and all(key in query and (not value or query[key] == value) for key, value in fixed.items())
            and all(key in given[where] for where, key in needed)
        ):
            return name, {label: unquote(value) for label, value in match.groupdict().items()}
    raise Unreadable(f"{service} has no {method} {path}")
