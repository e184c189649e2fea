"""A caller whose clock is wrong, as AWS tells it."""

import time
from email.utils import parsedate_to_datetime

import pytest
from botocore.exceptions import ClientError


@pytest.mark.parametrize(("service", "call", "code"), [
    ("s3", "list_buckets", "RequestTimeTooSkewed"), ("sts", "get_caller_identity", "SignatureDoesNotMatch")])
def test_a_signature_an_hour_off_is_refused_with_the_right_time(sandbox, monkeypatch, service, call, code):
    monkeypatch.setattr(sandbox.plane.world.knobs, "clock_ahead", 3600)
    with pytest.raises(ClientError) as refused:
        getattr(sandbox.client(service), call)()
    assert refused.value.response["Error"]["Code"] == code
    told = refused.value.response["ResponseMetadata"]["HTTPHeaders"]["date"]
    assert abs(parsedate_to_datetime(told).timestamp() - time.time() - 3600) < 60


def test_a_clock_some_minutes_off_is_good_enough(sandbox, monkeypatch):
    monkeypatch.setattr(sandbox.plane.world.knobs, "clock_ahead", -600)
    assert sandbox.client("sts").get_caller_identity()["Account"]
