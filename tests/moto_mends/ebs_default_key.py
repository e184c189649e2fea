"""Lets the emulator say which key encrypts volumes by default, as EC2 does: AWS's own by its alias, until somebody
names another (EC2 API, GetEbsDefaultKmsKeyId)."""

from moto.core.responses import ActionResult
from moto.ec2.responses.elastic_block_store import ElasticBlockStore
from moto.kms import kms_backends

AWS_OWN = "alias/aws/ebs"


def get_ebs_default_kms_key_id(response) -> ActionResult:
    """The call itself, which moto lacks beside the one that changes it."""
    backend = response.ec2_backend
    kms = kms_backends[backend.account_id][backend.region_name]
    own = kms.describe_key(AWS_OWN).arn if kms.alias_exists(AWS_OWN) else ""
    chosen = backend.default_kms_key_id
    return ActionResult({"KmsKeyId": AWS_OWN if chosen in ("", own) else chosen})


def install() -> None:
    """Adds the call; before the first one to EC2."""
    ElasticBlockStore.get_ebs_default_kms_key_id = get_ebs_default_kms_key_id
