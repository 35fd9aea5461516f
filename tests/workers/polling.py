"""`ddpcore serve` with handlers of this file in place of SockJS: small stand-ins that poll."""

import asyncio
import json
import os
import sys

from tornado.web import RequestHandler, url

import ddpcore_tornado.serve
from ddpcore.cli import main

sessions = {}


class Here(RequestHandler):
    """Which worker the connection is with; not passed on."""

    def get(self):
        self.finish(str(os.getpid()))


class Handler(RequestHandler):
    def prepare(self):
        self.name = self.path_args[0]

    def on_connection_close(self):
        """Who hangs up ends the session."""
        sessions.pop(self.name).put_nowait("end")
        print("hung up", flush=True)

    def missing(self):
        self.set_status(404)
        self.finish("no such session")


class Poll(Handler):
    """Opens a session, or waits for its next message."""

    async def post(self, name):
        if name not in sessions:
            sessions[name] = asyncio.Queue()
            self.finish("o\n")
            return
        print("waits", flush=True)
        message = await sessions[name].get()
        if message != "end":
            self.finish(message + "\n")


class Send(Handler):
    def post(self, name):
        if name not in sessions:
            self.missing()
            return
        sessions[name].put_nowait(self.request.body.decode())
        self.set_status(204)


class Stream(Handler):
    """Sends message after message, for ever."""

    async def post(self, name):
        queue = sessions.setdefault(name, asyncio.Queue())
        self.write("h" * 2048 + "\n")
        await self.flush()
        print("waits", flush=True)
        while (message := await queue.get()) != "end":
            self.write(message + "\n")
            await self.flush()


class Peer(Handler):
    """Tells what came."""

    def answer(self, name):
        self.set_header("X-Cookie", "1")
        self.add_header("Set-Cookie", "a=1")
        self.add_header("Set-Cookie", "b=2")
        told = {
            "pid": os.getpid(),
            "method": self.request.method,
            "uri": self.request.uri,
            "address": self.request.remote_ip,
            "protocol": self.request.protocol,
            "headers": dict(self.request.headers.get_all()),
            "size": len(self.request.body),
        }
        self.finish(json.dumps(told))

    get = post = put = answer

    def head(self, name):
        self.set_header("Content-Length", "12345")

    def options(self, name):
        self.set_status(204)


class Big(Handler):
    def get(self, name):
        self.finish(b"x" * 5_000_000)


class Cached(Handler):
    def get(self, name):
        self.set_status(304)


def handlers(server, **_):
    session = r"/sockjs/[^/.]+/([^/.]+)"
    return [
        url("/here", Here),
        url(rf"{session}/xhr", Poll),
        url(rf"{session}/xhr_send", Send),
        url(rf"{session}/xhr_streaming", Stream),
        url(rf"{session}/peer", Peer),
        url(rf"{session}/big", Big),
        url(rf"{session}/cached", Cached),
    ]


ddpcore_tornado.serve.handlers = handlers
sys.exit(main())
