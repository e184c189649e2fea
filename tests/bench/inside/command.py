"""Times a command that has nothing to do, in milliseconds; prints one JSON list. `command.py TIMES COMMAND…`"""

import json
import subprocess
import sys
import time

TIMES, COMMAND = int(sys.argv[1]), sys.argv[2:]


def once():
    began = time.perf_counter()
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=True)
    took = (time.perf_counter() - began) * 1000
    assert done.stdout == "nothing to do\n", done.stdout
    return took


print(json.dumps([once() for _ in range(TIMES)]))
