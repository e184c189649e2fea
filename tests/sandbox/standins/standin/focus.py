"""jicofo's conferences: who is in the room, which bridge serves it, what everybody is offered."""

import asyncio
import secrets
import time
import uuid

from .process import log
from .xmpp import ET, MUC, MUC_USER, element

COLIBRI = "http://jitsi.org/protocol/colibri"
COLIBRI2 = "jitsi:colibri2"
DISCO = "http://jabber.org/protocol/disco#info"
FOCUS = "http://jitsi.org/protocol/focus"
ICE_UDP = "urn:xmpp:jingle:transports:ice-udp:1"
JINGLE = "urn:xmpp:jingle:1"
JITMEET = "http://jitsi.org/jitmeet"
MUC_ADMIN = "http://jabber.org/protocol/muc#admin"
RTP = "urn:xmpp:jingle:apps:rtp:1"
DTLS = "urn:xmpp:jingle:apps:dtls:0"
SCTP = "urn:xmpp:jingle:transports:dtls-sctp:1"
SSMA = "urn:xmpp:jingle:apps:rtp:ssma:0"
HEADER_EXTENSIONS = "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0"
CAPS = "http://jabber.org/protocol/caps"
# Without these an offer has no contents.
_NEEDED = {
    "urn:xmpp:jingle:apps:rtp:audio": ("audio", 111, "opus", 48000),
    "urn:xmpp:jingle:apps:rtp:video": ("video", 100, "VP8", 90000),
}


class Brewery:
    """The bridges that show themselves in the brewery room."""

    def __init__(self, room, reset=60.0):
        self.room, self.bridges, self.lost = room, {}, 0
        self._reset, self._failed = reset, {}  # seconds; jid -> when it last failed

    def heed(self, presence):
        """Takes note of a presence from the brewery."""
        jid = str(presence["from"])
        if presence["from"].resource == "focus" or presence["type"] == "error":
            return
        if presence["type"] == "unavailable":
            self._failed.pop(jid, None)
            if self.bridges.pop(jid, None) is not None:
                self.lost += 1
                log("WARNING", f"Lost a bridge: {jid}")
            return
        stats = presence.xml.find(f"{{{COLIBRI}}}stats")
        if stats is not None:
            self.bridges[jid] = {stat.get("name"): stat.get("value") for stat in stats}

    def clear(self):
        self.bridges.clear()
        self._failed.clear()

    def failed(self, jid):
        """One request without an answer, and the bridge is none for `failure-reset-threshold`."""
        self._failed[jid] = time.monotonic()

    @property
    def in_shutdown(self):
        return [jid for jid, stats in self.bridges.items() if stats.get("graceful_shutdown") == "true"]

    @property
    def operational(self):
        since = time.monotonic() - self._reset
        return [
            jid for jid in self.bridges
            if jid not in self.in_shutdown and self._failed.get(jid, float("-inf")) <= since
        ]

    def select(self):
        """The best bridge. A drained one is only the last choice, not out of the question."""
        return min(self.operational, key=lambda jid: self.bridges[jid].get("drain") == "true", default=None)


