"""A participant's encrypted call with the bridge: DTLS whose fingerprints are checked, SRTP with the keys
of it, and the bridge's channel in it."""

import datetime
import json
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from .process import log
from .sctp import Association
from .srtp import KEY, SALT, Stream

# What of it can be broken, as an operator would say it.
FAULTS = ("path", "encryption", "identity", "channel", "greeting", "forwarding", "one-direction", "loss")

_RECORD = 13  # bytes of a record's header


class Identity:
    """The bridge's certificate, new with each start."""

    def __init__(self):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bridge")])
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=7))
            .sign(key, hashes.SHA256())
        )
        self._key = crypto.PKey.from_cryptography_key(key)
        self._certificate = crypto.X509.from_cryptography(certificate)
        self.fingerprint = self._certificate.digest("sha256").decode()

    def context(self):
        context = SSL.Context(SSL.DTLS_METHOD)
        context.use_privatekey(self._key)
        context.use_certificate(self._certificate)
        context.set_cipher_list(b"ECDHE-ECDSA-AES128-GCM-SHA256")
        context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80")
        # Certificates are self-signed; their fingerprints come with the signalling.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        return context


class Call:
    """`send(datagram)` takes what goes to the participant."""

    def __init__(self, identity, fingerprint, active, send, fault):
        self._wanted, self._active, self._send, self._fault = fingerprint.upper(), active, send, fault
        self._tls = SSL.Connection(identity.context(), None)
        self._tls.set_ciphertext_mtu(1200)
        if active:
            self._tls.set_connect_state()
        else:
            self._tls.set_accept_state()
        self._association = Association(self._say, self._heard)
        self.incoming = self.outgoing = None  # SRTP, once there are keys
        self._begun = False

    def begin(self):
        """There is a path; whoever is the client speaks first."""
        if not self._begun:
            self._begun = True
            self._shake_hands()

    def receive(self, datagram):
        """DTLS that came in."""
        if self._fault == "encryption":
            return
        self._tls.bio_write(datagram)
        if self.incoming is None:
            self._shake_hands()
        while self.incoming is not None:
            try:
                packet = self._tls.recv(2000)
            except SSL.Error:
                break
            if self._fault != "channel":
                self._association.receive(packet)
        self._flush()

    def _shake_hands(self):
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            log("SEVERE", f"Error during DTLS connection: {error}")
            return
        finally:
            self._flush()
        shown = self._tls.get_peer_certificate().digest("sha256").decode()
        if shown != self._wanted:
            log("SEVERE", "No fingerprint declared over the signaling path matches")
            return
        material = self._tls.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (KEY + SALT))
        keys, salts = material[:2 * KEY], material[2 * KEY:]
        client, server = Stream(keys[:KEY], salts[:SALT]), Stream(keys[KEY:], salts[SALT:])
        self.outgoing, self.incoming = (client, server) if self._active else (server, client)

    def _say(self, packet):
        self._tls.send(packet)
        self._flush()

    def _heard(self, text):
        if json.loads(text).get("colibriClass") == "ClientHello" and self._fault != "greeting":
            return json.dumps({"colibriClass": "ServerHello"})
        return None

    def _flush(self):
        """One record a datagram: what OpenSSL wrote does not tell where one ends and the next begins."""
        try:
            data = self._tls.bio_read(65536)
        except SSL.WantReadError:
            return
        while data:
            length = _RECORD + struct.unpack_from("!H", data, 11)[0]
            if self._fault != "encryption":
                self._send(data[:length])
            data = data[length:]
