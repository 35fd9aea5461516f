"""The machine of a client that does not take what it is sent."""

from __future__ import annotations

from typing import Any

from machine_world import World, connected

from ddpcore import Document
from ddpcore.session.machine import MOST_WAITING, TOO_SLOW, State
from ddpcore.session.strategy import PublicationStrategy
from ddpcore.wire import messages

HIGH_WATER = 1000


def slow(**options: Any) -> World:
    """A connected client that takes nothing, with a subscription."""
    world = connected(high_water=HIGH_WATER, **options)
    world.put(msg="sub", id="s", name="books")
    world.session.handler_settled(world.publications[0])
    world.session.blocked(0.0)
    return world


def call(world: World, id: str) -> None:
    world.put(msg="method", id=id, method="work", params=[])


def answer(world: World, size: int = 0) -> None:
    """End the method that began last."""
    invocation = world.methods[-1]
    world.session.method_done(
        invocation, messages.result(invocation.id, "x" * size), outstanding=False
    )


def test_nothing_is_said_until_it_takes_again_and_then_all_in_order():
    world = slow()
    [subscription] = world.publications
    world.publish(subscription, "1", a=1)
    world.session.ready(subscription)
    call(world, "m")
    answer(world)
    assert world.said == []
    world.session.drained()
    assert world.events[-4:] == ["added", "ready", "updated", "result"]


def test_a_deadline_counts_from_the_moment_it_blocked_and_heartbeats_do_not():
    world = slow(stuck_timeout=60.0, heartbeat_interval=15.0, heartbeat_timeout=15.0)
    assert world.session.deadline == 60.0
    world.session.tick(45.0)
    world.session.blocked(50.0)  # says nothing new
    assert (world.said, world.closed, world.session.deadline) == ([], None, 60.0)
    world.session.tick(60.0)
    assert world.closed == (TOO_SLOW, "Too slow: nothing was taken for 60 s")
    assert world.session.state is State.CLOSED


def test_a_client_that_takes_a_little_now_and_then_is_alive():
    world = slow(stuck_timeout=60.0)
    for now in (50.0, 100.0, 150.0):
        world.session.drained()
        world.session.blocked(now)
    assert world.session.deadline == 210.0
    world.session.tick(209.0)
    assert world.closed is None


def test_what_drained_counts_as_a_sign_of_life():
    world = slow(heartbeat_interval=15.0, heartbeat_timeout=15.0)
    world.session.drained()
    world.session.tick(15.0)
    assert world.said == []  # no ping: the client has just taken something
    world.session.tick(30.0)
    assert world.said == [{"msg": "ping"}]


def test_without_a_deadline_a_client_may_take_nothing_for_ever():
    world = slow(stuck_timeout=0)
    assert world.session.deadline is None
    world.session.tick(1e9)
    assert world.closed is None


def test_the_session_of_a_client_that_was_given_up_waits_for_it():
    world = slow(stuck_timeout=60.0, grace_period=15.0)
    world.session.tick(60.0)
    assert (world.session.state, world.session.deadline) == (State.DETACHED, 75.0)
    assert not world.session.outbox._traffic.blocked
    world.session.drained()  # the old socket, late
    assert world.session.outbox.blocked


def test_no_message_is_dealt_with_while_too_many_answers_wait():
    world = slow()
    call(world, "1")
    answer(world, 2 * HIGH_WATER)
    call(world, "2")
    assert [each.id for each in world.methods] == ["1"]
    world.session.drained()
    assert [each["msg"] for each in world.said] == ["updated", "result"]
    world.session.taken()
    assert [each.id for each in world.methods] == ["1", "2"]


def test_pings_are_answered_when_the_client_takes_again():
    world = slow()
    world.put(msg="ping", id="7")
    assert world.said == []
    world.session.drained()
    assert world.said == [{"msg": "pong", "id": "7"}]
    assert world.session.outbox.sent == 1  # `connected`


def test_a_client_that_asks_and_never_reads_is_left():
    world = slow()
    for n in range(MOST_WAITING * HIGH_WATER):
        world.put(msg="ping", id=str(n))
        if world.closed is not None:
            break
    assert world.closed == (TOO_SLOW, "Too slow: too many answers wait to be taken")
    assert n > MOST_WAITING * HIGH_WATER / 50
    assert world.ends == 1
    assert world.session.outbox._traffic.cut_off == 1


def test_what_cannot_be_put_together_counts_as_an_answer():
    world = slow(strategy=lambda _: PublicationStrategy.NO_MERGE_NO_HISTORY)
    [subscription] = world.publications
    for n in range(1000):
        world.session.added(subscription, Document.of("c", str(n), {"text": "x" * 100}))
    assert world.closed is not None
    assert world.closed[0] == TOO_SLOW


def test_documents_do_not_count():
    world = slow()
    [subscription] = world.publications
    for n in range(1000):
        world.session.added(subscription, Document.of("c", str(n), {"text": "x" * 100}))
    assert world.closed is None
    assert world.session.outbox.waiting == 0


def test_documents_do_not_count_while_the_client_is_away_either():
    world = slow(grace_period=15.0, grace_queue=3)
    [subscription] = world.publications
    world.session.lost(1.0)
    for n in range(10):
        world.publish(subscription, str(n), a=1)
    for n in range(10):
        world.session.changed(subscription, "c", str(n), {"a": 2})
    assert world.session.state is State.DETACHED
    for _ in range(3):
        world.session._send(messages.error("x"))
    assert world.session.state is State.DETACHED
    world.session._send(messages.error("x"))
    assert world.session.state is State.CLOSED


def test_a_client_that_reads_nothing_before_it_connects_is_limited_as_well():
    world = World(high_water=10)
    world.session.blocked(0.0)
    for _ in range(10):
        world.put(msg="what")
    assert world.closed is not None
    assert world.closed[0] == TOO_SLOW


def test_what_is_asked_meanwhile_waits_and_then_its_socket_is_not_read():
    world = slow(max_queue=3)
    call(world, "0")
    answer(world, 2 * HIGH_WATER)
    for n in range(1, 4):
        call(world, str(n))
    assert "pause" in world.events
    world.session.drained()
    world.session.taken()
    assert world.methods[-1].id == "1"


def test_errors_before_connected_do_not_count():
    world = World(grace_period=15.0)
    world.put(msg="what")
    world.put(msg="connect", version="1", support=["1"])
    assert [each["msg"] for each in world.said] == ["error", "connected"]
    assert world.session.outbox.sent == 1


def test_a_socket_that_drains_before_the_client_has_connected_says_nothing():
    world = World()
    world.session.blocked(0.0)
    world.session.drained()
    world.put(msg="connect", version="1", support=["1"])
    assert [each["msg"] for each in world.said] == ["connected"]
