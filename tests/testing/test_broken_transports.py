"""Every test of the contract can fail: for each there are broken transports that it catches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from transports import Contract, MemoryContract, TornadoContract

from ddpcore.testing.transport_contract import TransportContract
from ddpcore.transport import Cookies, MemoryTransport
from ddpcore_tornado import connection, websocket
from ddpcore_tornado.connection import Connection
from ddpcore_tornado.websocket import RawWebSocket

PATIENCE = 3.0  # seconds, of which most broken ones need none

Break = Callable[[pytest.MonkeyPatch], None]
MUTANTS: list[tuple[str, type[Contract], str, Break]] = []


def broken(test: str, where: type, method: str) -> Callable[[Callable[..., Any]], Any]:
    """What is decorated takes the place of a method, which it is given as its first argument."""

    def note(mutant: Callable[..., Any]) -> None:
        original = getattr(where, method)

        def put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
            def call(self: Any, *args: Any, **options: Any) -> Any:
                return mutant(lambda *other: original(self, *other, **options), self, *args)

            monkeypatch.setattr(where, method, call)

        base = MemoryContract if where is MemoryTransport else TornadoContract
        MUTANTS.append((test, base, mutant.__name__, put_in_place))

    return note


def changed(test: str, base: type[Contract], where: object, name: str, value: object) -> None:
    """An attribute has another value."""
    what = f"{name}_is_{value if isinstance(value, int) else type(value).__name__}"
    MUTANTS.append((test, base, what, lambda patch: patch.setattr(where, name, value)))


# --- 1 and 2: the way in


@broken("test_messages_come_whole_and_in_order", Connection, "_bring")
def strips_messages(original, self, receiver, message):
    original(receiver, message.strip() or "?")


@broken("test_messages_come_whole_and_in_order", Connection, "_bring")
def forgets_some_messages(original, self, receiver, message):
    if message != "7":
        original(receiver, message)


@broken("test_several_messages_at_once_come_one_by_one", Connection, "_hand_out")
def brings_a_read_backwards(original, self, items):
    original(items[::-1])


@broken("test_several_messages_at_once_come_one_by_one", Connection, "_bring")
def brings_messages_twice(original, self, receiver, message):
    original(receiver, message)
    original(receiver, message)


@broken("test_a_message_may_hand_the_client_over", Connection, "_bring")
def brings_all_to_the_first(original, self, receiver, message):
    self._first = getattr(self, "_first", receiver)
    original(self._first, message)


@broken("test_a_message_may_hand_the_client_over", Connection, "_lose")
def tells_the_first_of_its_loss(original, self):
    for ear in self._server.ears:
        if ear.transport is self and "lost" not in ear.told:
            self.receiver = None
            ear.lost()


changed(
    "test_flush_follows_what_was_brought", TornadoContract, Connection, "gathers", False
)  # and flushes all the same
changed("test_flush_follows_what_was_brought", MemoryContract, MemoryTransport, "gathers", True)

# --- 3: the way out


@broken("test_frames_arrive_whole_and_in_order", Connection, "send")
def sends_backwards(original, self, frames):
    original(frames[::-1])


@broken("test_frames_arrive_whole_and_in_order", Connection, "send")
def takes_the_list_for_its_own(original, self, frames):
    original(frames)
    frames.clear()


@broken("test_one_frame_for_many_clients", Connection, "send")
def takes_an_equal_list_for_one_that_was_sent(original, self, frames):
    if getattr(Connection, "_last", None) is not frames:
        Connection._last = frames
        original(frames)


@broken("test_one_frame_for_many_clients", Connection, "send")
def takes_a_frame_from_the_others(original, self, frames):
    original(frames)
    frames.pop()


# --- 4: the loss


@broken("test_a_client_that_leaves_is_lost_once", Connection, "_lose")
def tells_twice_of_the_loss(original, self):
    if self.receiver is not None:
        self.receiver.lost()
    original()


@broken("test_a_client_that_leaves_is_lost_once", Connection, "_lose")
def keeps_the_receiver_of_a_lost_client(original, self):
    receiver = self.receiver
    original()
    self.receiver = receiver
    self._lose = lambda: None


@broken("test_a_client_that_vanishes_is_lost_once", Connection, "_lose")
def does_not_tell_of_the_loss(original, self):
    self.receiver = None


@broken("test_without_a_receiver_nobody_is_told", Connection, "_lose")
def tells_who_is_no_receiver_any_more(original, self):
    for ear in self._server.ears:
        if ear.transport is self:
            ear.lost()


# --- 5: the close


@broken("test_close_comes_after_all_that_was_sent", Connection, "close")
def closes_without_a_reason(original, self, code, reason):
    original(code, "")


@broken("test_close_comes_after_all_that_was_sent", Connection, "close")
def throws_away_what_waits(original, self, code, reason):
    self._wire.abort()


@broken("test_close_comes_after_all_that_was_sent", MemoryTransport, "wait_closed")
async def waits_for_ever(original, self):
    await asyncio.Event().wait()


@broken("test_close_is_final", MemoryTransport, "close")
def lets_the_last_close_count(original, self, code, reason):
    original(code, reason)
    self.closed = (code, reason)


@broken("test_close_is_final", MemoryTransport, "put")
def brings_messages_after_the_close(original, self, text):
    self._receive(self.receiver, text)


@broken("test_close_is_final", MemoryTransport, "send")
def sends_after_the_close(original, self, frames):
    self._untaken += frames


changed("test_a_client_that_takes_nothing_is_cut_off", TornadoContract, connection, "CLOSE_PATIENCE", 9999)  # fmt: skip


@broken("test_a_client_that_takes_nothing_is_cut_off", Connection, "close")
def says_it_is_closed_though_it_is_not(original, self, code, reason):
    self._lose()
    self._over = True


# --- 6: blocked and drained


@broken("test_blocked_and_drained", Connection, "pause_writing")
def never_blocks(original, self):
    pass


@broken("test_blocked_and_drained", Connection, "pause_writing")
def blocks_twice(original, self):
    original()
    original()


@broken("test_blocked_and_drained", Connection, "pause_writing")
def drains_at_once(original, self):
    original()
    asyncio.get_running_loop().call_soon(self.resume_writing)


@broken("test_blocked_and_drained", Connection, "resume_writing")
def never_drains(original, self):
    pass


@broken("test_blocked_and_drained", Connection, "connection_made")
def drains_when_all_is_taken(original, self, wire):
    original(wire)
    wire.set_write_buffer_limits(self.high_water, 0)


@broken("test_blocked_and_drained", Connection, "connection_made")
def blocks_below_the_mark(original, self, wire):
    original(wire)
    wire.set_write_buffer_limits(self.high_water // 2, self.high_water // 4)


@broken("test_blocked_and_drained", Connection, "send")
def sends_nothing_while_blocked(original, self, frames):
    if self._wire.get_write_buffer_size() < self.high_water - 1_000_000:
        original(frames)


@broken("test_a_blocked_client_may_be_handed_over", Connection, "resume_writing")
def tells_who_was_blocked(original, self):
    self.receiver = next(ear for ear in self._server.ears if ear.transport is self)
    original()


# --- 7: pauses


@broken("test_a_paused_transport_brings_nothing", Connection, "pause_reading")
def brings_the_rest_of_a_read(original, self):
    self._wire.pause_reading()


@broken("test_a_paused_transport_brings_nothing", MemoryTransport, "resume_reading")
def brings_from_within_resume(original, self):
    self.reading = True
    self._bring()


@broken("test_a_paused_transport_brings_nothing", Connection, "resume_reading")
def forgets_what_it_held(original, self):
    self._held = []
    original()


@broken("test_a_paused_transport_holds_its_client_back", Connection, "pause_reading")
def reads_on_and_keeps_it(original, self):
    self._paused = True


@broken("test_a_paused_transport_holds_its_client_back", MemoryTransport, "put")
def refuses_while_paused(original, self, text):
    if self.reading:
        original(text)


# --- 8: what receivers may do


@broken("test_a_receiver_may_use_the_transport", MemoryTransport, "resume_reading")
def flushes_from_within(original, self):
    original()
    self.receiver.flush()


@broken("test_a_receiver_may_use_the_transport", Connection, "send")
def drains_from_within_send(original, self, frames):
    original(frames)
    self.receiver.drained()


@broken("test_a_receiver_may_close", Connection, "close")
def is_lost_from_within_close(original, self, code, reason):
    original(code, reason)
    self._lose()


@broken("test_a_receiver_may_close", Connection, "close")
def closes_after_the_rest_of_a_read(original, self, code, reason):
    asyncio.get_running_loop().call_soon(lambda: original(code, reason))


@broken("test_an_exception_ends_its_client_alone", Connection, "_bring")
def lets_exceptions_through(original, self, receiver, message):
    receiver.receive(message)


@broken("test_an_exception_ends_its_client_alone", MemoryTransport, "_receive")
def does_not_mind_exceptions(original, self, receiver, text):
    try:
        receiver.receive(text)
    except ValueError:
        pass


# --- 9: bad input


@broken("test_bad_input_reaches_nobody_else", Connection, "_fail")
def brings_what_is_no_message(original, self, code, reason):
    self.receiver.receive("?")
    original(code, reason)


@broken("test_bad_input_reaches_nobody_else", Connection, "_fail")
def closes_all_for_one(original, self, code, reason):
    for ear in self._server.ears:
        ear.transport.close(code, reason)


@broken("test_a_message_that_is_too_large_is_not_brought", MemoryTransport, "_receive")
def looks_at_no_size(original, self, receiver, text):
    receiver.receive(text)


@broken("test_a_message_that_is_too_large_is_not_brought", MemoryTransport, "_receive")
def counts_characters(original, self, receiver, text):
    if len(text) <= self.max_message_size:
        receiver.receive(text)


# --- 10: what is known of clients


changed("test_what_is_known_of_a_client", TornadoContract, websocket, "visible_headers", dict)


@broken("test_what_is_known_of_a_client", Connection, "connection_made")
def believes_a_header_where_a_client_is(original, self, wire):
    self.address = self.headers.get("x-forwarded-for", self.address)
    original(wire)


@broken("test_what_is_known_of_a_client", Connection, "connection_made")
def believes_a_header_that_there_is_tls(original, self, wire):
    self.secure = self.headers.get("x-forwarded-proto") == "https"
    original(wire)


@broken("test_what_is_known_of_a_client", RawWebSocket, "_cookies")
def brings_cookies_that_nobody_wants(original, self):
    return Cookies("a=1", "http://127.0.0.1")


@broken("test_cookies_only_of_pages_that_are_known", RawWebSocket, "_cookies")
def brings_cookies_of_any_page(original, self):
    return Cookies(self.request.headers.get("Cookie", ""), "")


@broken("test_cookies_only_of_pages_that_are_known", RawWebSocket, "_cookies")
def never_brings_cookies(original, self):
    return None


@broken("test_pages_of_others_are_refused", RawWebSocket, "_is_welcome")
def lets_any_page_in(original, self):
    return True


# --- 11: the server


@broken("test_a_server_that_stops_says_so", Connection, "close")
def hangs_up_without_a_word(original, self, code, reason):
    self._wire.close()


@broken("test_a_session_may_be_resumed", Connection, "send")
def sends_only_what_comes_first(original, self, frames):
    if not hasattr(self, "_sent"):
        original(frames)
    self._sent = True


# --- they are caught


@pytest.mark.parametrize(
    ("test", "base", "breaks"),
    [(test, base, breaks) for test, base, _, breaks in MUTANTS],
    ids=[f"{name}-{test}" for test, _, name, _ in MUTANTS],
)
def test_it_is_caught(test, base, breaks, monkeypatch, log_watch):
    log_watch.expect("ddpcore", "", required=False)
    log_watch.expect("ddpcore_tornado", "", required=False)
    log_watch.expect("asyncio", "", required=False)
    contract = base()
    contract.patience = PATIENCE
    monkeypatch.setattr(connection, "CLOSE_PATIENCE", PATIENCE / 10)
    breaks(monkeypatch)
    with pytest.raises((AssertionError, TimeoutError, ValueError, LookupError)):
        getattr(contract, test)()


def test_each_test_of_the_contract_can_fail():
    tests = {name for name in vars(TransportContract) if name.startswith("test_")}
    assert {test for test, *_ in MUTANTS} == tests
