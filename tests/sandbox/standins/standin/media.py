"""The bridge's UDP side: binds the port on every address, answers ICE checks, passes media on."""

import asyncio
import secrets
import time

from aioice import stun
from aioice.ice import get_host_addresses

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def _random(length):
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


class Endpoint:
    """A participant's transport: credentials, the addresses that proved to know them, bytes."""

    def __init__(self, name):
        self.name = name
        self.ufrag, self.pwd = _random(14), _random(26)
        self.peer = None  # (socket, address), once the other side nominated a pair
        self.received = self.sent = 0
        self.last = time.monotonic()  # of anything from the other side


class Harvesters:
    """One socket for each of the machine's addresses, shared by all endpoints."""

    def __init__(self, port, mappings, advertise_private, with_loopback):
        self.port, self.mappings, self.advertise_private = port, mappings, advertise_private
        self._with_loopback = with_loopback
        self.addresses, self.healthy = [], False
        self.endpoints = {}  # by ufrag
        # Of endpoints that are gone: the real bridge adds up when one expires (`updateStatsOnExpire`).
        self.bytes_received = self.bytes_sent = self.ice_succeeded = 0
        # What moves meanwhile, for the rates: RTP both ways.
        self.moved = {"received": 0, "sent": 0, "packets_received": 0, "packets_sent": 0}

    async def open(self):
        """Binds; what is taken by others makes the bridge unhealthy, not silent."""
        addresses = get_host_addresses(use_ipv4=True, use_ipv6=False)
        if self._with_loopback:
            addresses.append("127.0.0.1")
        self.healthy = True
        for address in addresses:
            try:
                # As Java opens it: an IPv6 socket that carries IPv4, so that what looks for the IPv4 one
                # finds none (`[::ffff:10.20.16.5]:10000` in `ss`).
                await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Socket(self), local_addr=(f"::ffff:{address}", self.port)
                )
                self.addresses.append(address)
            except OSError:
                self.healthy = False

    def candidates(self):
        """What is offered: kind, address, port."""
        found = []
        for address in self.addresses:
            if self.advertise_private or is_valid(address):
                found.append(("host", address, self.port))
            for mapping in self.mappings:
                # A mapping whose local address is on no interface does nothing, and nobody says so.
                if mapping.local == address:
                    found.append(("srflx", mapping.public, mapping.public_port or self.port))
        return found

    def has_valid_address(self):
        return any(map(is_valid, self.addresses)) or any(is_valid(m.public) for m in self.mappings)

    def add(self, name):
        endpoint = Endpoint(name)
        self.endpoints[endpoint.ufrag] = endpoint
        return endpoint

    def remove(self, endpoint):
        if self.endpoints.pop(endpoint.ufrag, None):
            self.bytes_received += endpoint.received
            self.bytes_sent += endpoint.sent

    def received(self, socket, data, address):
        if data[:1] and data[0] < 4:
            self._check(socket, data, address)
            return
        sender = next((e for e in self.endpoints.values() if e.peer and e.peer[1] == address), None)
        if sender:
            sender.last = time.monotonic()
            sender.received += len(data)
            self._count("received", data)
            for other in self.endpoints.values():
                if other is not sender and other.peer:
                    other.peer[0].sendto(data, other.peer[1])
                    other.sent += len(data)
                    self._count("sent", data)

    def _count(self, way, data):
        self.moved[way] += len(data)
        self.moved[f"packets_{way}"] += 1

    def _check(self, socket, data, address):
        try:
            request = stun.parse_message(data)
            username = request.attributes["USERNAME"]
            endpoint = self.endpoints[username.split(":")[0]]
            known = request.message_class == stun.Class.REQUEST and _is_signed(data, request, endpoint.pwd.encode())
        except (ValueError, KeyError):
            return  # JVB ignores what it cannot attribute
        if not known:
            return
        answer = stun.Message(
            message_method=stun.Method.BINDING, message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        answer.attributes["XOR-MAPPED-ADDRESS"] = (address[0].removeprefix("::ffff:"), address[1])
        answer.add_message_integrity(endpoint.pwd.encode())  # and FINGERPRINT
        socket.sendto(bytes(answer), address)
        endpoint.last = time.monotonic()
        if "USE-CANDIDATE" in request.attributes:
            if endpoint.peer is None:
                self.ice_succeeded += 1
            endpoint.peer = (socket, address)


def _is_signed(data, message, key):
    if hasattr(message, "check_message_integrity"):
        return message.check_message_integrity(key)
    stun.parse_message(data, integrity_key=key)  # aioice before 0.10 checks while parsing
    return "MESSAGE-INTEGRITY" in message.attributes


class Mapping:
    """A line of `ice4j.harvest.mapping.static-mappings`."""

    def __init__(self, config):
        self.local, self.public = config.text("local-address"), config.text("public-address")
        self.public_port = config.integer("public-port", 0)


def is_valid(address):
    """Java's idea of an address others can use: not site-local, link-local or loopback."""
    parts = [int(part) for part in address.split(".")]
    site_local = parts[0] == 10 or parts[:2] == [192, 168] or (parts[0] == 172 and 16 <= parts[1] < 32)
    return not (site_local or parts[:2] == [169, 254] or parts[0] == 127)


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, owner):
        self._owner = owner

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self._owner.received(self.transport, data, address)
