"""The bridge's UDP side: binds the port on every address, answers and makes ICE checks, passes media on."""

import asyncio
import secrets
import struct
import time

from aioice import stun
from aioice.ice import get_host_addresses

from . import ice
from .call import Call, Identity

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def _random(length):
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


class Endpoint:
    """A participant's transport: credentials, the addresses that proved to know them, its call."""

    def __init__(self, name, meeting):
        self.name, self.meeting = name, meeting
        self.ufrag, self.pwd = _random(14), _random(26)
        self.peer = None  # (socket, address), once a pair is nominated
        # Once it accepted the offer. Somebody who never does is a browser of the stand-ins' own, whose
        # media is passed on as it comes.
        self.call, self.remote, self.sources, self.checks = None, None, (), set()
        self.received = self.sent = 0
        self.last = time.monotonic()  # of anything from the other side


class Harvesters:
    """One socket for each of the machine's addresses, shared by all endpoints."""

    def __init__(self, port, mappings, advertise_private, fault=None):
        self.port, self.mappings, self.advertise_private = port, mappings, advertise_private
        self._fault, self._identity = fault, Identity()
        self.addresses, self.healthy = [], False
        self.endpoints = {}  # by ufrag
        # Of endpoints that are gone: the real bridge adds up when one expires (`updateStatsOnExpire`).
        self.bytes_received = self.bytes_sent = self.ice_succeeded = 0
        # What moves meanwhile, for the rates: RTP both ways.
        self.moved = {"received": 0, "sent": 0, "packets_received": 0, "packets_sent": 0}

    async def open(self):
        """Binds; what is taken by others makes the bridge unhealthy, not silent."""
        self.healthy = True
        for address in get_host_addresses(use_ipv4=True, use_ipv6=False):
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

    @property
    def fingerprint(self):
        """What is offered as the bridge's."""
        return Identity().fingerprint if self._fault == "identity" else self._identity.fingerprint

    def add(self, name, meeting):
        endpoint = Endpoint(name, meeting)
        self.endpoints[endpoint.ufrag] = endpoint
        return endpoint

    def accept(self, endpoint, ufrag, pwd, fingerprint, setup, sources):
        """Takes note of how a participant answered the offer. Who it lets be passive is its client."""
        def send(datagram):
            if endpoint.peer:
                endpoint.peer[0].sendto(datagram, endpoint.peer[1])

        endpoint.remote, endpoint.sources = (ufrag, pwd), sources
        endpoint.call = Call(self._identity, fingerprint, setup == "passive", send, self._fault)

    def remove(self, endpoint):
        if self.endpoints.pop(endpoint.ufrag, None):
            self.bytes_received += endpoint.received
            self.bytes_sent += endpoint.sent

    def received(self, socket, data, address):
        if data[:1] and data[0] < 4:
            self._check(socket, data, address)
            return
        sender = next((e for e in self.endpoints.values() if e.peer and e.peer[1] == address), None)
        if not sender:
            return
        sender.last = time.monotonic()
        if sender.call and 20 <= data[0] < 64:
            sender.call.receive(data)
            return
        sender.received += len(data)
        self._count("received", data)
        self._forward(sender, data)

    def _count(self, way, data):
        self.moved[way] += len(data)
        self.moved[f"packets_{way}"] += 1

    def _forward(self, sender, data):
        if sender.call:
            is_rtcp = len(data) < 12 or 192 <= data[1] < 224
            if is_rtcp or sender.call.incoming is None or self._is_lost(sender, data):
                return
            data = sender.call.incoming.unprotect(data)
            if data is None or struct.unpack_from("!I", data, 8)[0] not in sender.sources:
                return
        for other in self.endpoints.values():
            if other is sender or other.meeting != sender.meeting or not other.peer:
                continue
            if bool(other.call) != bool(sender.call) or (other.call and other.call.outgoing is None):
                continue
            packet = other.call.outgoing.protect(data) if other.call else data
            other.peer[0].sendto(packet, other.peer[1])
            other.sent += len(packet)
            self._count("sent", packet)

    def _is_lost(self, sender, data):
        number = struct.unpack_from("!H", data, 2)[0]
        first = next(e for e in self.endpoints.values() if e.meeting == sender.meeting)
        return (
            self._fault == "forwarding" or (self._fault == "one-direction" and sender is first)
            or (self._fault == "loss" and number % 4 != 0)
        )

    def _nominate(self, endpoint, socket, address):
        """The bridge controls: it checks where a check came from, and settles on it."""
        ufrag, pwd = endpoint.remote
        check = ice.check(ufrag, endpoint.ufrag, pwd, "ICE-CONTROLLING", 1845501695)
        endpoint.checks.add(check.transaction_id)
        socket.sendto(bytes(check), address)

    def _answered(self, socket, answer, address):
        for endpoint in self.endpoints.values():
            if answer.transaction_id in endpoint.checks:
                self._settle(endpoint, socket, address)
                endpoint.call.begin()

    def _settle(self, endpoint, socket, address):
        if endpoint.peer is None:
            self.ice_succeeded += 1
        endpoint.peer = (socket, address)

    def _check(self, socket, data, address):
        try:
            request = stun.parse_message(data)
            if request.message_class == stun.Class.RESPONSE:
                self._answered(socket, request, address)
                return
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
        if endpoint.call:
            if self._fault != "path":
                self._nominate(endpoint, socket, address)
        elif "USE-CANDIDATE" in request.attributes:
            self._settle(endpoint, socket, address)


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
