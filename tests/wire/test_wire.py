"""Requests as the SDKs put them are read, and refusals are understood by the SDKs' own parsers."""

import gzip
import io
import json

import pytest
from botocore.parsers import create_parser
from werkzeug.wrappers import Request

from . import Refusal, read, refuse

FORM, JSON = "application/x-www-form-urlencoded", "application/x-amz-json-1.1"
SCOPE = "AWS4-HMAC-SHA256 Credential=AKIA/20261120/eu-central-1/{}/aws4_request, SignedHeaders=host"


def request(service=None, body=b"", method="POST", path="/", query="", kind="", **more):
    """The environ of a request; signed when a service is given."""
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body), **more,
    }
    return environ | ({"HTTP_AUTHORIZATION": SCOPE.format(service)} if service else {})


CALLS = {
    "ec2": request("ec2", b"Action=CreateVpc&CidrBlock=10.0.0.0%2F16", kind=FORM),
    "query": request("elasticloadbalancing", b"Action=CreateTargetGroup&Name=a", kind=FORM),
    "json": request("ssm", b"{}", kind=JSON, HTTP_X_AMZ_TARGET="AmazonSSM.SendCommand"),
    "rest-json": request("fis", b"{}", path="/experimentTemplates"),
    "rest-xml": request("s3", method="PUT", path="/bucket", query="policy"),
    "rest-xml, wrapped": request("route53", path="/2013-04-01/hostedzone"),
    "smithy-rpc-v2-cbor": request("monitoring", path="/service/X/operation/PutMetricData"),
    "nobody's": request(method="GET"),
}


@pytest.mark.parametrize(
    ("name", "service", "action", "protocol"),
    [
        ("ec2", "ec2", "CreateVpc", "ec2"),
        ("query", "elasticloadbalancing", "CreateTargetGroup", "query"),
        ("json", "ssm", "SendCommand", "json"),
        ("rest-json", "fis", "POST", "rest-json"),
        ("rest-xml", "s3", "PUT policy", "rest-xml"),
        ("rest-xml, wrapped", "route53", "POST", "rest-xml"),
        ("smithy-rpc-v2-cbor", "monitoring", "PutMetricData", "smithy-rpc-v2-cbor"),
        ("nobody's", "*", "GET", "query"),
    ],
)
def test_service_and_action_are_read_from_every_protocol(name, service, action, protocol):
    call = read(dict(CALLS[name]))
    assert (call.service, call.action, call.protocol) == (service, action, protocol)
    assert (call.key, call.region) == (("", "") if service == "*" else ("AKIA", "eu-central-1"))


def test_parameters_of_a_form_are_read_also_when_empty():
    call = read(request("ec2", b"Action=CreateVpc&CidrBlock=10.0.0.0%2F16&DryRun=", kind=FORM))
    assert call.parameters == {"Action": "CreateVpc", "CidrBlock": "10.0.0.0/16", "DryRun": ""}


def test_when_it_was_signed_is_read_in_seconds():
    assert read(request(HTTP_X_AMZ_DATE="19700101T000140Z")).signed_at == 100
    assert read(request(HTTP_X_AMZ_DATE="yesterday")).signed_at is None
    assert read(request()).signed_at is None


def chunked(body):
    """As the server hands it on: the stream ends by itself, and nobody knows its length."""
    environ = request("s3", body, "PUT", "/bucket/key", HTTP_TRANSFER_ENCODING="chunked")
    del environ["CONTENT_LENGTH"]
    return environ | {"wsgi.input_terminated": True}


@pytest.mark.parametrize(
    ("environ", "sent"),
    [
        (request("ssm", b"{}", HTTP_X_AMZ_TARGET="AmazonSSM.SendCommand"), b"{}"),
        (request("ssm", gzip.compress(b"{}", mtime=0), HTTP_CONTENT_ENCODING="gzip"), gzip.compress(b"{}", mtime=0)),
        (chunked(b"{}"), b"{}"),
    ],
)
def test_a_body_is_read_in_clear_and_left_as_it_came(environ, sent):
    first, second = read(environ), read(environ)
    assert first is second and first.body == b"{}"
    assert Request(environ).get_data() == sent


@pytest.mark.parametrize("name", [name for name in CALLS if name != "nobody's"])
def test_a_refusal_is_understood(name):
    got = {}
    call = read(dict(CALLS[name]))
    body = b"".join(refuse(call, Refusal("NoGood", 'a < b & "c"', 409), lambda *answer: got.update(answer=answer)))
    status, headers = got["answer"][0], dict(got["answer"][1])
    assert status.startswith("409 ") and headers["Content-Length"] == str(len(body))
    answer = {"status_code": 409, "headers": {k.lower(): v for k, v in headers.items()}, "body": body}
    error = create_parser(call.protocol).parse(answer, None)["Error"]
    assert (error["Code"], error["Message"]) == ("NoGood", 'a < b & "c"')


def test_an_answer_to_head_has_no_body():
    call = read(request("s3", method="HEAD", path="/bucket"))
    assert refuse(call, Refusal("NoSuchBucket", "none", 404), lambda *_: None) == [b""]


def test_json_is_answered_in_the_version_that_was_asked():
    got = {}
    call = read(request("monitoring", kind="application/x-amz-json-1.0", HTTP_X_AMZ_TARGET="X.ListMetrics"))
    body = b"".join(refuse(call, Refusal("NoGood", "no"), lambda *answer: got.update(answer=answer)))
    assert dict(got["answer"][1])["Content-Type"] == "application/x-amz-json-1.0"
    assert json.loads(body)["__type"] == "NoGood"
