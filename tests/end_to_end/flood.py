"""A crowd from one address, bounded in number and time: requests for rooms as fast as they are answered, and
WebSockets that stay and say nothing. Prints one JSON line when all are there, holds them until its input ends, and goes.
`flood.py DOMAIN WEBSOCKETS ROOMS`"""

import collections
import json
import select
import socket
import ssl
import sys

LONGEST = 120  # seconds it stays at most
_ANY_CERTIFICATE = ssl._create_unverified_context()


def ask(request: str, body: str = "") -> tuple[str, ssl.SSLSocket]:
    """The answer's status, and the connection."""
    raw = socket.create_connection((DOMAIN, 443), timeout=20)
    stream = _ANY_CERTIFICATE.wrap_socket(raw, server_hostname=DOMAIN)
    stream.sendall(f"{request} HTTP/1.1\r\nHost: {DOMAIN}\r\nContent-Length: {len(body)}\r\n".encode()
                   + HEADERS[request[:4]] + body.encode())
    return stream.recv(12).decode().rpartition(" ")[2], stream


DOMAIN, SOCKETS, ROOMS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
HEADERS = {
    "POST": b"Content-Type: application/json\r\nConnection: close\r\n\r\n",
    "GET ": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: xmpp\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
}


def main() -> None:
    rooms = collections.Counter()
    for number in range(ROOMS):
        room = json.dumps({"room": f"flood-{number}@conference.{DOMAIN}"})
        status, stream = ask("POST /conference-request/v1", room)
        stream.close()
        rooms[status] += 1
    # Last, because they take all that one address may have.
    stayed = [ask("GET /xmpp-websocket?room=flood") for _ in range(SOCKETS)]
    report = {"websockets": collections.Counter(status for status, _ in stayed), "rooms": rooms}
    print(json.dumps(report), flush=True)
    select.select([sys.stdin], [], [], LONGEST)


if __name__ == "__main__":
    main()
