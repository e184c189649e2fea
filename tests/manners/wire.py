"""A call to AWS as it goes over the wire: whose, to which service, which action; and a refusal in the
form in which that service refuses."""

import gzip
import io
import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from moto.iam.models import get_account_id_from

# Services whose answers are JSON; the others speak XML.
JSON_SERVICES = ("acm", "events", "ssm", "logs", "tagging", "secretsmanager", "fis", "kms")
SCOPE = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")


@dataclass
class Call:
    """One request, read but not yet served."""

    service: str = "*"  # as it is signed for: `ec2`, `elasticloadbalancing`, `monitoring`
    action: str = "*"  # `CreateVpc`; of REST services the method, for S3 with the sub-resource: `PUT policy`
    key: str = ""  # access key id
    account: str = ""
    region: str = ""
    path: str = ""
    body: str = ""
    parameters: dict = field(default_factory=dict)  # of the query protocol, as sent

    @property
    def is_read(self) -> bool:
        return self.action.startswith(("Describe", "Get", "List", "Head", "GET", "HEAD"))


@dataclass
class Refusal:
    """An error as a service gives it."""

    code: str
    message: str
    status: int = 400


class Manner:
    """One way in which AWS differs; each method changes nothing unless a manner says so."""

    def __init__(self, dice) -> None:
        self.dice = dice

    def refuse(self, call: Call) -> Refusal | None:
        """Before the call is served: the refusal instead."""

    def spoil(self, call: Call, status: str) -> Refusal | None:
        """After it was served: the failure that is answered although it took effect."""

    def rewrite(self, call: Call, status: str, body: bytes) -> bytes | None:
        """After it was served: the answer as AWS spells it."""


def read(environ) -> Call:
    """Reads a request and leaves it whole for the emulator."""
    scope = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    key, region, service = scope.groups() if scope else ("", "", "*")
    raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(raw)
    if environ.get("HTTP_CONTENT_ENCODING") == "gzip":
        raw = gzip.decompress(raw)
    text = "" if service == "s3" else raw.decode(errors="replace")
    path, query = unquote(environ.get("PATH_INFO", "")), environ.get("QUERY_STRING", "")
    call = Call(service, environ.get("REQUEST_METHOD", "*"), key, "", region, path, text)
    call.account = get_account_id_from(key)
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        call.action = target.rsplit(".", 1)[-1]
    elif "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        call.parameters = dict(parse_qsl(text))
        call.action = call.parameters.get("Action", "*")
    elif service == "s3":
        call.action += " " + "&".join(sorted(part.split("=")[0] for part in query.split("&") if part))
        call.action = call.action.strip()
    return call


def refusal(call: Call, refused: Refusal, start_response) -> list[bytes]:
    """The error answer in the service's own form."""
    kind, body = error_body(call.service, refused.code, refused.message)
    if call.action.startswith("HEAD"):
        body = ""  # an answer to HEAD has no body, so the code is not told (`HeadBucket`)
    headers = [("Content-Type", kind), ("Content-Length", str(len(body.encode())))]
    if call.service in JSON_SERVICES:
        headers.append(("x-amzn-errortype", refused.code))
    start_response(f"{refused.status} Refused", headers)
    return [body.encode()]


def error_body(service: str, code: str, message: str) -> tuple[str, str]:
    """(content type, text) of an error."""
    if service in JSON_SERVICES:
        return "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message})
    told = f"<Code>{code}</Code><Message>{message}</Message>"
    if service == "ec2":
        return "text/xml", f"<Response><Errors><Error>{told}</Error></Errors><RequestID>r-1</RequestID></Response>"
    if service == "s3":
        return "application/xml", f"<Error>{told}<RequestId>r-1</RequestId></Error>"
    return "text/xml", f"<ErrorResponse><Error><Type>Sender</Type>{told}</Error><RequestId>r-1</RequestId></ErrorResponse>"


def tags_of(body: bytes, name: str) -> list[str]:
    """The texts of all elements of that name in an XML answer."""
    return re.findall(rf"<{name}>([^<]+)</{name}>", body.decode(errors="replace"))
