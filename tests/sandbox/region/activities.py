"""Scaling activities: what a group did, why, and how it ended."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class Activity:
    """A scaling activity; attribute names are those moto's serializer looks for."""

    auto_scaling_group_name: str
    description: str
    cause: str
    details: str
    auto_scaling_group_arn: str
    activity_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    start_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    end_time: datetime | None = None
    status_code: str = "InProgress"
    status_message: str | None = None
    progress: int = 0

    def end(self, status: str, message: str | None = None) -> None:
        self.status_code, self.status_message = status, message
        self.progress, self.end_time = 100, datetime.now(UTC)

    def event_detail(self, instance_id: str | None, origin: str, destination: str) -> dict:
        """The detail of the event that reports the activity's end."""
        return {
            "StatusCode": "Complete" if self.status_code == "Successful" else "Failed",
            "Description": self.description,
            "AutoScalingGroupName": self.auto_scaling_group_name,
            "ActivityId": self.activity_id,
            "Details": json.loads(self.details),
            "RequestId": self.activity_id,
            "StatusMessage": self.status_message or "",
            "StartTime": self.start_time.isoformat(),
            "EndTime": (self.end_time or self.start_time).isoformat(),
            "EC2InstanceId": instance_id or "",
            "Cause": self.cause,
            "Origin": origin,
            "Destination": destination,
        }
