"""Runs as a user on the sandbox's internet: begins a meeting on every site at a fixed pace, whatever became
of the one before, and writes a line of JSON for each. Ends when its input does."""

import asyncio
import json
import sys
import time

PACE = 2.0  # seconds between two beginnings
SILENT = asyncio.subprocess.DEVNULL


async def hold(binary: str, site: str, config: str) -> None:
    """One `jitsi-aws probe`, within the probe's own limits."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        binary, "--config", config, "--json", "probe",
        stdin=SILENT, stdout=asyncio.subprocess.PIPE, stderr=SILENT,
    )
    output, _ = await process.communicate()
    ended = time.monotonic()
    try:
        reason = json.loads(output)["result"].get("reason")
    except (ValueError, KeyError):
        reason = f"the probe ended with {process.returncode}"
    line = {"site": site, "began": began, "ended": ended, "held": process.returncode == 0, "reason": reason}
    print(json.dumps(line), flush=True)


async def main(binary: str, sites: list[str]) -> None:
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    begun: set[asyncio.Task] = set()
    due = time.monotonic()
    while not ended.done():
        for site in sites:
            name, _, config = site.partition("=")
            task = asyncio.create_task(hold(binary, name, config))
            begun.add(task)
            task.add_done_callback(begun.discard)
        due += PACE
        await asyncio.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
