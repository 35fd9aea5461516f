"""A server that stops closes its clients one after the other."""

from __future__ import annotations

import asyncio

import hypothesis.strategies as st
import pytest
from hypothesis import given
from memory_client import Client

from ddpcore import DDPError, Server
from ddpcore.testing import FakeClock, turns
from ddpcore.transport import MemoryTransport


async def stopping(server, spread):
    stop = asyncio.ensure_future(server.stop(spread=spread))
    await turns()
    return stop


def closed(clients):
    return [client.closed is not None for client in clients]


@given(count=st.integers(1, 12), spread=st.sampled_from([1.0, 5.0, 60.0]))
def test_clients_have_their_turns_at_equal_distances(count, spread):
    async def run():
        clock = FakeClock()
        server = Server(clock=clock, connect_timeout=0)

        @server.method
        async def echo(ctx, value):
            return value

        await server.start()
        clients = [Client(server) for _ in range(count)]
        for client in clients:
            client.connect()
        stop = await stopping(server, spread)
        for gone in range(1, count + 1):
            assert sum(closed(clients)) == gone
            for client in clients:
                if client.closed is None:  # it is served until its turn
                    assert (await client.answer(client.method("echo", gone)))["result"] == gone
            if gone < count:
                assert not stop.done()
                await clock.advance(spread / count * 0.99)
                await turns()
                assert sum(closed(clients)) == gone
                await clock.advance(spread / count * 0.01 + 1e-6)
                await turns()
        await stop
        assert {client.closed for client in clients} == {(1001, "Server is going away")}

    asyncio.run(run())


async def test_at_once_unless_asked():
    server = Server(clock=FakeClock())
    await server.start()
    clients = [Client(server) for _ in range(100)]
    await server.stop()
    assert all(closed(clients))


async def test_thousands_share_their_turns():
    """Timers have a price, too: those that are near each other are closed together."""
    clock = FakeClock()
    server = Server(clock=clock)
    await server.start()
    clients = [Client(server) for _ in range(3000)]
    stop = await stopping(server, 3.0)
    assert 1 <= sum(closed(clients)) <= 10
    await clock.advance(1.5)
    await turns(20)
    assert 1400 <= sum(closed(clients)) <= 1600
    await clock.advance(1.5)
    await stop


async def test_sessions_whose_clients_are_away_take_no_time():
    server = Server(clock=FakeClock())
    await server.start()
    away = [Client(server) for _ in range(10)]
    for client in away:
        client.connect()
    await turns()
    for client in away:
        client.drop()
    present = Client(server)
    present.connect()
    await turns()
    assert len(server.sessions) == 11
    await server.stop(spread=60.0)  # the clock stands still
    assert present.closed is not None
    assert not server.sessions


async def test_nobody_new_meanwhile():
    clock = FakeClock()
    server = Server(clock=clock)
    await server.start()
    clients = [Client(server) for _ in range(2)]
    stop = await stopping(server, 10.0)
    with pytest.raises(DDPError, match="is stopping"):
        await server.start()
    with pytest.raises(DDPError, match="stopping"):
        server.accept(MemoryTransport())
    await clock.advance(10.0)
    await stop
    assert all(closed(clients))
    await server.start()  # as ever
    await server.stop()
