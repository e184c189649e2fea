"""Runs the AWS emulator (moto) on a free loopback port, prints its address, ends when stdin closes.

`--delay-ms N` answers every call N milliseconds later, as a region that far away would. `--manners SEED`
(or MANNERS_SEED) draws AWS's manners from another seed, `off` leaves them out; the seed is said on stderr.
"""

import argparse
import logging
import os
import sys
import threading
import time
from functools import cache

import manners
import moto_mends
from moto.core import responses, utils
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto_mends import group_hooks, held_launches, instance_refresh
from moto_mends.rpc_v2_cbor import RpcV2Cbor
from strict.layer import Strict
from werkzeug.serving import make_server

moto_mends.install()
group_hooks.install()
held_launches.install()
instance_refresh.install()
# What the emulator finds out anew for every call, and depends on nothing else: which service a host is, and which
# actions a service has.
DomainDispatcherApplication.get_backend_for_host = cache(DomainDispatcherApplication.get_backend_for_host)
responses.method_names_from_class = cache(utils.method_names_from_class)


def delayed(app, seconds):
    """The same application, later."""

    def serve(environ, start_response):
        time.sleep(seconds)
        return app(environ, start_response)

    return serve


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--manners", default=os.environ.get("MANNERS_SEED", str(manners.DEFAULT_SEED)))
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = DomainDispatcherApplication(create_backend_app)
    app = Strict(RpcV2Cbor(manners.Manners(app, manners.seed(options.manners))))
    print(f"AWS's manners: seed {options.manners}", file=sys.stderr)
    if options.delay_ms:
        app = delayed(app, options.delay_ms / 1000)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
