"""The AWS API on HTTP: moto behind one lock and what AWS checks of every call, with faults and latency on
request, and the sandbox's own knobs beside it under /sandbox/."""

import json
import random
import threading
import time
from collections.abc import Callable

from manners import Manners
from manners.launches import Launches
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto_mends.rpc_v2_cbor import RpcV2Cbor
from strict.layer import Strict
from werkzeug.serving import make_server
from wire import Call, Refusal, read, refuse
from wire.answers import tell

from .knobs import NotYet
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

    def __init__(self, world: World, control: Control, manners: int | None = None) -> None:
        self.world, self._control = world, control
        # How launches go is the sandbox's own affair.
        moto = Manners(DomainDispatcherApplication(create_backend_app), manners, without=(Launches,))
        self._strict = Strict(RpcV2Cbor(moto), rights=lambda: world.knobs.policies_count)

    def __call__(self, environ, start_response):
        path = environ.get("PATH_INFO", "")
        if path.startswith("/sandbox/"):
            return self._knobs(environ, start_response, path.removeprefix("/sandbox/"))
        if self.world.knobs.api_latency:
            time.sleep(self.world.knobs.api_latency)
        call = read(environ)
        if (refusal := self._refusal(call)) is not None:
            return refuse(call, refusal, start_response)
        # moto is not written for threads.
        with self.world.lock:
            return list(self._strict(environ, start_response))

    def _refusal(self, call: Call) -> Refusal | None:
        """What is wrong with the caller's clock, or what a knob says goes wrong."""
        now = time.time() + self.world.knobs.clock_ahead
        if call.signed_at is not None and abs(now - call.signed_at) > SKEW_LIMIT:
            code = "RequestTimeTooSkewed" if call.service == "s3" else "SignatureDoesNotMatch"
            return Refusal(code, "Signature expired or not yet current", 403)
        for fault in self.world.knobs.faults if call.key else ():
            if fault.matches(call.service, call.action) and random.random() < fault.rate:
                return Refusal(fault.code, "injected by the sandbox", fault.status)
        return None

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
        return tell(answer, start_response, status)


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
