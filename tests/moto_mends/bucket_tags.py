"""Lets the emulator tag a bucket in the call that makes it. S3 API, CreateBucket: `Tags` of
CreateBucketConfiguration, which the emulator drops. A call with tags is never taken for a repetition of an
earlier one, as those without are in us-east-1."""

import xmltodict
from moto.s3.exceptions import BucketAlreadyOwnedByYou
from moto.s3.responses import S3Response

_put = S3Response._bucket_response_put


def tags_of(body) -> dict[str, str]:
    """The tags in the body of a CreateBucket; none in that of any other call."""
    if b"<CreateBucketConfiguration" not in (body if isinstance(body, bytes) else (body or "").encode()):
        return {}
    configuration = xmltodict.parse(body, force_list=("Tag",))["CreateBucketConfiguration"] or {}
    listed = (configuration.get("Tags") or {}).get("Tag", [])
    return {tag["Key"]: tag["Value"] or "" for tag in listed}


def put(self, request, bucket_name, querystring):
    tags = tags_of(self.body)
    if tags and bucket_name in self.backend.buckets:
        raise BucketAlreadyOwnedByYou(bucket_name=bucket_name)
    answer = _put(self, request, bucket_name, querystring)
    if tags:
        self.backend.put_bucket_tagging(bucket_name, tags)
    return answer


def install() -> None:
    S3Response._bucket_response_put = put
