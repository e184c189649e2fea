"""An account that stays logged in, as Smack keeps the real programs' accounts."""

import asyncio
import inspect
import logging
import socket
import ssl

import slixmpp
from slixmpp.xmlstream.handler import Callback, CoroutineCallback
from slixmpp.xmlstream.matcher import MatchXPath
from slixmpp.xmlstream.stanzabase import ET

from .process import log

MUC = "http://jabber.org/protocol/muc"
MUC_USER = "http://jabber.org/protocol/muc#user"

_REFUSED = ("failed_auth", "failed_all_auth")

logging.getLogger("slixmpp").setLevel(logging.CRITICAL)


def element(name, namespace, attributes=None, *children, text=None):
    node = ET.Element(f"{{{namespace}}}{name}", {k: str(v) for k, v in (attributes or {}).items()})
    node.text = text
    node.extend(children)
    return node


class Account:
    """Where and how to log in."""

    def __init__(self, host, port, domain, username, password, verify, resource=""):
        self.host, self.port, self.domain = host, port, domain
        self.username, self.password, self.verify, self.resource = username, password, verify, resource


class Client(slixmpp.ClientXMPP):
    """One connection. `ended` is done when it is over, with the reason."""

    def __init__(self, account, mechanism="SCRAM-SHA-1"):
        jid = f"{account.username}@{account.domain}" if account.username else account.domain
        super().__init__(
            f"{jid}/{account.resource}" if account.resource else jid, account.password or "", sasl_mech=mechanism
        )
        loop = asyncio.get_running_loop()
        self.account, self.online, self.ended = account, loop.create_future(), loop.create_future()
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.register_plugin("xep_0198")
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_REQUIRED if account.verify else ssl.CERT_NONE
        if account.verify:
            self.ssl_context.load_default_certs()
        mechanisms = self["feature_mechanisms"]
        credentials = mechanisms.sasl_callback
        # Without channel binding, which slixmpp 1.8 says it could do and then does wrong.
        mechanisms.sasl_callback = lambda *wanted: credentials(*wanted) | {"channel_binding": None}
        self.add_event_handler("session_start", lambda _: self._settle(self.online, True))
        for event in ("failed_auth", "failed_all_auth", "connection_failed", "disconnected", "ssl_invalid_chain"):
            self.add_event_handler(event, lambda reason, event=event: self._over(event, reason))

    def _over(self, event, reason):
        self._settle(self.ended, event)
        self._settle(self.online, False)

    @staticmethod
    def _settle(future, value):
        if not future.done():
            future.set_result(value)

    async def log_in(self):
        """Whether it worked."""
        # Older slixmpp gives up on `localhost` when nobody listens on ::1.
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                self.account.host, self.account.port, family=socket.AF_INET, type=socket.SOCK_STREAM
            )
        except OSError as error:
            self._over("connection_failed", error)
            return False
        host, port = found[0][4]
        if "address" in inspect.signature(self.connect).parameters:  # slixmpp before 1.9
            self.get_dns_records = _no_records  # it would ask a name server about an address
            self.connect((host, port), force_starttls=False)
        else:
            self.enable_direct_tls, self.enable_plaintext = False, True
            self.connect(host, port)
        return await self.online

    def leave(self):
        """Drops the connection without a word."""
        self.cancel_connection_attempt()
        self.abort()

    def on(self, path, handler):
        """Calls `handler(stanza)`, which may be a coroutine function, for stanzas that match."""
        kind = CoroutineCallback if inspect.iscoroutinefunction(handler) else Callback
        self.register_handler(kind(path, MatchXPath(path), handler))

    def say(self, to=None, *, kind=None, children=()):
        presence = self.make_presence(pto=to, ptype=kind)
        for child in children:
            presence.append(child)
        presence.send()

    async def ask(self, kind, to, payload, timeout=10):
        """The answer, or None after an error or silence."""
        iq = self.make_iq(id=self.new_id(), itype=kind, ito=to)
        iq.append(payload)
        try:
            return await iq.send(timeout=timeout)
        except (slixmpp.exceptions.IqError, slixmpp.exceptions.IqTimeout):
            return None


async def _no_records(*_):
    return []


async def stay_logged_in(account, pace, prepare, online, offline, delay):
    """Logs in, and again whenever the connection ends. `prepare(client)` adds handlers before,
    `online(client)` is awaited once in, `offline()` is called when it is over."""
    while True:
        client = Client(account)
        prepare(client)
        try:
            if await client.log_in():
                task = asyncio.create_task(online(client))
                reason = await client.ended
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                log("WARNING", f"XMPP connection of {account.username} closed: {reason}")
            else:
                reason = client.ended.result() if client.ended.done() else "no session"
                log("SEVERE", f"failed to log in {account.username}@{account.domain}: {reason}")
                if reason in _REFUSED:
                    log("SEVERE", "SASLErrorException: SASLError using SCRAM-SHA-1: not-authorized")
        except asyncio.CancelledError:
            # A clean end: Prosody tells the others at once.
            if client.online.done() and client.online.result():
                await client.disconnect(wait=0.5)
            raise
        finally:
            offline()
            client.leave()
        # The real ones hammer on with a wrong password, five times a second.
        await (asyncio.sleep(0.2) if reason in _REFUSED else pace.sleep(delay))
