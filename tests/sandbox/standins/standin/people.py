"""Stand-in for browsers in a meeting: they join, take the bridge's offer, and send media until told to
leave. At the end one line of JSON says whether anybody was cut off."""

import argparse
import asyncio
import json
import os
import signal
import struct
import time

import aiohttp

from . import ice
from .process import log
from .xmpp import MUC, Account, Client, element

DISCO = "http://jabber.org/protocol/disco#info"
ICE_UDP = "urn:xmpp:jingle:transports:ice-udp:1"
JINGLE = "urn:xmpp:jingle:1"
_FEATURES = (
    "urn:xmpp:jingle:apps:rtp:audio", "urn:xmpp:jingle:apps:rtp:video", ICE_UDP, "urn:xmpp:jingle:apps:dtls:0",
    "urn:ietf:rfc:5888", "urn:ietf:rfc:5761", "http://jitsi.org/source-name", "http://jitsi.org/json-encoded-sources",
)
_PACKETS_PER_SECOND = 25


def main():
    parser = argparse.ArgumentParser(prog="people", description=__doc__)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--people", type=int, default=2)
    asyncio.run(_meet(parser.parse_args()))


async def _meet(args):
    room = f"standup@conference.{args.domain}"
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    people = [Person(Account("127.0.0.1", 5222, args.domain, "", "", False), room) for _ in range(args.people)]
    await asyncio.gather(*(person.log_in() for person in people))
    async with aiohttp.ClientSession() as http:
        url = "http://127.0.0.1:8888/conference-request/v1"  # jicofo's own
        async with http.post(url, json={"room": room}, ssl=False, headers={"Host": args.domain}) as answer:
            answer.raise_for_status()
    for person in people:
        person.join()
    await asyncio.gather(*(person.media.wait() for person in people))
    print(json.dumps({"event": "meeting", "room": room, "people": len(people)}), flush=True)
    await stop.wait()
    await asyncio.gather(*(person.leave() for person in people))
    print(json.dumps({
        "event": "end", "packets": sum(person.packets for person in people),
        "longest_gap_ms": round(max(person.longest_gap for person in people) * 1000),
    }), flush=True)


class Person(asyncio.DatagramProtocol):
    """One browser."""

    def __init__(self, account, room):
        self.account, self.room = account, room
        self.media, self.packets, self.longest_gap = asyncio.Event(), 0, 0.0
        self._nick, self._last, self._sender = os.urandom(4).hex(), None, None

    async def log_in(self):
        self.client = Client(self.account, mechanism="ANONYMOUS")
        self.client.on(f"{{jabber:client}}iq/{{{JINGLE}}}jingle", self._offered)
        if not await self.client.log_in():
            raise SystemExit("cannot log in")
        for feature in _FEATURES:  # of the address just bound
            self.client["xep_0030"].add_feature(feature)

    def join(self):
        self.client.say(f"{self.room}/{self._nick}", children=[element("x", MUC)])

    async def leave(self):
        if self._sender:
            self._sender.cancel()
        self.client.say(f"{self.room}/{self._nick}", kind="unavailable")
        await self.client.disconnect(wait=0.5)

    async def _offered(self, iq):
        iq.reply().send()
        jingle = iq.xml.find(f"{{{JINGLE}}}jingle")
        candidate = jingle.find(f".//{{{ICE_UDP}}}candidate")
        if jingle.get("action") != "session-initiate" or candidate is None:
            return
        transport = jingle.find(f".//{{{ICE_UDP}}}transport")
        address = candidate.get("ip"), int(candidate.get("port"))
        if self._sender:
            self._sender.cancel()
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, remote_addr=address
        )
        self._sender = asyncio.create_task(self._talk(transport.get("ufrag"), transport.get("pwd")))

    async def _talk(self, ufrag, pwd):
        number = 0
        while True:
            if number % _PACKETS_PER_SECOND == 0:  # consent (RFC 7675), and the nomination
                check = ice.check(ufrag, self._nick, pwd, "ICE-CONTROLLED", 1853824767)
                self._transport.sendto(bytes(check))
            # An RTP header and silence; the bridge's other side has no key to tell.
            self._transport.sendto(struct.pack("!BBHII", 0x80, 111, number & 0xFFFF, number * 960 & 0xFFFFFFFF, 1) + bytes(80))
            number += 1
            await asyncio.sleep(1 / _PACKETS_PER_SECOND)

    def datagram_received(self, data, _address):
        if data[0] < 4:
            return
        now = time.monotonic()
        if self._last is not None:
            self.longest_gap = max(self.longest_gap, now - self._last)
        self._last, self.packets = now, self.packets + 1
        self.media.set()

    def error_received(self, error):
        log("WARNING", f"{self._nick}: {error}")
