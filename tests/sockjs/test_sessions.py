"""Sessions between requests: who may wait, who is told, and when they end."""

from __future__ import annotations

import asyncio
import json

import pytest
from sockjs_client import POLLS, STREAMS, TRANSPORTS, Session, ask, whole
from sockjs_services import Echo, Services, closing, serving

from ddpcore.testing import FakeClock
from ddpcore.wire.frame import Frame
from ddpcore_tornado.sockjs import Options
from ddpcore_tornado.sockjs.session import CLOSE_PATIENCE


async def opened(address, transport, **options):
    session = Session(address, transport, "/s", **options)
    assert await session.frame() == "o"
    return session


async def attached(echo):
    """Wait until a request waits for frames."""
    while not echo.transport.attached:
        await asyncio.sleep(0.001)


async def taken(echo):
    """Wait until the network has taken what was sent; until then, frames are gathered."""
    while echo.transport._untaken:
        await asyncio.sleep(0.001)


def say(echo, *texts):
    echo.transport.send([Frame(json.dumps(text).encode()) for text in texts])


# --- frames ------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_messages_go_there_and_back(transport):
    service = Services()
    async with serving(service) as address:
        session = await opened(address, transport)
        texts = [
            "",
            "x",
            "é\u2028\uffff😀",
            "\ud83d",
            '"\\/\n\x00',
            "%41%",
            "</script><!--",
            "0" * 70_000,
        ]
        await session.send(*texts)
        got = []
        while len(got) < len(texts):
            got += json.loads((await session.frame())[1:])
        assert got == service.clients[0].got == texts
        session.hang_up()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_frames_of_a_turn_are_one_array(transport):
    service = Services()
    async with serving(service) as address:
        session = await opened(address, transport)
        say(service.clients[0], "a", "b")
        assert await session.frame() == r'a["\"a\"","\"b\""]'
        session.hang_up()


@pytest.mark.parametrize("transport", POLLS)
async def test_without_a_poll_frames_wait_for_the_next(transport):
    service = Services()
    async with serving(service) as address:
        session = await opened(address, transport)
        for text in "abc":
            say(service.clients[0], text)
        assert json.loads((await session.frame())[1:]) == ['"a"', '"b"', '"c"']
        poll = asyncio.ensure_future(session.frame())
        await attached(service.clients[0])
        say(service.clients[0], "d")
        say(service.clients[0], "e")
        assert json.loads((await poll)[1:]) == ['"d"']
        assert json.loads((await session.frame())[1:]) == ['"e"']


async def test_a_session_is_known_by_its_id_alone():
    service = Services()
    async with serving(service) as address:
        for server, path in enumerate(["xhr", "xhr", "xhr/"]):
            assert (await whole(address, "POST", f"/s/{server}/x%20y/{path}"))[0] == 200
            await whole(address, "POST", "/s/999/x%20y/xhr_send", '["a"]')
        assert len(service.clients) == 1
        assert service.clients[0].got == ["a"] * 3


@pytest.mark.parametrize("transport", STREAMS)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_stream_ends_at_its_limit(transport, version):
    service = Services()
    async with serving(service, Options(response_limit=1000)) as address:
        session = Session(address, transport, "/s")
        method = "POST" if transport == "xhr_streaming" else "GET"
        answer = await ask(
            address,
            method,
            f"{session.path}/{transport}?c=f",
            version=version,
            Connection="Keep-Alive",
        )
        await attached(service.clients[0])
        assert ("transfer-encoding" in answer.headers) == (version == "1.1")
        await taken(service.clients[0])
        say(service.clients[0], "x" * 400)
        await taken(service.clients[0])
        say(service.clients[0], "x" * 600)
        say(service.clients[0], "Y" * 600)
        body = await answer.body()
        assert b"x" * 600 in body
        assert b"YY" not in body
        if version == "1.0":
            assert answer.reader.at_eof()
        answer.hang_up()
        assert service.clients[0].story == []
        assert "Y" * 600 in await session.frame()
        session.hang_up()


