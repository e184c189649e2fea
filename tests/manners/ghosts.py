"""The tagging API goes on naming what is deleted: listeners, volumes, instances, for minutes to hours
(aws/aws-sdk#676, aws/aws-cli#8197 and #4173, boto/boto3#3341). Elastic Load Balancing itself knows
better: DescribeTags of what is deleted is refused (`DescribeTags`, "Errors"), where moto goes on."""

import json
import re

from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.resourcegroupstaggingapi.models import resourcegroupstaggingapi_backends
from wire import Call, Refusal

from .manner import Manner

MORTAL = re.compile(r":(listener|instance|volume|loadbalancer|targetgroup)/")
ENDING = ("Delete", "Terminate", "UpdateAutoScalingGroup")


class Ghosts(Manner):
    """What was tagged before anything was ended stays in GetResources for good."""

    def __init__(self, dice) -> None:
        super().__init__(dice)
        self._known: dict[tuple[str, str], dict[str, dict]] = {}

    def refuse(self, call: Call) -> Refusal | None:
        if (call.service, call.action) == ("elasticloadbalancing", "DescribeTags"):
            return self._gone(call)
        if call.service in ("ec2", "elasticloadbalancing", "autoscaling") and call.action.startswith(ENDING):
            backend = resourcegroupstaggingapi_backends[call.account][call.region]
            _, found = backend.get_resources(
                pagination_token=None, resources_per_page=1000, tags_per_page=500,
                tag_filters=[], resource_type_filters=[], resource_arn_list=[],
            )
            known = self._known.setdefault((call.account, call.region), {})
            known.update({one.arn: dict(one.tags) for one in found if MORTAL.search(one.arn)})
            balancing = elbv2_backends[call.account][call.region]
            for balancer in balancing.load_balancers.values():
                for arn in balancer.listeners:
                    known[arn] = balancing.tagging_service.get_tag_dict_for_resource(arn)
        return None

    @staticmethod
    def _gone(call: Call) -> Refusal | None:
        backend = elbv2_backends[call.account][call.region]
        there = {*backend.load_balancers, *backend.target_groups}
        there.update(arn for balancer in backend.load_balancers.values() for arn in balancer.listeners)
        for parameter, arn in call.parameters.items():
            kind = parameter.startswith("ResourceArns.") and MORTAL.search(arn)
            if kind and arn not in there:
                code = {"loadbalancer": "LoadBalancerNotFound", "targetgroup": "TargetGroupNotFound"}
                return Refusal(code.get(kind[1], "ListenerNotFound"), f"'{arn}' not found", 400)
        return None

    def rewrite(self, call: Call, status: str, body: bytes) -> bytes | None:
        if call.action == "DeleteVolume" and status.startswith("200"):
            # A thing's tags go with it (EC2 user guide, "Tag your Amazon EC2 resources"); the emulator's stay.
            ec2_backends[call.account][call.region].tags.pop(call.parameters["VolumeId"], None)
        if call.action != "GetResources" or not status.startswith("200"):
            return None
        answer, asked = json.loads(body), json.loads(call.body or b"{}")
        if answer.get("PaginationToken"):
            return None  # ghosts come on the last page
        listed = {one["ResourceARN"] for one in answer["ResourceTagMappingList"]}
        wanted, types = asked.get("TagFilters", []), asked.get("ResourceTypeFilters", [])
        for arn, tags in sorted(self._known.get((call.account, call.region), {}).items()):
            if types and not any(is_of(arn, each) for each in types):
                continue
            if arn not in listed and all(fits(tags, each) for each in wanted):
                mapping = {"ResourceARN": arn, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
                answer["ResourceTagMappingList"].append(mapping)
        return json.dumps(answer).encode()


def fits(tags: dict, wanted: dict) -> bool:
    """Whether tags fit a filter; one without values asks for the key alone."""
    return wanted["Key"] in tags and (not wanted.get("Values") or tags[wanted["Key"]] in wanted["Values"])


def is_of(arn: str, type_filter: str) -> bool:
    """Whether a thing is of a type as the tagging API's filter has it: `ec2` or `ec2:instance`."""
    parts = arn.split(":", 5)
    kind = re.split("[:/]", parts[5])[0]
    return type_filter in (parts[2], f"{parts[2]}:{kind}")
