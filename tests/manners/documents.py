"""Policies come back as the service keeps them, not as they were sent: a list of one as the thing
itself, keys in an order of its own, an account as the ARN of its root (IAM user guide, "Why does my
policy look different", and "AWS JSON policy elements: Principal")."""

import json
import re
from html import escape, unescape
from urllib.parse import quote, unquote

from wire import Call

from .manner import Manner


class Documents(Manner):
    """Of topics, buckets and trust policies; IAM keeps customer managed policies as they are."""

    def rewrite(self, call: Call, status: str, body: bytes) -> bytes | None:
        if not status.startswith("200"):
            return None
        if (call.service, call.action) == ("sns", "GetTopicAttributes"):
            pattern = re.compile(r"(<key>Policy</key>\s*<value>)([^<]*)(</value>)")
            return pattern.sub(lambda m: m[1] + escape(normal(unescape(m[2])), quote=False) + m[3], body.decode()).encode()
        if (call.service, call.action) == ("s3", "GET policy"):
            return normal(body.decode()).encode()
        if (call.service, call.action) == ("iam", "GetRole"):
            pattern = re.compile(r"(<AssumeRolePolicyDocument>)([^<]*)(</AssumeRolePolicyDocument>)")
            return pattern.sub(lambda m: m[1] + quote(normal(unquote(m[2])), safe="") + m[3], body.decode()).encode()
        return None


def normal(text: str) -> str:
    """The same policy as AWS keeps it."""
    try:
        return json.dumps(_normal(json.loads(text)))
    except ValueError:
        return text


def _normal(value, key: str = ""):
    if isinstance(value, dict):
        return {k: _normal(value[k], k) for k in sorted(value, reverse=True)}
    if isinstance(value, list):
        if len(value) == 1 and key != "Statement":
            return _normal(value[0], key)
        return [_normal(one, key) for one in (value if key == "Statement" else sorted(value, key=str, reverse=True))]
    if key == "AWS" and isinstance(value, str) and re.fullmatch(r"\d{12}", value):
        return f"arn:aws:iam::{value}:root"
    return value
