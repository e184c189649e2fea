"""The bridge's conferences, what it says of them, and how it ends."""

import asyncio
import datetime
import secrets
import time

from .figures import metrics, recorded_json
from .process import log
from .xmpp import element

COLIBRI2 = "jitsi:colibri2"
ICE_UDP = "urn:xmpp:jingle:transports:ice-udp:1"
DTLS = "urn:xmpp:jingle:apps:dtls:0"
SSMA = "urn:xmpp:jingle:apps:rtp:ssma:0"
_EXPIRATION = 60  # seconds, of `videobridge.entity-expiration`: timeout and check-interval
_PRIORITIES = {"srflx": 1694498815, "host": 2130706431}


class Refused(Exception):
    """An XMPP error condition to answer with."""


class Bridge:
    """State, colibri2, statistics."""

    def __init__(self, harvesters, pace, settings):
        self.harvesters, self.pace, self.settings = harvesters, pace, settings
        self.conferences = {}  # meeting id -> {endpoint id -> Endpoint}
        self.lingering = 0
        self.drain = self.graceful = self.shutting_down = False
        self.healthy, self.health_message = True, ""
        self.muc_configured = self.muc_connected = self.muc_joined = 0
        self.created = self.completed = self.participants = self.disconnects = 0
        self.conference_seconds = 0.0
        self.ended = asyncio.Event()
        self._periodic = {"endpoints": 0, "largest_conference": 0, "inactive": 0}
        self._last = (time.monotonic(), dict(harvesters.moved))
        self._rates = dict.fromkeys(harvesters.moved, 0.0)  # a second, of the last gathering
        self._tasks = set()

    # Health and shutdown

    async def watch_health(self):
        """The first check runs one interval after the start; until then all is well."""
        while True:
            await self.pace.sleep(self.settings.health_interval)
            self.health_message = self._check()
            self.healthy = not self.health_message

    def _check(self):
        if self.settings.require_valid_address and not self.harvesters.has_valid_address():
            return "No valid IP addresses available for harvesting."
        return "" if self.harvesters.healthy else "Failed to bind single-port"

    def shutdown(self, graceful):
        log("INFO", f"Received shutdown request, graceful={graceful}")
        if not graceful:
            self._start(self._shut_down())
        elif not self.graceful:
            self.graceful = True
            self._start(self._expire_grace())
        self._maybe_shut_down()

    async def _expire_grace(self):
        await self.pace.sleep(self.settings.graceful_max)
        await self._shut_down()

    def _maybe_shut_down(self):
        if self.graceful and self.endpoints == 0:
            self._start(self._shut_down())

    async def _shut_down(self):
        if not self.shutting_down:
            self.shutting_down = True
            log("INFO", f"Will shut down in {self.settings.shutting_down_delay} s")
            await self.pace.sleep(self.settings.shutting_down_delay)
            log("INFO", "Videobridge is shutting down NOW")
            self.ended.set()

    def _start(self, coroutine):
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # colibri2

    def modify(self, request):
        """Answers a `conference-modify`."""
        meeting = request.get("meeting-id")
        answer = element("conference-modified", COLIBRI2)
        if meeting not in self.conferences:
            if request.get("create") != "true":
                raise Refused("item-not-found")
            if self.graceful:
                log("WARNING", "Will not create conference in shutdown mode.")
                raise Refused("service-unavailable")
            self.conferences[meeting] = {}
            self.created += 1
        conference = self.conferences[meeting]
        created = False
        for wanted in request.findall(f"{{{COLIBRI2}}}endpoint"):
            name = wanted.get("id")
            if wanted.get("expire") == "true":
                self._expire(conference, name)
                answer.append(element("endpoint", COLIBRI2, {"expire": "true", "id": name}))
            elif wanted.get("create") == "true":
                conference[name] = self.harvesters.add(name, meeting)
                self.participants += 1
                created = True
                transport = element("transport", COLIBRI2, None, self._transport(conference[name]))
                if wanted.find(f"{{{COLIBRI2}}}transport/{{{COLIBRI2}}}sctp") is not None:
                    transport.append(element("sctp", COLIBRI2, {"port": 5000, "role": "server"}))
                answer.append(element("endpoint", COLIBRI2, {"id": name}, transport))
            elif name in conference:
                self._accept(conference[name], wanted)
                answer.append(element("endpoint", COLIBRI2, {"id": name}))
        if created:
            answer.append(_feedback_sources())
        if request.get("expire") == "true":
            for name in list(conference):
                self._expire(conference, name)
            del self.conferences[meeting]
            self.completed += 1
        self._maybe_shut_down()
        return answer

    def _accept(self, endpoint, wanted):
        transport = wanted.find(f".//{{{ICE_UDP}}}transport")
        fingerprint = wanted.find(f".//{{{DTLS}}}fingerprint")
        if transport is None or fingerprint is None:
            return
        sources = {int(source.get("ssrc")) for source in wanted.iter(f"{{{SSMA}}}source")}
        self.harvesters.accept(
            endpoint, transport.get("ufrag"), transport.get("pwd"), fingerprint.text, fingerprint.get("setup"), sources
        )

    def _expire(self, conference, name):
        endpoint = conference.pop(name, None)
        if endpoint:
            self.harvesters.remove(endpoint)
            if self.settings.linger:
                self.lingering += 1
                self._start(self._forget())

    async def _forget(self):
        await self.pace.sleep(self.settings.linger)
        self.lingering -= 1
        self._maybe_shut_down()

    def _transport(self, endpoint):
        children = [
            element("rtcp-mux", ICE_UDP),
            element("fingerprint", DTLS, {"hash": "sha-256", "setup": "actpass"}, text=self.harvesters.fingerprint),
        ]
        for number, (kind, address, port) in enumerate(self.harvesters.candidates(), 1):
            attributes = {
                "component": 1, "network": 0, "foundation": number, "ip": address, "protocol": "udp",
                "id": secrets.token_hex(12), "type": kind, "priority": _PRIORITIES[kind], "port": port,
                "generation": 0,
            }
            if kind == "srflx":
                attributes |= {"rel-addr": "0.0.0.0", "rel-port": 9}
            children.append(element("candidate", ICE_UDP, attributes))
        return element("transport", ICE_UDP, {"ufrag": endpoint.ufrag, "pwd": endpoint.pwd}, *children)

    async def expire_the_silent(self):
        """Who was not signed off by jicofo, because signalling broke, is found by nobody hearing of them:
        `entity-expiration.timeout`, looked for once in the same time. 85 s were measured."""
        while True:
            await self.pace.sleep(_EXPIRATION)
            oldest = time.monotonic() - _EXPIRATION * self.pace.factor
            for meeting, conference in list(self.conferences.items()):
                for name in [n for n, endpoint in conference.items() if endpoint.last < oldest]:
                    log("INFO", f"Expiring {name}: no activity")
                    self._expire(conference, name)
                if not conference:
                    del self.conferences[meeting]
                    self.completed += 1
            self._maybe_shut_down()

    # Figures

    @property
    def endpoints(self):
        return sum(map(len, self.conferences.values())) + self.lingering

    async def gather(self):
        """What the real one counts every few seconds, and so tells late."""
        while True:
            now, moved = time.monotonic(), dict(self.harvesters.moved)
            then, before = self._last
            span = max(now - then, 1e-3)
            self._rates = {name: (count - before[name]) / span for name, count in moved.items()}
            self._last = (now, moved)
            sizes = [len(conference) for conference in self.conferences.values()]
            self._periodic = {
                "endpoints": self.endpoints, "largest_conference": max(sizes, default=0),
                "inactive": len(sizes) if self._rates["received"] == 0 else 0,
            }
            self.conference_seconds += len(sizes) * self.settings.stats_interval
            await self.pace.sleep(self.settings.stats_interval)

    def statistics(self):
        """`/colibri/stats`: the recorded keys in their order. Conferences are of now, endpoints of
        the last gathering."""
        endpoints, largest = self._periodic["endpoints"], self._periodic["largest_conference"]
        inactive = endpoints if self._rates["received"] == 0 else 0
        return recorded_json("jvb-stats.json") | {
            "bit_rate_download": int(self._rates["received"] * 8 / 1000),
            "bit_rate_upload": int(self._rates["sent"] * 8 / 1000),
            "packet_rate_download": int(self._rates["packets_received"]),
            "packet_rate_upload": int(self._rates["packets_sent"]), "local_active_endpoints": endpoints - inactive,
            "inactive_conferences": self._periodic["inactive"], "p2p_conferences": self._periodic["inactive"],
            "endpoints": endpoints, "participants": endpoints, "inactive_endpoints": inactive,
            "endpoints_sending_audio": endpoints - inactive, "largest_conference": largest,
            "total_conferences_created": self.created, "total_conferences_completed": self.completed,
            "total_conference_seconds": int(self.conference_seconds), "total_participants": self.participants,
            "conferences": len(self.conferences), "local_endpoints": self.endpoints,
            "total_bytes_received": self.harvesters.bytes_received, "total_bytes_sent": self.harvesters.bytes_sent,
            "total_ice_succeeded": self.harvesters.ice_succeeded, "stress_level": self.settings.stress,
            "graceful_shutdown": self.graceful, "shutting_down": self.shutting_down, "drain": self.drain,
            "current_timestamp": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
            "muc_clients_configured": self.muc_configured, "muc_clients_connected": self.muc_connected,
            "mucs_configured": self.muc_configured, "mucs_joined": self.muc_joined, "healthy": self.healthy,
        }

    def metrics(self):
        """`/metrics`."""
        s = self.statistics()
        values = {
            "conferences": s["conferences"], "current_endpoints": s["endpoints"],
            "local_endpoints": s["local_endpoints"], "endpoints_inactive": s["inactive_endpoints"],
            "conferences_inactive": s["inactive_conferences"], "conferences_p2p": s["p2p_conferences"],
            "endpoints_sending_audio": s["endpoints_sending_audio"], "largest_conference": s["largest_conference"],
            "stress": s["stress_level"], "healthy": s["healthy"], "mucs_joined": s["mucs_joined"],
            "mucs_connected": s["mucs_joined"], "muc_clients_connected": s["muc_clients_connected"],
            "muc_clients_configured": s["muc_clients_configured"], "drain_mode": s["drain"],
            "graceful_shutdown": s["graceful_shutdown"], "shutting_down": s["shutting_down"],
            "incoming_bitrate": self._rates["received"] * 8, "outgoing_bitrate": self._rates["sent"] * 8,
            "bytes_received_total": s["total_bytes_received"], "bytes_sent_total": s["total_bytes_sent"],
            "ice_succeeded_total": s["total_ice_succeeded"], "endpoints_total": s["total_participants"],
            "conferences_created_total": self.created, "conferences_completed_total": self.completed,
            "conference_seconds_total": int(self.conference_seconds), "xmpp_disconnects_total": self.disconnects,
        }
        return metrics("jvb-metrics.txt", {f"jitsi_jvb_{name}": value for name, value in values.items()})


def _feedback_sources():
    def source(name, kind, ssrc):
        inner = element("source", SSMA, {"ssrc": ssrc, "name": name})
        return element("media-source", COLIBRI2, {"id": name, "type": kind}, inner)

    return element("sources", COLIBRI2, None, source("jvb-a0", "audio", 2194020024), source("jvb-v0", "video", 569951431))
