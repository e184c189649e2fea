"""Names of the region: load balancers, Route 53 records, private host names, and names a test gives."""

import ipaddress
import re
import socket
import threading

from dnslib import CNAME, QTYPE, RCODE, RR, A, DNSRecord
from moto.elbv2 import elbv2_backends
from moto.route53.models import route53_backends

from .netns import make_socket
from .plane import Plane
from .world import World, log

TTL = 5  # seconds; an ALB's is 60
DEPTH = 8  # names a chain may have


class Names:
    """Looks names up in moto's state, always as it is now."""

    def __init__(self, world: World, plane: Plane) -> None:
        self.world, self.plane = world, plane
        self.given: dict[str, str] = {}  # name -> name or address, as a registrar elsewhere would have it

    def resolve(self, name: str) -> list[tuple[str, str, str]]:
        """(owner, type, value) of a chain of records that ends in addresses."""
        rows: list[tuple[str, str, str]] = []
        for _ in range(DEPTH):
            name = name.rstrip(".").lower()
            found = self._given(name) or self._balancer(name) or self._zone(name) or self._private(name)
            if not found:
                return rows
            rows += [(name, kind, value) for kind, value in found]
            if found[0][0] != "CNAME":
                return rows
            name = found[0][1]
        return rows

    def _given(self, name: str) -> list[tuple[str, str]]:
        value = self.given.get(name)
        return [(kind_of(value), value)] if value else []

    def _balancer(self, name: str) -> list[tuple[str, str]]:
        for _, backend in self.world.backends(elbv2_backends):
            for balancer in backend.load_balancers.values():
                if balancer.dns_name.lower() == name and balancer.state == "active":
                    return [
                        ("A", card.public_ip or card.private_ip_address)
                        for card in self.plane.balancers.interfaces(balancer.arn)
                        if not self.world.cut_off(card.availability_zone, card.subnet_id)
                    ]
        return []

    def _zone(self, name: str) -> list[tuple[str, str]]:
        for zone in route53_backends[self.world.account]["aws"].zones.values():
            for record in zone.rrsets:
                if record.name.rstrip(".").lower() != name:
                    continue
                if record.alias_target:
                    target = record.alias_target["DNSName"].rstrip(".").lower().removeprefix("dualstack.")
                    return self._balancer(target)
                if record.type in ("A", "CNAME"):
                    return [(record.type, r["Value"] if isinstance(r, dict) else r) for r in record.records]
        return []

    @staticmethod
    def _private(name: str) -> list[tuple[str, str]]:
        if match := re.match(r"ip-(\d+)-(\d+)-(\d+)-(\d+)\.(?:[a-z0-9-]+\.compute|ec2)\.internal$", name):
            return [("A", ".".join(match.groups()))]
        return []


def kind_of(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return "CNAME"
    return "A"


def answer(names: Names, request: bytes) -> bytes:
    """One query's reply; NXDOMAIN for a name nobody has, as there is no other internet."""
    query = DNSRecord.parse(request)
    reply = query.reply()
    rows = names.resolve(str(query.q.qname))
    if not rows:
        reply.header.rcode = RCODE.NXDOMAIN
    wanted = QTYPE[query.q.qtype]
    for owner, kind, value in rows:
        if wanted in (kind, "ANY") or kind == "CNAME":
            data = A(value) if kind == "A" else CNAME(value)
            reply.add_answer(RR(owner, getattr(QTYPE, kind), rdata=data, ttl=TTL))
    return reply.pack()


def serve(names: Names, namespace: str, address: str) -> None:
    """Answers on UDP port 53 of an address in a namespace."""
    sock = make_socket(namespace, socket.SOCK_DGRAM)
    sock.bind((address, 53))

    def loop() -> None:
        while True:
            request, client = sock.recvfrom(4096)
            try:
                with names.world.lock:
                    reply = answer(names, request)
                sock.sendto(reply, client)
            except Exception:
                log.exception("name service")

    threading.Thread(target=loop, name=f"dns-{namespace}", daemon=True).start()


