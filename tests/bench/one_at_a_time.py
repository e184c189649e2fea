"""The emulator, but with one call at a time: what a run that does not overlap calls would see."""

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import emulator  # noqa: E402

delayed = emulator.delayed


def one_at_a_time(app, seconds):
    app, turn = delayed(app, seconds), threading.Lock()

    def serve(environ, start_response):
        with turn:
            return app(environ, start_response)

    return serve


if __name__ == "__main__":
    emulator.delayed = one_at_a_time
    emulator.main()
