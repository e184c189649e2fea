"""AWS Fault Injection Service: the two actions of a zone outage, for as long as their experiment runs."""

import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from moto.autoscaling import autoscaling_backends
from moto.core.exceptions import JsonRESTError
from moto.ec2 import ec2_backends
from moto.fis.models import Experiment, FISBackend, fis_backends
from moto.iam import iam_backends

from .policies import allows, listed
from .world import World, log

PRINCIPAL = "fis.amazonaws.com"
CUT_OFF = "aws:network:disrupt-connectivity"
NO_CAPACITY = "aws:ec2:asg-insufficient-instance-capacity-error"


@dataclass(frozen=True)
class Action:
    """What FIS knows of an action."""

    target: str  # the name of its target in a template
    resource_type: str
    needs: tuple[str, ...]  # what the experiment's role must be allowed


ACTIONS = {
    CUT_OFF: Action(
        "Subnets",
        "aws:ec2:subnet",
        ("ec2:CreateNetworkAcl", "ec2:CreateNetworkAclEntry", "ec2:CreateTags", "ec2:DeleteNetworkAcl",
         "ec2:DescribeManagedPrefixLists", "ec2:DescribeNetworkAcls", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
         "ec2:GetManagedPrefixListEntries", "ec2:ReplaceNetworkAclAssociation"),
    ),
    NO_CAPACITY: Action(
        "AutoScalingGroups",
        "aws:ec2:autoscaling-group",
        ("ec2:InjectApiError", "autoscaling:DescribeAutoScalingGroups"),
    ),
}


class Refused(Exception):
    """Why an experiment cannot begin."""


@dataclass
class Effect:
    """What one action does, until when."""

    name: str  # in the experiment
    until: float
    subnets: set[str] = field(default_factory=set)
    no_capacity: set[tuple[str, str]] = field(default_factory=set)  # (group's ARN, zone)


@dataclass
class Record:
    """What moto's experiment does not know."""

    since: float  # of the present state
    effects: list[Effect] = field(default_factory=list)
    reason: str | None = None


