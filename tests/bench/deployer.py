"""Measures a built jitsi-aws against the emulator, 80 ms away; docs/performance.md says what each figure means."""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from .figures import Figure

TESTS = Path(__file__).resolve().parents[1]
DELAY_MS = 80
HELP_RUNS = 200
RATIO, HELP, MEMORY = 1.25, 20, 60  # bars: wall ÷ critical path, ms, 10⁶ bytes
READS = ("Describe", "Get", "List", "Head")
CONFIG = """[deployment]
name = "bench"
region = "eu-central-1"
[site]
domain = "meet.example.org"
[certificate]
mode = "import"
certificate = "cert.pem"
private_key = "key.pem"
[agent]
binary = "agent"
[monitoring]
emails = ["ops@example.org"]
"""
CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj /CN=meet.example.org "
    "-addext subjectAltName=DNS:meet.example.org -keyout key.pem -out cert.pem"
)


class Graph:
    """The catalog's edges, as the architecture document shows them; a test keeps that document true."""

    def __init__(self):
        text = (TESTS.parent / "docs/architecture.md").read_text()
        text = re.search(r"<!-- graph.*?<!-- /graph -->", text, re.S).group()
        self.stage = {}
        for stage, nodes in re.findall(r"subgraph (\w+) .*?\n(.*?)\n  end", text, re.S):
            self.stage |= dict.fromkeys(nodes.split(), stage)
        self.needs = {node: [] for node in self.stage}
        for node, need in re.findall(r"(\w+) --> (\w+)", text):
            self.needs[node].append(need)

    def longest(self, own, stages):
        """The most milliseconds any chain of needs within `stages` takes, and that chain."""
        assert own.keys() <= self.needs.keys(), "docs/architecture.md shows another graph"
        best = {}

        def upto(node):
            if node not in best:
                needs = (need for need in self.needs[node] if self.stage[need] in stages)
                time, chain = max(map(upto, needs), default=(0, []))
                best[node] = (time + own.get(node, 0), [*chain, node])
            return best[node]

        time, chain = max(upto(node) for node in self.needs if self.stage[node] in stages)
        return time, [f"{node} {own[node]}" for node in chain if own.get(node)]


class Run:
    """One run of jitsi-aws: what it told, and when, in milliseconds from its start."""

    def __init__(self, binary, arguments, home, environment):
        start = time.monotonic()
        command = [binary, *arguments, "--json", "--verbose", "--yes=bench"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=pipe, stderr=pipe, text=True)

        def since():
            return round((time.monotonic() - start) * 1000)

        events = [json.loads(line) | {"at": since()} for line in process.stderr]
        stdout = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        self.wall = since()
        process.returncode = os.waitstatus_to_exitcode(status)
        self.memory = usage.ru_maxrss * 1024
        # What keeps the lease goes on beside the work.
        self.calls = [event for event in events if event["event"] == "call" and event["purpose"] != "lease"]
        self.began = [event for event in events if event["event"] == "started"]
        self.ended = [event for event in events if event["event"] == "finished"]
        self.own = {}
        for event in self.ended:
            node = re.sub(r"[()@.]", "_", event["resource"])
            self.own[node] = self.own.get(node, 0) + event["took_ms"]
        assert process.returncode == 0, f"jitsi-aws {' '.join(arguments)}: {stdout}"


