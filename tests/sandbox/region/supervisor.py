"""The sandbox's one long-lived process: brings every part up, prints where everything is, stays until it
is told to end, and removes what it made."""

import argparse
import hashlib
import json
import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import addresses, health, netns, releases
from .knobs import Delays, Knobs
from .machines import PretendMachines
from .run_state import RunState, start_time
from .shell import locked


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="the run directory")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--fast", action="store_true", help="short delays")
    parser.add_argument("--control-plane", action="store_true", help="no instances, no privileges")
    parser.add_argument("--packages", type=Path, help="directory of the package repositories")
    parser.add_argument("--jitsi-repo", help="passed on to instances")
    parser.add_argument("--manners", default=os.environ.get("MANNERS_SEED", "1"),
                        help="seed of AWS's manners, or `off`")
    parser.add_argument("--port", type=int, default=0, help="of the API on 127.0.0.1; 0 takes a free one")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    state = RunState(arguments.directory)
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    state.write(
        supervisor=os.getpid(), supervisor_started=start_time(os.getpid()), prefix=prefix(arguments.directory)
    )
    try:
        up(arguments, state)
        ending.wait()
    finally:
        state.clean(keep=True)
    state.write(ready=False, supervisor=None)
    return 0


def prefix(directory: Path) -> str:
    """Names this sandbox's namespaces; another directory is another sandbox."""
    return "jsb" + hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:4]


def up(arguments, state: RunState) -> None:
    """Starts everything; returns when the region answers."""
    directory: Path = arguments.directory
    amis = directory / "amis.json"
    amis.write_text(json.dumps(releases.public_images()))
    os.environ["MOTO_AMIS_PATH"] = str(amis)  # read when moto is imported
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
    import manners

    from . import accounts, api
    from .plane import Plane, always_healthy
    from .pretend import PretendAgents
    from .world import World
    from .world import log as world_log

    world = World(Knobs(Delays.fast() if arguments.fast else Delays()))
    executor = ThreadPoolExecutor(16, "probe")
    local = netns.listen(None, "127.0.0.1", arguments.port)
    if arguments.control_plane:
        plane = Plane(world, PretendMachines(), always_healthy, executor, directory / "mail")
        plane.add(PretendAgents(plane.groups))
        control = plane.control
        inside = None
    else:
        plane, control, inside = data_plane(arguments, state, world, executor)
    application = api.Application(world, control, manners=manners.seed(arguments.manners))
    world_log.info("AWS's manners: seed %s", arguments.manners)
    api.serve(application, local, "api-local")
    if inside is not None:
        api.serve(application, inside, "api-inside")
    threading.Thread(target=plane.run, name="clock", daemon=True).start()
    with world.lock:
        key, secret = accounts.administrator(world)
    port = local.getsockname()[1]
    state.write(
        access_key_id=key,
        secret_access_key=secret,
        region="eu-central-1",  # the one the printed settings name
        ready=True,
        endpoint=f"http://127.0.0.1:{port}",
        maildir=str(plane.mail.directory),
        started=time.time(),
        fast=arguments.fast,
        control_plane=arguments.control_plane,
    )


def data_plane(arguments, state: RunState, world, executor):
    """Network, machines, load balancers, names and metadata around the control plane."""
    from . import dns, images, metadata, packages
    from .metrics import BalancerCounters
    from .network import Network
    from .nspawn import NspawnMachines
    from .plane import Plane
    from .traffic import Traffic
    from .world import log

    directory: Path = arguments.directory
    network = Network(prefix(directory))
    network.up()
    repositories = packages.Repositories(arguments.packages / "www", network.internet, arguments.jitsi_repo)
    state.write(jitsi_toml=str(directory / "jitsi.toml"))

    def prepare(release: releases.Release) -> list[Path]:
        with locked(arguments.cache / "lock"):
            base, suites = packages.debian(arguments.cache, release, log.info)
        repositories.add(suites)
        return [arguments.packages / "layer", base]

    layers = images.Images(prepare, directory / "images")
    machines = NspawnMachines(directory / "instances", layers, network, state.record)
    relays: dict[str, dict[str, int]] = {}

    def probe(request: health.CheckRequest) -> health.CheckResult:
        if (origin := traffic.origin(request.balancer_arn)) is None:
            return health.CheckResult(False, "Elb.InternalError", "the load balancer is not up yet")
        namespace, source = origin
        return health.check(
            request, lambda r: netns.connect(namespace, r.host, r.port, r.timeout, source)
        )

    plane = Plane(world, machines, probe, executor, directory / "mail")
    names = dns.Names(world, plane)
    service = metadata.Metadata(world, plane)
    served: set[str] = set()

    def on_up(arn: str, config) -> None:
        """A load balancer's listeners, carried to 127.0.0.1 for browsers of the machine itself."""
        ports = relays.setdefault(arn.split("/")[-2], {})
        with world.lock:
            public = [card.public_ip for card in plane.balancers.interfaces(arn) if card.public_ip]
        for listener in config.listeners:
            if public and str(listener.port) not in ports:
                sock = netns.listen(None, "127.0.0.1", 0)
                netns.relay(sock, network.internet, public[0], listener.port)
                ports[str(listener.port)] = sock.getsockname()[1]
        state.write(balancers=relays)

    traffic = Traffic(world, plane, network, directory / "balancers", state.record, on_up)

    class Services:
        """Name and metadata service of every VPC that has come up since."""

        def tick(self, now: float) -> None:
            for vpc_id, router in network.routers().items():
                if vpc_id not in served:
                    served.add(vpc_id)
                    metadata.serve(service, vpc_id, router)
                    dns.serve(names, router, addresses.RESOLVER)

    plane.add(traffic)
    counters = BalancerCounters()
    plane.metrics.append(lambda: counters.samples(traffic.proxies()))
    plane.add(Services())
    dns.serve(names, network.internet, addresses.API)
    inside = netns.listen(network.internet, addresses.API, addresses.API_PORT)

    def control(method: str, path: str, body: dict) -> dict | None:
        match (method, path.split("/")):
            case ("PUT", ["names", name]):
                names.given[name.lower()] = body["target"]
                return names.given
            case ("PUT", ["packages"]):
                repositories.down = bool(body["down"])
                return {"down": repositories.down}
            case ("GET", ["names"]):
                return names.given
            case ("GET", ["console", instance_id]):
                return {"console": machines.console(instance_id)}
            case ("GET", ["enter", instance_id]):
                return {"argv": machines.enter(instance_id)}
        return plane.control(method, path, body)

    log.info("namespaces are named %s-…", network.prefix)
    return plane, control, inside


if __name__ == "__main__":
    sys.exit(main())
