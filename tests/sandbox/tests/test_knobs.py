"""What the sandbox's own knobs answer when they cannot do what they are asked."""

import io
import json

import pytest

from region.knobs import NotYet


@pytest.mark.parametrize(("fault", "status"), [(NotYet("no init yet"), 409), (KeyError("i-1"), 400)])
def test_a_reason_and_whether_to_ask_again(sandbox, monkeypatch, fault, status):
    def control(method, path, body):
        raise fault

    monkeypatch.setattr(sandbox.application, "_control", control)
    told = []
    environ = {"PATH_INFO": "/sandbox/enter/i-1", "REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO()}
    [body] = sandbox.application(environ, lambda line, headers: told.append(line))
    assert told[0].startswith(str(status)) and json.loads(body)["error"]