# --- two at once, hanging up ---------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_second_request_is_sent_away(transport):
    service = Services()
    async with serving(service) as address:
        first = await opened(address, transport)
        waiting = asyncio.ensure_future(first.frame())
        await attached(service.clients[0])
        second = Session(address, transport, "/s", id=first.path.rpartition("/")[2])
        assert await second.frame() == 'c[2010,"Another connection still open"]'
        if second.answer is not None:
            assert await second.answer.chunk() == b""
            second.hang_up()
        say(service.clients[0], "still there")
        assert await waiting == r'a["\"still there\""]'
        first.hang_up()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_hanging_up_ends_a_session_at_once(transport):
    service = Services()
    async with serving(service) as address:
        session = await opened(address, transport)
        waiting = asyncio.ensure_future(session.frame())
        await attached(service.clients[0])
        waiting.cancel()
        session.hang_up()
        await service.clients[0].gone.wait()
        assert service.clients[0].story == ["lost"]
        assert (await session.post('["x"]'))[0] == 404
        assert await session.frame() == "o"
        assert len(service.clients) == 2
        session.hang_up()


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", POLLS)
async def test_a_client_that_does_not_come_back_is_lost(transport):
    service, clock = Services(), FakeClock()
    async with serving(service, clock=clock) as address:
        session = await opened(address, transport)
        await clock.advance(59)
        say(service.clients[0], "kept")
        assert await session.frame() == r'a["\"kept\""]'
        await clock.advance(59.9)
        assert service.clients[0].story == []
        await clock.advance(0.2)
        assert service.clients[0].story == ["lost"]
        assert (await session.post("[]"))[0] == 404
        assert clock.pending == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_heartbeats_come_in_silence(transport):
    service, clock = Services(), FakeClock()
    async with serving(service, Options(heartbeat_delay=25), clock=clock) as address:
        session = await opened(address, transport)
        for _ in range(3):
            waiting = asyncio.ensure_future(session.frame())
            await attached(service.clients[0])
            await clock.advance(20)
            say(service.clients[0], "x")
            assert (await waiting)[0] == "a"
            waiting = asyncio.ensure_future(session.frame())
            await attached(service.clients[0])
            await clock.advance(20)
            assert not waiting.done()
            assert len(clock.pending) == 1
            await clock.advance(6)
            assert await waiting == "h"
        session.hang_up()


# --- closing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_close_comes_after_what_was_sent(transport):
    service = Services()
    async with serving(service) as address:
        session = await opened(address, transport)
        echo = service.clients[0]
        say(echo, "last words")
        echo.transport.close(3000, "Go away!")
        echo.transport.close(1000, "twice")
        say(echo, "too late")
        assert echo.story == []  # not in the act
        assert await session.frame() == r'a["\"last words\""]'
        for _ in range(3):
            assert await session.frame() == 'c[3000,"Go away!"]'
        assert echo.story == ["lost"]
        assert (await session.post('["x"]'))[0] in (200, 204)
        assert echo.got == []
        session.hang_up()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_closed_before_it_began(transport):
    clock = FakeClock()
    service = Services(closing)
    async with serving(service, clock=clock) as address:
        session = await opened(address, transport)
        for _ in range(2):
            assert await session.frame() == 'c[3000,"Go away!"]'
        session.hang_up()
        await clock.advance(61)
        assert await session.frame() == "o"
        assert len(service.clients) == 2
        session.hang_up()


async def test_a_stuck_stream_is_cut_some_time_after_a_close():
    service, clock = Services(), FakeClock()
    async with serving(service, Options(response_limit=1 << 30), clock=clock) as address:
        session = await opened(address, "xhr_streaming")
        echo = service.clients[0]
        session.answer.writer.transport.pause_reading()
        say(echo, "x" * 50_000_000)
        assert echo.story == ["blocked"]
        await clock.advance(1000)  # heartbeats are not heaped upon it
        echo.transport.close(3000, "Too slow")
        await clock.advance(CLOSE_PATIENCE - 1)
        assert echo.transport.attached
        await clock.advance(2)
        assert not echo.transport.attached
        assert echo.story == ["blocked", "lost"]
        await is_cut(session)
        assert clock.pending == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_answer_that_is_not_taken_is_cut_with_its_session(transport):
    service, clock = Services(), FakeClock()
    async with serving(service, clock=clock) as address:
        session = await opened(address, transport)
        echo = service.clients[0]
        if transport in POLLS:
            asking = asyncio.ensure_future(session.ask())
            await attached(echo)
            say(echo, "x" * 50_000_000)
            session.answer = await asking
        else:
            say(echo, "x" * 50_000_000)
        session.answer.writer.transport.pause_reading()
        assert not echo.transport.attached
        assert echo.story == ["blocked"]
        await clock.advance(59)
        assert echo.story == ["blocked"]
        await clock.advance(2)
        assert echo.story == ["blocked", "lost"]
        await is_cut(session)


async def is_cut(session):
    session.answer.writer.transport.resume_reading()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await session.answer.chunk()
        await session.answer.chunk()
    session.hang_up()


