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

import ebs_default_key
import fis_tags
import held_launches
import manners
import max_lifetime
import profile_roles
import service_passwords
from moto.iam.access_control import IAMRequestBase
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from rpc_v2_cbor import RpcV2Cbor
from strict.layer import Strict
from werkzeug.serving import make_server

# With IAM enforcement on, only rights are checked: signatures are the SDKs' own affair, and a
# translated call no longer has the bytes that were signed.
IAMRequestBase.check_signature = lambda self: None
_read_request = IAMRequestBase.__init__


def _with_iam_prefix(self, *args, **kwargs):
    """Two services are signed for under another name than IAM's actions have."""
    _read_request(self, *args, **kwargs)
    prefix, action = self._action.split(":", 1)
    prefix = {"monitoring": "cloudwatch", "tagging": "tag"}.get(prefix, prefix)
    self._action = f"{prefix}:{action}"


IAMRequestBase.__init__ = _with_iam_prefix
ebs_default_key.install()
fis_tags.install()
held_launches.install()
max_lifetime.install()
profile_roles.install()
service_passwords.install()
# Which service a host is depends on nothing else; the emulator looks through its own directory every time.
DomainDispatcherApplication.get_backend_for_host = cache(DomainDispatcherApplication.get_backend_for_host)


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
