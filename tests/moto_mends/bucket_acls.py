"""Lets the emulator refuse to turn the ACLs of a bucket off while one lets others in (S3 user guide, "Prerequisites for
disabling ACLs")."""

from moto.s3.exceptions import S3ClientError
from moto.s3.models import OWNER, S3Backend

_put = S3Backend.put_bucket_ownership_controls


def put(self, bucket_name, ownership):
    acl = self.get_bucket(bucket_name).acl
    others = [who for grant in (acl.grants if acl else []) for who in grant.grantees if who.uri or who.id != OWNER]
    if ownership == "BucketOwnerEnforced" and others:
        raise S3ClientError(
            "InvalidBucketAclWithObjectOwnership", "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
        )
    _put(self, bucket_name, ownership)


def install() -> None:
    S3Backend.put_bucket_ownership_controls = put
