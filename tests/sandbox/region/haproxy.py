"""One load balancer's traffic: HAProxy in the load balancer's namespace, its configuration as text, and
the changes that need no reload."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .world import log

SLOTS = 16  # targets a target group can have at a time
TUNNEL_END = 3700  # seconds an old worker may keep connections: the longest deregistration delay is 3600


@dataclass
class Server:
    """A target in one of a target group's slots."""

    address: str
    port: int
    state: str  # ready: gets requests; drain: keeps what it has


@dataclass
class Pool:
    """A target group."""

    name: str
    tls: bool
    servers: dict[int, Server] = field(default_factory=dict)  # by slot


@dataclass
class Listener:
    """A listener with what it does by default."""

    port: int
    certificates: list[Path]
    minimum_tls: str
    rule: list[str]  # HAProxy lines


@dataclass
class Config:
    """All of a load balancer."""

    addresses: list[str]
    source: str | None  # the address targets are asked from: one in a zone that works
    idle_timeout: int
    listeners: list[Listener] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)
    http2: bool = True


def render(config: Config) -> str:
    """The configuration file; targets stand in it as they are now, so that a reload loses nothing."""
    lines = [
        "global",
        "  maxconn 4000",
        "  nbthread 1",
        f"  hard-stop-after {TUNNEL_END}s",
        "defaults",
        "  mode http",
        "  retries 0",
        "  option forwardfor",
        "  timeout http-request 60s",
        "  timeout connect 10s",
    ]
    lines += [f"  timeout {what} {config.idle_timeout}s" for what in ("client", "server", "tunnel")]
    for listener in config.listeners:
        lines.append(f"frontend port-{listener.port}")
        for address in config.addresses:
            bind = f"  bind {address}:{listener.port}"
            if listener.certificates:
                alpn = "h2,http/1.1" if config.http2 else "http/1.1"
                bind += f" ssl ssl-min-ver {listener.minimum_tls} alpn {alpn}"
                bind += "".join(f" crt {path}" for path in listener.certificates)
            lines.append(bind)
        scheme = "https" if listener.certificates else "http"
        lines += [
            f"  http-request set-header X-Forwarded-Proto {scheme}",
            f"  http-request set-header X-Forwarded-Port {listener.port}",
            *(f"  {rule}" for rule in listener.rule),
        ]
    for pool in config.pools:
        lines += [f"backend {pool.name}", "  balance roundrobin"]
        if config.source:
            lines.append(f"  source {config.source}")
        tls = " ssl verify none" if pool.tls else ""
        for slot in range(SLOTS):
            server = pool.servers.get(slot)
            if server is None:
                lines.append(f"  server s{slot} 127.0.0.1:9{tls} disabled")
            else:
                lines.append(f"  server s{slot} {server.address}:{server.port}{tls}")
    return "\n".join(lines) + "\n"


def skeleton(config: Config) -> str:
    """What only a reload can change: everything but the targets."""
    bare = Config(
        config.addresses, config.source, config.idle_timeout, config.listeners,
        [Pool(p.name, p.tls) for p in config.pools], config.http2,
    )
    contents = [p.read_text() for each in config.listeners for p in each.certificates if p.exists()]
    return render(bare) + "".join(contents)


def changes(before: list[Pool], after: list[Pool]) -> list[str]:
    """Runtime commands that bring a running HAProxy from one set of targets to another."""
    old = {p.name: p for p in before}
    commands = []
    for pool in after:
        was = old[pool.name].servers if pool.name in old else {}
        for slot in sorted(was.keys() | pool.servers.keys()):
            name, now, then = f"{pool.name}/s{slot}", pool.servers.get(slot), was.get(slot)
            if now == then:
                continue
            if now is None:
                # deregistration is over: what is still connected is cut
                commands += [f"set server {name} state maint", f"shutdown sessions server {name}"]
                continue
            if then is None or (then.address, then.port) != (now.address, now.port):
                commands.append(f"set server {name} addr {now.address} port {now.port}")
            commands.append(f"set server {name} state {now.state}")
    return commands


