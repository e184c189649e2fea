"""The data plane follows the control plane: packet rules from security groups, addresses and routes, and a
HAProxy for every active load balancer."""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from moto.acm.models import acm_backends
from moto.elbv2 import elbv2_backends

from .firewall import Ingress, Interface, ruleset
from .haproxy import SLOTS, Config, HAProxy, Listener, Pool, Server
from .network import Network
from .plane import Plane
from .targets import forward_arns
from .world import World, log

DEFAULT_IDLE_TIMEOUT = 60  # seconds, an ALB's


class Traffic:
    """A part to tick: compares what is wanted with what was last applied, and hands the difference on."""

    def __init__(self, world: World, plane: Plane, network: Network, directory: Path, record, on_up) -> None:
        self.world, self.plane, self.network = world, plane, network
        self._directory, self._record, self._on_up = directory, record, on_up
        self._worker = ThreadPoolExecutor(1, "traffic")
        self._rules: dict[str, str] = {}
        self._proxies: dict[str, HAProxy] = {}
        self._configs: dict[str, Config] = {}
        self._slots: dict[str, dict[str, int]] = {}  # target group -> instance -> slot

    def origin(self, balancer_arn: str) -> tuple[str, str | None] | None:
        """(namespace, address) a load balancer's health checks come from."""
        attachment = self.network.attachment(balancer_arn)
        config = self._configs.get(balancer_arn)
        return (attachment.namespace, config.source) if attachment and config else None

    def proxies(self) -> dict[str, HAProxy]:
        return dict(self._proxies)

    def tick(self, now: float) -> None:
        self._balancers()
        self._firewalls()

    # ---- packet rules

    def _firewalls(self) -> None:
        wanted: dict[str, list[Interface]] = {vpc: [] for vpc in self.network.routers()}
        for attachment, cards in self._cards():
            interface = Interface(attachment.device, {})
            for card in cards:
                interface.addresses[card.private_ip_address] = card.public_ip
                if self.world.cut_off(card.availability_zone, card.subnet_id):
                    interface.cut.add(card.private_ip_address)
                interface.routed = interface.routed and has_internet_route(card)
                interface.ingress = [
                    rule for group in sorted(card.group_set, key=lambda g: g.id) for rule in ingress(group)
                ]
            wanted.setdefault(attachment.vpc_id, []).append(interface)
        for vpc, interfaces in wanted.items():
            interfaces.sort(key=lambda i: i.device)
            text = ruleset(interfaces)
            if self._rules.get(vpc) != text:
                self._rules[vpc] = text
                self._submit(self.network.apply, vpc, interfaces)

    def _cards(self):
        for instance in self.plane.compute.instances():
            attachment = self.network.attachment(instance.id)
            if attachment is not None and instance.state_code < 48:
                yield attachment, list(instance.nics.values())
        for arn in self.plane.balancers.records:
            attachment = self.network.attachment(arn)
            if attachment is not None:
                yield attachment, self.plane.balancers.interfaces(arn)

    # ---- load balancers

    def _balancers(self) -> None:
        present = set()
        for region, backend in self.world.backends(elbv2_backends):
            for balancer in backend.load_balancers.values():
                if balancer.state != "active" or balancer.type != "application":
                    continue
                present.add(balancer.arn)
                config = self._config(region, balancer)
                if self._configs.get(balancer.arn) != config:
                    self._configs[balancer.arn] = config
                    self._submit(self._apply, balancer.arn, balancer.name, balancer.vpc_id, config)
        for arn in self._configs.keys() - present:
            del self._configs[arn]
            self._submit(self._remove, arn)

    def _config(self, region: str, balancer) -> Config:
        cards = self.plane.balancers.interfaces(balancer.arn)
        idle = int(balancer.attrs.get("idle_timeout.timeout_seconds", DEFAULT_IDLE_TIMEOUT))
        http2 = str(balancer.attrs.get("routing.http2.enabled", "true")).lower() == "true"
        live = [
            c.private_ip_address for c in cards if not self.world.cut_off(c.availability_zone, c.subnet_id)
        ]
        config = Config([c.private_ip_address for c in cards], live[0] if live else None, idle, http2=http2)
        arns: list[str] = []
        for listener in sorted(balancer.listeners.values(), key=lambda each: int(each.port)):
            lines = []
            for action in listener.default_actions:
                forwards = forward_arns(action)
                arns += forwards
                lines += action_lines(action, forwards)
            certificates = [self._certificate(region, c) for c in listener.certificates]
            config.listeners.append(
                Listener(int(listener.port), [c for c in certificates if c],
                         "TLSv1.3" if "TLS13-1-3" in (listener.ssl_policy or "") else "TLSv1.2", lines)
            )
        config.pools = [p for arn in dict.fromkeys(arns) if (p := self._pool(arn))]
        return config

    def _pool(self, arn: str) -> Pool | None:
        if (group := self.plane.targets._group(arn)) is None:
            return None
        pool = Pool(pool_name(arn), group.protocol == "HTTPS")
        targets = self.plane.targets.of(arn)
        slots = self._slots.setdefault(arn, {})
        for gone in slots.keys() - targets.keys():
            del slots[gone]
        serving = [t for t in targets.values() if not t.draining]
        healthy = [t for t in serving if t.health.state == "healthy"]
        chosen = healthy or serving  # none healthy: fail open to all of them
        for target in targets.values():
            instance = self.plane.targets._instance(group, target.instance_id)
            if instance is None or not instance.private_ip:
                continue
            free = (n for n in range(SLOTS) if n not in slots.values())
            slot = slots.setdefault(target.instance_id, next(free))
            state = "ready" if target in chosen else "drain"
            pool.servers[slot] = Server(instance.private_ip, target.port, state)
        return pool

    def _certificate(self, region: str, arn: str) -> Path | None:
        bundle = acm_backends[self.world.account][region]._certificates.get(arn)
        if bundle is None:
            return None
        pem = b"\n".join(
            part for part in (bundle.cert, bundle.chain, bundle.key) if part
        )
        self._directory.mkdir(parents=True, exist_ok=True)
        # a certificate imported again under its ARN is another file, so that HAProxy reloads
        path = self._directory / f"{arn.rsplit('/', 1)[-1]}-{hashlib.sha256(pem).hexdigest()[:8]}.pem"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(pem)
        return path

    def _apply(self, arn: str, name: str, vpc_id: str, config: Config) -> None:
        proxy = self._proxies.get(arn)
        if proxy is None:
            attachment = self.network.attach(arn, vpc_id, config.addresses)
            directory = self._directory / arn.rsplit("/", 1)[-1]
            proxy = self._proxies[arn] = HAProxy(name, directory, attachment.namespace, self._record)
        if config.listeners:
            proxy.apply(config)
            self._on_up(arn, config)

    def _remove(self, arn: str) -> None:
        if (proxy := self._proxies.pop(arn, None)) is not None:
            proxy.end()
            self.network.detach(arn)
            shutil.rmtree(self._directory / arn.rsplit("/", 1)[-1], ignore_errors=True)

    def _submit(self, call, *args) -> None:
        def guarded() -> None:
            try:
                call(*args)
            except Exception:
                log.exception("%s", call.__name__)

        self._worker.submit(guarded)


