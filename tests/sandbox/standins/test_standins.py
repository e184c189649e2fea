"""The stand-ins against what the real programs said (`recorded/`, `standin/data/`)."""

import asyncio
import json
import re
import tempfile
import types
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path

from standin import figures
from standin.bridge import COLIBRI2, Bridge, Refused
from standin.config import Config, WrongType
from standin.focus import Brewery
from standin.jvb import _stats
from standin.media import Harvesters, is_valid
from standin.process import Pace

HERE = Path(__file__).parent


def recorded(name):
    return ET.fromstring((HERE / "recorded" / name).read_text())


def shape(node):
    """Names of elements and attributes, without the bridge channel, which was still a WebSocket."""
    children = [shape(child) for child in node if not child.tag.endswith("}web-socket")]
    return node.tag, sorted(node.attrib), children


def a_bridge(linger=0.0):
    harvesters = Harvesters(10000, [types.SimpleNamespace(local="10.0.3.7", public="198.51.100.7", public_port=0)], False)
    harvesters.addresses, harvesters.healthy = ["10.0.3.7"], True
    settings = types.SimpleNamespace(
        require_valid_address=True, stats_interval=5, graceful_max=3600, shutting_down_delay=0, linger=linger,
        stress=0.2651896609600537, health_interval=10,
    )
    bridge = Bridge(harvesters, Pace(0.001), settings)  # an hour takes 3.6 s
    bridge.muc_configured = bridge.muc_connected = bridge.muc_joined = 1
    return bridge


class Colibri(unittest.IsolatedAsyncioTestCase):
    request = recorded("conference-modify.xml").find(f"{{{COLIBRI2}}}conference-modify")

    async def test_an_endpoint_is_created_as_recorded(self):
        answer = a_bridge().modify(self.request)
        expected = recorded("conference-modified.xml").find(f"{{{COLIBRI2}}}conference-modified")
        self.assertEqual(shape(answer), shape(expected))
        candidate = next(answer.iter("{urn:xmpp:jingle:transports:ice-udp:1}candidate"))
        self.assertEqual((candidate.get("ip"), candidate.get("port"), candidate.get("type")), ("198.51.100.7", "10000", "srflx"))

    async def test_the_recorded_end_frees_the_bridge(self):
        bridge = a_bridge()
        bridge.modify(self.request)
        self.assertEqual((len(bridge.conferences), bridge.endpoints), (1, 1))
        bridge.modify(recorded("expire.xml").find(f"{{{COLIBRI2}}}conference-modify"))
        self.assertEqual((len(bridge.conferences), bridge.endpoints), (0, 0))

    async def test_vanished_endpoints_linger_if_told_to(self):
        bridge = a_bridge(linger=10)
        bridge.modify(self.request)
        bridge.modify(recorded("expire.xml").find(f"{{{COLIBRI2}}}conference-modify"))
        self.assertEqual((len(bridge.conferences), bridge.endpoints), (0, 1))
        async with asyncio.timeout(2):
            while bridge.endpoints:
                await asyncio.sleep(0.001)

    async def test_graceful_shutdown_keeps_meetings_and_refuses_new_ones(self):
        bridge = a_bridge()
        bridge.modify(self.request)
        bridge.shutdown(graceful=True)
        await asyncio.sleep(0.01)
        self.assertFalse(bridge.ended.is_set())
        other = ET.fromstring(ET.tostring(self.request))
        other.set("meeting-id", "another")
        with self.assertRaises(Refused):
            bridge.modify(other)
        bridge.modify(recorded("expire.xml").find(f"{{{COLIBRI2}}}conference-modify"))
        await asyncio.wait_for(bridge.ended.wait(), 1)

    async def test_who_fell_silent_is_expired_after_a_minute_or_two(self):
        bridge = a_bridge()
        task = asyncio.create_task(bridge.expire_the_silent())
        bridge.modify(self.request)
        self.assertEqual(bridge.endpoints, 1)
        async with asyncio.timeout(2):
            while bridge.conferences:
                await asyncio.sleep(0.01)
        self.assertEqual((bridge.endpoints, bridge.completed), (0, 1))
        task.cancel()

    async def test_a_drained_bridge_takes_meetings(self):
        bridge = a_bridge()
        bridge.drain = True
        bridge.modify(self.request)
        self.assertEqual(bridge.statistics()["conferences"], 1)

    async def test_a_mapping_of_a_foreign_address_is_healthy_and_useless(self):
        bridge = a_bridge()
        bridge.harvesters.mappings[0].local = "10.0.9.9"
        self.assertEqual(bridge._check(), "")
        self.assertEqual(list(bridge.modify(self.request).iter("{urn:xmpp:jingle:transports:ice-udp:1}candidate")), [])

    async def test_a_private_address_is_none(self):
        bridge = a_bridge()
        bridge.harvesters.mappings[0].public = "10.0.3.8"
        self.assertEqual(bridge._check(), "No valid IP addresses available for harvesting.")
        self.assertTrue(is_valid("198.51.100.7") and not is_valid("172.31.0.1"))


