"""Services as botocore describes them, found by the name they are signed for."""

from functools import cache

from botocore.exceptions import UnknownServiceError
from moto.core.utils import get_service_model

# Those the SDKs call otherwise.
SDK_NAMES = {
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
}


def sdk_name(signed_for: str) -> str:
    """`elbv2` of `elasticloadbalancing`; most services have one name only."""
    return SDK_NAMES.get(signed_for, signed_for)


@cache
def service_model(signed_for: str):
    """The service's model; None when botocore knows none of that name."""
    try:
        return get_service_model(sdk_name(signed_for))
    except UnknownServiceError:
        return None
