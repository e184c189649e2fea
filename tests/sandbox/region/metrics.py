"""Readings of the region's own metrics, as the services behind them would report."""

from collections.abc import Iterator

from moto.elbv2 import elbv2_backends

from .alarms import Sample
from .compute import RUNNING, Compute
from .haproxy import HAProxy
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


class BalancerCounters:
    """Requests and errors of every load balancer since the last reading."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], int] = {}

    def samples(self, proxies: dict[str, HAProxy]) -> Iterator[Sample]:
        for arn, proxy in proxies.items():
            rows = proxy.statistics()
            front = [r for r in rows if r.get("svname") == "FRONTEND"]
            servers = [r for r in rows if r.get("svname", "").startswith("s")]
            target_errors = total(servers, "hrsp_5xx")
            counts = {
                "RequestCount": total(front, "req_tot"),
                # what the load balancer itself answered, for want of a target that does
                "HTTPCode_ELB_5XX_Count": total(front, "hrsp_5xx") - target_errors,
                "HTTPCode_Target_5XX_Count": target_errors,
            }
            region, name = arn.split(":")[3], arn.split(":loadbalancer/")[-1]
            for metric, count in counts.items():
                before = self._before.get((arn, metric), 0)
                self._before[arn, metric] = count
                # a reload begins to count anew
                value = count - before if count >= before else count
                if value or metric == "RequestCount":
                    yield Sample(region, "AWS/ApplicationELB", metric, {"LoadBalancer": name}, float(value))


def total(rows: list[dict[str, str]], column: str) -> int:
    return sum(int(row.get(column) or 0) for row in rows)
