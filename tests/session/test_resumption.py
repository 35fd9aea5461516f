"""Sessions that survive their sockets: reference statements T1 to T15, against the machines.

`World` is a little server of machines alone: sockets, and the sessions they are bound to.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ddpcore.live.document import Document
from ddpcore.session.machine import Invocation, Session, State, Subscription
from ddpcore.session.outbox import REPLAY_BYTES, Outbox
from ddpcore.wire import messages
from ddpcore.wire.frame import Frame


class Socket:
    """One client socket; `received` counts as a Meteor 3.5 client does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.said: list[dict[str, Any]] = []
        self.received = 0
        self.closed: tuple[int, str] | None = None
        self.reading = True
        world.made += 1
        self.peer = Peer(world, self, f"session{world.made}")

    def put(self, **message: Any) -> None:
        self.peer.session.receive(json.dumps(message), self.world.now)

    def connect(self, session: str | None = None, received: Any = None, version: str = "1") -> None:
        more = {} if session is None else {"session": session}
        more |= {} if received is None else {"receivedCount": received}
        self.put(msg="connect", version=version, support=[version], **more)

    def lose(self) -> None:
        self.peer.session.lost(self.world.now)

    @property
    def session(self) -> str:
        return next(m["session"] for m in reversed(self.said) if m["msg"] == "connected")

    @property
    def story(self) -> list[str]:
        return [m["msg"] for m in self.said]


class Peer:
    """The effects of one machine."""

    def __init__(self, world: World, socket: Socket, id: str) -> None:
        self.world, self.socket = world, socket
        self.methods: list[Invocation] = []
        self.publications: list[Subscription] = []
        self.opens = self.ends = self.stops = 0
        self.session = Session(
            id,
            self,
            methods={"m"},
            publications={"p"},
            now=world.now,
            **world.options,
        )

    def wake(self) -> None:
        while self.session.outbox.pending:
            for frame in self.session.outbox.take():
                self.say(frame)

    def say(self, frame: Frame) -> None:
        message = json.loads(frame.data)
        self.socket.said.append(message)
        if message["msg"] not in ("ping", "pong"):
            self.socket.received += 1

    def close(self, code: int, reason: str) -> None:
        self.socket.closed = self.socket.closed or (code, reason)

    def opened(self) -> None:
        self.opens += 1
        self.world.sessions[self.session.id] = self

    def ended(self) -> None:
        self.ends += 1
        self.world.sessions.pop(self.session.id, None)

    def resume(self, session: object, received: object, version: str) -> bool:
        earlier = self.world.sessions.get(session)
        if earlier is None:
            return False
        if not earlier.session.can_resume(received, version):
            earlier.session.expire()
            return False
        earlier.socket.closed = earlier.socket.closed or (1000, "")
        earlier.socket, self.socket.peer = self.socket, earlier
        earlier.session.resume(received, self.world.now)
        return True

    def start_method(self, invocation: Invocation) -> None:
        self.methods.append(invocation)

    def start_subscription(self, subscription: Subscription) -> None:
        self.publications.append(subscription)

    def stopped(self, subscription: Subscription) -> None:
        self.stops += 1

    def pause_reading(self) -> None:
        self.socket.reading = False

    def resume_reading(self) -> None:
        self.socket.reading = True

    def done(self, invocation: Invocation) -> None:
        self.session.method_done(invocation, messages.result(invocation.id), outstanding=False)


class World:
    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        self.made = 0
        self.options = options
        self.sessions: dict[object, Peer] = {}

    def connected(self, session: str | None = None, received: Any = None) -> Socket:
        socket = Socket(self)
        socket.connect(session, received)
        return socket

    def back(self, lost: Socket, lacking: int = 0) -> Socket:
        """The client of a lost socket returns, not having got its last `lacking` frames."""
        return self.connected(lost.session, lost.received - lacking)


def test_t1_a_first_connect_gets_a_new_session_and_an_old_client_does_too():
    world = World()
    first = world.connected()
    first.lose()
    old_client = world.connected(first.session)  # it never says receivedCount
    assert old_client.session != first.session
    assert first.peer.ends == 1  # nobody will come back to it


def test_t2_the_count_decides():
    world = World()
    first = world.connected()
    first.lose()
    again = world.connected(first.session, 1)
    assert again.session == first.session
    for wrong in (3, 99):
        socket = world.connected()
        socket.lose()
        assert world.connected(socket.session, wrong).session != socket.session
        assert world.connected(socket.session, 1).session != socket.session  # gone by now
        assert socket.peer.ends == 1


