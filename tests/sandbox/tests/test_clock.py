"""A caller whose clock is wrong, as AWS tells it."""

import socket
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime

import pytest
from botocore.exceptions import ClientError

from region.api import serve


@pytest.mark.parametrize(("service", "call", "code"), [
    ("s3", "list_buckets", "RequestTimeTooSkewed"), ("sts", "get_caller_identity", "SignatureDoesNotMatch")])
def test_a_signature_an_hour_off_is_refused(sandbox, monkeypatch, service, call, code):
    monkeypatch.setattr(sandbox.plane.world.knobs, "clock_ahead", 3600)
    with pytest.raises(ClientError) as refused:
        getattr(sandbox.client(service), call)()
    assert refused.value.response["Error"]["Code"] == code


def test_a_clock_some_minutes_off_is_good_enough(sandbox, monkeypatch):
    monkeypatch.setattr(sandbox.plane.world.knobs, "clock_ahead", -600)
    assert sandbox.client("sts").get_caller_identity()["Account"]


def test_a_refusal_says_the_right_time_once(sandbox, monkeypatch):
    monkeypatch.setattr(sandbox.plane.world.knobs, "clock_ahead", 3600)
    listening = socket.create_server(("127.0.0.1", 0))
    serve(sandbox.application, listening, "clock")
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    request = urllib.request.Request(url, headers={"x-amz-date": now})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10)
    [told] = refused.value.headers.get_all("Date")
    assert abs(parsedate_to_datetime(told).timestamp() - time.time() - 3600) < 60
