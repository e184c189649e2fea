"""Lets the emulator do in one step what S3 does in one step: conditional writes and deletions, between whose
condition and effect another request could come, and the deletion of an empty bucket (S3 user guide, "Add
preconditions to S3 operations with conditional requests")."""

import threading
from functools import wraps

from moto.s3.responses import S3Response

_one_at_a_time = threading.RLock()


def _undivided(method):
    @wraps(method)
    def serve(self, *args, **kwargs):
        with _one_at_a_time:
            return method(self, *args, **kwargs)

    return serve


def install() -> None:
    for name in ("put_object", "delete_object", "delete_bucket"):
        setattr(S3Response, name, _undivided(getattr(S3Response, name)))