@pytest.mark.parametrize("count", ["1", 1.5, True, -1, [], None])
def test_t3_an_odd_count_means_a_new_session_and_no_error(count):
    world = World()
    first = world.connected()
    first.lose()
    second = world.connected(first.session, count)
    assert second.story == ["connected"]
    assert second.session != first.session


def test_t4_pings_and_pongs_do_not_count_but_errors_do():
    world = World()
    socket = world.connected()
    for message in ({"msg": "ping"}, {"msg": "pong"}, {"server_id": "0"}, {"msg": "odd"}):
        socket.put(**message)
    assert socket.story == ["connected", "pong", "error", "error"]
    assert socket.received == 3
    socket.lose()
    assert world.back(socket).session == socket.session


def test_t5_counting_goes_on_over_several_returns():
    world = World()
    socket = world.connected()
    peer = socket.peer
    received = 1
    for n in range(3):
        socket.lose()
        for k in range(2):
            peer.session.subscriptions.clear()
            peer.session._send(messages.error(f"{n} {k}"))
        socket = world.connected(socket.session, received)
        received += 1 + 2  # the new `connected`, and the two that waited
        assert socket.story == ["connected", "error", "error"]
        assert socket.peer is peer


def test_t6_connected_comes_first_then_what_waited_then_what_is_new():
    world = World()
    socket = world.connected()
    socket.put(msg="sub", id="s", name="p")
    peer = socket.peer
    [subscription] = peer.publications
    socket.lose()
    peer.session.added(subscription, Document.of("c", "1", {"a": 1}))
    peer.session.ready(subscription)
    socket = world.back(socket)
    peer.session.added(subscription, Document.of("c", "2", {}))
    assert socket.story == ["connected", "added", "ready", "added"]


def test_t7_a_subscription_asked_again_is_the_one_there_is():
    world = World()
    socket = world.connected()
    socket.put(msg="sub", id="s", name="p")
    peer = socket.peer
    peer.session.handler_settled(peer.publications[0])
    peer.session.ready(peer.publications[0])
    socket.lose()
    socket = world.back(socket)
    socket.put(msg="sub", id="s", name="p")
    assert socket.story == ["connected"]
    assert len(peer.publications) == 1
    socket.put(msg="sub", id="new", name="p")
    assert len(peer.publications) == 2


def test_t8_nothing_is_opened_twice_and_the_user_stays():
    world = World()
    socket = world.connected()
    peer = socket.peer
    peer.session.begin_rerun("ann")
    peer.session.finish_rerun()
    socket.lose()
    world.back(socket)
    assert (peer.opens, peer.ends, peer.session.user_id) == (1, 0, "ann")


def test_t9_who_says_goodbye_is_not_waited_for():
    world = World()
    socket = world.connected()
    socket.put(msg="disconnect")
    assert socket.story == ["connected"]
    socket.lose()
    assert socket.peer.ends == 1
    assert world.back(socket).session != socket.session


def test_t10_the_end_comes_once_and_after_the_grace():
    world = World(grace_period=10)
    socket = world.connected()
    socket.put(msg="sub", id="s", name="p")
    socket.lose()
    session = socket.peer.session
    assert session.state is State.DETACHED
    assert session.deadline == 10
    session.tick(9.9)
    assert socket.peer.ends == 0
    session.tick(10)
    assert (socket.peer.ends, socket.peer.stops, session.state) == (1, 1, State.CLOSED)
    session.tick(11)
    session.lost(11)
    assert socket.peer.ends == 1
    assert world.back(socket).session != socket.session


def test_t11_a_hundred_frames_may_wait_and_one_more_is_too_many():
    world = World(grace_queue=100)
    for frames, survives in ((100, True), (101, False)):
        socket = world.connected()
        session = socket.peer.session
        socket.lose()
        for n in range(frames):
            session._send(messages.error(str(n)))
        session._send(Frame(b"{}")) if not survives else None
        assert (world.back(socket).session == socket.session) == survives


def test_t12_a_session_that_is_closed_is_gone():
    world = World()
    attached, detached = world.connected(), world.connected()
    detached.lose()
    for socket in (attached, detached):
        socket.peer.session.close()
        assert socket.peer.ends == 1
        assert world.back(socket).session != socket.session


