"""A refusal in the service's own form (Smithy, "AWS protocols": operation error serialization; EC2 API reference,
"Error codes"; S3 user guide, "The REST error response")."""

import json
from dataclasses import dataclass
from xml.sax.saxutils import escape

import cbor2

from .call import CBOR, Call


@dataclass(frozen=True)
class Refusal:
    """An error as a service gives it."""

    code: str
    message: str
    status: int = 400


def refuse(call: Call, refusal: Refusal, start_response) -> list[bytes]:
    """Answers the call with it."""
    headers, body = _written(call, refusal)
    if call.method == "HEAD":
        body = b""  # an answer to HEAD has no body, so the code is not told (`HeadBucket`)
    headers["Content-Length"] = str(len(body))
    start_response(f"{refusal.status} Refused", list(headers.items()))
    return [body]


def _written(call: Call, refusal: Refusal) -> tuple[dict[str, str], bytes]:
    """Headers and body."""
    told = {"__type": refusal.code, "message": refusal.message}
    if call.protocol == CBOR:
        return {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}, cbor2.dumps(told)
    if call.protocol == "json":  # 1.0 or 1.1, as asked
        return {"Content-Type": call.content_type or "application/x-amz-json-1.1"}, json.dumps(told).encode()
    if call.protocol == "rest-json":
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": refusal.code}
        return headers, json.dumps({"message": refusal.message}).encode()
    error = f"<Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message>"
    if call.protocol == "ec2":
        error = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>r-1</RequestID></Response>"
    elif call.service == "s3":
        error = f"<Error>{error}<RequestId>r-1</RequestId></Error>"
    else:  # of the query protocol, and of the other REST services
        error = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error><RequestId>r-1</RequestId></ErrorResponse>"
    return {"Content-Type": "application/xml" if call.service == "s3" else "text/xml"}, error.encode()
