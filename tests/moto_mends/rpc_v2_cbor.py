"""Lets the AWS emulator understand CloudWatch as today's SDKs speak it.

They call it by Smithy RPC v2 over CBOR, the emulator knows only the older query protocol. Both are
described by botocore's service model, so each call is translated there and each answer back; the
emulator itself is unchanged.
"""

import io
from datetime import timezone
from urllib.parse import urlencode

import botocore.session
import cbor2
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from wire import Refusal, read, refuse
from wire.answers import forward
from wire.call import CBOR, HELD


class RpcV2Cbor:
    """WSGI middleware around the emulator."""

    def __init__(self, app):
        self.app = app
        self.model = botocore.session.get_session().get_service_model("cloudwatch")

    def __call__(self, environ, start_response):
        call = read(environ)
        if (call.service, call.protocol) != ("monitoring", CBOR):
            return self.app(environ, start_response)
        operation = self.model.operation_model(call.action)
        parameters = cbor2.loads(call.body) if call.body else {}
        status, headers, body = forward(self.app, self._translated(environ, parameters, operation))
        answer = {"status_code": int(status.split()[0]), "headers": dict(headers), "body": body}
        parsed = create_parser("query").parse(answer, operation.output_shape)
        parsed.pop("ResponseMetadata", None)
        if error := parsed.pop("Error", None):
            refusal = Refusal(error.get("Code"), error.get("Message"), answer["status_code"])
            return refuse(call, refusal, start_response)
        encoded = cbor2.dumps(parsed, datetime_as_timestamp=True, timezone=timezone.utc)
        start_response(
            status,
            [
                ("Content-Type", "application/cbor"),
                ("Content-Length", str(len(encoded))),
                ("smithy-protocol", "rpc-v2-cbor"),
            ],
        )
        return [encoded]

    def _translated(self, environ, parameters, operation):
        """The same call by the query protocol: another request, to be read anew."""
        request = create_serializer("query").serialize_to_request(parameters, operation)
        form = urlencode(request["body"]).encode()
        translated = {key: value for key, value in environ.items() if key not in ("HTTP_CONTENT_ENCODING", HELD)}
        return translated | {
            "PATH_INFO": "/",
            "RAW_URI": "/",
            "REQUEST_URI": "/",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(form)),
            "wsgi.input": io.BytesIO(form),
        }
