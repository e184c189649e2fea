"""Instance refresh: replaces the members of a group one by one, the new one first where the minimum
healthy percentage leaves no room for a gap."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from moto.autoscaling import autoscaling_backends

from .groups import Groups
from .world import World, log

RUNNING = ("Pending", "InProgress")


@dataclass
class Refresh:
    """Attribute names are those moto's serializer looks for."""

    auto_scaling_group_name: str
    preferences: dict
    waiting: list[str]  # instance ids still to replace
    total: int
    instance_refresh_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "Pending"
    status_reason: str | None = None
    start_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    end_time: datetime | None = None

    @property
    def percentage_complete(self) -> int:
        return 100 if not self.total else 100 * (self.total - len(self.waiting)) // self.total

    @property
    def instances_to_update(self) -> int:
        return len(self.waiting)

    @property
    def launch_first(self) -> bool:
        return int(self.preferences.get("MinHealthyPercentage", 90)) >= 100


class Refreshes:
    """At most one runs in a group at a time."""

    def __init__(self, world: World, groups: Groups) -> None:
        self.world, self.groups = world, groups
        self.all: list[Refresh] = []

    def current(self, group_name: str) -> Refresh | None:
        return next(
            (r for r in self.all if r.auto_scaling_group_name == group_name and r.status in RUNNING), None
        )

    def start(self, group, preferences: dict) -> Refresh:
        waiting = [s.instance.id for s in group.instance_states if s.lifecycle_state == "InService"]
        if str(preferences.get("SkipMatching", "")).lower() == "true" and group.ec2_launch_template:
            wanted = str(group.ec2_launch_template.get_version(group.launch_template_version).number)
            waiting = [
                s.instance.id for s in group.instance_states
                if s.instance.id in waiting and s.launch_template["Version"] != wanted
            ]
        refresh = Refresh(group.name, preferences, waiting, len(waiting))
        self.all.insert(0, refresh)
        return refresh

    def cancel(self, refresh: Refresh) -> None:
        self._end(refresh, "Cancelled", "Cancelled by a user request")

    def tick(self, now: float) -> None:
        for _, backend in self.world.backends(autoscaling_backends):
            for group in backend.autoscaling_groups.values():
                if refresh := self.current(group.name):
                    self._advance(group, refresh, now)

    def _advance(self, group, refresh: Refresh, now: float) -> None:
        refresh.status = "InProgress"
        record = self.groups.record(group)
        present = {s.instance.id: s for s in group.instance_states}
        replaced = [i for i in refresh.waiting if i not in present]
        serving = [s for s in present.values() if s.lifecycle_state == "InService"]
        if replaced and len(serving) >= (group.desired_capacity or 0):
            refresh.waiting = [i for i in refresh.waiting if i in present]
            record.surge = 0
        if not refresh.waiting:
            if len(serving) >= (group.desired_capacity or 0):
                self._end(refresh, "Successful", None)
            return
        old = present.get(refresh.waiting[0])
        if old is None or old.lifecycle_state != "InService":
            return
        if refresh.launch_first:
            record.surge = 1
            if len(serving) <= (group.desired_capacity or 0):
                return
            record.surge = 0
        self.groups.terminate(group, old, now, "in response to an instance refresh.")

    def _end(self, refresh: Refresh, status: str, reason: str | None) -> None:
        refresh.status, refresh.status_reason, refresh.end_time = status, reason, datetime.now(UTC)
        for _, backend in self.world.backends(autoscaling_backends):
            if group := backend.autoscaling_groups.get(refresh.auto_scaling_group_name):
                self.groups.record(group).surge = 0
        log.info("%s: instance refresh %s", refresh.auto_scaling_group_name, status)