class Media(unittest.IsolatedAsyncioTestCase):
    def talk(self, harvesters):
        heard = []
        socket = types.SimpleNamespace(sendto=lambda data, address: heard.append((data, address)))
        people = [harvesters.add(name, "meeting") for name in "ab"]
        for number, person in enumerate(people):
            person.peer = socket, (f"::ffff:198.51.100.{number}", 5000, 0, 0)
        harvesters.received(socket, b"\x80" + bytes(99), people[0].peer[1])
        self.assertEqual(heard, [(b"\x80" + bytes(99), people[1].peer[1])])
        return people

    async def test_bytes_add_up_only_when_somebody_leaves_and_rates_while_they_talk(self):
        bridge = a_bridge()
        people = self.talk(bridge.harvesters)
        figures = bridge.statistics()
        self.assertEqual((figures["total_bytes_received"], figures["total_bytes_sent"]), (0, 0))
        self.assertEqual(figures["packet_rate_download"], 0, "until the next gathering")
        gathering = asyncio.create_task(bridge.gather())
        await asyncio.sleep(0)
        gathering.cancel()
        self.assertGreater(bridge.statistics()["bit_rate_download"], 0)
        for person in people:
            bridge.harvesters.remove(person)
        figures = bridge.statistics()
        self.assertEqual((figures["total_bytes_received"], figures["total_bytes_sent"]), (100, 100))


class Figures(unittest.IsolatedAsyncioTestCase):
    async def test_statistics_have_the_recorded_keys_and_types(self):
        statistics = a_bridge().statistics()
        expected = figures.recorded_json("jvb-stats.json")
        self.assertEqual(list(statistics), list(expected))
        for key, value in expected.items():
            self.assertEqual(type(json.loads(json.dumps(statistics[key]))), type(value), key)

    async def test_presence_tells_the_recorded_statistics(self):
        stats = recorded("brewery-presence.xml").find("{http://jitsi.org/protocol/colibri}stats")
        said = _stats(a_bridge())
        self.assertEqual([s.get("name") for s in said], [s.get("name") for s in stats])
        booleans = {s.get("name") for s in stats if s.get("value") in ("true", "false")}
        self.assertEqual(booleans, {s.get("name") for s in said if s.get("value") in ("true", "false")})

    async def test_metrics_have_the_recorded_names(self):
        names = lambda text: re.findall(r"^(\w+(?:\{[^}]*\})?) ", text, re.MULTILINE)  # noqa: E731
        said = a_bridge().metrics()
        self.assertEqual(names(said), names(figures.recorded_text("jvb-metrics.txt")))
        self.assertIn("\njitsi_jvb_mucs_joined 1.0\n", said)
        self.assertIn("\njitsi_jvb_conferences_created_total 0.0\n", said)
        with self.assertRaises(KeyError):
            figures.metrics("jvb-metrics.txt", {"jitsi_jvb_invented": 1})

    def brewery(self):
        presence = recorded("brewery-presence.xml")
        brewery = Brewery("jvbbrewery@internal.auth.meet.example.com")
        jid = types.SimpleNamespace(resource="6f1d3a52", bare=brewery.room)
        stanza = {"from": jid, "type": "available"}
        brewery.heed(type("Presence", (dict,), {"xml": presence})(stanza))
        return brewery

    def test_jicofo_counts_the_recorded_bridge(self):
        brewery = self.brewery()
        self.assertEqual((len(brewery.operational), len(brewery.in_shutdown)), (1, 0))

    def test_a_bridge_that_once_did_not_answer_is_none_for_a_while(self):
        brewery = self.brewery()
        brewery.failed(brewery.operational[0])
        self.assertEqual((len(brewery.bridges), brewery.operational, brewery.select()), (1, [], None))
        brewery._reset = 0
        self.assertEqual(len(brewery.operational), 1)


class Configurations(unittest.TestCase):
    def load(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(text)
            file.flush()
            return Config.load(file.name)

    def test_what_hocon_refuses_ends_the_program(self):
        for text in ("a {", 'a = "b', "a = ${missing}", "a { b = [1, }"):
            with self.subTest(text), self.assertRaises(SystemExit) as ended:
                self.load(text)
            self.assertEqual(ended.exception.code, 1)
        with self.assertRaises(SystemExit):
            Config.load("/nonexistent/jvb.conf")

    def test_durations(self):
        for text, seconds in (("10 seconds", 10), ("1 minute", 60), ("2s", 2), ("250ms", 0.25), ("1500", 1.5), ('"3 h"', 10800)):
            self.assertEqual(self.load(f"a {{ b = {text} }}").seconds("a.b", 0), seconds, text)
        self.assertEqual(self.load("").seconds("a.b", 7), 7)

    def test_wrong_types_are_noticed_when_asked_for(self):
        config = self.load('a { b = soon, c = [1], d = "x" }')
        for ask in (lambda: config.seconds("a.b", 1), lambda: config.flag("a.b", True),
                    lambda: config.integer("a.d", 1), lambda: config.text("a.c")):
            self.assertRaises(WrongType, ask)

    def test_every_secret_survives_its_quotes(self):
        for secret in ("a#b@c$d", "p{}[]=:,+", "\\\\ \\\" '", "ü→𝄞"):
            quoted = json.dumps(json.loads(f'"{secret}"'), ensure_ascii=False)
            self.assertEqual(self.load(f"a {{ PASSWORD = {quoted} }}").text("a.PASSWORD"), json.loads(f'"{secret}"'))


if __name__ == "__main__":
    unittest.main()
