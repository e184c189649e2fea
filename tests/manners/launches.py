"""A group's first launch may fail for an instance profile that EC2 does not know yet, although
CreateAutoScalingGroup took it; the group tries again by itself (hashicorp/terraform-provider-aws#31282;
EC2 user guide, "IAM roles for Amazon EC2": wait some seconds after making one)."""

import re
from datetime import UTC, datetime

from wire import Call

from .manner import Manner

FAILURES = 2
POLLS = 2
REASON = (
    "Value (jitsi-instance) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name. "
    "Launching EC2 instance failed."
)
ACTIVITY = """<member><ActivityId>00000000-0000-0000-0000-00000000000{number}</ActivityId>
<AutoScalingGroupName>{group}</AutoScalingGroupName><Description>Launching a new EC2 instance.  Status Reason: \
{reason}</Description><Cause>At {now} an instance was started in response to a difference between desired and \
actual capacity, increasing the capacity from 0 to 1.</Cause><StartTime>{now}</StartTime><EndTime>{now}</EndTime>
<StatusCode>Failed</StatusCode><StatusMessage>{reason}</StatusMessage><Progress>100</Progress></member>"""


class Launches(Manner):
    """For two looks after the first request for an instance there is none, only two failed launches."""

    def __init__(self, dice) -> None:
        super().__init__(dice)
        self._polls: dict[tuple[str, str], int] = {}

    def rewrite(self, call: Call, status: str, body: bytes) -> bytes | None:
        if call.service != "autoscaling" or not status.startswith("200"):
            return None
        group = call.parameters.get("AutoScalingGroupName")
        group = group or call.parameters.get("AutoScalingGroupNames.member.1", "")
        this = (call.account, group)
        if call.action == "UpdateAutoScalingGroup" and call.parameters.get("DesiredCapacity") == "1":
            self._polls.setdefault(this, POLLS)
        elif call.action == "DescribeAutoScalingGroups" and self._polls.get(this):
            return re.sub(rb"<Instances>.*?</Instances>", b"<Instances/>", body, flags=re.DOTALL)
        elif call.action == "DescribeScalingActivities" and self._polls.get(this):
            self._polls[this] -= 1
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            told = "".join(
                ACTIVITY.format(number=n, group=group, reason=REASON, now=now)
                for n in range(FAILURES if self._polls[this] < POLLS - 1 else 0)
            )
            return re.sub(rb"<Activities ?/>|<Activities>\s*</Activities>", f"<Activities>{told}</Activities>".encode(), body)
        return None
