"""Load balancers as the API shows them: provisioning for a while, with network interfaces of their own
that outlive them."""

from dataclasses import dataclass, field

from moto.ec2 import ec2_backends
from moto.elbv2 import elbv2_backends
from moto.elbv2.models import FakeLoadBalancer

from .addresses import PublicAddresses
from .world import World, log


@dataclass
class Record:
    """What moto's load balancer does not know."""

    region: str
    vpc_id: str
    created: float
    interfaces: list[str] = field(default_factory=list)  # network interface ids, one for each subnet
    deleted: float | None = None


class Balancers:
    """Follows the load balancers that exist; the traffic is carried elsewhere."""

    def __init__(self, world: World, addresses: PublicAddresses) -> None:
        self.world, self._addresses = world, addresses
        self.records: dict[str, Record] = {}
        # moto makes a load balancer active when it is described; here time does
        FakeLoadBalancer.activate = lambda balancer: None

    def interfaces(self, arn: str) -> list:
        """The load balancer's network interfaces."""
        record = self.records.get(arn)
        if record is None:
            return []
        known = ec2_backends[self.world.account][record.region].enis
        return [known[i] for i in record.interfaces if i in known]

    def tick(self, now: float) -> None:
        present = set()
        for region, backend in self.world.backends(elbv2_backends):
            for balancer in list(backend.load_balancers.values()):
                present.add(balancer.arn)
                if balancer.arn not in self.records:
                    self._create(region, balancer, now)
                waited = now - self.records[balancer.arn].created
                if balancer.state == "provisioning" and waited >= self.world.delays.balancer_provisioning:
                    balancer.state = "active"
                    log.info("load balancer %s active", balancer.name)
        for arn, record in list(self.records.items()):
            if arn in present:
                continue
            if record.deleted is None:
                record.deleted = now
            if now - record.deleted >= self.world.delays.balancer_interfaces:
                backend = ec2_backends[self.world.account][record.region]
                for interface in self.interfaces(arn):
                    interface.attachment_id = None
                    interface.status = "available"
                    backend.delete_network_interface(interface.id)
                del self.records[arn]

    def _create(self, region: str, balancer, now: float) -> None:
        record = self.records[balancer.arn] = Record(region, balancer.vpc_id, now)
        backend = ec2_backends[self.world.account][region]
        for subnet in balancer.subnets:
            interface = backend.create_network_interface(
                subnet,
                subnet.get_available_subnet_ip(instance=None),
                group_ids=list(balancer.security_groups or []),
                description="ELB " + balancer.arn.split(":loadbalancer/")[-1],
            )
            interface.status, interface.requester_managed = "in-use", True
            if balancer.scheme != "internal":
                interface.public_ip = self._addresses.take()
            record.interfaces.append(interface.id)
        log.info("load balancer %s provisioning", balancer.name)
