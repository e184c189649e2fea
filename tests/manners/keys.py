"""A new access key works service by service, within some 15 seconds, and one success proves little: the
next call may meet a server that has not heard of it (aws/aws-sdk-js#559, hashicorp/vault#687 and #3115,
boto/botocore#3600). Codes: EC2 API reference "Error codes", S3 "List of error codes", and each
service's "Common errors"."""

import time

from wire import Call, Refusal

from .manner import Manner, tags_of

NEW_FOR = 60  # seconds: a key is known everywhere by then, called or not
INVALID_TOKEN = "The security token included in the request is invalid."


class Keys(Manner):
    """Each service refuses a new key up to twice, takes it once, and may refuse it once more."""

    def __init__(self, dice) -> None:
        super().__init__(dice)
        self._new: dict[str, tuple[float, dict[str, list[bool]]]] = {}

    def refuse(self, call: Call) -> Refusal | None:
        made, services = self._new.get(call.key, (None, {}))
        if made is None or time.monotonic() - made > NEW_FOR:
            return None
        if call.service not in services:
            refused = [True] * self.dice.upto(2, "key", call.service)
            relapse = [False, True] if self.dice.upto(1, "relapse", call.service) else []
            services[call.service] = refused + relapse
        course = services[call.service]
        return unknown(call) if course and course.pop(0) else None

    def rewrite(self, call: Call, status: str, body: bytes) -> None:
        if (call.service, call.action) == ("iam", "CreateAccessKey") and status.startswith("200"):
            self._new.update({key: (time.monotonic(), {}) for key in tags_of(body, "AccessKeyId")})


def unknown(call: Call) -> Refusal:
    """How a service refuses a key that it does not know."""
    if call.service == "ec2":
        return Refusal("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    if call.service == "s3":
        text = "The AWS Access Key Id you provided does not exist in our records."
        return Refusal("InvalidAccessKeyId", text, 403)
    if call.is_json:
        return Refusal("UnrecognizedClientException", INVALID_TOKEN, 400)
    return Refusal("InvalidClientTokenId", INVALID_TOKEN, 403)
