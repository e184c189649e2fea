"""Stand-in for jicofo 1.1."""

import asyncio
import collections
import json
import secrets
import sys
import time
import types

from aiohttp import web

from . import web as http
from .config import WrongType
from .figures import metrics, recorded_json, recorded_text
from .focus import DISCO, FOCUS, JINGLE, Brewery, Conference, capabilities
from .process import arguments, log, run
from .xmpp import MUC, Account, element, stay_logged_in

# Until 8888 answers, measured.
_STARTUP = 2.7
# After Prosody is back both programs are; jicofo is healthy again 5 to 6 s later, measured.
_RECONNECT = 2


def main():
    parser = arguments("jicofo", "config.file")
    run(_program, parser.parse_args())


async def _program(config, pace, args):
    focus = Focus(pace, _read(config))
    await pace.sleep(_STARTUP)
    try:
        runner = await http.serve(focus.routes(), focus.settings.host, focus.settings.port)
    except (OSError, OverflowError) as error:
        log("SEVERE", f"Exception in thread \"main\" java.net.BindException: {error}")
        return 1
    tasks = [asyncio.create_task(focus.stay_logged_in()), asyncio.create_task(focus.watch_health())]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()
    return 0


def _read(config):
    client = "jicofo.xmpp.client"
    try:
        port = config.integer("jicofo.rest.port", 8888)
    except WrongType as error:
        print(f"Exception in thread \"main\" {error}", file=sys.stderr)
        sys.exit(1)  # unlike the bridge, jicofo does not survive a bad port
    domain = config.text(f"{client}.domain")
    return types.SimpleNamespace(
        host=config.text("jicofo.rest.host", "127.0.0.1"), port=port,
        account=Account(
            config.text(f"{client}.hostname", "localhost"), config.integer(f"{client}.port", 5222),
            domain, config.text(f"{client}.username", "focus"), config.text(f"{client}.password"),
            not config.flag(f"{client}.disable-certificate-verification", False), "focus",
        ),
        xmpp_domain=config.text(f"{client}.xmpp-domain", domain),
        muc=config.text(f"{client}.conference-muc-jid"),
        client_proxy=config.text(f"{client}.client-proxy"),
        brewery=config.text("jicofo.bridge.brewery-jid", "").lower(),
        health=config.flag("jicofo.health.enabled", False),
        health_interval=config.seconds("jicofo.health.interval", 10),
        max_check=config.seconds("jicofo.health.max-check-duration", 20),
        failure_reset=config.seconds("jicofo.bridge.failure-reset-threshold", 60),
        reply_timeout=config.seconds(f"{client}.reply-timeout", 15),
        room_prefix=config.text("jicofo.health.room-name-prefix", "__jicofo-health-check"),
        min_participants=config.integer("jicofo.conference.min-participants", 2),
        initial_timeout=config.seconds("jicofo.conference.initial-timeout", 15),
        auto_owner=config.flag("jicofo.conference.enable-auto-owner", True),
        authenticated=config.flag("jicofo.authentication.enabled", False)
        and config.text("jicofo.authentication.type", "NONE") == "XMPP",
        login_url=config.text("jicofo.authentication.login-url", ""),
    )


