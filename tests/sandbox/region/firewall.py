"""A VPC's packet rules as nftables text: public addresses translate to private ones both ways, hairpin
included, security groups decide what reaches an interface, what is cut off gets none through."""

from dataclasses import dataclass, field

UPLINK = "uplink"


@dataclass(frozen=True)
class Ingress:
    """One allowed source of one security group; an empty `sources` allows nobody."""

    protocol: str  # tcp, udp, icmp or -1 for everything
    ports: tuple[int, int] | None
    sources: tuple[str, ...]  # CIDRs or addresses


@dataclass
class Interface:
    """A network interface of an instance or a load balancer."""

    device: str  # the router's end of it
    addresses: dict[str, str | None]  # private address -> public address
    ingress: list[Ingress] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)  # private addresses no packet reaches or leaves
    routed: bool = True  # its subnet has a route to an internet gateway


def ruleset(interfaces: list[Interface]) -> str:
    """The whole table; loaded at once, so that no packet sees half of it."""
    public = {
        private: outside
        for i in interfaces
        if i.routed
        for private, outside in i.addresses.items()
        if outside and private not in i.cut
    }
    cut = sorted(a for i in interfaces for a in i.cut)
    lines = ["table ip vpc", "delete table ip vpc", "table ip vpc {"]
    lines += _map("public_of", public)
    lines += _map("private_of", {outside: private for private, outside in public.items()})
    lines += [
        "  chain prerouting {",
        "    type nat hook prerouting priority dstnat",
        "    dnat to ip daddr map @private_of",
        "  }",
        "  chain postrouting {",
        "    type nat hook postrouting priority srcnat",
        f'    oifname "{UPLINK}" snat to ip saddr map @public_of',
        # who calls a public address from inside is seen with its own public address
        "    ct status dnat snat to ip saddr map @public_of",
        "  }",
        "  chain forward {",
        "    type filter hook forward priority filter; policy drop;",
    ]
    if cut:
        lines += [f"    ip saddr {{ {', '.join(cut)} }} drop", f"    ip daddr {{ {', '.join(cut)} }} drop"]
    lines += [
        "    ct direction reply ct state established,related accept",
        "    meta l4proto tcp ct state established accept",
        "    icmp type { destination-unreachable, time-exceeded } accept",
    ]
    if public:
        lines.append(f'    oifname "{UPLINK}" ip saddr {{ {", ".join(sorted(public))} }} accept')
    for i in interfaces:
        lines += [f'    oifname "{i.device}" {rule} accept' for rule in map(_match, i.ingress) if rule]
    lines += ["  }", "}"]
    return "\n".join(lines) + "\n"


def _map(name: str, elements: dict[str, str]) -> list[str]:
    lines = [f"  map {name} {{", "    type ipv4_addr : ipv4_addr"]
    if elements:
        pairs = ", ".join(f"{k} : {v}" for k, v in sorted(elements.items()))
        lines.append(f"    elements = {{ {pairs} }}")
    return [*lines, "  }"]


def _match(ingress: Ingress) -> str | None:
    if not ingress.sources:
        return None
    sources = sorted(set(ingress.sources))
    source = "" if "0.0.0.0/0" in sources else f"ip saddr {{ {', '.join(sources)} }} "
    if ingress.protocol == "-1":
        return f"{source}ip version 4"
    if ingress.protocol == "icmp" or ingress.ports is None:
        return f"{source}meta l4proto {ingress.protocol}"
    low, high = ingress.ports
    return f"{source}{ingress.protocol} dport {low}-{high}"
