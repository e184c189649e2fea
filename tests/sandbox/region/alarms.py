"""CloudWatch: the region's own metrics of targets, load balancers and instances, and alarms on any metric
that change state and publish."""

import json
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from moto.cloudwatch.models import Alarm, MetricAggregatedDatum, MetricDatum, cloudwatch_backends

from .events import Events
from .world import World, log

ALARM_PRINCIPAL = "cloudwatch.amazonaws.com"
KEPT = timedelta(hours=3)
COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


@dataclass
class Sample:
    """One reading of one metric."""

    region: str
    namespace: str
    name: str
    dimensions: dict[str, str]
    value: float


class Alarms:
    """Records metrics once a period and evaluates every alarm after it."""

    def __init__(
        self,
        world: World,
        events: Events,
        sources: list[Callable[[], Iterable[Sample]]],
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.world, self._events, self._sources, self._wall = world, events, sources, wall
        self._next = 0.0

    def tick(self, now: float) -> None:
        if now < self._next:
            return
        self._next = now + self.world.delays.metric_period
        stamp = self._wall()
        for source in self._sources:
            for s in source():
                dimensions = [{"Name": k, "Value": v} for k, v in s.dimensions.items()]
                datum = MetricDatum(s.namespace, s.name, s.value, dimensions, _naive(stamp))
                cloudwatch_backends[self.world.account][s.region].metric_data.append(datum)
        for region, backend in self.world.backends(cloudwatch_backends):
            oldest = _naive(stamp) - KEPT
            backend.metric_data = [m for m in backend.metric_data if _naive(m.timestamp) >= oldest]
            for alarm in list(backend.alarms.values()):
                if alarm.metric_name and alarm.comparison_operator in COMPARISONS:
                    self._evaluate(region, backend, alarm, stamp)

    def _evaluate(self, region: str, backend, alarm: Alarm, stamp: datetime) -> None:
        seconds = max(alarm.period * self.world.delays.alarm_factor, self.world.delays.metric_period)
        period = timedelta(seconds=seconds)
        wanted = {(d.name, d.value) for d in alarm.dimensions}
        series = [
            m for m in backend.metric_data
            if m.namespace == alarm.namespace
            and m.name == alarm.metric_name
            and {(d.name, d.value) for d in m.dimensions} == wanted
        ]
        end = _naive(stamp) + timedelta(milliseconds=1)
        points = []
        for number in range(int(alarm.evaluation_periods)):
            upper = end - number * period
            window = [m for m in series if upper - period < _naive(m.timestamp) <= upper]
            points.append(statistic(window, alarm.statistic or "Average"))
        state = verdict(alarm, points)
        if state and state != alarm.state_value:
            self._change(region, alarm, state, points)

    def _change(self, region: str, alarm: Alarm, state: str, points: list) -> None:
        before = alarm.state_value
        shown = ", ".join("missing" if p is None else f"{p:g}" for p in points)
        reason = f"Threshold Crossed: datapoints [{shown}], threshold ({alarm.threshold:g})"
        alarm.update_state(reason, "{}", state)
        log.info("alarm %s: %s -> %s", alarm.name, before, state)
        if not alarm.actions_enabled:
            return
        actions = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}.get(
            state, alarm.insufficient_data_actions
        )
        message = json.dumps(
            {
                "AlarmName": alarm.name,
                "AlarmDescription": alarm.description,
                "AWSAccountId": self.world.account,
                "NewStateValue": state,
                "NewStateReason": reason,
                "StateChangeTime": alarm.state_updated_timestamp.isoformat(),
                "Region": region,
                "AlarmArn": alarm.alarm_arn,
                "OldStateValue": before,
                "Trigger": {
                    "MetricName": alarm.metric_name,
                    "Namespace": alarm.namespace,
                    "Dimensions": [{"name": d.name, "value": d.value} for d in alarm.dimensions],
                },
            }
        )
        for arn in actions:
            if ":sns:" in arn:
                subject = f'{state}: "{alarm.name}" in {region}'
                self._events.publish_to_topic(arn, ALARM_PRINCIPAL, alarm.alarm_arn, message, subject)


def verdict(alarm: Alarm, points: list[float | None]) -> str | None:
    """The state the points call for; None keeps the present one."""
    compare = COMPARISONS[alarm.comparison_operator]
    missing = alarm.treat_missing_data or "missing"
    present = [p for p in points if p is not None]
    if not present and missing == "missing":
        return "INSUFFICIENT_DATA"
    if not present and missing == "ignore":
        return None
    breaching = sum(compare(p, float(alarm.threshold)) for p in present)
    if missing == "breaching":
        breaching += len(points) - len(present)
    needed = int(alarm.datapoints_to_alarm or alarm.evaluation_periods)
    if breaching >= needed:
        return "ALARM"
    if missing in ("missing", "ignore") and len(present) < len(points) and breaching:
        return None  # not enough points yet to say
    return "OK"


def statistic(window: list, name: str) -> float | None:
    """One datapoint out of the samples of a window; None for an empty one."""
    if not window:
        return None
    low, high, total, count = [], [], 0.0, 0.0
    for m in window:
        if isinstance(m, MetricAggregatedDatum):
            low.append(m.min)
            high.append(m.max)
            total += m.sum
            count += m.sample_count
        else:
            low.append(m.value)
            high.append(m.value)
            total += m.value
            count += 1
    return {
        "Minimum": min(low),
        "Maximum": max(high),
        "Sum": total,
        "SampleCount": count,
        "Average": total / count if count else 0.0,
    }[name]


def _naive(stamp: datetime) -> datetime:
    """moto mixes naive and aware times; all of them are UTC."""
    return stamp.astimezone(UTC).replace(tzinfo=None) if stamp.tzinfo else stamp
