"""The bridge's end of SCTP over DTLS (RFC 8261) with the one data channel its endpoints open (RFC 8832):
enough for short messages on a link that loses nothing."""

import secrets
import struct

_DATA, _INIT, _INIT_ACK, _SACK, _HEARTBEAT, _HEARTBEAT_ACK, _COOKIE_ECHO, _COOKIE_ACK = 0, 1, 2, 3, 4, 5, 10, 11
_WHOLE = 3  # flags of a message in one piece
_DCEP, _STRING = 50, 51
_OPEN, _ACK = 3, b"\x02"
_PORT, _WINDOW = 5000, 131072
_COOKIE = 7


class Association:
    """`send(packet)` takes what goes out, `heard(text)` what a participant says; its answer goes back."""

    def __init__(self, send, heard):
        self._send, self._heard = send, heard
        self._tag, self._next = secrets.randbits(32) | 1, secrets.randbits(32)
        self._peer_tag = self._received = self._first = None
        self._numbers = {}

    def receive(self, packet):
        answers, at = [], 12
        while at + 4 <= len(packet):
            kind, _, length = struct.unpack_from("!BBH", packet, at)
            if length < 4:
                return
            answers += self._chunk(kind, packet[at + 4:at + length])
            at += length + -length % 4
        if answers:
            self._flush(answers)

    def _chunk(self, kind, body):
        if kind == _INIT:
            self._peer_tag, _, _, _, first = struct.unpack_from("!IIHHI", body)
            self._received = (first - 1) & 0xFFFFFFFF
            cookie = struct.pack("!HH", _COOKIE, 8) + b"ours"
            return [_chunk(_INIT_ACK, struct.pack("!IIHHI", self._tag, _WINDOW, 1024, 1024, self._next) + cookie)]
        if kind == _COOKIE_ECHO:
            return [_chunk(_COOKIE_ACK, b"")]
        if kind == _HEARTBEAT:
            return [_chunk(_HEARTBEAT_ACK, body)]
        if kind == _DATA and self._received is not None:
            return self._data(body)
        return []

    def _data(self, body):
        number, stream, _, protocol = struct.unpack_from("!IHHI", body)
        answers, content = [], body[12:]
        if number == (self._received + 1) & 0xFFFFFFFF:
            self._received = number
            if protocol == _DCEP and content[:1] == bytes([_OPEN]):
                answers.append(self._message(stream, _DCEP, _ACK))
            elif protocol == _STRING and (said := self._heard(content.decode())):
                answers.append(self._message(stream, _STRING, said.encode()))
        return [_chunk(_SACK, struct.pack("!IIHH", self._received, _WINDOW, 0, 0)), *answers]

    def _message(self, stream, protocol, content):
        number, order = self._next, self._numbers.get(stream, 0)
        self._next, self._numbers[stream] = (number + 1) & 0xFFFFFFFF, (order + 1) & 0xFFFF
        return _chunk(_DATA, struct.pack("!IHHI", number, stream, order, protocol) + content, _WHOLE)

    def _flush(self, chunks):
        body = b"".join(chunks)
        head = struct.pack("!HHI", _PORT, _PORT, self._peer_tag)
        checksum = _crc32c(head + bytes(4) + body)
        self._send(head + checksum.to_bytes(4, "little") + body)


def _chunk(kind, body, flags=0):
    return struct.pack("!BBH", kind, flags, len(body) + 4) + body + bytes(-len(body) % 4)


def _table():
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        yield number


_TABLE = tuple(_table())


def _crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