def pool_name(arn: str) -> str:
    """A target group's name in HAProxy."""
    return "-".join(arn.split("/")[-2:])


def action_lines(action, forwards: list[str]) -> list[str]:
    """HAProxy's words for a listener's default action."""
    data = action.data
    if forwards:
        return [f"default_backend {pool_name(forwards[0])}"]
    if data.get("Type") == "redirect":
        redirect = data["RedirectConfig"]
        code = 301 if redirect.get("StatusCode", "HTTP_301").endswith("301") else 302
        protocol = redirect.get("Protocol", "#{protocol}").lower().replace("#{protocol}", "%[hdr(X-Forwarded-Proto)]")
        host = redirect.get("Host", "#{host}").replace("#{host}", "%[req.hdr(host),field(1,:)]")
        port = str(redirect.get("Port", "443")).replace("#{port}", "443")
        path = redirect.get("Path", "/#{path}").replace("/#{path}", "%[path]")
        query = redirect.get("Query", "#{query}")
        # AWS writes the port always and keeps the query
        location = f"{protocol}://{host}:{port}{path}"
        lines = []
        if query == "#{query}":
            lines.append(f"http-request redirect code {code} location {location}?%[query] if {{ query -m found }}"
                         f" !{{ query -m len 0 }}")
        return [*lines, f"http-request redirect code {code} location {location}"]
    if data.get("Type") == "fixed-response":
        fixed = data["FixedResponseConfig"]
        kind = fixed.get("ContentType", "text/plain")
        body = (fixed.get("MessageBody") or "").replace("\\", "\\\\").replace('"', '\\"')
        return [f'http-request return status {fixed["StatusCode"]} content-type {kind} string "{body}"']
    return []


def ingress(group) -> list[Ingress]:
    """A security group's inbound rules; a reference to a group is its members' private addresses."""
    rules = []
    for rule in group.ingress_rules:
        sources = [c for c in (rule.cidr_ipv4,) if c]
        if reference := rule.referenced_group_info:
            wanted = reference.get("GroupId")
            sources += sorted(
                card.private_ip_address
                for card in group.ec2_backend.enis.values()
                if card.private_ip_address and wanted in {g.id for g in card.group_set}
            )
        ports = None if rule.from_port is None else (rule.from_port, rule.to_port)
        rules.append(Ingress(rule.ip_protocol, ports, tuple(sources)))
    return rules


def has_internet_route(card) -> bool:
    """Whether the interface's subnet routes 0.0.0.0/0 to an internet gateway."""
    tables = [t for t in card.ec2_backend.route_tables.values() if t.vpc_id == card.vpc_id]
    table = next((t for t in tables if card.subnet_id in t._associations.values()), None)
    table = table or next((t for t in tables if t.main_association_id), None)
    return table is not None and any(
        route.destination_cidr_block == "0.0.0.0/0" and (route.gateway_id or "").startswith("igw-")
        for route in table.routes
    )