def test_t13_silence_detaches_and_the_heart_beats_again_after_the_return():
    world = World(heartbeat_interval=5, heartbeat_timeout=5)
    socket = world.connected()
    session = socket.peer.session
    for world.now in (5.0, 10.0, 15.0):
        session.tick(world.now)
    assert socket.closed is not None
    assert session.state is State.DETACHED
    socket = world.back(socket)
    assert socket.session == session.id
    assert session.deadline == 20
    session.tick(20.0)
    session.tick(25.0)
    assert "ping" in socket.story


def test_t14_a_method_that_is_asked_again_runs_once():
    world = World()
    socket = world.connected()
    socket.put(msg="method", id="running", method="m")
    socket.put(msg="method", id="waiting", method="m")
    peer = socket.peer
    socket.lose()
    socket = world.back(socket)
    for id in ("running", "waiting"):
        socket.put(msg="method", id=id, method="m")
    while [each for each in peer.methods if not each.unblocked]:
        peer.done(next(each for each in peer.methods if not each.unblocked))
    assert [each.id for each in peer.methods] == ["running", "waiting"]
    for id in ("running", "waiting"):
        assert [m["msg"] for m in socket.said if id in (m.get("id"), *m.get("methods", ()))] == [
            "updated",
            "result",
        ]


def test_an_answer_lost_in_flight_is_sent_again_and_the_method_is_not_run_again():
    world = World()
    socket = world.connected()
    socket.put(msg="method", id="1", method="m")
    peer = socket.peer
    peer.done(peer.methods[0])
    socket.lose()
    socket = world.back(socket, lacking=2)
    socket.put(msg="method", id="1", method="m")
    assert socket.story == ["connected", "updated", "result"]
    assert len(peer.methods) == 1
    # Later, the same id is a new call.
    socket.put(msg="method", id="1", method="m")
    assert len(peer.methods) == 2


def test_a_method_whose_result_came_but_not_its_updated_is_not_run_again():
    world = World()
    socket = world.connected()
    socket.put(msg="method", id="1", method="m")
    peer = socket.peer
    peer.session.method_done(peer.methods[0], messages.result("1"), outstanding=True)
    socket.lose()
    socket = world.back(socket)
    socket.put(msg="method", id="1", method="m")
    peer.session.method_updated(peer.methods[0])
    assert socket.story == ["connected", "updated"]
    assert len(peer.methods) == 1


def test_a_subscription_that_ended_meanwhile_is_not_started_by_being_asked_again():
    world = World()
    socket = world.connected()
    socket.put(msg="sub", id="s", name="p")
    peer = socket.peer
    peer.session.handler_settled(peer.publications[0])
    socket.lose()
    peer.session.stop(peer.publications[0])
    socket = world.back(socket)
    socket.put(msg="sub", id="s", name="p")
    assert socket.story == ["connected", "nosub"]
    assert len(peer.publications) == 1
    socket.put(msg="sub", id="s", name="p")  # the client means it now
    assert len(peer.publications) == 2


def test_a_subscription_asked_again_does_not_start_anew_when_it_ends_before_its_turn():
    world = World()
    socket = world.connected()
    socket.put(msg="sub", id="s", name="p")
    peer = socket.peer
    peer.session.handler_settled(peer.publications[0])
    socket.put(msg="method", id="1", method="m")  # holds the queue
    socket.lose()
    socket = world.back(socket)
    socket.put(msg="method", id="1", method="m")
    socket.put(msg="sub", id="s", name="p")
    peer.session.stop(peer.publications[0])
    peer.done(peer.methods[0])
    assert socket.story == ["connected", "nosub", "updated", "result"]
    assert len(peer.publications) == 1


def test_a_subscription_that_waits_for_its_turn_is_answered_once():
    world = World()
    socket = world.connected()
    socket.put(msg="method", id="1", method="m")  # holds the queue
    socket.put(msg="sub", id="s", name="unknown")
    peer = socket.peer
    socket.lose()
    socket = world.back(socket)
    socket.put(msg="sub", id="s", name="unknown")
    peer.done(peer.methods[0])
    assert socket.story == ["connected", "updated", "result", "nosub"]


def test_who_ends_a_subscription_after_the_return_may_ask_for_the_id_again():
    world = World()
    socket = world.connected()
    socket.put(msg="sub", id="s", name="p")
    peer = socket.peer
    peer.session.handler_settled(peer.publications[0])
    socket.lose()
    socket = world.back(socket)
    socket.put(msg="unsub", id="s")
    socket.put(msg="sub", id="s", name="p")
    assert socket.story == ["connected", "nosub"]
    assert len(peer.publications) == 2


