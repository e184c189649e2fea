"""Stand-in for jitsi-videobridge 2.3."""

import asyncio
import json
import os
import types

from aiohttp import web

from . import web as http
from .bridge import COLIBRI2, Bridge, Refused
from .call import FAULTS
from .figures import as_text, recorded_text
from .media import Harvesters, Mapping
from .process import arguments, log, run
from .xmpp import MUC, Account, element, stay_logged_in

# Until 8080 answers: 3 to 4.5 s were measured; JVM and class loading.
_STARTUP = 3.5
_COLIBRI = "http://jitsi.org/protocol/colibri"
_CAPS = "http://jabber.org/protocol/caps"


def main():
    parser = arguments("jvb", "config.file")
    parser.add_argument(
        "--linger", type=float, default=float(os.environ.get("STANDIN_LINGER", "0")),
        help="seconds an endpoint is still counted after its browser vanished",
    )
    parser.add_argument(
        "--fault", choices=FAULTS, default=os.environ.get("STANDIN_FAULT"), help="what of the media does not work",
    )
    run(_program, parser.parse_args())


async def _program(config, pace, args):
    settings, accounts, server, harvesters = _read(config, args)
    await pace.sleep(_STARTUP)
    await harvesters.open()
    bridge = Bridge(harvesters, pace, settings)
    bridge.muc_configured = len(accounts)
    tasks = [bridge.watch_health(), bridge.gather(), bridge.ended.wait(), bridge.expire_the_silent()]
    tasks += [_stay_in_brewery(bridge, account, mucs, nick) for account, mucs, nick in accounts]
    async with _Together(tasks) as running:
        try:
            runner = await http.serve(_routes(bridge, settings), *server)
        except OSError as error:
            # The process lives on: threads hold it. It just never answers.
            log("SEVERE", f"Exception in thread \"main\" java.io.IOException: Failed to bind: {error}")
            await asyncio.Event().wait()
        await running[2]
        await runner.cleanup()
    return 0


class _Together:
    """Tasks that live as long as the block, and whose failures end it."""

    def __init__(self, coroutines):
        self._coroutines = coroutines

    async def __aenter__(self):
        self._tasks = [asyncio.create_task(coroutine) for coroutine in self._coroutines]
        return self._tasks

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _read(config, args):
    base = "videobridge"
    settings = types.SimpleNamespace(
        health_interval=config.seconds(f"{base}.health.interval", 60),
        require_valid_address=config.flag(f"{base}.health.require-valid-address", True),
        stats_interval=config.seconds(f"{base}.stats.interval", 5),
        graceful_max=config.seconds(f"{base}.shutdown.graceful-shutdown-max-duration", 24 * 3600),
        shutting_down_delay=config.seconds(f"{base}.shutdown.shutting-down-delay", 60),
        rest=config.flag(f"{base}.apis.rest.enabled", False),
        shutdown=config.flag(f"{base}.rest.shutdown.enabled", False),
        drain=config.flag(f"{base}.rest.drain.enabled", True),
        health=config.flag(f"{base}.rest.health.enabled", True),
        linger=args.linger, stress=0.01,
    )
    config.seconds(f"{base}.health.timeout", 90)  # read, so that a wrong type shows
    accounts = [found for _, shard in config.tree(f"{base}.apis.xmpp-client.configs") if (found := _account(shard))]
    server = (
        config.text(f"{base}.http-servers.private.host", "127.0.0.1"),
        config.integer(f"{base}.http-servers.private.port", 8080),
    )
    harvesters = Harvesters(
        config.integer(f"{base}.ice.udp.port", 10000),
        [Mapping(mapping) for mapping in config.objects("ice4j.harvest.mapping.static-mappings")],
        config.flag(f"{base}.ice.advertise-private-candidates", True),
        args.fault,
    )
    return settings, accounts, server, harvesters