class Experiments:
    """Advances every experiment; what runs now stands in the world for the others to see."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.records: dict[str, Record] = {}
        self._patch()

    def _patch(self) -> None:
        experiments = self
        original_create = FISBackend.create_experiment_template

        def create_experiment_template(backend, **kwargs):
            check_template(kwargs.get("targets") or {}, kwargs["actions"])
            return original_create(backend, **kwargs)

        def described(original):
            def to_dict(experiment, tags=None):
                answer = original(experiment, tags)
                if reason := experiments.record(experiment).reason:
                    answer["state"]["reason"] = reason
                return answer

            return to_dict

        FISBackend.create_experiment_template = create_experiment_template
        # moto ends an experiment when it is looked at; here time does
        Experiment.status = property(
            lambda experiment: experiment._status,
            lambda experiment, status: experiments.enter(experiment, status),
        )
        Experiment.to_dict = described(Experiment.to_dict)
        Experiment.to_summary_dict = described(Experiment.to_summary_dict)

    def record(self, experiment) -> Record:
        return self.records.setdefault(experiment.id, Record(self.world.clock()))

    def enter(self, experiment, status: str, reason: str | None = None) -> None:
        """Puts an experiment into a state."""
        record = self.record(experiment)
        record.since, record.reason = self.world.clock(), reason
        experiment._status = status
        if status != "running":
            record.effects.clear()
        log.info("experiment %s %s %s", experiment.id, status, reason or "")

    def tick(self, now: float) -> None:
        cut, no_capacity = set(), set()
        for region, backend in self.world.backends(fis_backends):
            for experiment in list(backend.experiments.values()):
                self._advance(region, experiment, now)
                for effect in self.record(experiment).effects:
                    cut |= effect.subnets
                    no_capacity |= effect.no_capacity
        self.world.cut_subnets, self.world.no_capacity = cut, no_capacity

    def _advance(self, region: str, experiment, now: float) -> None:
        record = self.record(experiment)
        waited = now - record.since
        match experiment._status:
            case "pending":
                self.enter(experiment, "initiating")
            case "initiating" if waited >= self.world.delays.experiment_start:
                try:
                    self._check_role(experiment)
                    effects = [self._effect(region, experiment, name, now) for name in experiment.actions]
                except Refused as why:
                    self.enter(experiment, "failed", str(why))
                    return
                self.enter(experiment, "running")
                record.effects = effects
            case "running":
                record.effects = [e for e in record.effects if now < e.until]
                if not record.effects:
                    self.enter(experiment, "completed")
            case "stopping" if waited >= self.world.delays.experiment_stop:
                self.enter(experiment, "stopped")

    # ---- beginning

    def _check_role(self, experiment) -> None:
        """FIS must be let work as the role, and the role must be let do what the actions do."""
        roles = iam_backends[self.world.account]["aws"].get_roles()
        role = next((r for r in roles if r.arn == experiment.role_arn), None)
        if role is None:
            raise Refused(f"The role {experiment.role_arn} does not exist")
        trust = json.loads(role.assume_role_policy_document)
        if not allows(trust, PRINCIPAL, "sts:AssumeRole", "*", experiment.arn, self.world.account):
            raise Refused(f"{PRINCIPAL} is not authorized to assume {role.arn}")
        attached = [p.document for p in role.managed_policies.values()]
        granted = {
            action
            for document in (*role.policies.values(), *attached)
            for statement in listed(json.loads(document)["Statement"])
            if statement["Effect"] == "Allow"
            for action in listed(statement["Action"])
        }
        needed = {n for action in experiment.actions.values() for n in ACTIONS[action["actionId"]].needs}
        if missing := sorted(n for n in needed if not any(fnmatchcase(n, g) for g in granted)):
            raise Refused(f"{role.arn} is not authorized to perform: {', '.join(missing)}")

    def _effect(self, region: str, experiment, name: str, now: float) -> Effect:
        action = experiment.actions[name]
        known, parameters = ACTIONS[action["actionId"]], action["parameters"]
        target = experiment.targets[action["targets"][known.target]]
        arns = self._resolve(region, target)
        if not arns:
            raise Refused("Target resolution returned empty set")
        effect = Effect(name, now + seconds(parameters["duration"]))
        if action["actionId"] == CUT_OFF:
            effect.subnets = {arn.rsplit("/", 1)[-1] for arn in arns}
        else:
            zones = [z.strip() for z in parameters["availabilityZoneIdentifiers"].split(",")]
            effect.no_capacity = {(arn, zone) for arn in arns for zone in zones}
        return effect

    def _resolve(self, region: str, target: dict) -> list[str]:
        """ARNs of the resources that are there: the ones named, or all with the tags and the fields."""
        named, tags = target.get("resourceArns"), target.get("resourceTags") or {}
        found = []
        for arn, its_tags, fields in self._resources(region, target["resourceType"]):
            fits = all(str(fields.get(f["path"])) in f["values"] for f in target.get("filters") or [])
            if (arn in named if named else tags.items() <= its_tags.items()) and fits:
                found.append(arn)
        return found

    def _resources(self, region: str, resource_type: str):
        """(ARN, tags, what a filter can ask) of everything of a type."""
        account = self.world.account
        if resource_type == "aws:ec2:subnet":
            for subnets in ec2_backends[account][region].subnets.values():
                for subnet in subnets.values():
                    tags = {t["key"]: t["value"] for t in subnet.get_tags()}
                    fields = {"AvailabilityZone": subnet.availability_zone, "SubnetId": subnet.id,
                              "VpcId": subnet.vpc_id}
                    yield f"arn:aws:ec2:{region}:{account}:subnet/{subnet.id}", tags, fields
        else:
            for group in autoscaling_backends[account][region].autoscaling_groups.values():
                tags = {t.get("key") or t["Key"]: t.get("value") or t["Value"] for t in group.tags}
                yield group.arn, tags, {"AutoScalingGroupName": group.name}


def check_template(targets: dict, actions: dict) -> None:
    """Refuses what FIS refuses, and what only the sandbox does not know."""
    for name, action in actions.items():
        known = ACTIONS.get(action["actionId"])
        if known is None:
            refuse(f"The action {action['actionId']} is not known here")
        target = targets.get(action.get("targets", {}).get(known.target))
        if target is None or target["resourceType"] != known.resource_type:
            refuse(f"Action {name} needs a target {known.target} of type {known.resource_type}")
        if not target.get("resourceArns") and not target.get("resourceTags") and not target.get("filters"):
            refuse(f"The target of action {name} names no resources")
        if target.get("selectionMode") != "ALL":
            refuse("only selectionMode ALL is known here")
        parameters = action.get("parameters", {})
        if not 60 <= seconds(parameters.get("duration", "")) <= 12 * 3600:
            refuse(f"The duration of action {name} must be between one minute and 12 hours")
        if known is ACTIONS[CUT_OFF] and parameters.get("scope") != "all":
            refuse("only scope all is known here")
        if known is ACTIONS[NO_CAPACITY] and not parameters.get("availabilityZoneIdentifiers"):
            refuse(f"Action {name} needs availabilityZoneIdentifiers")
        if known is ACTIONS[NO_CAPACITY] and parameters.get("percentage", "100") != "100":
            refuse("only percentage 100 is known here")


def refuse(why: str) -> None:
    raise JsonRESTError("ValidationException", why)


def seconds(duration: str) -> int:
    """Length of an ISO 8601 duration of hours, minutes and seconds; 0 for any other text."""
    parts = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?", duration)
    hours, minutes, rest = (int(part or 0) for part in parts.groups()) if parts else (0, 0, 0)
    return hours * 3600 + minutes * 60 + rest