# --- slow clients --------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", POLLS)
async def test_a_client_that_does_not_poll_blocks(transport):
    service = Services()
    async with serving(service) as address:
        session = await opened(address, transport)
        echo = service.clients[0]
        echo.transport.high_water = 1000
        sent = []
        while not echo.story:
            sent.append("x" * 90 + str(len(sent)))
            say(echo, sent[-1])
        assert 10 <= len(sent) <= 12
        say(echo, "more")
        assert echo.story == ["blocked"]
        assert [json.loads(text) for text in json.loads((await session.frame())[1:])] == [
            *sent,
            "more",
        ]
        assert echo.story == ["blocked", "drained"]
        say(echo, "x" * 2000)
        assert echo.story == ["blocked", "drained", "blocked"]
        await session.frame()
        # With a poll open, whatever is sent is taken.
        poll = asyncio.ensure_future(session.frame())
        await attached(echo)
        say(echo, "x" * 2000)
        await poll
        assert echo.story == ["blocked", "drained"] * 2


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_client_that_does_not_read_blocks(transport):
    service = Services()
    async with serving(service, Options(response_limit=1 << 30)) as address:
        session = await opened(address, transport)
        echo = service.clients[0]
        session.answer.writer.transport.pause_reading()
        sent = 0
        while "blocked" not in echo.story:
            say(echo, *[f"{sent + number:<5000}" for number in range(40)])
            sent += 40
            await asyncio.sleep(0)
        say(echo, sent)
        assert echo.story == ["blocked"]
        session.answer.writer.transport.resume_reading()
        got = []
        while len(got) <= sent:
            got += [int(json.loads(text)) for text in json.loads((await session.frame())[1:])]
        assert got == list(range(sent + 1))
        while echo.story != ["blocked", "drained"]:
            await asyncio.sleep(0.001)
        say(echo, "x")
        assert await session.frame() == r'a["\"x\""]'
        session.hang_up()


async def test_what_is_sent_when_it_drains_comes_next():
    class Refill(Echo):
        def drained(self):
            super().drained()
            say(self, "again")

    service = Services(Refill)
    async with serving(service) as address:
        session = await opened(address, "xhr")
        service.clients[0].transport.high_water = 10
        say(service.clients[0], "x" * 20)
        assert "x" in await session.frame()
        assert await session.frame() == r'a["\"again\""]'


# --- floods --------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_receiver_that_wants_no_more_is_brought_no_more(transport):
    class Choosy(Echo):
        def receive(self, text):
            self.got.append(text)
            if text == "stop":
                self.transport.pause_reading()

    service = Services(Choosy)
    async with serving(service) as address:
        session = await opened(address, transport)
        choosy = service.clients[0]
        texts = ["a", "stop", "b"]
        first = asyncio.ensure_future(session.send(*texts))
        while choosy.got != ["a", "stop"]:
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(session.send("c"))
        held = len(json.dumps(texts))
        while choosy.transport.admits(1, held + 1):  # only the first is held so far
            await asyncio.sleep(0.001)
        # Held requests have a limit, in bytes.
        large = json.dumps(["x" * 600_000])
        third = asyncio.ensure_future(session.post(large))
        while choosy.transport.admits(len(large), 1 << 20):
            await asyncio.sleep(0.001)
        assert (await session.post(large))[0] == 429
        assert not first.done()
        assert not second.done()
        choosy.transport.resume_reading()
        await first
        await second
        await third
        assert choosy.got == ["a", "stop", "b", "c", "x" * 600_000]
        session.hang_up()


async def test_whoever_waits_to_be_brought_is_let_go_with_the_session():
    class Full(Echo):
        def receive(self, text):
            self.got.append(text)
            self.transport.pause_reading()

    service = Services(Full)
    async with serving(service) as address:
        session = await opened(address, "xhr_streaming")
        sending = asyncio.ensure_future(session.send("a", "b"))
        while not service.clients[0].got:
            await asyncio.sleep(0.001)
        session.hang_up()
        await sending
        assert service.clients[0].got == ["a"]


async def test_sessions_that_nobody_comes_back_to_are_limited(expect_log):
    expect_log("ddpcore_tornado.sockjs", "2 SockJS sessions are without a request")
    service, clock = Services(), FakeClock()
    async with serving(service, Options(max_waiting=2), clock=clock) as address:
        polls = [await opened(address, "xhr") for _ in range(2)]
        for _ in range(3):
            assert (await whole(address, "POST", "/s/0/x/xhr"))[0] == 503
        # Those that are there go on, and those that wait for frames do not count.
        waiting = asyncio.ensure_future(polls[0].frame())
        await attached(service.clients[0])
        stream = await opened(address, "xhr_streaming")
        await clock.advance(46)
        assert await waiting == "h"
        await clock.advance(100)
        assert [client.story for client in service.clients] == [["lost"], ["lost"], []]
        await opened(address, "xhr")
        stream.hang_up()
