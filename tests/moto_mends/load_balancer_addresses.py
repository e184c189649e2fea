"""Gives each of the emulator's load balancers an address of its own, as Elastic Load Balancing does: whatever led to one
that was deleted does not lead to the next of that name."""

from moto.elbv2.models import ELBv2Backend
from moto.moto_api._internal import mock_random

_create = ELBv2Backend.create_load_balancer


def create_load_balancer(self, *arguments, **named):
    balancer = _create(self, *arguments, **named)
    number = mock_random.randint(10**8, 10**10 - 1)
    balancer.dns_name = f"{balancer.name}-{number}.{self.region_name}.elb.amazonaws.com"
    return balancer


def install() -> None:
    ELBv2Backend.create_load_balancer = create_load_balancer