class Conference:
    """One room with jicofo in it."""

    def __init__(self, focus, room, counted=True):
        self.focus, self.room, self.counted = focus, room, counted
        self.occupants, self.invited = {}, {}
        self.bridge, self.meeting, self.started = None, str(uuid.uuid4()), time.monotonic()
        self.joined = asyncio.get_running_loop().create_future()
        self._lock, self._owner, self._bridge_count, self._bridge_missing = asyncio.Lock(), None, None, False

    async def join(self):
        """Whether the room let us in."""
        self._say(joining=True)
        try:
            return await asyncio.wait_for(asyncio.shield(self.joined), 10)
        except asyncio.TimeoutError:
            return False

    def _say(self, joining=False):
        properties = [element("property", FOCUS, {"key": "support-terminate-restart", "value": "true"})]
        if self._bridge_count is not None:
            properties.append(element("property", FOCUS, {"key": "bridge-count", "value": self._bridge_count}))
        children = [element("x", MUC)] if joining else [
            element("etherpad", JITMEET + "/etherpad", text=self.room.split("@")[0]),
            element("versions", JITMEET, None, element("component", JITMEET, {"name": "focus"}, text="1.1.SNAPSHOT")),
            element("conference-properties", FOCUS, None, *properties),
        ]
        if self._bridge_missing:
            children.append(element("bridge-not-available", FOCUS))
        self.focus.client.say(f"{self.room}/focus", children=[*children, capabilities()])

    def heed(self, presence):
        """Somebody came or went."""
        nick, kind = presence["from"].resource, presence["type"]
        if nick == "focus":
            if not self.joined.done():
                self.joined.set_result(kind not in ("error", "unavailable"))
                self._say()
            return
        if kind in ("unavailable", "error"):
            if self.occupants.pop(nick, None):
                self.focus.start(self._farewell(nick))
            return
        item = presence.xml.find(f"{{{MUC_USER}}}x/{{{MUC_USER}}}item")
        if nick not in self.occupants:
            self.occupants[nick] = item.get("jid", "") if item is not None else ""
            log("INFO", f"Member joined: {nick} in {self.room}")
            self.focus.start(self._welcome(nick))

    async def _welcome(self, nick):
        async with self._lock:
            if self._owner is None and self.focus.settings.auto_owner:
                self._owner = nick
                await self._make_owner(nick)
            if len(self.occupants) >= self.focus.settings.min_participants:
                await asyncio.gather(*(self._invite(n) for n in self.occupants if n not in self.invited))

    async def _make_owner(self, nick):
        item = element("item", MUC_ADMIN, {"jid": self.occupants.get(nick, "").split("/")[0], "affiliation": "owner"})
        await self.focus.client.ask("set", self.room, element("query", MUC_ADMIN, None, item))

    async def _invite(self, nick):
        self.invited[nick] = None
        features = await self.focus.features(f"{self.room}/{nick}")
        if nick not in self.occupants:
            return
        transport = await self._allocate(nick, SCTP in features)
        if transport is None:
            self.invited.pop(nick, None)
            return
        self.invited[nick] = sid = secrets.token_hex(7)
        jingle = element("jingle", JINGLE, {
            "action": "session-initiate", "sid": sid, "initiator": str(self.focus.client.boundjid),
        })
        for feature, (media, number, codec, rate) in _NEEDED.items():
            if feature in features:
                payload = element("payload-type", RTP, {"id": number, "name": codec, "clockrate": rate})
                description = element("description", RTP, {"media": media}, payload)
                if media == "audio":
                    level = {"id": 1, "uri": "urn:ietf:params:rtp-hdrext:ssrc-audio-level"}
                    description.append(element("rtp-hdrext", HEADER_EXTENSIONS, level))
                copy = ET.fromstring(ET.tostring(transport))
                jingle.append(element(
                    "content", JINGLE, {"creator": "initiator", "senders": "both", "name": media}, description, copy,
                ))
        if SCTP in features:
            copy = ET.fromstring(ET.tostring(transport))
            copy.append(element("sctpmap", SCTP, {"number": 5000, "protocol": "webrtc-datachannel", "streams": 1024}))
            jingle.append(element("content", JINGLE, {"creator": "initiator", "senders": "both", "name": "data"}, copy))
        jingle.append(element("bridge-session", FOCUS, {"id": self.meeting}))
        log("INFO", f"Sending session-initiate to {nick} with {len(jingle) - 1} contents")
        self.focus.sent["SESSION_INITIATE"] += 1
        await self.focus.client.ask("set", f"{self.room}/{nick}", jingle)

    async def accept(self, nick, jingle):
        """Tells the bridge how a participant answered. The error condition; None when all is well."""
        if self.invited.get(nick) != jingle.get("sid"):
            return "item-not-found"
        transport = jingle.find(f".//{{{ICE_UDP}}}transport")
        if transport is None or transport.find(f"{{{DTLS}}}fingerprint") is None:
            return "bad-request"
        sources = jingle.findall(f".//{{{SSMA}}}source")
        if any(not 0 < int(source.get("ssrc")) < 1 << 32 for source in sources):
            return "bad-request"
        media = [
            element("media-source", COLIBRI2, {"id": source.get("name"), "type": "audio"}, source) for source in sources
        ]
        answer = await self._colibri({"meeting-id": self.meeting}, element(
            "endpoint", COLIBRI2, {"id": nick}, element("transport", COLIBRI2, None, transport),
            element("sources", COLIBRI2, None, *media),
        ))
        return None if answer is not None else "internal-server-error"

    async def _allocate(self, nick, with_channel):
        """The bridge's transport for `nick`; None when there is no bridge."""
        create = self.bridge is None
        if create:
            self.bridge = self.focus.brewery.select()
        if self.bridge is None:
            log("SEVERE", f"Can not invite participant, no bridge available: {nick}")
            self._bridge_missing = True
            self._say()
            return None
        request = {"meeting-id": self.meeting}
        if create:
            request |= {"create": "true", "name": self.room}
        wanted = element("transport", COLIBRI2, {"ice-controlling": "true"})
        if with_channel:
            wanted.append(element("sctp", COLIBRI2))
        answer = await self._colibri(request, element(
            "endpoint", COLIBRI2, {"create": "true", "id": nick}, wanted, element("sources", COLIBRI2),
            element("capability", COLIBRI2, {"name": "source-names"}),
        ))
        found = None if answer is None else answer.xml.find(
            f"{{{COLIBRI2}}}conference-modified/{{{COLIBRI2}}}endpoint/{{{COLIBRI2}}}transport/{{{ICE_UDP}}}transport"
        )
        if found is None:
            log("SEVERE", f"Failed to allocate a colibri endpoint for {nick}")
            self.focus.brewery.failed(self.bridge)
            self.bridge = None if create else self.bridge
            self._bridge_missing = True
            self._say()
            return None
        if create:
            self._bridge_count, self._bridge_missing = 1, False
            self._say()
        return found

    async def _colibri(self, attributes, *children):
        return await self.focus.client.ask(
            "get", self.bridge, element("conference-modify", COLIBRI2, attributes, *children), timeout=15,
        )

    async def _farewell(self, nick):
        async with self._lock:
            invited = self.invited.pop(nick, False)
            if self.bridge and invited is not False:
                await self._colibri(
                    {"meeting-id": self.meeting}, element("endpoint", COLIBRI2, {"id": nick, "expire": "true"})
                )
            if not self.occupants:
                await self.end()

    async def end(self):
        """Frees the bridge and leaves the room."""
        if self.focus.conferences.pop(self.room, None) is None:
            return
        if self.bridge:
            await self._colibri({"meeting-id": self.meeting, "expire": "true"})
            self._bridge_count = 0
            self._say()
        self.focus.seconds += time.monotonic() - self.started
        self.focus.client.say(f"{self.room}/focus", kind="unavailable")

    async def expire_if_empty(self):
        """Nobody came within `initial-timeout`."""
        await self.focus.pace.sleep(self.focus.settings.initial_timeout)
        if not self.occupants:
            await self.end()


def capabilities():
    return element("c", CAPS, {
        "hash": "sha-1", "ver": "Lg0vhCNhxjoeKJi2/hukdsizNWA=", "node": "http://jitsi.org/jicofo",
    })
