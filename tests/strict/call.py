"""One call as it came over the wire: whose, to which service and operation, with which parameters.

Requests are read with botocore's service models and the emulator's own parsers of their protocols.
"""

import gzip
import io
import json
import re
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import unquote

import cbor2
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.utils import get_service_model
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Request

CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
RPC = re.compile(r"/service/(\w+)/operation/(\w+)")
TARGETS = {
    "CertificateManager": "acm",
    "AWSEvents": "events",
    "AmazonSSM": "ssm",
    "ResourceGroupsTaggingAPI_20170126": "resourcegroupstaggingapi",
    "GraniteServiceVersion20100801": "cloudwatch",
}
# Service by the name it is signed for; those not here are called alike.
SIGNED_AS = {
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
}


class Unreadable(Exception):
    """A request no model describes."""


@dataclass
class Call:
    """A call, read."""

    service: str
    operation: str
    parameters: dict
    key: str
    region: str
    protocol: str
    model: object = field(repr=False)


@cache
def service_model(service):
    return get_service_model(service)


def body_of(environ):
    """The body, left to be read again by whoever comes next."""
    if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        body = environ["wsgi.input"].read()
        environ["wsgi.input_terminated"] = True
    else:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def read(environ):
    """The call of a request; None when it is not one that was signed, so none of AWS's."""
    signed = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if signed is None:
        return None
    key, region, signed_for = signed.groups()
    service = SIGNED_AS.get(signed_for, signed_for)
    body = body_of(environ)
    if environ.get("HTTP_CONTENT_ENCODING") == "gzip":
        body = gzip.decompress(body)
    if rpc := RPC.fullmatch(environ["PATH_INFO"]):
        model = service_model(service).operation_model(rpc[2])
        parameters = cbor2.loads(body) if body else {}
        return Call(service, rpc[2], parameters, key, region, "cbor", model)
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        operation = target.rsplit(".", 1)[1]
        model = service_model(service).operation_model(operation)
        return Call(service, operation, json.loads(body or b"{}"), key, region, "json", model)
    protocol = service_model(service).metadata["protocol"]
    if protocol in ("query", "ec2"):
        form = Request({**environ, "wsgi.input": io.BytesIO(body)}).values
        operation = form["Action"]
        model = service_model(service).operation_model(operation)
        parameters = parsed(model, protocol, values=form)
        return Call(service, operation, parameters, key, region, protocol, model)
    request = Request({**environ, "wsgi.input": io.BytesIO(b"")})
    path = environ.get("RAW_URI", environ["PATH_INFO"]).split("?")[0]
    operation, labels = route(service, environ["REQUEST_METHOD"], path, request.args, request.headers)
    model = service_model(service).operation_model(operation)
    if model.has_streaming_input:
        body = b""  # an object's bytes, of no account here
    parameters = parsed(
        model,
        protocol,
        values=MultiDict(request.args),
        headers=request.headers,
        url_params=labels,
        body=body,
    )
    parameters = {name: value for name, value in parameters.items() if value not in (None, {})}
    return Call(service, operation, parameters, key, region, protocol, model)


def parsed(model, protocol, **request):
    request = {"body": b"", "headers": {}, "url_params": {}, "values": MultiDict(), **request}
    return PROTOCOL_PARSERS[protocol](model).parse(request)


@cache
def routes(service):
    """Operations of a REST service: method, path, what the query must hold; the most specific first."""
    found = []
    model = service_model(service)
    for name in model.operation_names:
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
