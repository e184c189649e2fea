"""Lets the emulator refuse a call on a bucket of another account than the caller expects (S3 user guide, "Verifying
bucket ownership with bucket owner condition"), as S3 refuses across accounts: without a word about the right. Whoever
expects nothing is let in, as if the bucket's owner had let everybody in: what is put there is his."""

from moto.s3.exceptions import S3AccessDeniedError
from moto.s3.models import s3_backends
from moto.s3.responses import S3Response

EXPECTED = "x-amz-expected-bucket-owner"


def _owned(method):
    def serve(self, request, full_url):
        expected = request.headers.get(EXPECTED)
        _, owner = s3_backends.bucket_accounts.get(self.parse_bucket_name_from_url(request, full_url), (None, expected))
        if expected and owner != expected:
            raise S3AccessDeniedError
        return method(self, request, full_url)

    return serve


def install() -> None:
    for name in ("_bucket_response", "_key_response"):
        setattr(S3Response, name, _owned(getattr(S3Response, name)))
