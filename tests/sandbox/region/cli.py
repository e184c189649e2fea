"""`scripts/sandbox`: up, down, status, console, certificate, settings, cname, exec, check."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from . import addresses, capable, host, images, packages, releases
from .authority import Authority
from .run_state import RunState
from .shell import locked

# What root has on an instance, and nothing of whoever asks: the operator's credentials are not the instance's.
INSIDE = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": os.environ.get("TERM", "dumb"),
    "AWS_ENDPOINT_URL": images.ENDPOINT,
}
READY_LIMIT = 60  # seconds from the start of the supervisor until the region answers


def say(text: str) -> None:
    """Progress is for people."""
    print(f"sandbox: {text}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/sandbox", description="An AWS region on this machine.")
    parser.add_argument("--root", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help="the run directory; each is a sandbox of its own")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start the region and print where it is")
    up.add_argument("--fast", action="store_true", help="short delays instead of AWS's")
    up.add_argument("--control-plane", action="store_true", help="the API only: no instances, no root")
    up.add_argument("--jitsi-repo", metavar="URL", help="use this Jitsi repository, not the stand-ins'")
    up.add_argument("--port", type=int, default=0, help="of the API on 127.0.0.1")
    up.add_argument("--manners", metavar="SEED", help="seed of AWS's manners, or `off` [MANNERS_SEED, else 1]")
    commands.add_parser("down", help="end it and remove everything it made")
    status = commands.add_parser("status", help="instances, target health, activities")
    status.add_argument("--json", action="store_true")
    console = commands.add_parser("console", help="an instance's console")
    console.add_argument("instance")
    certificate = commands.add_parser("certificate", help="issue a certificate that `exec` trusts")
    certificate.add_argument("domain")
    certificate.add_argument("--out", type=Path, default=Path(), help="where cert, chain and key go")
    settings = commands.add_parser("settings", help="write the package repositories into a jitsi.toml")
    settings.add_argument("file", type=Path)
    cname = commands.add_parser("cname", help="make a DNS record on the sandbox's internet")
    cname.add_argument("name")
    cname.add_argument("target", help="what `setup lb` prints")
    commands.add_parser("check", help="say whether this machine can run instances; exit code 3 when not")
    execute = commands.add_parser("exec", help="run a command as a user on the sandbox's internet")
    execute.add_argument("--instance", help="run it inside this instance instead")
    execute.add_argument("argv", nargs=argparse.REMAINDER)
    arguments = parser.parse_args(argv)
    area = arguments.root / "target/sandbox"
    state = RunState((arguments.directory or area / "run").resolve())
    match arguments.command:
        case "up":
            return bring_up(arguments, area, state)
        case "down":
            state.clean()
            say("down; nothing of it is left")
            return 0
        case "status":
            return show_status(state, arguments.json)
        case "console":
            print(request(state, f"console/{arguments.instance}")["console"], end="")
            return 0
        case "settings":
            write_settings(state, arguments.file)
            return 0
        case "cname":
            request(state, f"names/{arguments.name}", {"target": arguments.target.rstrip(".")})
            return 0
        case "check":
            return check(area)
        case "certificate":
            Authority(area / "cache").issue(arguments.domain, arguments.out)
            return 0
        case _:
            return run_inside(state, arguments, Authority(area / "cache"))


def bring_up(arguments, area: Path, state: RunState) -> int:
    if state.supervisor():
        say("is up already")
        announce(state)
        return 0
    if not arguments.control_plane and os.geteuid() != 0:
        say("needs root: instances are containers in network namespaces")
        say("without: scripts/sandbox up --control-plane")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the programs it started, too
    began = time.monotonic()
    cache = area / "cache"
    argv = [sys.executable, "-P", "-m", "region.supervisor", "--directory", str(state.directory),
            "--cache", str(cache), "--port", str(arguments.port)]
    if arguments.fast:
        argv.append("--fast")
    if arguments.manners:
        argv += ["--manners", arguments.manners]
    if arguments.control_plane:
        argv.append("--control-plane")
    else:
        host.prepare(say)
        state.clean()  # what a killed sandbox left
        with locked(cache / "lock"):
            repository = packages.jitsi(cache, arguments.root / "tests/sandbox/standins", say)
            packages.debian(cache, releases.DEFAULT, say)  # others when an instance of them is launched
        argv += ["--packages", str(repository)]
        upstream = arguments.jitsi_repo and arguments.jitsi_repo.rstrip("/")
        if upstream:
            argv += ["--jitsi-repo", upstream]
        state.directory.mkdir(parents=True, exist_ok=True)
        (state.directory / "jitsi.toml").write_text(packages.settings(repository, upstream))
    state.directory.mkdir(parents=True, exist_ok=True)
    with (state.directory / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        while not state.read().get("ready"):
            if process.poll() is not None or time.monotonic() - began > READY_LIMIT + 600:
                say(f"did not come up; see {state.directory}/supervisor.log")
                sys.stderr.write((state.directory / "supervisor.log").read_text()[-2000:])
                return 1
            time.sleep(0.1)
    except BaseException:  # interrupted: what is half up goes down again
        process.terminate()
        process.wait()
        raise
    say(f"up after {time.monotonic() - began:.0f} s")
    announce(state)
    return 0


def announce(state: RunState) -> None:
    """Where everything is; the first block can be evaluated by a shell."""
    known = state.read()
    for name, value in environment(known, known["endpoint"]).items():
        print(f"export {name}={value}")
    print(f"# mail is delivered to {known['maildir']}")
    if toml := known.get("jitsi_toml"):
        print(f"# settings for jitsi.toml: {toml}")
    for name, ports in known.get("balancers", {}).items():
        for port, local in ports.items():
            print(f"# load balancer {name}, port {port}: 127.0.0.1:{local}")
    if not known.get("control_plane"):
        print("# from the sandbox's internet, with names and UDP: scripts/sandbox exec -- COMMAND")


def environment(known: dict, endpoint: str) -> dict[str, str]:
    """What an AWS client needs."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": known["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": known["secret_access_key"],
        "AWS_REGION": known["region"],
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def check(area: Path) -> int:
    """Prints why instances cannot run here, if they cannot."""
    if os.geteuid() == 0:
        host.prepare(say)
    if reason := capable.obstacle(area):
        print(reason)
    return 3 if reason else 0


def write_settings(state: RunState, file: Path) -> None:
    """Replaces what a jitsi.toml says of package repositories by the sandbox's."""
    if not (ours := state.read().get("jitsi_toml")):
        raise SystemExit("sandbox: is not up with instances")
    others = re.compile(r"^\[jitsi\.apt\..*?(?=^\[(?!jitsi\.apt\.)|\Z)", re.MULTILINE | re.DOTALL)
    file.write_text(others.sub("", file.read_text()).rstrip() + "\n\n" + Path(ours).read_text())


def request(state: RunState, path: str, body: dict | None = None) -> dict:
    """Asks the running sandbox; tells it, when there is something to tell."""
    if not state.supervisor():
        raise SystemExit("sandbox: is not up")
    asked = urllib.request.Request(f"{state.read()['endpoint']}/sandbox/{path}")
    if body is not None:
        asked.method, asked.data = "PUT", json.dumps(body).encode()
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"sandbox: {path}: {error.read().decode(errors='replace').strip()}") from error


