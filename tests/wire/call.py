"""One request, read but not yet served: whose, signed for which service in which region, which action, which body."""

import gzip
import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from urllib.parse import parse_qsl, unquote

from moto.iam.models import get_account_id_from

from .models import service_model

CBOR = "smithy-rpc-v2-cbor"
HELD = "jitsi.aws_call"  # where in the environ a request that was read is kept for whoever reads it next
SCOPE = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")
RPC = re.compile(r"/service/\w+/operation/(\w+)")


@dataclass(frozen=True)
class Call:
    """A request of an SDK or of anybody else; what it does not say is empty, or `*`."""

    service: str  # as it is signed for: `ec2`, `elasticloadbalancing`, `monitoring`; `*` when nobody signed
    action: str  # `CreateVpc`; of REST services the method, for S3 with the sub-resource: `PUT policy`
    protocol: str  # as botocore names it: `ec2`, `query`, `json`, `rest-json`, `rest-xml`, `smithy-rpc-v2-cbor`
    key: str  # access key id
    region: str
    method: str
    path: str
    content_type: str
    body: bytes  # in clear, in whatever encoding it came
    parameters: dict[str, str]  # of the query protocols, as sent
    signed_at: float | None  # seconds since 1970, by the caller's clock
    conditional: bool  # done only if the thing is as the caller knows it

    @cached_property
    def account(self) -> str:
        """Whose the key is, looked up in the emulator when first asked; its default account for an unknown key."""
        return get_account_id_from(self.key)

    @property
    def is_json(self) -> bool:
        """Whether the service speaks JSON; its common errors are called otherwise than those of XML services."""
        return self.protocol in ("json", "rest-json")

    @property
    def text(self) -> str:
        """The body of a call whose body is text."""
        return self.body.decode(errors="replace")


def read(environ) -> Call:
    """The call of a request. It is read once; its body is left whole for the emulator."""
    if HELD not in environ:
        environ[HELD] = _read(environ)
    return environ[HELD]


def _read(environ) -> Call:
    signed = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    key, region, service = signed.groups() if signed else ("", "", "*")
    content_type, method = environ.get("CONTENT_TYPE", ""), environ["REQUEST_METHOD"]
    body, parameters = _body(environ), {}
    if rpc := RPC.fullmatch(environ["PATH_INFO"]):
        protocol, action = CBOR, rpc[1]
    elif target := environ.get("HTTP_X_AMZ_TARGET"):
        protocol, action = "json", target.rsplit(".", 1)[-1]
    elif "x-www-form-urlencoded" in content_type:
        protocol = "ec2" if service == "ec2" else "query"
        parameters = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        action = parameters.get("Action", "*")
    else:
        model = service_model(service)
        protocol, action = model.metadata["protocol"] if model else "query", method
        if service == "s3":
            query = environ.get("QUERY_STRING", "")
            action = f"{method} {'&'.join(sorted(part.split('=')[0] for part in query.split('&') if part))}".strip()
    return Call(service, action, protocol, key, region, method, unquote(environ["PATH_INFO"]), content_type, body,
                parameters, _signed_at(environ), any(header in environ for header in CONDITIONS))


def _body(environ) -> bytes:
    """The body in clear; as it came, it can be read again."""
    # Of a chunked request the server ends the stream where the body ends.
    size = -1 if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size)
    environ["wsgi.input"], environ["wsgi.input_terminated"] = io.BytesIO(body), True
    return gzip.decompress(body) if environ.get("HTTP_CONTENT_ENCODING") == "gzip" else body


def _signed_at(environ) -> float | None:
    try:
        return datetime.strptime(environ.get("HTTP_X_AMZ_DATE", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
