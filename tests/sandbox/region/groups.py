"""Auto Scaling groups with the life of their instances: launch and termination with hooks, load balancer
registration, health, replacement, zones, activities and events."""

import json
from collections import Counter
from dataclasses import dataclass, field

from moto.autoscaling import autoscaling_backends
from moto.autoscaling.models import InstanceState

from .activities import Activity
from .compute import PENDING, RUNNING, SHUTTING_DOWN, TERMINATED, Compute
from .launch import launch_instance
from .lifecycle import LAUNCHING, TERMINATING, LifecycleAction
from .targets import Targets
from .world import World, log, timestamp

LEAVING = ("Terminating", "Terminating:Wait", "Terminating:Proceed", "Terminated")
ACTIVITIES_KEPT = 200


@dataclass
class Member:
    """What the group knows of one instance beyond moto's lifecycle state."""

    launch: Activity
    actions: list[LifecycleAction] = field(default_factory=list)
    in_service_at: float | None = None
    termination: Activity | None = None
    hooks_done: bool = False


@dataclass
class GroupRecord:
    """What moto's group does not know."""

    difference_since: float | None = None
    looked_at_health: float = 0.0
    surge: int = 0  # instances wanted above the desired capacity, by an instance refresh
    failures: int = 0  # launches in a row; each doubles the wait for the next
    failed_zones: dict[str, float] = field(default_factory=dict)
    deleting: bool = False