def show_status(state: RunState, as_json: bool) -> int:
    if not state.supervisor():
        say("is not up")
        return 1
    now = request(state, "state")
    if as_json:
        print(json.dumps(now, indent=1))
        return 0
    announce(state)
    rows = [["instance", "state", "zone", "private", "public", "group", "lifecycle", "checks"]]
    rows += [[i["id"], i["state"], i["zone"], i["private"], i["public"], i["group"], i["lifecycle"], i["status"]]
             for i in now["instances"]]
    table(rows)
    table([["load balancer", "state", "name", "addresses"]]
          + [[b["name"], b["state"], b["dns_name"], " ".join(map(str, b["addresses"].values()))]
             for b in now["balancers"]])
    table([["target group", "target", "health", ""]]
          + [[t["group"], t["id"], t["state"], t["description"]] for t in now["targets"]])
    table([["since", "activity", "", ""]]
          + [[a["start_time"][11:19], a["status_code"], a["description"], a["status_message"]]
             for a in now["activities"]])
    if out := now["knobs"]["zones_out"]:
        print(f"\nzones out: {', '.join(out)}")
    for line in now["undelivered"]:
        print(f"not delivered: {line}")
    return 0


def table(rows: list[list]) -> None:
    if len(rows) < 2:
        return
    cells = [["" if c in (None, "None") else str(c) for c in row] for row in rows]
    widths = [max(len(row[n]) for row in cells) for n in range(len(cells[0]))]
    print()
    for row in cells:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def run_inside(state: RunState, arguments, authority: Authority) -> int:
    """Replaces this process by the command, inside an instance or on the sandbox's internet."""
    argv = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    known = state.read()
    if not state.supervisor() or known.get("control_plane"):
        raise SystemExit("sandbox: is not up with instances")
    if arguments.instance:
        enter = request(state, f"enter/{arguments.instance}")["argv"]
        os.execvpe(enter[0], [*enter, *(argv or ["/bin/bash", "-l"])], INSIDE)
    # The namespace's resolver, in a mount namespace of the command's own.
    resolver = state.directory / "resolv.conf"
    resolver.write_text(f"nameserver {addresses.API}\n")
    inside = environment(known, f"http://{addresses.API}:{addresses.API_PORT}")
    inside["SSL_CERT_FILE"] = str(authority.bundle(state.directory / "trusted.pem"))
    prepare = f'mount --bind "{resolver}" "$(readlink -f /etc/resolv.conf)"; exec "$@"'
    os.execvpe(
        "nsenter",
        ["nsenter", f"--net=/run/netns/{known['prefix']}-net", "unshare", "--mount", "sh", "-ec", prepare, "sh",
         *(argv or ["/bin/bash"])],
        os.environ | inside,
    )


if __name__ == "__main__":
    sys.exit(main())
