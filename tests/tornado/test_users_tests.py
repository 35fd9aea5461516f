"""What applications test with `tornado.testing`: a server of ours in their test cases."""

from __future__ import annotations

import json

from served import CONNECT, make_server
from sockjs_client import Session
from tornado.httpclient import HTTPClientError
from tornado.testing import AsyncHTTPSTestCase, AsyncHTTPTestCase, AsyncTestCase, gen_test
from tornado.web import Application, RequestHandler
from tornado.websocket import websocket_connect

from ddpcore import Server, hookimpl
from ddpcore_tornado import handlers

# One for all test cases, as applications have it: a module makes it when it is imported.
SERVER = make_server()
STORY = []


class Companion:
    @hookimpl
    def ddpcore_server_started(self):
        STORY.append("started")

    @hookimpl
    async def ddpcore_server_stopping(self):
        STORY.append("stopping")


SERVER.plugins.register(Companion())


class Hello(RequestHandler):
    def get(self):
        self.finish("Hello")


class ApplicationTest(AsyncHTTPTestCase):
    def get_app(self):
        return Application([*handlers(SERVER), (r"/", Hello)], log_function=lambda _: None)

    def setUp(self):
        super().setUp()
        self.sockets = []

    def tearDown(self):
        self.io_loop.run_sync(SERVER.stop)
        for socket in self.sockets:
            socket.close()
        super().tearDown()
        assert STORY[-2:] in ([], ["started", "stopping"])

    async def connect(self):
        socket = await websocket_connect(self.get_url("/websocket").replace("http", "ws"))
        self.sockets.append(socket)
        await socket.write_message(CONNECT)
        assert json.loads(await socket.read_message())["msg"] == "connected"
        return socket

    def test_a_page(self):
        self.assertEqual(self.fetch("/").body, b"Hello")
        self.assertEqual(self.fetch("/sockjs").body, b"Welcome to SockJS!\n")

    @gen_test
    async def test_a_call(self):
        socket = await self.connect()
        call = {"msg": "method", "id": "1", "method": "echo", "params": ["é"]}
        await socket.write_message(json.dumps(call))
        heard = [json.loads(await socket.read_message()) for _ in range(2)]
        assert {"msg": "result", "id": "1", "result": ["é"]} in heard

    @gen_test
    async def test_a_client_that_is_left_behind(self):
        await self.connect()

    @gen_test
    async def test_a_poll_that_is_left_behind(self):
        session = Session(f"127.0.0.1:{self.get_http_port()}", "xhr")
        assert await session.frame() == "o"

    @gen_test
    async def test_what_is_refused(self):
        with self.assertRaises(HTTPClientError) as caught:
            await websocket_connect(
                self.get_url("/sockjs/000/abcdefgh/xhr").replace("http", "ws"), connect_timeout=5
            )
        assert caught.exception.code == 405


class EncryptedTest(AsyncHTTPSTestCase):
    def get_app(self):
        self.server = make_server()
        return Application(handlers(self.server), log_function=lambda _: None)

    def tearDown(self):
        self.io_loop.run_sync(self.server.stop)
        super().tearDown()

    def test_a_page(self):
        assert self.fetch("/sockjs").body == b"Welcome to SockJS!\n"


class LoopTest(AsyncTestCase):
    @gen_test
    async def test_a_server_without_sockets(self):
        async with Server() as server:
            assert server.crossbar.observers == 0

    def test_on_the_loop_of_the_test_case(self):
        self.io_loop.run_sync(SERVER.start)
        self.io_loop.run_sync(SERVER.stop)
