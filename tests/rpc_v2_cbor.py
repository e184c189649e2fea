"""Lets the AWS emulator understand CloudWatch as today's SDKs speak it.

They call it by Smithy RPC v2 over CBOR, the emulator knows only the older query protocol. Both are
described by botocore's service model, so each call is translated there and each answer back; the
emulator itself is unchanged.
"""

import gzip
import io
import re
from datetime import timezone
from urllib.parse import urlencode

import botocore.session
import cbor2
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

CALL = re.compile(r"/service/GraniteServiceVersion20100801/operation/(\w+)")


class RpcV2Cbor:
    """WSGI middleware around the emulator."""

    def __init__(self, app):
        self.app = app
        self.model = botocore.session.get_session().get_service_model("cloudwatch")

    def __call__(self, environ, start_response):
        call = CALL.fullmatch(environ["PATH_INFO"])
        if call is None:
            return self.app(environ, start_response)
        operation = self.model.operation_model(call[1])
        status, headers, body = self._forward(self._translated(environ, operation))
        return self._answer(operation, status, headers, body, start_response)

    def _translated(self, environ, operation):
        """The same call by the query protocol."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ.get("HTTP_CONTENT_ENCODING") == "gzip":
            body = gzip.decompress(body)
        parameters = cbor2.loads(body) if body else {}
        request = create_serializer("query").serialize_to_request(parameters, operation)
        form = urlencode(request["body"]).encode()
        translated = {key: value for key, value in environ.items() if key != "HTTP_CONTENT_ENCODING"}
        translated.update(
            {
                "PATH_INFO": "/",
                "RAW_URI": "/",
                "REQUEST_URI": "/",
                "CONTENT_TYPE": "application/x-www-form-urlencoded",
                "CONTENT_LENGTH": str(len(form)),
                "wsgi.input": io.BytesIO(form),
            }
        )
        return translated

    def _forward(self, environ):
        answered = {}

        def start(status, headers, _exc_info=None):
            answered.update(status=int(status.split()[0]), headers=dict(headers))

        body = b"".join(self.app(environ, start))
        return answered["status"], answered["headers"], body

    def _answer(self, operation, status, headers, body, start_response):
        answer = {"status_code": status, "headers": headers, "body": body}
        parsed = create_parser("query").parse(answer, operation.output_shape)
        parsed.pop("ResponseMetadata", None)
        error = parsed.pop("Error", None)
        if error:
            parsed = {"__type": error.get("Code"), "message": error.get("Message")}
        encoded = cbor2.dumps(parsed, datetime_as_timestamp=True, timezone=timezone.utc)
        start_response(
            f"{status} {'OK' if status < 400 else 'Error'}",
            [
                ("Content-Type", "application/cbor"),
                ("Content-Length", str(len(encoded))),
                ("smithy-protocol", "rpc-v2-cbor"),
            ],
        )
        return [encoded]
