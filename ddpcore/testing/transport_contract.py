"""The contract of `ddpcore.transport`, as tests for pytest that any transport can run.

Derive from `TransportContract` under a name that pytest collects, say how to serve a server through
the transport, on the running event loop, and run pytest::

    class TestMyTransport(TransportContract):
        @asynccontextmanager
        async def served(self, server):
            async with my_transport.listening(server) as port:
                yield f"ws://127.0.0.1:{port}/websocket"

That is all if clients speak WebSocket; otherwise `connect` makes a `Peer` that speaks whatever they
do. What a transport cannot do in principle it says by the attributes of the class. No plugin for
asynchronous tests is needed.
"""

from __future__ import annotations

import asyncio
import functools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from ddpcore.server import Server
from ddpcore.testing.peer import Peer, Refused, WebSocketPeer
from ddpcore.transport import Cookies, Receiver, Transport
from ddpcore.wire.frame import Frame

__all__ = ["Door", "Ear", "House", "Peer", "Refused", "TransportContract", "WebSocketPeer"]

MAX_MESSAGE_SIZE = 100_000
HIGH_WATER = 16 * 1024 * 1024
KERNEL = 6 * 1024 * 1024
"""Bytes on their way that are neither the transport's any more nor the client's yet, at the most:
what the sockets of this machine and of both sides keep (Linux, net.ipv4.tcp_wmem: 4 MiB)."""

PIECE = 256 * 1024
STRANGE = ["", "no JSON", '{"é":"日本 😀 \u2028"}', "[]", "x" * 70_000, '"\\u0000"']

C = TypeVar("C", bound="TransportContract")


class Ear:
    """A receiver that notes what it is told, and complains of what it must not be.

    Attributes:
        transport: Who tells it.
        heard: The messages, as text.
        told: All calls but `flush`, by name.
        on_message: Called with each message, from within `receive`.
        unflushed: Whether `receive` was called and `flush` not yet.
        flushes: How often `flush` was called.
        faults: What must not be.
    """

    def __init__(self, transport: Transport, session: Receiver | None = None) -> None:
        self.transport = transport
        self.heard: list[str] = []
        self.told: list[str] = []
        self.on_message: Callable[[str], object] = lambda _: None
        self.unflushed = False
        self.flushes = 0
        self.faults: list[str] = []
        self._session = session
        self._inside: str | None = None
        self._news = asyncio.Event()

    def receive(self, text: str | bytes) -> None:
        """Note it; see `Receiver`, as for the others."""
        self._note("receive")
        if not isinstance(text, str):
            text = text.decode("utf-8", "replace")
        self.heard.append(text)
        self.unflushed = True
        if self.transport.gathers:
            asyncio.get_running_loop().call_soon(self._look_for_flush)
        self._inside = "receive"
        try:
            self.on_message(text)
        finally:
            self._inside = None

    def _look_for_flush(self) -> None:
        if self.unflushed and "lost" not in self.told:
            self.faults.append("the loop went on before `flush`")

    def flush(self) -> None:
        """Note it."""
        self.unflushed = False
        self.flushes += 1
        if self._inside:
            self.faults.append(f"`flush` from within `{self._inside}`")

    def lost(self) -> None:
        """Note it, and tell the session in whose place we are."""
        self._note("lost")
        if self._session is not None:
            self._session.lost()

    def blocked(self) -> None:
        """Note it."""
        self._note("blocked")

    def drained(self) -> None:
        """Note it."""
        self._note("drained")

    def _note(self, what: str) -> None:
        if self._inside and what != "blocked":
            self.faults.append(f"`{what}` from within `{self._inside}`")
        if "lost" in self.told:
            self.faults.append(f"`{what}` after `lost`")
        self.told.append(what)
        self._news.set()

    def do(self, what: Callable[..., object], *args: Any) -> None:
        """Call the transport; it must not call us meanwhile."""
        outside, self._inside = self._inside, getattr(what, "__name__", str(what))
        try:
            what(*args)
        finally:
            self._inside = outside

    def send(self, *texts: str) -> None:
        """Send them, in one list that must stay as it is."""
        frames = [Frame(text.encode()) for text in texts]
        given = frames.copy()
        self.do(self.transport.send, frames)
        if frames != given:
            self.faults.append("`send` changed the list that it was given")

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until it is told so much that the condition holds."""
        while not condition():
            self._news.clear()
            await self._news.wait()


class Door(Server):
    """A server with an `Ear` in the place of each session.

    Attributes:
        ears: One for each client, in the order they came.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(connect_timeout=0, **options)
        self.ears: list[Ear] = []
        self._arrivals: asyncio.Queue[Ear] = asyncio.Queue()

    def accept(self, transport: Transport) -> Receiver:
        """Let the client in, and listen to it ourselves."""
        session = super().accept(transport)
        ear = Ear(transport, session)
        transport.receiver = ear
        self.ears.append(ear)
        self._arrivals.put_nowait(ear)
        return ear

    async def arrival(self) -> Ear:
        """The ear of the client that came next."""
        return await self._arrivals.get()


