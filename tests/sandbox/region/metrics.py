"""Readings of the region's own metrics, as the services behind them would report."""

from collections.abc import Iterator

from moto.elbv2 import elbv2_backends

from .alarms import Sample
from .compute import RUNNING, Compute
from .targets import Targets
from .world import World


def target_samples(world: World, targets: Targets) -> Iterator[Sample]:
    """HealthyHostCount and UnHealthyHostCount of every target group behind a load balancer."""
    for region, backend in world.backends(elbv2_backends):
        for group in backend.target_groups.values():
            for balancer in targets.balancers(group.arn):
                dimensions = {
                    "TargetGroup": group.arn.split(":")[-1],
                    "LoadBalancer": balancer.arn.split(":loadbalancer/")[-1],
                }
                states = [t.health.state for t in targets.of(group.arn).values() if not t.draining]
                for name, state in (("HealthyHostCount", "healthy"), ("UnHealthyHostCount", "unhealthy")):
                    yield Sample(
                        region, "AWS/ApplicationELB", name, dimensions, float(states.count(state))
                    )


def instance_samples(compute: Compute) -> Iterator[Sample]:
    """StatusCheckFailed and its two parts, by instance and by group."""
    for instance in compute.instances():
        if instance.state_code != RUNNING:
            continue
        region = instance.ec2_backend.region_name
        own = float(compute.status(instance)["Status"] == "impaired")
        system = float(compute.status(instance, system=True)["Status"] == "impaired")
        values = {
            "StatusCheckFailed": max(own, system),
            "StatusCheckFailed_Instance": own,
            "StatusCheckFailed_System": system,
        }
        dimensions = [{"InstanceId": instance.id}]
        if group := getattr(instance, "autoscaling_group", None):
            dimensions.append({"AutoScalingGroupName": group.name})
        for name, value in values.items():
            for dimension in dimensions:
                yield Sample(region, "AWS/EC2", name, dimension, value)