class HAProxy:
    """The process; `apply` is called from one thread only."""

    def __init__(self, name: str, directory: Path, namespace: str, record: Callable[[str, int], None]) -> None:
        self.name, self._directory, self._namespace, self._record = name, directory, namespace, record
        self._process: subprocess.Popen | None = None
        self._skeleton = ""
        self._pools: list[Pool] = []
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def _socket(self) -> Path:
        return self._directory / "master.sock"

    def apply(self, config: Config) -> None:
        """Starts, reloads or changes at run time, whichever is enough."""
        wanted = skeleton(config)
        running = self._process is not None and self._process.poll() is None
        if not running or wanted != self._skeleton:
            path = self._directory / "haproxy.cfg"
            path.write_text(render(config))
            subprocess.run(["haproxy", "-c", "-q", "-f", str(path)], check=True, capture_output=True, timeout=20)
            self._reload() if running else self._start(path)
            self._skeleton = wanted
            # a new worker starts with every present target ready
            self._pools = [
                Pool(p.name, p.tls, {n: Server(s.address, s.port, "ready") for n, s in p.servers.items()})
                for p in config.pools
            ]
        if commands := changes(self._pools, config.pools):
            self._everywhere(commands)
        self._pools = [Pool(p.name, p.tls, dict(p.servers)) for p in config.pools]

    def _start(self, path: Path) -> None:
        self._socket.unlink(missing_ok=True)
        argv = ["ip", "netns", "exec", self._namespace, "haproxy", "-W", "-f", str(path),
                "-S", f"{self._socket},level,admin"]
        with (self._directory / "haproxy.log").open("ab") as out:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self._record(self.name, self._process.pid)
        self._await_workers(after=0)
        log.info("load balancer %s: HAProxy is up", self.name)

    def _reload(self) -> None:
        before = next((pid for section, pid in self._workers() if section == "current"), 0)
        self._process.send_signal(signal.SIGUSR2)
        self._await_workers(after=before)
        log.info("load balancer %s: HAProxy reloaded", self.name)

    def _await_workers(self, after: int) -> None:
        """Until another worker than pid `after` is the present one."""
        for _ in range(100):
            time.sleep(0.05)
            if any(section == "current" and pid != after for section, pid in self._workers()):
                return
        raise RuntimeError(f"HAProxy of {self.name} did not come up, see {self._directory}/haproxy.log")

    def _workers(self) -> list[tuple[str, int]]:
        """(`current` or `old`, pid) of every worker."""
        workers, section = [], "current"
        for line in self.ask("show proc").splitlines():
            if line.startswith("#"):
                section = "old" if "old" in line else "current"
            elif "worker" in line:
                workers.append((section, int(line.split()[0])))
        return workers

    def _everywhere(self, commands: list[str]) -> None:
        """To every worker: old ones hold connections that began before a reload."""
        for _, pid in self._workers():
            for command in commands:
                answer = self.ask(f"@!{pid} {command}").strip()
                if answer and "IP changed" not in answer and "port changed" not in answer \
                        and "no need to change" not in answer:
                    log.info("load balancer %s: %s: %s", self.name, command, answer)

    def ask(self, command: str) -> str:
        """One command on the master's socket; an empty answer when it is not there."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(5)
            try:
                sock.connect(str(self._socket))
                sock.sendall(command.encode() + b"\n")
                sock.shutdown(socket.SHUT_WR)
                answer = b""
                while data := sock.recv(65536):
                    answer += data
            except OSError:
                return ""
        return answer.decode(errors="replace")

    def statistics(self) -> list[dict[str, str]]:
        """Rows of `show stat` of the present worker."""
        pid = next((p for section, p in self._workers() if section == "current"), None)
        if pid is None:
            return []
        lines = self.ask(f"@!{pid} show stat").lstrip("# ").splitlines()
        if not lines:
            return []
        names = lines[0].split(",")
        return [dict(zip(names, line.split(","), strict=False)) for line in lines[1:] if line]

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            for _, pid in self._workers():
                os.kill(pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
