"""A control plane without machines whose clock the test moves, and boto3 clients that talk to it."""

import io
import json
import mailbox
import os
import sys
import tempfile
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest

os.environ |= {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-central-1",
}
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from region.releases import public_images  # noqa: E402

_amis = Path(tempfile.mkdtemp()) / "amis.json"
_amis.write_text(json.dumps(public_images()))
os.environ["MOTO_AMIS_PATH"] = str(_amis)  # read when moto is imported

import boto3  # noqa: E402
from botocore.awsrequest import AWSResponse  # noqa: E402
from moto.backends import get_backend  # noqa: E402

from region.api import Application  # noqa: E402
from region.health import CheckResult  # noqa: E402
from region.knobs import Delays, Knobs  # noqa: E402
from region.machines import PretendMachines  # noqa: E402
from region.plane import Plane  # noqa: E402
from region.world import World  # noqa: E402

SERVICES = ["ec2", "autoscaling", "elbv2", "sns", "events", "cloudwatch", "ssm", "iam", "sts", "acm",
            "fis", "resourcegroupstaggingapi", "kms"]


class Inline(Executor):
    """Runs work at once, so that a test sees its outcome at the next tick."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Sandbox:
    """What a test holds: the plane, the clock's hand, what health checks answer."""

    def __init__(self, plane, machines, application, hand) -> None:
        self.plane, self.machines, self.application, self._hand = plane, machines, application, hand
        self.health = CheckResult(True)
        self._clients = {}
        self.maildir = plane.mail.directory

    def after(self, seconds: float, step: float = 0.5) -> None:
        """Lets time pass."""
        end = self._hand[0] + seconds
        while self._hand[0] < end:
            self._hand[0] = min(end, self._hand[0] + step)
            self.plane.tick()

    def client(self, service: str):
        """A client of the service; making one is slow, so each is made once."""
        if service not in self._clients:
            self._clients[service] = self.client_of(service)
        return self._clients[service]

    def client_of(self, service: str, **credentials: str):
        """A client with other credentials than the account's own."""
        client = boto3.client(
            service, region_name="eu-central-1", endpoint_url="http://sandbox.test", **credentials
        )
        client.meta.events.register(f"before-send.{client.meta.service_model.service_id.hyphenize()}",
                                    self._answer)
        return client

    def _answer(self, request, **_):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        path, _, query = request.url.removeprefix("http://sandbox.test").partition("?")
        environ = {
            "REQUEST_METHOD": request.method, "PATH_INFO": path or "/", "QUERY_STRING": query,
            "SERVER_NAME": "sandbox.test", "SERVER_PORT": "80", "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), "HTTP_HOST": "sandbox.test",
        }
        for name, value in request.headers.items():
            value = value.decode() if isinstance(value, bytes) else str(value)
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        environ["CONTENT_LENGTH"] = str(len(body))
        got = {}

        def start_response(status, headers, _exc=None):
            got.update(status=int(status.split()[0]), headers=dict(headers))

        content = b"".join(self.application(environ, start_response))
        return AWSResponse(request.url, got["status"], got["headers"], Raw(content))

    def subjects(self) -> list[str]:
        return sorted(m["Subject"] for m in mailbox.Maildir(str(self.maildir)))

    def bodies(self) -> str:
        return "\n".join(m.get_payload() for m in mailbox.Maildir(str(self.maildir)))


class Raw(io.BytesIO):
    """A response body as botocore reads it."""

    def stream(self, **_):
        yield self.read()


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """moto is patched once for a test run; the fixture below gives each test a fresh account."""
    hand = [1000.0]
    world = World(Knobs(Delays.fast()), clock=lambda: hand[0])
    machines = PretendMachines()
    held: list[Sandbox] = []
    plane = Plane(world, machines, lambda _: held[0].health, Inline(), tmp_path_factory.mktemp("mail") / "box")
    held.append(Sandbox(plane, machines, Application(world, plane.control), hand))
    return held[0]


@pytest.fixture
def sandbox(whole, tmp_path):
    for service in SERVICES:
        get_backend(service).reset()
    plane = whole.plane
    for store in (plane.groups.members, plane.groups.records, plane.groups.activities, plane.refreshes.all,
                  plane.compute.records, plane.targets._by_group, plane.balancers.records,
                  plane.events.undelivered, plane.mail._waiting, plane.spot_notices, plane.commands.waiting,
                  plane.experiments.records):
        store.clear()
    whole.machines.running.clear()
    whole.health = CheckResult(True)
    knobs = plane.world.knobs
    knobs.delays, knobs.faults, knobs.zones_out = Delays.fast(), [], set()
    whole.maildir = plane.mail.directory = tmp_path / "box"
    plane.mail._box = mailbox.Maildir(str(whole.maildir), create=True)
    return whole
