"""The wires: one namespace for the internet, one router for each VPC, one for each machine, all of them
named after the sandbox that made them."""

import threading
from dataclasses import dataclass

from . import addresses
from .firewall import UPLINK, Interface, ruleset
from .shell import attempt, run

INTERNET_SIDE, VPC_SIDE = "169.254.3.1", "169.254.3.2"  # the two ends of every VPC's uplink


def short(identifier: str) -> str:
    """The end of an AWS id, unique enough and short enough for a device name."""
    return identifier.rsplit("-", 1)[-1].rsplit("/", 1)[-1][-10:]


@dataclass
class Attachment:
    """Something on a VPC's network."""

    vpc_id: str
    namespace: str
    device: str  # the router's end


class Network:
    """Makes and removes namespaces; `ip` and `nft` do the work."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.internet = f"{prefix}-net"
        self._routers: dict[str, str] = {}
        self._attachments: dict[str, Attachment] = {}
        self._rules: dict[str, str] = {}
        self._routes: dict[str, str] = {}  # public address -> vpc id
        self._lock = threading.RLock()

    def up(self) -> None:
        """Makes the internet: the services' addresses and a user's."""
        self._make(self.internet)
        batch = ["link set lo up"]
        for address in (addresses.API, addresses.PACKAGES, addresses.CLIENT):
            batch.append(f"address add {address}/32 dev lo")
        self._ip(self.internet, batch)

    def router(self, vpc_id: str) -> str:
        """The VPC's router, made when the first machine needs it."""
        with self._lock:
            if vpc_id in self._routers:
                return self._routers[vpc_id]
            name = f"{self.prefix}-vpc-{short(vpc_id)}"
            outside = f"v{short(vpc_id)}"
            self._make(name)
            run(["ip", "link", "add", outside, "netns", self.internet, "type", "veth",
                 "peer", "name", UPLINK, "netns", name])
            self._ip(self.internet, [f"link set {outside} up", f"address add {INTERNET_SIDE}/32 dev {outside}"])
            self._ip(
                name,
                [
                    "link set lo up",
                    f"address add {addresses.METADATA}/32 dev lo",
                    f"address add {addresses.RESOLVER}/32 dev lo",
                    f"link set {UPLINK} up",
                    f"address add {VPC_SIDE}/32 dev {UPLINK}",
                    f"route add default via {INTERNET_SIDE} dev {UPLINK} onlink",
                ],
            )
            self._routers[vpc_id] = name
            self.apply(vpc_id, [])
            return name

    def attach(self, identifier: str, vpc_id: str, private: list[str]) -> Attachment:
        """A namespace with `eth0` on the VPC's network."""
        router = self.router(vpc_id)
        kind = "i" if identifier.startswith("i-") else "lb"
        name, device = f"{self.prefix}-{kind}-{short(identifier)}", f"{kind}{short(identifier)}"
        with self._lock:
            self._make(name, forward=False)
            run(["ip", "link", "add", device, "netns", router, "type", "veth",
                 "peer", "name", "eth0", "netns", name])
            self._ip(
                router,
                [f"link set {device} up", f"address add {addresses.GATEWAY}/32 dev {device}"]
                + [f"route add {ip}/32 dev {device}" for ip in private],
            )
            self._ip(
                name,
                ["link set lo up", "link set eth0 up"]
                + [f"address add {ip}/32 dev eth0" for ip in private]
                + [f"route add default via {addresses.GATEWAY} dev eth0 onlink src {private[0]}"],
            )
            attachment = self._attachments[identifier] = Attachment(vpc_id, name, device)
            return attachment

    def detach(self, identifier: str) -> None:
        """Removes a machine's namespace, and with it both ends of its wire."""
        with self._lock:
            attachment = self._attachments.pop(identifier, None)
        if attachment is not None:
            router = self._routers[attachment.vpc_id]
            attempt(["ip", "-n", router, "link", "delete", attachment.device])
            attempt(["ip", "netns", "delete", attachment.namespace])

    def attachment(self, identifier: str) -> Attachment | None:
        return self._attachments.get(identifier)

    def routers(self) -> dict[str, str]:
        """Namespace of every VPC that has one."""
        return dict(self._routers)

    def apply(self, vpc_id: str, interfaces: list[Interface]) -> bool:
        """Loads a VPC's packet rules and the internet's routes to its public addresses, if they changed."""
        text = ruleset(interfaces)
        with self._lock:
            if self._rules.get(vpc_id) == text:
                return False
            router = self._routers[vpc_id]
            run(["ip", "netns", "exec", router, "nft", "-f", "-"], stdin=text)
            self._rules[vpc_id] = text
            public = {o for i in interfaces for o in i.addresses.values() if o and i.routed}
            batch = []
            for address in public:
                batch.append(f"route replace {address}/32 via {VPC_SIDE} dev v{short(vpc_id)} onlink "
                             f"src {addresses.CLIENT}")
                self._routes[address] = vpc_id
            for address in [a for a, v in self._routes.items() if v == vpc_id and a not in public]:
                batch.append(f"route delete {address}/32")
                del self._routes[address]
            self._ip(self.internet, batch)
            return True

    @staticmethod
    def _make(name: str, *, forward: bool = True) -> None:
        run(["ip", "netns", "add", name])
        if forward:
            run(["ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1",
                 "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
                 "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.default.send_redirects=0"])

    @staticmethod
    def _ip(namespace: str, batch: list[str]) -> None:
        if batch:
            run(["ip", "-n", namespace, "-batch", "-"], stdin="\n".join(batch) + "\n")
