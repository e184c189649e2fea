"""Lets the emulator's tagging API list launch templates, key pairs and EventBridge rules, as AWS's does (Resource Groups
Tagging API, "Services that support the Resource Groups Tagging API"; EC2 user guide, "Tag your Amazon EC2 resources")."""

from moto.core.resource_tagging import TaggedResource
from moto.ec2.models import EC2Backend
from moto.events.models import EventsBackend

_of_ec2 = EC2Backend.iter_tagged_resources
_of_events = EventsBackend.iter_tagged_resources


def of_ec2(self):
    yield from _of_ec2(self)
    parts = {"launch-template": self.launch_templates.values(), "key-pair": self.key_pairs.values()}
    for kind, things in parts.items():
        for thing in list(things):
            arn = f"arn:{self.partition}:ec2:{self.region_name}:{self.account_id}:{kind}/{thing.id}"
            yield TaggedResource(arn=arn, tags=dict(self.tags.get(thing.id, {})), resource_type=f"ec2:{kind}")


def of_events(self):
    yield from _of_events(self)
    for bus in self.event_buses.values():
        for rule in list(bus.rules.values()):
            tags = self.tagger.get_tag_dict_for_resource(rule.arn)
            yield TaggedResource(arn=rule.arn, tags=tags, resource_type="events:rule")


def install() -> None:
    EC2Backend.iter_tagged_resources = of_ec2
    EventsBackend.iter_tagged_resources = of_events
