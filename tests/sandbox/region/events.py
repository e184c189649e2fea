"""EventBridge: events of the region's services reach the rules, are rewritten for the target and
published to SNS, if the topic's policy lets EventBridge."""

import json
import re
import uuid

from moto.events import events_backends
from moto.events.models import Rule
from moto.sns import sns_backends

from .policies import allows
from .world import World, log, timestamp

EVENTS_PRINCIPAL = "events.amazonaws.com"
_original_send = Rule.send_to_targets


class Events:
    """Publishes events and delivers to SNS what moto's rules refuse to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.undelivered: list[str] = []
        world.publish_event = self.publish
        events = self
        Rule.send_to_targets = lambda rule, event, transform_input=True: events.deliver(
            rule, event, transform_input
        )

    def publish(self, region: str, source: str, kind: str, detail: dict, resources: list[str]) -> None:
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": kind,
            "source": source,
            "account": self.world.account,
            "time": timestamp(),
            "region": region,
            "resources": resources,
            "detail": detail,
        }
        buses = events_backends[self.world.account][region].event_buses
        for rule in list(buses["default"].rules.values()):
            if rule.state == "ENABLED" and rule.event_pattern.get_pattern():
                rule.send_to_targets(event)

    def deliver(self, rule: Rule, event: dict, transform_input: bool = True) -> None:
        if not rule.event_pattern.matches_event(event):
            return
        topics = [t for t in rule.targets if ":sns:" in t["Arn"]]
        others = [t for t in rule.targets if ":sns:" not in t["Arn"]]
        if others:
            kept, rule.targets = rule.targets, others
            try:
                _original_send(rule, event, transform_input)
            finally:
                rule.targets = kept
        for target in topics:
            self.publish_to_topic(target["Arn"], EVENTS_PRINCIPAL, rule.arn, target_input(target, event, rule.arn))

    def publish_to_topic(
        self, topic_arn: str, principal: str, source_arn: str, message: str, subject: str | None = None
    ) -> None:
        """Publishes as an AWS service does: only where the topic's policy allows that service."""
        region = topic_arn.split(":")[3]
        topic = sns_backends[self.world.account][region].topics.get(topic_arn)
        if topic is None:
            self._refuse(f"{source_arn}: topic {topic_arn} does not exist")
        elif not may_publish(topic._policy_json, principal, topic_arn, source_arn, self.world.account):
            self._refuse(f"{source_arn}: the policy of {topic_arn} does not let {principal} publish")
        else:
            topic.publish(message, subject=subject)

    def _refuse(self, why: str) -> None:
        log.warning("not delivered: %s", why)
        self.undelivered.append(why)


def target_input(target: dict, event: dict, rule_arn: str) -> str:
    """What a target receives: constant input, a part of the event, a template, or the whole event."""
    if target.get("Input"):
        return target["Input"]
    if path := target.get("InputPath"):
        return json.dumps(at_path(event, path))
    if transformer := target.get("InputTransformer"):
        values = {k: at_path(event, p) for k, p in (transformer.get("InputPathsMap") or {}).items()}
        values["aws.events.rule-arn"] = rule_arn
        values["aws.events.rule-name"] = rule_arn.rsplit("/", 1)[-1]
        values["aws.events.event.json"] = values["aws.events.event"] = event
        values["aws.events.event.ingestion-time"] = event["time"]
        return render(transformer["InputTemplate"], values)
    return json.dumps(event)


def at_path(event: dict, path: str):
    """The value a JSONPath of the plain kind names (`$.detail.instance-id`, `$.resources[0]`), or None."""
    value = event
    for key, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path.removeprefix("$")):
        try:
            value = value[int(index)] if index else value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def render(template: str, values: dict) -> str:
    """Fills a template in: bare inside a JSON string, as a JSON value outside of one."""
    out, quoted, position = [], False, 0
    for match in re.finditer(r"<([A-Za-z0-9_.\-]+)>|(?<!\\)\"", template):
        out.append(template[position : match.start()])
        position = match.end()
        name = match.group(1)
        if name is None:
            quoted = not quoted
            out.append('"')
        elif name not in values:
            out.append(match.group(0))
        else:
            value = values[name]
            plain = "" if value is None else value
            text = plain if isinstance(plain, str) else json.dumps(plain)
            if quoted:
                out.append(json.dumps(text)[1:-1])
            else:
                out.append(json.dumps(value))
    out.append(template[position:])
    return "".join(out)


def may_publish(policy: dict, principal: str, topic_arn: str, source_arn: str, account: str) -> bool:
    """Whether a topic policy lets an AWS service publish."""
    return allows(policy, principal, "sns:Publish", topic_arn, source_arn, account)
