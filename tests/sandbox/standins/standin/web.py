"""The HTTP side of both programs."""

import json
import re

from aiohttp import web

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def answer(value, status=200):
    return web.Response(text=json.dumps(value, separators=(",", ":")), status=status, content_type="application/json")


def text(value, status=200):
    return web.Response(text=value, status=status, content_type="text/plain", charset="UTF-8")


def exposition(value):
    return web.Response(body=value.encode(), headers={"Content-Type": OPENMETRICS})


async def serve(routes, host, port):
    """Serves `routes`; raises OSError when the port is taken."""
    app = web.Application()
    app.add_routes(routes)
    app.on_response_prepare.append(_anonymous)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


async def _anonymous(_request, response):
    response.headers.pop("Server", None)


def is_json(request):
    return re.match(r"application/json\b", request.headers.get("Content-Type", "")) is not None
