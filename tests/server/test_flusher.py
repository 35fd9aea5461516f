"""What leaves at the end of a turn: whatever one client does, the others get theirs."""

from __future__ import annotations

import asyncio

import pytest
from memory_client import Client, running, turns

from ddpcore import Server
from ddpcore.session.outbox import SLICE


def numbers(client: Client) -> list[str]:
    return list(client.store.docs("c"))


def publishing() -> tuple[Server, list]:
    server = Server(high_water=1000, max_queue=4)
    contexts = []

    @server.publish("some")
    async def some(ctx):
        contexts.append(ctx)
        ctx.ready()

    @server.method
    async def large(ctx):
        return "x" * 2000

    return server, contexts


async def subscriber(server: Server) -> Client:
    client = Client(server)
    client.connect()
    await client.message(msg="connected")
    await client.ready(client.sub("some", id="s"))
    return client


async def test_a_client_that_cannot_be_sent_anything_takes_nothing_from_the_others(expect_log):
    expect_log("ddpcore.server", "A client could not be sent what waits for it")
    server, contexts = publishing()
    async with running(server):
        clients = [await subscriber(server) for _ in range(3)]
        for ctx in contexts:
            ctx.added("c", "1", {})

        def broken(frames):
            raise OSError("broken")

        clients[0].transport.send = broken
        await turns()
        assert [numbers(each) for each in clients[1:]] == [["1"], ["1"]]
        for ctx in contexts:
            ctx.added("c", "2", {})
        await turns()
        assert [numbers(each) for each in clients[1:]] == [["1", "2"], ["1", "2"]]


async def test_who_cannot_be_asked_what_it_is_to_be_sent_takes_nothing_from_the_others(expect_log):
    expect_log("ddpcore.server", "A client could not be sent what waits for it")
    server, contexts = publishing()
    async with running(server):
        clients = [await subscriber(server) for _ in range(3)]

        def broken():
            raise OSError("broken")

        session = clients[1].receiver
        session.outbox = type("Broken", (), {"take": staticmethod(broken), "flowing": True})()
        for ctx in contexts:
            ctx.added("c", "1", {})
        await turns()
        assert [numbers(each) for each in clients] == [["1"], [], ["1"]]
        assert clients[1].closed == (1011, "Internal error")


async def test_what_fails_when_a_client_goes_on_takes_nothing_from_the_others(expect_log):
    expect_log("ddpcore.server", "A client could not be sent what waits for it")
    server, contexts = publishing()
    async with running(server):
        clients = [await subscriber(server) for _ in range(3)]

        def broken():
            raise OSError("broken")

        clients[0].receiver.blocked()
        clients[0].method("large")
        await turns()
        for _ in range(4):  # wait until fewer answers do, and the socket is not read
            clients[0].put(msg="unsub")
        clients[0].transport.resume_reading = broken
        clients[0].receiver.drained()
        for ctx in contexts:
            ctx.added("c", "2", {})
        await turns()
        assert [numbers(each) for each in clients] == [["2"]] * 3


async def test_who_is_closed_by_what_waited_for_room_gets_all_before_it():
    server, contexts = publishing()
    async with running(server):
        client = await subscriber(server)
        contexts[0].on_stop(contexts[0].connection.close)
        contexts[0].added("c", "1", {})
        await turns()
        client.receiver.blocked()
        client.method("large", id="m")
        await turns()
        client.unsub("s")  # waits until fewer answers wait
        await turns()
        assert client.story[-1] == "added"
        client.receiver.drained()
        await turns()
        assert client.story[-3:] == ["updated", "result", "removed"]
        assert client.closed == (1000, "Normal closure")
        client.check()


async def test_who_ends_while_others_wait_for_their_turn_holds_nobody_up():
    server, contexts = publishing()
    async with running(server):
        clients = [await subscriber(server) for _ in range(3)]
        for ctx in contexts:
            ctx.added("c", "1", {"text": "x" * 2**20})  # one a turn
        contexts[1].connection.close()
        await turns()
        assert [numbers(each) for each in clients] == [["1"]] * 3
        assert clients[1].closed is not None


