"""Looks at the four programs of an instance ten times a second, about as the agent judges them, and prints a line of
JSON whenever one begins or ceases to answer; ends with its standard input. `looks.py DOMAIN`"""

import http.client
import json
import select
import ssl
import sys
import time

PAUSE = 0.1  # seconds
LIMIT = 2.5  # seconds for an answer, the agent's own
DOMAIN = sys.argv[1]
ANY = ssl.create_default_context()
ANY.check_hostname, ANY.verify_mode = False, ssl.CERT_NONE
HANDSHAKE = {
    "Host": DOMAIN, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "xmpp", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


def ask(connection, path, headers):
    """Status and body; the body of a switch of protocols is empty."""
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, b"" if answer.status == 101 else answer.read()
    finally:
        connection.close()


def secure(path):
    return ask(http.client.HTTPSConnection("127.0.0.1", timeout=LIMIT, context=ANY), path, {"Host": DOMAIN})


def plain(port, path, headers=None):
    return ask(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT), path, headers or {})


def videobridge():
    return plain(8080, "/about/health")[0] == 200 and json.loads(plain(8080, "/colibri/stats")[1])["mucs_joined"] >= 1


LOOKS = {
    "nginx": lambda: secure("/healthz")[0] in (200, 503),
    # Not through nginx: that it starts later is not Prosody's time.
    "prosody": lambda: plain(5280, "/xmpp-websocket", HANDSHAKE)[0] == 101,
    "jicofo": lambda: plain(8888, "/about/health")[0] == 200,
    "jitsi-videobridge2": videobridge,
}


def main():
    answers = dict.fromkeys(LOOKS, False)
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        for unit, look in LOOKS.items():
            at = time.time()
            try:
                answer = look()
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                answer = False
            if answer != answers[unit]:
                answers[unit] = answer
                print(json.dumps({"at": at, "unit": unit, "answers": answer}), flush=True)


main()