class Groups:
    """Advances every group a step at a time; never sleeps, never blocks."""

    def __init__(self, world: World, compute: Compute, targets: Targets) -> None:
        self.world, self.compute, self.targets = world, compute, targets
        self.members: dict[str, Member] = {}
        self.records: dict[str, GroupRecord] = {}
        self.activities: list[Activity] = []

    # ---- what others ask

    def record(self, group) -> GroupRecord:
        return self.records.setdefault(group.arn, GroupRecord())

    def find(self, instance_id: str):
        """(group, member state) of an instance, or None."""
        for _, backend in self.world.backends(autoscaling_backends):
            for group in backend.autoscaling_groups.values():
                for state in group.instance_states:
                    if state.instance.id == instance_id:
                        return group, state
        return None

    def target_lifecycle_state(self, instance_id: str) -> str | None:
        """What the instance metadata says: where the instance is going, not where it is."""
        if (found := self.find(instance_id)) is None:
            return None
        state = found[1].lifecycle_state
        return "Terminated" if state in LEAVING else "Standby" if state == "Standby" else "InService"

    def open_actions(self, group: str, hook: str) -> list[LifecycleAction]:
        """Lifecycle actions that wait for the hook."""
        return [
            action for member in self.members.values() for action in member.actions
            if (action.group, action.hook) == (group, hook) and action.waiting
        ]

    def action(self, group: str, hook: str, instance_id: str | None, token: str | None):
        """The open lifecycle action meant, by its token or its instance, or None."""
        for action in self.open_actions(group, hook):
            if action.token == token if token else action.instance_id == instance_id:
                return action
        return None

    # ---- the clock

    def tick(self, now: float) -> None:
        for _, backend in self.world.backends(autoscaling_backends):
            for group in list(backend.autoscaling_groups.values()):
                for state in list(group.instance_states):
                    self._advance(group, state, now)
                self._check_health(group, now)
                self._check_age(group, now)
                self._check_capacity(group, now)
                if self.record(group).deleting and not group.instance_states:
                    backend.autoscaling_groups.pop(group.name, None)

    def _advance(self, group, state: InstanceState, now: float) -> None:
        member = self.members.get(state.instance.id)
        if member is None:  # attached by hand
            member = self.members[state.instance.id] = Member(Activity(group.name, "attached", "", "{}", group.arn))
            member.in_service_at = now
        for action in member.actions:
            action.tick(now)
        code = state.instance.state_code
        match state.lifecycle_state:
            case "Pending" if code == RUNNING:
                self._hold(group, state, member, LAUNCHING, now)
            case "Pending" if code != PENDING:
                reason = state.instance.state_reason.message or "instance did not reach running"
                self._launch_failed(group, state, member, reason, now)
            case "Pending:Wait":
                if code != RUNNING:
                    self._launch_failed(group, state, member, "instance is not running any more", now)
                elif bad := next((a for a in member.actions if a.abandoned), None):
                    self._launch_failed(group, state, member, bad.why(), now)
                elif not any(a.waiting for a in member.actions):
                    self._join(group, state, member, now)
            case "InService":
                self._keep_registered(group, state)
            case "Terminating":
                if all(self.targets.drained(arn, state.instance.id) for arn in group.target_group_arns):
                    self._hold(group, state, member, TERMINATING, now)
                else:
                    member.termination.status_code = "WaitingForELBConnectionDraining"
            case "Terminating:Wait" if not any(a.waiting for a in member.actions):
                self._proceed_to_terminate(state)
            case "Terminating:Proceed" if code == TERMINATED:
                self._gone(group, state, member)

    # ---- launching

    def _check_capacity(self, group, now: float) -> None:
        record = self.record(group)
        present = [s for s in group.instance_states if s.lifecycle_state not in (*LEAVING, "Standby")]
        wanted = 0 if record.deleting else (group.desired_capacity or 0) + record.surge
        difference = wanted - len(present)
        if difference == 0:
            record.difference_since = None
            return
        if record.difference_since is None:
            record.difference_since = now
        patience = self.world.delays.group_evaluation * 2 ** min(record.failures, 6)
        if now - record.difference_since < patience:
            return
        record.difference_since = None
        if difference > 0 and "Launch" not in group._suspended_processes:
            for number in range(difference):
                self._launch(group, len(present) + number, now)
        elif difference < 0 and "Terminate" not in group._suspended_processes:
            spare = [s for s in present if not s.protected_from_scale_in]
            spare.sort(key=lambda s: s.instance.launch_time)
            for state in spare[:-difference]:
                self.terminate(
                    group, state, now,
                    "in response to a difference between desired and actual capacity, shrinking the "
                    f"capacity from {len(present)} to {wanted}.",
                )

    def _subnet(self, group, now: float):
        """The subnet for the next instance: fewest members first, zones that just failed last."""
        backend = group.ec2_backend
        ids = (group.vpc_zone_identifier or "").split(",")
        subnets = [backend.get_subnet(i) for i in ids if i]
        if not subnets:
            return None
        here = Counter(
            s.instance.placement.zone for s in group.instance_states if s.lifecycle_state not in LEAVING
        )
        failed = self.record(group).failed_zones
        return min(
            subnets,
            key=lambda s: (
                now - failed.get(s.availability_zone, -1e9) < 300,
                here[s.availability_zone],
                subnets.index(s),
            ),
        )

    def _launch(self, group, present: int, now: float) -> None:
        cause = (
            f"At {timestamp()} an instance was started in response to a difference between desired and "
            f"actual capacity, increasing the capacity from {present} to {present + 1}."
        )
        subnet = self._subnet(group, now)
        zone = subnet.availability_zone if subnet else group.availability_zones[0]
        details = json.dumps({"Subnet ID": subnet.id if subnet else None, "Availability Zone": zone})
        activity = self._add_activity(group, "Launching a new EC2 instance", cause, details)
        if self._without_capacity(group, zone):
            self.record(group).failed_zones[zone] = now
            self.record(group).failures += 1
            activity.end("Failed", self._no_capacity(group, zone))
            self._launch_event(group, activity, None, successful=False)
            return
        try:
            instance = launch_instance(group, subnet)
        except Exception as error:  # a launch template that EC2 refuses fails the activity, not the region
            self.record(group).failures += 1
            activity.end("Failed", f"{error} Launching EC2 instance failed.")
            self._launch_event(group, activity, None, successful=False)
            log.warning("%s: launch failed: %r", group.name, error)
            return
        activity.description = f"Launching a new EC2 instance: {instance.id}"
        activity.status_code, activity.progress = "PreInService", 30
        instance.autoscaling_group = group
        state = InstanceState(
            instance,
            lifecycle_state="Pending",
            protected_from_scale_in=group.new_instances_protected_from_scale_in,
        )
        group.instance_states.append(state)
        self.members[instance.id] = Member(activity)
        log.info("%s: launching %s in %s", group.name, instance.id, zone)

    def _without_capacity(self, group, zone: str) -> bool:
        return zone in self.world.knobs.zones_out or (group.arn, zone) in self.world.no_capacity

    def _no_capacity(self, group, zone: str) -> str:
        """AWS's words for it, which name where there is some."""
        ids = (group.vpc_zone_identifier or "").split(",")
        zones = {group.ec2_backend.get_subnet(i).availability_zone for i in ids if i}
        others = ", ".join(sorted(z for z in zones if not self._without_capacity(group, z)))
        kind = group.instance_type
        return (
            f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone}). "
            "Our system will be working on provisioning additional capacity. You can currently get "
            f"{kind} capacity by not specifying an Availability Zone in your request"
            f"{f' or choosing {others}' if others else ''}. Launching EC2 instance failed."
        )

    def _launch_failed(self, group, state, member: Member, why: str, now: float) -> None:
        member.actions.clear()
        member.launch.end("Cancelled", why)
        self.record(group).failures += 1
        self._launch_event(group, member.launch, state.instance.id, successful=False)
        if state.instance.placement.zone in self.world.knobs.zones_out:
            self.record(group).failed_zones[state.instance.placement.zone] = now
        member.hooks_done = True  # it never was in service: no terminate hook
        self.terminate(group, state, now, f"in response to a launch failure: {why}")

    def _join(self, group, state, member: Member, now: float) -> None:
        state.lifecycle_state = "InService"
        member.in_service_at = now
        self.record(group).failures = 0
        member.launch.end("Successful")
        self._keep_registered(group, state)
        self._launch_event(group, member.launch, state.instance.id, successful=True)
        log.info("%s: %s InService", group.name, state.instance.id)

    def _keep_registered(self, group, state) -> None:
        if "AddToLoadBalancer" in group._suspended_processes or state.instance.state_code != RUNNING:
            return
        for arn in group.target_group_arns:
            self.targets.register(arn, state.instance.id)

    # ---- hooks

    def _hold(self, group, state, member: Member, transition: str, now: float) -> None:
        launching = transition == LAUNCHING
        hooks = [
            h for h in group.autoscaling_backend.describe_lifecycle_hooks(group.name)
            if h.lifecycle_transition == transition
        ]
        if not hooks or member.hooks_done:
            if launching:
                self._join(group, state, member, now)
            else:
                self._proceed_to_terminate(state)
            return
        state.lifecycle_state = "Pending:Wait" if launching else "Terminating:Wait"
        activity = member.launch if launching else member.termination
        activity.status_code = "MidLifecycleAction" if launching else "MidTerminatingLifecycleAction"
        log.info("%s: %s %s", group.name, state.instance.id, state.lifecycle_state)
        member.actions = [
            LifecycleAction(
                group.name, h.name, state.instance.id, transition, h.heartbeat_timeout,
                h.default_result, now, getattr(h, "notification_metadata", None),
            )
            for h in hooks
        ]
        for action in member.actions:
            self._event(
                group,
                f"EC2 Instance-{'launch' if launching else 'terminate'} Lifecycle Action",
                state.instance.id,
                {
                    "LifecycleActionToken": action.token,
                    "AutoScalingGroupName": group.name,
                    "LifecycleHookName": action.hook,
                    "EC2InstanceId": state.instance.id,
                    "LifecycleTransition": transition,
                    "NotificationMetadata": action.metadata,
                    "Origin": "EC2" if launching else "AutoScalingGroup",
                    "Destination": "AutoScalingGroup" if launching else "EC2",
                },
            )

    # ---- health

    def _check_health(self, group, now: float) -> None:
        record = self.record(group)
        if "HealthCheck" in group._suspended_processes:
            return
        if now - record.looked_at_health < self.world.delays.group_health:
            return
        record.looked_at_health = now
        for state in list(group.instance_states):
            if state.lifecycle_state != "InService":
                continue
            if cause := self._illness(group, state, now):
                state.health_status = "Unhealthy"
                log.info("%s: %s unhealthy: %s", group.name, state.instance.id, cause)
                if "ReplaceUnhealthy" not in group._suspended_processes:
                    self.terminate(group, state, now, cause)

    def _illness(self, group, state, now: float) -> str | None:
        """Why the group replaces this instance, in AWS's words; None for a healthy one."""
        instance, member = state.instance, self.members[state.instance.id]
        if state.health_status == "Unhealthy":
            return "in response to a user health-check."
        if instance.state_code != RUNNING:
            return (
                "in response to an EC2 health check indicating it has been terminated or stopped."
            )
        if now - (member.in_service_at or now) < (group.health_check_grace_period or 0):
            return None
        if self.compute.impaired(instance):
            return "in response to an EC2 instance status checks failure."
        if "ELB" in group.health_check_type:
            for arn in group.target_group_arns:
                if self.targets.state(arn, instance.id) == "unhealthy":
                    return "in response to an ELB system health check failure."
        return None

    def _check_age(self, group, now: float) -> None:
        """Renews what has been in service for as long as the group allows (MaxInstanceLifetime): first the end of the
        old one, with its hook, then the launch of another. The cause is in words of our own."""
        longest = getattr(group, "max_instance_lifetime", None)
        for state in list(group.instance_states):
            since = self.members[state.instance.id].in_service_at
            if longest and state.lifecycle_state == "InService" and now - since >= longest:
                self.terminate(group, state, now, "in response to its age, the maximum instance lifetime of the group.")

    # ---- terminating

    def terminate(self, group, state, now: float, why: str) -> Activity:
        """Begins the end of a member: load balancer first, hooks second, the instance last."""
        member = self.members[state.instance.id]
        if state.lifecycle_state in LEAVING:
            return member.termination
        state.lifecycle_state = "Terminating"
        member.actions.clear()
        cause = f"At {timestamp()} an instance was taken out of service {why}"
        member.termination = self._add_activity(
            group, f"Terminating EC2 instance: {state.instance.id}", cause, member.launch.details
        )
        for arn in group.target_group_arns:
            self.targets.deregister(arn, state.instance.id, now)
        return member.termination

    def _proceed_to_terminate(self, state) -> None:
        state.lifecycle_state = "Terminating:Proceed"
        if state.instance.state_code not in (SHUTTING_DOWN, TERMINATED):
            state.instance.terminate()

    def _gone(self, group, state, member: Member) -> None:
        group.instance_states.remove(state)
        member.termination.end("Successful")
        self._event(
            group, "EC2 Instance Terminate Successful", state.instance.id,
            member.termination.event_detail(state.instance.id, "AutoScalingGroup", "EC2"),
        )
        log.info("%s: %s gone", group.name, state.instance.id)

    # ---- activities and events

    def _add_activity(self, group, description: str, cause: str, details: str) -> Activity:
        activity = Activity(group.name, description, cause, details, group.arn)
        self.activities.insert(0, activity)
        del self.activities[ACTIVITIES_KEPT:]
        return activity

    def _launch_event(self, group, activity: Activity, instance_id: str | None, *, successful: bool) -> None:
        kind = "Successful" if successful else "Unsuccessful"
        detail = activity.event_detail(instance_id, "EC2", "AutoScalingGroup")
        self._event(group, f"EC2 Instance Launch {kind}", instance_id, detail)

    def _event(self, group, kind: str, instance_id: str | None, detail: dict) -> None:
        resources = [group.arn]
        if instance_id:
            resources.append(f"arn:aws:ec2:{group.region}:{self.world.account}:instance/{instance_id}")
        self.world.publish_event(group.region, "aws.autoscaling", kind, detail, resources)
