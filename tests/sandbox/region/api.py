"""The AWS API on HTTP: moto behind one lock and what AWS checks of every call, with faults and latency on
request, and the sandbox's own knobs beside it under /sandbox/."""

import io
import json
import random
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qs

import profile_roles
import service_passwords
from manners import Manners
from manners.launches import Launches
from manners.wire import JSON_SERVICES, error_body
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from rpc_v2_cbor import RpcV2Cbor
from strict.layer import Strict
from werkzeug.serving import make_server

from .knobs import Fault, NotYet
from .world import World, log

SKEW_LIMIT = 15 * 60  # seconds between a signature's time and AWS's
Control = Callable[[str, str, dict], dict | None]


class QuietHandler(MotoRequestHandler):
    """No line per request on the console; the Date header says AWS's time, by which clients correct theirs."""

    def log_request(self, *args) -> None:
        pass

    def date_time_string(self, timestamp=None) -> str:
        return super().date_time_string(timestamp or time.time() + self.server.app.world.knobs.clock_ahead)


class Application:
    """WSGI: /sandbox/ to the knobs, everything else to moto."""

    def __init__(
        self, world: World, control: Control, roll: Callable[[], float] = random.random,
        manners: int | None = None,
    ) -> None:
        self.world, self._control, self._roll = world, control, roll
        profile_roles.install()
        service_passwords.install()
        # How launches go is the sandbox's own affair.
        moto = Manners(DomainDispatcherApplication(create_backend_app), manners, without=(Launches,))
        self._strict = Strict(RpcV2Cbor(moto), rights=lambda: world.knobs.policies_count)

    def __call__(self, environ, start_response):
        path = environ.get("PATH_INFO", "")
        if path.startswith("/sandbox/"):
            return self._knobs(environ, start_response, path.removeprefix("/sandbox/"))
        if self.world.knobs.api_latency:
            time.sleep(self.world.knobs.api_latency)
        ahead = self.world.knobs.clock_ahead
        if (signed := signed_at(environ)) is not None and abs(time.time() + ahead - signed) > SKEW_LIMIT:
            service, _ = called(environ)
            code = "RequestTimeTooSkewed" if service == "s3" else "SignatureDoesNotMatch"
            return refuse(Fault(1, code=code, status=403), service, start_response)
        if self.world.knobs.faults and not path.startswith("/moto-api"):
            service, action = called(environ)
            for fault in self.world.knobs.faults:
                if fault.matches(service, action) and self._roll() < fault.rate:
                    return refuse(fault, service, start_response)
        # moto is not written for threads.
        with self.world.lock:
            return list(self._strict(environ, start_response))

    def _knobs(self, environ, start_response, path: str):
        try:
            size = int(environ.get("CONTENT_LENGTH") or 0)
            body = json.loads(environ["wsgi.input"].read(size) or b"{}")
            answer = self._control(environ["REQUEST_METHOD"], path.strip("/"), body)
            status = "404 Not Found" if answer is None else "200 OK"
        except (ValueError, KeyError, TypeError) as error:
            status, answer = "400 Bad Request", {"error": str(error)}
        except NotYet as error:
            status, answer = "409 Conflict", {"error": str(error)}
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer, indent=1, default=str).encode() + b"\n"]


def signed_at(environ) -> float | None:
    """When the caller says it signed, in seconds since 1970."""
    text = environ.get("HTTP_X_AMZ_DATE", "")
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def called(environ) -> tuple[str, str]:
    """(service, action) of a request, `*` for what its form does not tell."""
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    service = scope.group(1) if scope else "*"
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return service, target.rsplit(".", 1)[-1]
    if environ.get("HTTP_SMITHY_PROTOCOL"):
        return service, environ.get("PATH_INFO", "").rsplit("/", 1)[-1]
    if "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        return service, parse_qs(body.decode()).get("Action", ["*"])[0]
    return service, environ.get("REQUEST_METHOD", "*")


def refuse(fault: Fault, service: str, start_response):
    """An error answer in the service's own form."""
    kind, body = error_body(service, fault.code, "injected by the sandbox")
    headers = [("Content-Type", kind)]
    if service in JSON_SERVICES:
        headers.append(("x-amzn-errortype", fault.code))
    start_response(f"{fault.status} Fault", headers)
    return [body.encode()]


def serve(application: Application, sock, name: str) -> threading.Thread:
    """Serves on a socket that listens already, in whichever network namespace it was made."""
    host, port = sock.getsockname()[:2]
    server = make_server(
        host, port, application, threaded=True, request_handler=QuietHandler, fd=sock.fileno()
    )
    thread = threading.Thread(target=server.serve_forever, name=name, daemon=True)
    thread.start()
    log.info("AWS API on http://%s:%s", host, port)
    return thread