async def test_a_server_stops_while_clients_wait_for_their_turn():
    server, contexts = publishing()
    await server.start()
    clients = [await subscriber(server) for _ in range(3)]
    for ctx in contexts:
        ctx.added("c", "1", {"text": "x" * 2**20})
    async with asyncio.timeout(10):
        await server.stop()
    assert [numbers(each) for each in clients] == [["1"]] * 3
    assert not server.flusher._waiting


def once(client: Client, what) -> None:
    """Do this when the client is sent something next."""
    send = client.transport.send

    def sending(frames):
        client.transport.send = send
        send(frames)
        what()

    client.transport.send = sending


@pytest.mark.parametrize("goes_on", [False, True])
async def test_who_comes_back_while_others_are_sent_to_gets_all_once(goes_on):
    """What was taken for it has not left yet."""
    server, contexts = publishing()
    async with running(server):
        first, second = [await subscriber(server) for _ in range(2)]
        id, received = second.messages[0]["session"], len(second.messages)
        back = Client(server)
        connect = {"msg": "connect", "version": "1", "support": ["1"]}
        once(first, lambda: back.put(**connect, session=id, receivedCount=received))
        for ctx in contexts:
            ctx.added("c", "1", {})
        if goes_on:
            second.receiver.blocked()
            second.receiver.drained()
        await turns()
        assert [numbers(each) for each in (first, second)] == [["1"], ["1"]]
        assert second.closed == (1000, "Normal closure")
        assert back.story == ["connected", "added"]
        assert server.sessions[id].machine.outbox.sent == received + 2
        contexts[1].added("c", "2", {})
        await turns()
        assert back.story == ["connected", "added", "added"]


async def test_who_is_closed_while_others_are_sent_to_gets_what_was_taken():
    server, contexts = publishing()
    async with running(server):
        first, second, third = [await subscriber(server) for _ in range(3)]

        def act():
            contexts[1].added("c", "2", {})
            contexts[1].connection.close()
            third.receiver.lost()

        once(first, act)
        for ctx in contexts:
            ctx.added("c", "1", {})
        sent = third.receiver.machine.outbox.sent
        await turns()
        assert numbers(second) == ["1", "2"]
        assert second.closed == (1000, "Normal closure")
        assert not second.transport.late
        assert third.receiver.machine.outbox.sent == sent + 1
        assert not server.flusher._leaving


async def test_what_is_sent_is_counted_whoever_else_is_closed_meanwhile():
    server, contexts = publishing()
    async with running(server):
        first, second = [await subscriber(server) for _ in range(2)]
        contexts[0].added("c", "1", {})
        contexts[1].added("c", "1", {"text": "x" * 1000})
        once(first, contexts[1].connection.close)
        contexts[0].connection.close()
        frames = [*first.transport.frames, *second.transport.frames]
        assert [numbers(each) for each in (first, second)] == [["1"], ["1"]]
        assert server.traffic.frames == len(frames)
        assert server.traffic.bytes == sum(len(frame.data) for frame in frames)


def blocks(client: Client, *, at_first_drained: bool = False) -> list[bool]:
    """Let the client take nothing after each send; of each send, whether it was blocked before."""
    send, receiver = client.transport.send, client.receiver
    blocked_before = []

    def sending(frames):
        blocked_before.append(receiver.outbox.blocked)
        send(frames)
        receiver.blocked()
        if at_first_drained and len(blocked_before) == 1:
            receiver.drained()

    client.transport.send = sending
    return blocked_before


async def test_who_goes_on_in_the_turn_in_which_it_stopped_waits_once():
    server, contexts = publishing()
    async with running(server):
        client = await subscriber(server)
        sends = blocks(client, at_first_drained=True)
        for id in "123":
            contexts[0].added("c", id, {"text": "x" * SLICE})
        await turns()
        assert sends == [False, False]
        assert numbers(client) == ["1", "2"]


async def test_what_is_read_while_others_are_sent_to_leaves_after_what_was_taken():
    server, contexts = publishing()
    async with running(server):
        first, second = [await subscriber(server) for _ in range(2)]
        sends = blocks(second)
        second.transport.gathers = True

        def read():
            second.put(msg="ping")
            second.receiver.flush()

        once(first, read)
        for ctx in contexts:
            ctx.added("c", "1", {})
        await turns()
        assert sends == [False]
        assert second.story[-1] == "added"
        second.receiver.drained()
        await turns()
        assert sends == [False, False]
        assert second.story[-2:] == ["added", "pong"]