@pytest.mark.parametrize("kind", [["sub"], {"sub": 1}, 1, True])
def test_odd_kinds_of_messages_are_bad_requests_also_after_a_return(kind):
    world = World()
    socket = world.connected()
    socket.put(msg="method", id="1", method="m")
    socket.lose()
    socket = world.back(socket)
    socket.put(msg=kind, id="1")
    peer = socket.peer
    peer.done(peer.methods[0])
    assert socket.story == ["connected", "updated", "result", "error"]


def test_old_connecteds_are_not_sent_again():
    world = World()
    socket = world.connected()
    socket.lose()
    second = world.back(socket)
    second.lose()
    third = world.connected(socket.session, 1)  # the second `connected` was lost
    assert third.story == ["connected"]
    third.lose()
    assert world.connected(socket.session, 2).session == socket.session


def test_t15_a_half_open_socket_is_taken_over_and_never_two_share_a_session():
    world = World()
    first = world.connected()
    second = world.connected(first.session, 1)
    assert second.session == first.session
    assert first.closed is not None
    assert second.peer is world.sessions[first.session]
    third = world.connected(first.session, 99)
    assert third.session != first.session
    assert world.sessions[first.session].session.state is State.CONNECTED  # left alone
    other_version = Socket(world)
    other_version.connect(first.session, 2, version="pre2")
    assert other_version.session != first.session


def test_without_a_grace_period_nothing_is_kept():
    world = World(grace_period=0)
    socket = world.connected()
    socket.lose()
    assert socket.peer.ends == 1
    assert world.connected(socket.session, 1).session != socket.session
    live = world.connected()
    assert world.connected(live.session, 1).session != live.session


def test_a_pre1_session_resumes_without_a_heartbeat():
    world = World()
    socket = Socket(world)
    socket.connect(version="pre1")
    socket.lose()
    again = Socket(world)
    again.connect(socket.session, 1, version="pre1")
    assert again.session == socket.session
    assert again.peer.session.deadline is None


def test_a_full_queue_stops_reading_also_after_a_return():
    world = World(max_queue=4)
    socket = world.connected()
    peer = socket.peer
    for n in range(5):
        socket.put(msg="method", id=str(n), method="m")
    assert not socket.reading
    peer.session.tick(15.0)
    assert "ping" not in socket.story  # a client that nobody listens to is not silent
    socket.lose()
    socket = world.back(socket)
    assert not socket.reading
    while not socket.reading:
        peer.done(peer.methods[-1])
    assert len(peer.methods) == 3  # half of the queue is left
    while len(peer.methods) < 5:
        peer.done(peer.methods[-1])
    assert [each.id for each in peer.methods] == list("01234")


def test_a_socket_that_is_lost_twice_is_waited_for_once():
    world = World(grace_period=10)
    socket = world.connected()
    socket.lose()
    world.now = 5.0
    socket.lose()
    assert socket.peer.session.deadline == 10


def test_messages_at_a_lost_socket_are_not_heard():
    world = World()
    socket = world.connected()
    socket.lose()
    socket.put(msg="method", id="1", method="m")
    assert socket.peer.methods == []


class TestWhatIsKept:
    """Frames sent last, in case they are lost on the way."""

    def test_it_is_bounded_by_count(self):
        outbox = Outbox(lambda: None, replay=3)
        for n in range(5):
            outbox.send(Frame(b"%d" % n))
            outbox.take()
        assert [n for n in range(7) if outbox.covers(n)] == [2, 3, 4, 5]
        outbox.resume(3, Frame(b"connected"))
        assert [frame.data for frame in outbox.take()] == [b"connected", b"3", b"4"]
        assert outbox.sent == 6

    def test_it_is_bounded_by_bytes(self):
        outbox = Outbox(lambda: None, replay=100)
        for _ in range(4):
            outbox.send(Frame(b"x" * (REPLAY_BYTES // 2)))
            outbox.take()
        assert [n for n in range(6) if outbox.covers(n)] == [2, 3, 4]
        outbox.send(Frame(b"x" * (REPLAY_BYTES + 1)))
        outbox.take()
        assert [n for n in range(7) if outbox.covers(n)] == [5]
