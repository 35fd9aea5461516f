"""Sessions that end in the middle of something, or are changed by what is told of an end."""

from __future__ import annotations

import pytest
from machine_world import World, connected

from ddpcore import Document
from ddpcore.live.document import Step
from ddpcore.session.machine import MOST_WAITING, State
from ddpcore.session.outbox import SLICE
from ddpcore.session.strategy import PublicationStrategy
from ddpcore.wire import messages


def subscribed(world: World, id: str) -> None:
    world.put(msg="sub", id=id, name="books")
    world.session.handler_settled(world.publications[-1])


def test_a_session_that_its_own_message_ends_reads_no_more():
    """The message was one of so many that the socket is not read."""
    world = connected(max_queue=4)
    subscribed(world, "s")
    world.on_stopped = lambda _: world.session.close()
    world.put(msg="method", id="1", method="work", params=[])
    world.put(msg="unsub", id="s")
    for number in range(3):
        world.put(msg="unsub", id=str(number))
    assert world.events[-1] == "pause"
    world.done(world.methods[0])
    assert (world.closed, world.ends, world.session.state) == (
        (1000, "Normal closure"),
        1,
        State.CLOSED,
    )


@pytest.mark.parametrize("universal", [False, True])
def test_a_subscription_whose_last_words_end_the_session_is_stopped_once(universal):
    """Each `removed` of a collection that is not merged waits by itself, and they are too many."""
    world = connected(
        grace_period=10.0, grace_queue=3, strategy=lambda _: PublicationStrategy.NO_MERGE
    )
    if universal:
        subscription = world.session.start_universal(object())
    else:
        subscribed(world, "s")
        [subscription] = world.publications
    for number in range(5):
        world.publish(subscription, str(number), a=1)
    world.session.lost(0.0)
    world.session.stop(subscription)
    assert (world.session.state, world.ends) == (State.CLOSED, 1)
    assert world.events.count("stopped") == 1
    assert not subscription.active


def test_a_client_that_takes_all_it_is_given_is_not_too_slow_for_a_large_answer():
    """What came before is just leaving, slice by slice."""
    world = connected(high_water=SLICE)
    world.wake = lambda: None  # type: ignore[method-assign]
    world.session.outbox.wake = world.wake
    subscribed(world, "s")
    for number in range(3):
        world.publish(world.publications[0], str(number), text="x" * SLICE)
    world.put(msg="method", id="1", method="work", params=[])
    assert len(world.session.outbox.take()) == 1
    answer = messages.result("1", "x" * (MOST_WAITING + 1) * SLICE)
    world.session.method_done(world.methods[0], answer, outstanding=False)
    assert world.closed is None
    taken = []
    while world.session.outbox.pending:
        taken += world.session.outbox.take()
    assert taken[-1] is answer


def test_another_user_while_the_end_of_a_subscription_stops_another_one():
    """Then a live query contributes alone, for a moment, to what it shared with the other one."""
    world = connected()
    for id in "abc":
        subscribed(world, id)
    first, live, by_hand = world.publications
    document = Document.of("c", "1", {"a": 1})
    part = world.session.live_part(live)
    part.take(Step(None, document))
    part.follow({"key": document})
    world.publish(by_hand, "2", a=1)

    def stop(stopped: object) -> None:
        if stopped is first:
            world.session.stop(by_hand)

    world.on_stopped = stop
    world.said.clear()
    _, again = world.session.begin_rerun("me")
    part = world.session.live_part(again)
    part.take(Step(None, document))
    part.follow({"key": document})
    world.session.finish_rerun()
    assert world.store.docs("c") == {"1": {"a": 1}}


def test_what_a_method_wrote_comes_before_its_updated_though_subscriptions_run_again():
    world = connected()
    subscribed(world, "s")
    world.put(msg="method", id="1", method="work", params=[])
    world.done(world.methods[0], outstanding=True)
    world.said.clear()
    [again] = world.session.begin_rerun("me")
    world.publish(again, "1", a=1)
    world.session.method_updated(world.methods[0])
    world.session.ready(again)
    assert world.said == []
    world.session.finish_rerun()
    assert [each["msg"] for each in world.said] == ["added", "ready", "updated"]