class House:
    """A door that is served, and clients.

    Attributes:
        door: The server.
    """

    def __init__(self, contract: TransportContract, door: Door, address: Any) -> None:
        self.door = door
        self.peers: list[Peer] = []
        self._contract = contract
        self._address = address
        self._bystander: Peer | None = None

    async def client(self, **headers: str) -> tuple[Peer, Ear]:
        """A client, and the ear that hears it; ``X_Y="…"`` is the header ``X-Y``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        peer = await self._contract.connect(self._address, named)
        self.peers.append(peer)
        return peer, await self.door.arrival()

    async def settle(self) -> None:
        """Let another client be answered many times: whatever was to happen has happened."""
        if self._bystander is None:
            self._bystander, ear = await self.client()
            ear.on_message = ear.send
        for number in range(30):
            await self._bystander.send(f'"{number}"')
            assert await self._bystander.receive() == f'"{number}"', "another client is not served"


def _on_a_loop(test: Callable[[C], Awaitable[None]]) -> Callable[[C], None]:
    """Make a plain test of an asynchronous one."""

    @functools.wraps(test)
    def run(self: C) -> None:
        async def limited() -> None:
            async with asyncio.timeout(self.patience):
                await test(self)
            strays = asyncio.all_tasks() - {asyncio.current_task()}
            assert not strays, f"the transport left tasks behind: {strays}"

        asyncio.run(limited())

    return run


class TransportContract:
    """Every sentence of the contract; derive from it.

    Attributes:
        patience: Seconds that a test may take. More than the transport's own, see sentence 5.
        address: What `Transport.address` is for a client of `connect`.
        secure: What `Transport.secure` is.
        tls: How `connect` makes sure of the other side, if that speaks TLS.
        checks_origin: Whether web pages can come by this transport.
        brings_cookies: Whether it can know that a page's cookies are meant for us.
        holds_back: Whether a client can be made to wait while it is not read.
        counts_bytes: Whether it knows how much of what was sent has been taken; otherwise it says
            `drained` when all has been.
        cuts_off: Whether a client that takes nothing is cut off for good, so that what waited is
            gone; otherwise it is only forgotten.
    """

    patience: float = 60.0
    address: str | None = "127.0.0.1"
    secure: bool = False
    tls: ssl.SSLContext | None = None
    checks_origin: bool = True
    brings_cookies: bool = True
    holds_back: bool = True
    counts_bytes: bool = True
    cuts_off: bool = True

    def served(self, server: Server) -> AbstractAsyncContextManager[Any]:
        """Serve `server`, which has not been started; where clients find it."""
        raise NotImplementedError

    async def connect(self, address: Any, headers: Mapping[str, str]) -> Peer:
        """A client that has connected.

        Args:
            address: What `served` gave.
            headers: What its request has, beside what it must have.

        Raises:
            Refused: It is not let in.
        """
        return await WebSocketPeer.connect(address, headers, tls=self.tls)

    @asynccontextmanager
    async def house(self, **options: Any) -> AsyncIterator[House]:
        """A door that is served; in the end no ear has had anything to complain of."""
        door = Door(**options)
        async with self.served(door) as address:
            house = House(self, door, address)
            try:
                yield house
            finally:
                for peer in house.peers:
                    await peer.vanish()
                await door.stop()
        faults = [fault for ear in door.ears for fault in ear.faults]
        assert not faults, faults
        for ear in door.ears:
            pressure = [each for each in ear.told if each in ("blocked", "drained")]
            assert "blocked blocked" not in " ".join(pressure), "`blocked` twice"
            assert "drained drained" not in " ".join(pressure), "`drained` twice"

    # 1. Each message is one call of `receive` of whoever is the receiver then, in order.

    @_on_a_loop
    async def test_messages_come_whole_and_in_order(self) -> None:
        """Whatever text they are: it is the session that reads JSON."""
        sent = STRANGE + [f"{number}" for number in range(200)]
        async with self.house() as house:
            peer, ear = await house.client()
            for text in sent:
                await peer.send(text)
            await ear.until(lambda: len(ear.heard) >= len(sent))
            assert ear.heard == sent

    @_on_a_loop
    async def test_several_messages_at_once_come_one_by_one(self) -> None:
        """A read that brings many is as many calls."""
        sent = [f"{number}" for number in range(500)]
        async with self.house() as house:
            peer, ear = await house.client()
            await peer.send(*sent)
            await ear.until(lambda: len(ear.heard) >= len(sent))
            assert ear.heard == sent

    @_on_a_loop
    async def test_a_message_may_hand_the_client_over(self) -> None:
        """The next one is for the other receiver, though it came with it."""
        async with self.house() as house:
            peer, ear = await house.client()
            other = Ear(ear.transport)
            house.door.ears.append(other)

            def hand_over(_: str) -> None:
                ear.transport.receiver = other

            ear.on_message = hand_over
            await peer.send("resume", "1", "2")
            await other.until(lambda: len(other.heard) >= 2)
            await peer.leave()
            await other.until(lambda: "lost" in other.told)
            assert (ear.heard, other.heard) == (["resume"], ["1", "2"])
            assert "lost" not in ear.told

    # 2. `flush`, where the transport `gathers`.

    @_on_a_loop
    async def test_flush_follows_what_was_brought(self) -> None:
        """Before the loop goes on; a transport that does not gather never calls it."""
        async with self.house() as house:
            peer, ear = await house.client()
            other = Ear(ear.transport)
            house.door.ears.append(other)

            def hand_over(text: str) -> None:
                if text == "10":
                    ear.transport.receiver = other

            ear.on_message = hand_over
            await peer.send(*[f"{number}" for number in range(20)])
            await other.until(lambda: len(other.heard) >= 9)
            await house.settle()
            for each in (ear, other):
                assert bool(each.flushes) == ear.transport.gathers
                assert each.unflushed != ear.transport.gathers

    # 3. Frames arrive in order and whole.

    @_on_a_loop
    async def test_frames_arrive_whole_and_in_order(self) -> None:
        """Of one call and of many, small and large."""
        sizes = (1, 124, 125, 126, 65_535, 65_536, 300_000)
        texts = [json.dumps(f"{number} " + "<é>" * size) for number, size in enumerate(sizes)]
        texts += [f'"{number}"' for number in range(300)]
        async with self.house() as house:
            peer, ear = await house.client()
            ear.send(*texts)
            for text in texts:
                ear.send(text)
            ear.send()
            assert [await peer.receive() for _ in texts * 2] == texts * 2

    @_on_a_loop
    async def test_one_frame_for_many_clients(self) -> None:
        """They are given the same list, and none of them the others' share."""
        async with self.house() as house:
            clients = [await house.client() for _ in range(4)]
            for number in range(20):
                frames = [Frame(b'"%d"' % number), Frame(b'"and"')]
                for _, ear in clients:
                    ear.do(ear.transport.send, frames)
            for peer, _ in clients:
                heard = [await peer.receive() for _ in range(40)]
                assert heard[::2] == [f'"{number}"' for number in range(20)]
                assert heard[1::2] == ['"and"'] * 20

    # 4. `lost` once, and nothing after it.

    @_on_a_loop
    async def test_a_client_that_leaves_is_lost_once(self) -> None:
        """All it sent before comes before; then nothing more is to be had of the transport."""
        async with self.house() as house:
            peer, ear = await house.client()
            await peer.send("1", "2")
            await peer.leave()
            await self._is_over(house, ear)
            assert ear.told == ["receive", "receive", "lost"]

    @_on_a_loop
    async def test_a_client_that_vanishes_is_lost_once(self) -> None:
        """Without a word."""
        async with self.house() as house:
            peer, ear = await house.client()
            await peer.vanish()
            await self._is_over(house, ear)
            assert ear.told == ["lost"]

    async def _is_over(self, house: House, ear: Ear) -> None:
        await ear.until(lambda: "lost" in ear.told)
        assert ear.transport.receiver is None, "a lost client still has a receiver"
        ear.send('"too late"')
        ear.do(ear.transport.pause_reading)
        ear.do(ear.transport.resume_reading)
        ear.do(ear.transport.close, 1000, "Normal closure")
        await ear.transport.wait_closed()
        await house.settle()
        assert ear.told.count("lost") == 1

    @_on_a_loop
    async def test_without_a_receiver_nobody_is_told(self) -> None:
        """Whoever took the receiver away wants to hear no more."""
        async with self.house() as house:
            peer, ear = await house.client()
            ear.transport.receiver = None
            await peer.send("1")
            await peer.leave()
            await house.settle()
            assert ear.told == []

    # 5. `close` sends what waits, then code and reason; nothing comes or goes after it.

    @_on_a_loop
    async def test_close_comes_after_all_that_was_sent(self) -> None:
        """With its code and reason."""
        texts = [json.dumps(f"{number}" + "x" * 9_000) for number in range(100)]
        async with self.house() as house:
            peer, ear = await house.client()
            ear.send(*texts)
            ear.do(ear.transport.close, 1001, "Server is going away")
            assert [await peer.receive() for _ in texts] == texts
            assert await peer.receive() is None
            assert peer.closed == (1001, "Server is going away")
            await ear.transport.wait_closed()
            await ear.until(lambda: "lost" in ear.told)

    @_on_a_loop
    async def test_close_is_final(self) -> None:
        """The first one counts, and after it nothing is sent or brought."""
        async with self.house() as house:
            peer, ear = await house.client()
            ear.do(ear.transport.close, 1001, "The first")
            ear.send('"too late"')
            ear.do(ear.transport.close, 1011, "The second")
            await peer.send("too late", "and later")
            assert await peer.receive() is None
            assert peer.closed == (1001, "The first")
            await ear.transport.wait_closed()
            await ear.until(lambda: "lost" in ear.told)
            assert ear.told == ["lost"]

    @_on_a_loop
    async def test_a_client_that_takes_nothing_is_cut_off(self) -> None:
        """It does not keep whoever waits for its end, nor what was to be sent."""
        async with self.house(high_water=HIGH_WATER) as house:
            peer, ear = await house.client()
            count = await self._block(ear)
            ear.do(ear.transport.close, 1001, "Server is going away")
            await ear.transport.wait_closed()
            await ear.until(lambda: "lost" in ear.told)
            if self.cuts_off:
                taken = 0
                while await peer.receive() is not None:
                    taken += 1
                assert taken < count
                assert peer.closed is None

    # 6. `blocked` above the high-water mark, `drained` at half of it.

    @_on_a_loop
    async def test_blocked_and_drained(self) -> None:
        """Once each, neither too early nor too late, and nothing is lost meanwhile."""
        async with self.house(high_water=HIGH_WATER) as house:
            peer, ear = await house.client()
            for _ in range(2):
                del ear.told[:]
                count = await self._block(ear)
                await house.settle()
                assert ear.told == ["blocked"]
                taken = 0
                if self.counts_bytes:
                    while (count - taken) * PIECE > HIGH_WATER // 2 + KERNEL:
                        assert await peer.receive() == _piece(taken)
                        taken += 1
                    await house.settle()
                    assert ear.told == ["blocked"], "`drained` while more than half waits"
                    while (count - taken) * PIECE > HIGH_WATER // 2 - PIECE:
                        assert await peer.receive() == _piece(taken)
                        taken += 1
                    await ear.until(lambda: "drained" in ear.told)
                for number in range(taken, count):
                    assert await peer.receive() == _piece(number)
                await ear.until(lambda: "drained" in ear.told)
                await house.settle()
                assert ear.told == ["blocked", "drained"]

    @_on_a_loop
    async def test_a_blocked_client_may_be_handed_over(self) -> None:
        """`drained` is for whoever is the receiver by then."""
        async with self.house(high_water=HIGH_WATER) as house:
            peer, ear = await house.client()
            count = await self._block(ear)
            other = Ear(ear.transport)
            house.door.ears.append(other)
            ear.transport.receiver = other
            for number in range(count):
                assert await peer.receive() == _piece(number)
            await other.until(lambda: other.told)
            await house.settle()
            assert (ear.told, other.told) == (["blocked"], ["drained"])

    async def _block(self, ear: Ear) -> int:
        """Send until the transport says `blocked`; how many pieces."""
        count = 0
        waiting = ear.transport.high_water
        while "blocked" not in ear.told:
            ear.send(_piece(count))
            count += 1
            if count * PIECE < waiting:  # what surrounds a message counts, too
                assert "blocked" not in ear.told, "`blocked` below the high-water mark"
            assert count * PIECE < waiting + 4 * KERNEL, "`blocked` never came"
            await asyncio.sleep(0)
        return count

    # 7. `pause_reading` and `resume_reading`.

    @_on_a_loop
    async def test_a_paused_transport_brings_nothing(self) -> None:
        """Not even what came in the same read; then all of it, but not from within the call."""
        sent = [f"{number}" for number in range(10)]
        async with self.house() as house:
            peer, ear = await house.client()

            def pause(text: str) -> None:
                if text in ("1", "5"):
                    ear.do(ear.transport.pause_reading)
                    ear.do(ear.transport.pause_reading)

            ear.on_message = pause
            sending = asyncio.ensure_future(peer.send(*sent))
            for count in (2, 6):
                await ear.until(lambda count=count: len(ear.heard) >= count)  # type: ignore[misc]
                await house.settle()
                assert ear.heard == sent[:count]
                ear.do(ear.transport.resume_reading)
                ear.do(ear.transport.resume_reading)
                assert ear.heard == sent[:count], "brought from within `resume_reading`"
            await ear.until(lambda: len(ear.heard) >= 10)
            await sending
            await peer.send("last")
            await ear.until(lambda: "last" in ear.heard)
            assert ear.heard == [*sent, "last"]

    @_on_a_loop
    async def test_a_paused_transport_holds_its_client_back(self) -> None:
        """A flood stays with who makes it: memory is bounded, and nothing of it is lost."""
        text = "x" * 60_000
        count = 4 * KERNEL // len(text)
        async with self.house() as house:
            peer, ear = await house.client()
            ear.do(ear.transport.pause_reading)
            sent = 0

            async def flood() -> None:
                nonlocal sent
                for number in range(count):
                    await peer.send(f"{number} {text}")
                    sent += 1

            flooding = asyncio.ensure_future(flood())
            before = -1
            while sent > before:
                before = sent
                await house.settle()
            assert ear.heard == []
            assert sent < count or not self.holds_back, "the client could send all it had"
            ear.do(ear.transport.resume_reading)
            await ear.until(lambda: len(ear.heard) >= count)
            await flooding
            assert [each.split()[0] for each in ear.heard] == [f"{n}" for n in range(count)]

    # 8. What a receiver may do while it is told.

    @_on_a_loop
    async def test_a_receiver_may_use_the_transport(self) -> None:
        """Send, pause, resume from within `receive`: it is told nothing meanwhile."""
        async with self.house() as house:
            peer, ear = await house.client()

            def answer(text: str) -> None:
                ear.do(ear.transport.pause_reading)
                ear.send(text, text)
                ear.do(ear.transport.resume_reading)

            ear.on_message = answer
            sent = [f'"{number}"' for number in range(50)]
            await peer.send(*sent)
            heard = [await peer.receive() for _ in sent * 2]
            assert heard[::2] == heard[1::2] == sent

    @_on_a_loop
    async def test_a_receiver_may_close(self) -> None:
        """From within `receive`: what came in the same read is brought no more."""
        async with self.house() as house:
            peer, ear = await house.client()

            def close(text: str) -> None:
                ear.send(f'"{text}"')
                ear.do(ear.transport.close, 1000, "Normal closure")

            ear.on_message = close
            await peer.send("1", "2", "3")
            assert await peer.receive() == '"1"'
            assert await peer.receive() is None
            assert peer.closed == (1000, "Normal closure")
            await ear.until(lambda: "lost" in ear.told)
            assert ear.told == ["receive", "lost"]

    @_on_a_loop
    async def test_an_exception_ends_its_client_alone(self) -> None:
        """It is closed with 1011 and lost; the transport logs it."""
        async with self.house() as house:
            await house.settle()
            peer, ear = await house.client()

            def fail(_: str) -> None:
                raise ValueError("an exception of the contract's")

            ear.on_message = fail
            await peer.send("1", "2")
            assert await peer.receive() is None
            assert peer.closed is not None, "cut off without a word"
            assert peer.closed[0] == 1011
            await ear.until(lambda: "lost" in ear.told)
            await house.settle()
            assert ear.told == ["receive", "lost"]

    # 9. Bad input.

    @_on_a_loop
    async def test_bad_input_reaches_nobody_else(self) -> None:
        """What is no text, and what breaks the rules: the others notice nothing."""
        async with self.house() as house:
            await house.settle()
            bad, unheard = await house.client()
            await bad.misbehave()
            await house.settle()
            assert unheard.heard == []
            odd, _ = await house.client()
            await odd.send_bytes(b'"\xff\xfe"')
            await house.settle()
            peer, ear = await house.client()
            await peer.send("good")
            await ear.until(lambda: ear.heard == ["good"])

    @_on_a_loop
    async def test_a_message_that_is_too_large_is_not_brought(self) -> None:
        """Its client is closed or refused; one that is not goes through."""
        async with self.house(max_message_size=MAX_MESSAGE_SIZE) as house:
            peer, ear = await house.client()
            await peer.send("x" * (MAX_MESSAGE_SIZE - 100))
            await ear.until(lambda: len(ear.heard) == 1)
            await peer.send_too_much("é" * (MAX_MESSAGE_SIZE // 2 + 1))
            await house.settle()
            assert len(ear.heard) == 1

    # 10. What is known of a client.

    @_on_a_loop
    async def test_what_is_known_of_a_client(self) -> None:
        """Its address and TLS as the socket has them, and headers that handlers may see."""
        async with self.house() as house:
            _, ear = await house.client(
                User_Agent="contract",
                X_Forwarded_For="192.0.2.1",
                X_Forwarded_Proto="http" if self.secure else "https",
                Authorization="Bearer secret",
                Cookie="sessionid=secret",
                X_Other="secret",
            )
            transport = ear.transport
            assert transport.address == self.address
            assert transport.secure is self.secure
            assert transport.headers["user-agent"] == "contract"
            assert transport.headers["x-forwarded-for"] == "192.0.2.1"
            assert "secret" not in str(transport.headers)
            assert transport.cookies is None, "cookies that nobody asked for"

    @_on_a_loop
    async def test_cookies_only_of_pages_that_are_known(self) -> None:
        """Where the server wants them, of a page of our own host."""
        async with self.house() as house:
            house.door.wants_cookies = True
            _, ear = await house.client(Cookie="a=1")
            assert ear.transport.cookies is None, "cookies of nobody knows which page"
            if self.brings_cookies:
                origin = "http://127.0.0.1"
                _, ear = await house.client(Cookie="a=1", Origin=origin)
                assert ear.transport.cookies == Cookies("a=1", origin)
                assert "cookie" not in ear.transport.headers

    @_on_a_loop
    async def test_pages_of_others_are_refused(self) -> None:
        """A page of any other host could talk to us through its reader's browser."""
        async with self.house() as house:
            await house.settle()
            if self.checks_origin:
                try:
                    await house.client(Origin="https://elsewhere.example")
                except Refused:
                    return
                raise AssertionError("a page of another host was let in")

    # 11. The server.

    @_on_a_loop
    async def test_a_server_that_stops_says_so(self) -> None:
        """It waits until its clients have taken it, and may be started again by the next."""
        async with self.house() as house:
            peer, ear = await house.client()
            ear.send('"last"')
            stopping = asyncio.ensure_future(house.door.stop())
            assert await peer.receive() == '"last"'
            assert await peer.receive() is None
            assert peer.closed is not None, "cut off without a word"
            assert peer.closed[0] == 1001
            await stopping
            await ear.until(lambda: "lost" in ear.told)
            peer, ear = await house.client()
            await peer.send("again")
            await ear.until(lambda: ear.heard)

    @_on_a_loop
    async def test_a_session_may_be_resumed(self) -> None:
        """A whole session: a client vanishes, comes back, and is told what it missed."""
        server = Server()
        go_on = asyncio.Event()

        @server.publish("numbers")
        async def numbers(ctx: Any) -> None:
            ctx.added("numbers", "1", {})
            ctx.ready()
            await go_on.wait()
            ctx.added("numbers", "2", {})

        async with self.served(server) as address:
            try:
                peer = await self.connect(address, {})
                connect: dict[str, Any] = {"msg": "connect", "version": "1", "support": ["1"]}
                await peer.send(json.dumps(connect))
                session = (await _message(peer, "connected"))["session"]
                await peer.send('{"msg":"sub","id":"s","name":"numbers","params":[]}')
                await _message(peer, "ready")
                await peer.vanish()
                peer = await self.connect(address, {})
                await peer.send(json.dumps(connect | {"session": session, "receivedCount": 3}))
                assert (await _message(peer, "connected"))["session"] == session
                go_on.set()
                assert (await _message(peer, "added"))["id"] == "2"
                await peer.leave()
            finally:
                await peer.vanish()
                await server.stop()


def _piece(number: int) -> str:
    return json.dumps(f"{number}").ljust(PIECE)


async def _message(peer: Peer, kind: str) -> dict[str, Any]:
    while True:
        text = await peer.receive()
        assert text is not None, f"closed: {peer.closed}"
        message: dict[str, Any] = json.loads(text)
        if message.get("msg") == kind:
            return message