def _account(shard):
    wanted = ("HOSTNAME", "DOMAIN", "USERNAME", "PASSWORD", "MUC_JIDS", "MUC_NICKNAME")
    values = [shard.text(name) for name in wanted]
    if None in values:
        missing = ", ".join(name for name, value in zip(wanted, values) if value is None)
        log("WARNING", f"Invalid configuration, not connecting: {missing} missing")
        return None
    host, domain, user, password, mucs, nick = values
    verify = not shard.flag("DISABLE_CERTIFICATE_VERIFICATION", False)
    account = Account(host, shard.integer("PORT", 5222), domain, user, password, verify)
    return account, [muc.strip() for muc in mucs.split(",")], nick


# XMPP


async def _stay_in_brewery(bridge, account, mucs, nick):
    def prepare(client):
        client.on(f"{{jabber:client}}iq/{{{COLIBRI2}}}conference-modify", lambda iq: _modify(bridge, iq))

    async def online(client):
        bridge.muc_connected += 1
        client.send_presence()
        for muc in mucs:
            joined = element("x", MUC)
            client.say(f"{muc}/{nick}", children=[joined, _capabilities()])
        client.on("{jabber:client}presence", lambda presence: _heed(bridge, presence, mucs, nick))
        while True:
            for muc in mucs:
                client.say(f"{muc}/{nick}", children=[_stats(bridge), _capabilities()])
            await bridge.pace.sleep(bridge.settings.stats_interval)

    def offline():
        bridge.disconnects += bridge.muc_connected
        bridge.muc_connected = bridge.muc_joined = 0

    await stay_logged_in(account, bridge.pace, prepare, online, offline, delay=1)


def _heed(bridge, presence, mucs, nick):
    """Our own presence coming back from the room is the proof of being in it."""
    if presence["from"].resource == nick and presence["from"].bare in mucs:
        bridge.muc_joined = 0 if presence["type"] in ("error", "unavailable") else 1


def _modify(bridge, iq):
    reply = iq.reply()
    try:
        reply.append(bridge.modify(iq.xml.find(f"{{{COLIBRI2}}}conference-modify")))
    except Refused as refused:
        reply = iq.reply(clear=True)
        reply["type"] = "error"
        reply["error"]["condition"] = str(refused)
    reply.send()


def _stats(bridge):
    figures = bridge.statistics().items()
    return element("stats", _COLIBRI, None, *(
        element("stat", _COLIBRI, {"name": name, "value": as_text(value)}) for name, value in figures
    ))


def _capabilities():
    return element("c", _CAPS, {
        "hash": "sha-1", "ver": "V78g62DrlQFfgmPEo5t0m/hyx4w=", "node": "https://igniterealtime.org/projects/smack",
    })


# HTTP


def _routes(bridge, settings):
    async def health(_):
        headers = {"Vary": "Origin"}
        if bridge.healthy:
            return web.Response(body=b"", headers=headers)
        return web.Response(text=bridge.health_message, status=500, headers=headers)

    async def version(_):
        return http.answer(json.loads(recorded_text("jvb-version.txt")))

    async def metrics(_):
        return http.exposition(bridge.metrics())

    async def stats(_):
        return http.answer(bridge.statistics())

    async def drain(_):
        return http.answer({"drain": bridge.drain})

    def drained(value):
        async def handler(_):
            bridge.drain = value
            return web.Response()
        return handler

    async def shutdown(request):
        if not http.is_json(request):
            return web.Response(status=415)
        try:
            value = (await request.json())["graceful-shutdown"]
        except (ValueError, KeyError, TypeError):
            return web.Response(status=400)
        bridge.shutdown(value in (True, "true"))
        return web.Response()

    routes = [web.get("/about/version", version), web.get("/metrics", metrics)]
    if settings.health:
        routes.append(web.get("/about/health", health))
    if settings.drain:
        routes += [
            web.get("/colibri/drain", drain),
            web.post("/colibri/drain/enable", drained(True)),
            web.post("/colibri/drain/disable", drained(False)),
        ]
    if settings.rest:
        routes.append(web.get("/colibri/stats", stats))
        if settings.shutdown:
            routes.append(web.post("/colibri/shutdown", shutdown))
    return routes