class Focus:
    """jicofo as a whole."""

    def __init__(self, pace, settings):
        self.pace, self.settings, self.client = pace, settings, None
        self.brewery, self.conferences = Brewery(settings.brewery, settings.failure_reset * pace.factor), {}
        self.healthy, self.health_message, self.hard = True, "", True
        self._in_brewery = False
        self.sent = collections.Counter()
        self.requests = self.new_requests = self.created = self.participants = self.disconnects = 0
        self.seconds = 0.0
        self._sessions, self._tasks = {}, set()

    def start(self, coroutine):
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # XMPP

    async def stay_logged_in(self):
        def prepare(client):
            client.on("{jabber:client}presence", self._presence)
            client.on(f"{{jabber:client}}iq/{{{FOCUS}}}conference", self._conference_iq)
            client.on(f"{{jabber:client}}iq/{{{FOCUS}}}logout", self._logout)
            client.on(f"{{jabber:client}}iq/{{{JINGLE}}}jingle", self._jingle)

        async def online(client):
            self.client = client
            client.say(children=[capabilities()])
            if self._in_brewery:
                # It leaves the room of the stream before first, of which a Prosody that was restarted knows
                # nothing, and waits for the answer (BaseBrewery.registrationChanged, ChatRoomImpl.leave).
                await self.pace.sleep(self.settings.reply_timeout)
                log("SEVERE", f"Failed to properly leave MUC: {self.brewery.room}")
            self._in_brewery = True
            client.say(f"{self.brewery.room}/focus", children=[element("x", MUC), capabilities()])
            await asyncio.Event().wait()

        def offline():
            if self.client is not None:
                self.disconnects += 1
            self.client = None
            self.brewery.clear()
            self.conferences.clear()

        await stay_logged_in(self.settings.account, self.pace, prepare, online, offline, delay=_RECONNECT)

    def _presence(self, presence):
        room = presence["from"].bare
        if room == self.brewery.room:
            self.brewery.heed(presence)
        elif room in self.conferences:
            conference = self.conferences[room]
            before = len(conference.occupants)
            conference.heed(presence)
            if conference.counted:
                self.participants += max(0, len(conference.occupants) - before)

    async def features(self, occupant):
        """What an occupant can do; asked each time, as it shows no caps hash."""
        answer = await self.client.ask("get", occupant, element("query", DISCO))
        query = None if answer is None else answer.xml.find(f"{{{DISCO}}}query")
        return set() if query is None else {f.get("var") for f in query.findall(f"{{{DISCO}}}feature")}

    async def _conference_iq(self, iq):
        request = iq.xml.find(f"{{{FOCUS}}}conference")
        sender = self._sender(iq["from"])
        reply, refusal, session = iq.reply(), None, request.get("session-id")
        if self.settings.authenticated:
            if session is None and sender.split("@")[-1].split("/")[0] == self.settings.login_url:
                if request.get("machine-uid"):
                    session = secrets.token_hex(16)
                    self._sessions[session] = sender
                else:
                    refusal = "not-acceptable"
            elif session is not None and session not in self._sessions:
                refusal = "not-acceptable"
            elif session is None and request.get("room") not in self.conferences:
                refusal = "not-authorized"
        if refusal:
            reply = iq.reply(clear=True)
            reply["type"], reply["error"]["condition"] = "error", refusal
        else:
            ready = await self._request(request.get("room"))
            attributes = {"ready": str(ready).lower(), "room": request.get("room"), "focusjid": self._jid()}
            if session:
                attributes["session-id"] = session
            authentication = str(self.settings.authenticated).lower()
            reply.append(element("conference", FOCUS, attributes, element(
                "property", FOCUS, {"name": "authentication", "value": authentication},
            )))
        reply.send()

    async def _jingle(self, iq):
        """A participant accepts its offer; what else it may say needs no answer but one."""
        jingle, conference = iq.xml.find(f"{{{JINGLE}}}jingle"), self.conferences.get(iq["from"].bare)
        refusal = None
        if iq["type"] != "set":
            return
        if conference is None:
            refusal = "item-not-found"
        elif jingle.get("action") == "session-accept":
            refusal = await conference.accept(iq["from"].resource, jingle)
        reply = iq.reply()
        if refusal:
            reply = iq.reply(clear=True)
            reply["type"], reply["error"]["condition"] = "error", refusal
        reply.send()

    def _logout(self, iq):
        self._sessions.pop(iq.xml.find(f"{{{FOCUS}}}logout").get("session-id"), None)
        reply = iq.reply()
        reply.append(element("logout", FOCUS))
        reply.send()

    def _sender(self, jid):
        """The one behind mod_client_proxy, which puts the user's address into the resource."""
        if self.settings.client_proxy and jid.bare == self.settings.client_proxy:
            return jid.resource
        return str(jid)

    def _jid(self):
        return f"{self.settings.account.username}@{self.settings.account.domain}"

    async def _request(self, room, counted=True):
        """Whether the conference is ready: jicofo is in its room."""
        self.requests += counted
        if self.client is None:
            return False
        if room not in self.conferences:
            self.new_requests += counted
            self.created += counted
            conference = self.conferences[room] = Conference(self, room, counted)
            self.start(conference.expire_if_empty())
        conference = self.conferences[room]
        joined = await conference.join() if not conference.joined.done() else conference.joined.result()
        if not joined:
            self.conferences.pop(room, None)
        return joined

    # Health

    async def watch_health(self):
        """The first check runs one interval after the start; until then all is well."""
        while True:
            await self.pace.sleep(self.settings.health_interval)
            started = time.monotonic()
            self.health_message, self.hard = await self._check()
            if (took := time.monotonic() - started) > self.settings.max_check:
                self.health_message, self.hard = f"Performing a health check took too long: PT{took:.3f}S", True
            self.healthy = not self.health_message

    async def _check(self):
        if not self.brewery.operational:
            return f"No operational bridges available (total bridge count: {len(self.brewery.bridges)})", True
        number = secrets.randbits(64) - (1 << 63)
        room = f"{self.settings.room_prefix}-{number}@{self.settings.muc}"
        if not await self._request(room, counted=False):
            # "Treat timeouts as soft as they could be just due to load" (JicofoHealthChecker).
            return "Test conference failed to start due to timeout.", False
        await self.conferences[room].end()
        ping = await self.client.ask("get", self.settings.xmpp_domain, element("ping", "urn:xmpp:ping"), timeout=5)
        message = "" if ping is not None else "XMPP ping failed: did not receive xmpp ping response for Client"
        return message, False

    # HTTP

    def routes(self):
        routes = [
            web.get("/about/version", self._version), web.get("/stats", self._stats),
            web.get("/metrics", self._metrics), web.get("/debug/conferences", self._rooms),
            web.options("/conference-request/v1", lambda _: asyncio.sleep(0, web.Response())),
            web.post("/conference-request/v1", self._conference_request),
        ]
        if self.settings.health:
            routes.append(web.get("/about/health", self._health))
        return routes

    async def _health(self, _):
        return http.text("OK") if self.healthy else http.text(self.health_message, 500 if self.hard else 503)

    async def _version(self, _):
        return http.answer(json.loads(recorded_text("jicofo-version.txt")))

    async def _rooms(self, _):
        return http.answer(list(self.conferences))

    async def _conference_request(self, request):
        if not http.is_json(request):
            return web.Response(status=415)
        try:
            room = (await request.json())["room"].lower()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return http.text(f"Bad request: {error}", 400)
        if self.settings.authenticated and room not in self.conferences:
            # Who asks over HTTP has no address to be authenticated by (read in the source, not run).
            return http.text("Bad request: null", 400)
        ready = await self._request(room)
        return http.answer({
            "room": room, "ready": ready, "focusJid": self._jid(),
            "properties": {
                "visitors-supported": "false", "authentication": str(self.settings.authenticated).lower(),
            },
        })

    def _counted(self):
        return [conference for conference in self.conferences.values() if conference.counted]

    async def _stats(self, _):
        conferences = self._counted()
        sizes = [len(conference.occupants) for conference in conferences]
        value = recorded_json("jicofo-stats.json") | {
            "total_participants": self.participants, "total_conferences_created": self.created,
            "conferences": len(conferences), "largest_conference": max(sizes, default=0),
            "participants": sum(sizes), "endpoint_pairs": sum(n * (n - 1) for n in sizes),
            "jingle": {"sent": dict(self.sent), "received": {}}, "healthy": self.healthy,
            "health": {
                "success": self.healthy, "hardFailure": self.hard, "responseCode": None, "sticky": False,
                "message": self.health_message or None,
            },
        }
        value["bridge_selector"] = {
            "bridge_count": len(self.brewery.bridges), "operational_bridge_count": len(self.brewery.operational),
            "in_shutdown_bridge_count": len(self.brewery.in_shutdown), "lost_bridges": self.brewery.lost,
            "bridge_version_count": 1 if self.brewery.bridges else 0,
        }
        return http.answer(value)

    async def _metrics(self, _):
        sizes = [len(conference.occupants) for conference in self._counted()]
        values = {
            "healthy": self.healthy, "conferences": len(sizes), "participants_current": sum(sizes),
            "largest_conference": max(sizes, default=0), "participants_total": self.participants,
            "participants_pairs": sum(n * (n - 1) for n in sizes),
            "bridge_selector_bridge_count": len(self.brewery.bridges),
            "bridge_selector_bridge_count_operational": len(self.brewery.operational),
            "bridge_selector_bridge_count_in_shutdown": len(self.brewery.in_shutdown),
            "bridge_selector_lost_bridges_total": self.brewery.lost,
            "conferences_created_total": self.created, "conference_requests_total": self.requests,
            "conference_requests_new_total": self.new_requests, "xmpp_disconnects_total": self.disconnects,
            "jingle_session_initiate_sent_total": self.sent["SESSION_INITIATE"],
            "conferences_seconds": self.seconds,
        }
        return http.exposition(metrics("jicofo-metrics.txt", {f"jitsi_jicofo_{n}": v for n, v in values.items()}))
