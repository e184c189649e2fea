"""What both programs have in common as processes: arguments, pace, signals, exit codes."""

import argparse
import asyncio
import datetime
import os
import re
import signal
import sys

from .config import Config, WrongType


def log(level, text):
    """One line as the Java programs write it; journald or a file collects it."""
    now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    print(f"{now} {level}: {text}", file=sys.stderr, flush=True)


class Pace:
    """Time as the program lives it: at pace 0.1 every delay takes a tenth."""

    def __init__(self, factor):
        self.factor = factor

    async def sleep(self, seconds):
        await asyncio.sleep(seconds * self.factor)


def arguments(name, config_property):
    parser = argparse.ArgumentParser(prog=name, description=f"Stand-in for {name}.")
    parser.add_argument("--config", default=_java_property(config_property), help="HOCON file")
    parser.add_argument(
        "--pace", type=float, default=float(os.environ.get("STANDIN_PACE", "1")),
        help="factor on every delay of the real program (or STANDIN_PACE)",
    )
    return parser


def _java_property(name):
    """The packaged units pass the file as `-Dconfig.file=…` in an environment variable."""
    match = re.search(rf"-D{re.escape(name)}=(\S+)", os.environ.get("JAVA_SYS_PROPS", ""))
    return match[1] if match else None


def run(program, args):
    """Runs `program(config, pace, args)` until it returns its exit code or SIGTERM comes."""
    if not args.config:
        print("no configuration file", file=sys.stderr)
        sys.exit(1)
    config = Config.load(args.config)
    sys.exit(asyncio.run(_supervise(program, config, Pace(args.pace), args)))


async def _supervise(program, config, pace, args):
    stop = asyncio.Event()
    status = 0

    def caught(number):
        nonlocal status
        status = 128 + number  # as the JVM does
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, caught, number)
    work = asyncio.create_task(program(config, pace, args))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return status
    stopped.cancel()
    try:
        return work.result()
    except WrongType as error:
        # Only the main thread dies; the process stays, serving nothing.
        log("SEVERE", f"Exception in thread \"main\" {error}")
        await stop.wait()
        return status
