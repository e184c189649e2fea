"""SRTP with AES-128 in counter mode and HMAC-SHA1-80 (RFC 3711): what DTLS agrees on here."""

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY, SALT, TAG = 16, 14, 10


class Stream:
    """One direction of one participant's media."""

    def __init__(self, key, salt):
        def derive(label, length):
            block = (int.from_bytes(salt, "big") ^ label << 48) << 16
            return _counter_mode(key, block, bytes(length))

        self._key, self._authentication, self._salt = derive(0, KEY), derive(1, 20), derive(2, SALT)
        self._newest = {}  # by SSRC: the packet's number with its rollovers

    def protect(self, packet):
        start, ssrc, index = self._place(packet)
        sealed = packet[:start] + self._apply(ssrc, index, packet[start:])
        return sealed + self._tag(sealed, index)

    def unprotect(self, packet):
        """The packet in clear; None when it is not authentic."""
        sealed, tag = packet[:-TAG], packet[-TAG:]
        start, ssrc, index = self._place(sealed)
        if not hmac.compare_digest(self._tag(sealed, index), tag):
            return None
        return sealed[:start] + self._apply(ssrc, index, sealed[start:])

    def _place(self, packet):
        start = 12 + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10:
            start += 4 + 4 * int.from_bytes(packet[start + 2:start + 4], "big")
        number, ssrc = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[8:12], "big")
        newest = self._newest.get(ssrc, number)
        # Of the numbers that end so, the one nearest to the newest.
        index = min((number + (newest & ~0xFFFF) + turn for turn in (-0x10000, 0, 0x10000)),
                    key=lambda index: (index < 0, abs(index - newest)))
        self._newest[ssrc] = max(newest, index)
        return start, ssrc, index

    def _apply(self, ssrc, index, data):
        block = int.from_bytes(self._salt, "big") << 16 ^ ssrc << 64 ^ index << 16
        return _counter_mode(self._key, block, data)

    def _tag(self, sealed, index):
        signed = sealed + (index >> 16).to_bytes(4, "big")
        return hmac.new(self._authentication, signed, hashlib.sha1).digest()[:TAG]


def _counter_mode(key, block, data):
    cipher = Cipher(algorithms.AES(key), modes.CTR(block.to_bytes(16, "big"))).encryptor()
    return cipher.update(data) + cipher.finalize()
