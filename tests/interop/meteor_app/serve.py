"""Serve a bundle by Tornado with a strict Content-Security-Policy: `serve.py STAR PREFIX`."""

import asyncio
import signal
import sys

from shop import server
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, OutputTransform

from ddpcore.meteor import Options
from ddpcore_tornado import handlers, meteor_handlers

# No eval and no inline script. In Chromium 'self' holds for WebSockets of the same host as well.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"


class Strict(OutputTransform):
    def transform_first_chunk(self, status_code, headers, chunk, finishing):
        headers["Content-Security-Policy"] = POLICY
        return status_code, headers, chunk


async def main(star, prefix):
    options = Options(
        prefix=prefix, inline_scripts=False, sri=True, public_settings={"town": "Bath"}
    )
    rules = [*handlers(server, prefix=prefix), *meteor_handlers(star, server, options=options)]
    http = HTTPServer(Application(rules, transforms=[Strict], log_function=lambda _: None))
    (socket,) = bind_sockets(0, "127.0.0.1")
    http.add_socket(socket)
    print("Serving on http://{}:{}/".format(*socket.getsockname()), flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    http.stop()
    await server.stop()


asyncio.run(main(*sys.argv[1:]))
