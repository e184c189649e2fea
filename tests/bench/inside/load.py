"""Asks for a page at a fixed rate, however slow the answers are, each time over a new connection as a load
balancer's health check does. A request's time counts from the moment it was due, so that one that had to wait for
another is not told as quick. Prints one JSON document. `load.py https|unix ADDRESS|SOCKET PORT PATH RATE SECONDS`"""

import http.client
import json
import multiprocessing
import socket
import ssl
import sys
import time

WORKERS = 8
LIMIT = 5.0  # seconds
SCHEME, ADDRESS, PORT, PATH, RATE, SECONDS = sys.argv[1:]
HEADERS = {"Host": "localhost" if SCHEME == "unix" else ADDRESS, "User-Agent": "ELB-HealthChecker/2.0", "Connection": "close"}
ANY = ssl.create_default_context()
ANY.check_hostname, ANY.verify_mode = False, ssl.CERT_NONE


class Local(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        self.sock.connect(ADDRESS)


def ask():
    """Whether the answer was 200."""
    if SCHEME == "https":
        connection = http.client.HTTPSConnection(ADDRESS, int(PORT), timeout=LIMIT, context=ANY)
    else:
        connection = Local("localhost")
    try:
        connection.request("GET", PATH, headers=HEADERS)
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def work(worker, start, results):
    """Every WORKERS-th request of all."""
    rate, milliseconds, failed = float(RATE), [], 0
    for number in range(worker, int(rate * float(SECONDS)), WORKERS):
        due = start + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        if ask():
            milliseconds.append((time.monotonic() - due) * 1000)
        else:
            failed += 1
    results.put((milliseconds, failed))


def main():
    results = multiprocessing.Queue()
    start = time.monotonic() + 1
    workers = [multiprocessing.Process(target=work, args=(n, start, results)) for n in range(WORKERS)]
    for worker in workers:
        worker.start()
    parts = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    print(json.dumps({"milliseconds": sum((p[0] for p in parts), []), "failed": sum(p[1] for p in parts)}))


main()
