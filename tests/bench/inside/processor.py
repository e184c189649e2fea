"""Samples the processor time and memory of a process that watches, and asks it for its meetings now and then;
prints one JSON document. `processor.py PID SECONDS`"""

import json
import os
import subprocess
import sys
import time

PAUSE = 0.1  # seconds between samples
ASK = 20.0  # seconds between two questions to the agent
PID, SECONDS = int(sys.argv[1]), float(sys.argv[2])
TICK = os.sysconf("SC_CLK_TCK")


def used():
    """Seconds of processor time of the process, all its threads that ever were, and its children (proc(5)); the
    kernel tells it in steps of 1/100 s."""
    with open(f"/proc/{PID}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


def running(seen):
    """The same in nanoseconds, of the threads seen so far."""
    for thread in os.listdir(f"/proc/{PID}/task"):
        with open(f"/proc/{PID}/task/{thread}/schedstat") as file:
            seen[thread] = int(file.read().split()[0])
    return sum(seen.values())


def resident():
    """Bytes resident now and at most so far."""
    with open(f"/proc/{PID}/status") as file:
        status = dict(line.split(":", 1) for line in file)
    return [int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")]


def meeting():
    told = subprocess.run(["jitsi-agent", "status", "--json"], stdout=subprocess.PIPE, timeout=10)
    return json.loads(told.stdout)["meeting"]


def main():
    seen, samples, meetings = {}, [], {}
    began, before, ask = time.time(), used(), 0.0
    while (now := time.time()) < began + SECONDS:
        samples.append([now, running(seen)])
        if now >= ask:
            ask = now + ASK
            last = meeting()
            meetings[last["at"]] = last["report"]
        time.sleep(PAUSE)
    took, after = time.time() - began, used()
    now, most = resident()
    print(json.dumps({
        "seconds": took, "used": after - before, "resident": now, "most_resident": most, "samples": samples,
        "meetings": [{"at": at, "report": report} for at, report in meetings.items()],
    }))  # fmt: skip


main()