class Site:
    """A deployment on disk and an emulated AWS for it, both gone afterwards."""

    def __init__(self, binary, one_at_a_time=False):
        self.binary = binary
        self.home = tempfile.TemporaryDirectory()
        home = Path(self.home.name)
        (home / "jitsi.toml").write_text(CONFIG)
        subprocess.run(CERTIFICATE.split(), cwd=home, check=True, stderr=subprocess.DEVNULL)
        (home / "key.pem").chmod(0o600)
        # Stands for the agent: a Linux program of about its size.
        shutil.copy(binary, home / "agent")
        emulator = "bench/one_at_a_time.py" if one_at_a_time else "emulator.py"
        self.emulator = subprocess.Popen(
            # what AWS delays or throttles is not the deployer's own cost
            [sys.executable, TESTS / emulator, "--delay-ms", str(DELAY_MS), "--manners", "off"],
            env={**os.environ, "MOTO_AMIS_PATH": str(TESTS / "data/amis.json")},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        self.environment = {
            "HOME": self.home.name, "PATH": "/usr/bin:/bin", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.emulator.stdout.readline().strip(),
            "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench",
        }  # fmt: skip

    def __enter__(self):
        self.run("setup", "all")  # the emulator loads each service at its first call
        reset = f"{self.environment['AWS_ENDPOINT_URL']}/moto-api/reset"
        urllib.request.urlopen(urllib.request.Request(reset, method="POST")).close()
        for made in (".aws", ".ssh"):
            shutil.rmtree(Path(self.home.name) / made)
        return self

    def __exit__(self, *_):
        self.emulator.communicate()  # closes its stdin, which ends it
        self.home.cleanup()

    def run(self, *arguments):
        return Run(self.binary, arguments, self.home.name, self.environment)

    def life(self):
        """The three runs that are measured."""
        return [self.run("setup", "all"), self.run("setup", "all"), self.run("setup", "delete")]


def part(name, took, needed, chain=()):
    """A part of a run: what it took, and what of that the critical path needs, in milliseconds."""
    return {"part": name, "took_ms": took, "critical_ms": needed, "chain": chain}


def setup_parts(run, graph):
    def is_iam(event):
        return graph.stage.get(event["resource"]) == "iam"

    start = run.calls[0]["at"]
    iam_end = max(event["at"] for event in run.ended if is_iam(event))
    identity = next(call for call in run.calls if call["at"] > iam_end)
    assert identity["operation"] == "GetCallerIdentity", identity
    rest_start = next(event["at"] for event in run.began if not is_iam(event))
    rest_end = run.ended[-1]["at"]
    iam, iam_chain = graph.longest(run.own, {"iam"})
    rest, rest_chain = graph.longest(run.own, set(graph.stage.values()) - {"iam"})
    return [
        part("start, who am I", start, start),
        part("iam", iam_end - start, iam, iam_chain),
        part("who am I, as the deployer", identity["at"] - iam_end, identity["took_ms"]),
        part("find what iam made", rest_start - identity["at"], 0),
        part("instances, lb, monitoring", rest_end - rest_start, rest, rest_chain),
        part("the load balancer's name", run.wall - rest_end, 0),
    ]


def delete_parts(run, graph, noop):
    everything = set(graph.stage.values())
    start, first, last = run.calls[0]["at"], run.began[0]["at"], run.ended[-1]["at"]
    found, find_chain = graph.longest(noop.own, everything)
    deleted, delete_chain = graph.longest(run.own, everything)
    return [
        part("start, who am I", start, start),
        part("find", first - start, min(found, first - start), find_chain),
        part("delete", last - first, deleted, delete_chain[::-1]),
        part("look again", run.wall - last, run.wall - last),
    ]


def summary(name, run, parts, sequential):
    reads = sum(call["operation"].startswith(READS) for call in run.calls)
    critical = sum(part["critical_ms"] for part in parts)
    return {
        "run": name,
        "wall_ms": run.wall,
        "calls": len(run.calls),
        "reads": reads,
        "writes": len(run.calls) - reads,
        "critical_path_ms": critical,
        "ratio": round(run.wall / critical, 3),
        "sequential_ms": sequential.wall,
        "sequential_calls": len(sequential.calls),
        "parts": parts,
    }


def help_ms(binary):
    """The median of many runs of `--help`, in milliseconds."""
    took = []
    for _ in range(HELP_RUNS):
        start = time.perf_counter()
        subprocess.run([binary, "--help"], stdout=subprocess.DEVNULL, check=True)
        took.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(took), 1)


def measure(binary):
    graph = Graph()
    with Site(binary) as site:
        runs = setup, noop, delete = site.life()
    with Site(binary, one_at_a_time=True) as site:
        sequential = site.life()
    parts = [setup_parts(setup, graph), setup_parts(noop, graph), delete_parts(delete, graph, noop)]
    names = ["setup all", "setup all, again", "setup delete"]
    return {
        "delay_ms": DELAY_MS,
        "runs": [summary(*row) for row in zip(names, runs, parts, sequential, strict=True)],
        "size_bytes": os.path.getsize(binary),
        "help_ms": help_ms(binary),
        "memory_mb": round(setup.memory / 1e6, 1),
    }


def figures(result):
    ratios = [Figure(f"{run['run']}: wall ÷ critical path", RATIO, run["ratio"]) for run in result["runs"]]
    return [
        *ratios,
        Figure("jitsi-aws --help", HELP, result["help_ms"], "ms"),
        Figure("setup all: memory, at most", MEMORY, result["memory_mb"], "MB"),
    ]


def details(result):
    """The runs and their parts."""
    lines = [
        f"{result['delay_ms']} ms added to every answer; jitsi-aws has {result['size_bytes'] / 1e6:.1f} MB\n",
        f"{'':18}{'wall':>8}{'calls':>7}{'reads':>7}{'writes':>8}{'critical path':>15}{'one at a time':>15}",
    ]
    for run in result["runs"]:
        line = "{run:18}{wall_ms:6} ms{calls:6}{reads:7}{writes:8}{critical_path_ms:12} ms{sequential_ms:12} ms"
        lines.append(line.format(**run))
    for run in result["runs"]:
        lines.append(f"\n{run['run']:26}{'took':>8} {'critical':>9}  ms")
        for part in run["parts"]:
            lines.append("  {part:24}{took_ms:8} {critical_ms:9}  ".format(**part) + " → ".join(part["chain"]))
    return "\n".join(lines)
