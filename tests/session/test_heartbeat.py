"""When to ping, and when to give up: the clock is an argument."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ddpcore.session.heartbeat import Beat, Heartbeat

INTERVAL, TIMEOUT = 10.0, 4.0


def beating() -> Heartbeat:
    return Heartbeat(INTERVAL, TIMEOUT, now=0.0)


def test_028_an_idle_client_is_pinged_within_two_intervals():
    beat = beating()
    beat.seen()
    assert beat.tick(10) is Beat.NOTHING
    assert beat.tick(20) is Beat.PING


def test_029_a_message_suppresses_the_ping_of_its_tick():
    beat = beating()
    for moment in (10, 20, 30):
        beat.seen()
        assert beat.tick(moment) is Beat.NOTHING


def test_030_silence_after_a_ping_is_death():
    beat = beating()
    assert beat.tick(10) is Beat.PING
    assert beat.deadline == 14
    assert beat.tick(13.9) is Beat.NOTHING
    assert beat.tick(14) is Beat.DEAD


def test_031_any_message_after_a_ping_is_life():
    beat = beating()
    beat.tick(10)
    beat.seen()
    assert beat.deadline == 20
    assert beat.tick(14) is Beat.NOTHING
    assert beat.tick(20) is Beat.NOTHING
    assert beat.tick(30) is Beat.PING


def test_032_interval_zero_never_pings():
    beat = Heartbeat(0, TIMEOUT, now=0.0)
    assert beat.deadline is None
    assert beat.tick(1e9) is Beat.NOTHING


def test_one_ping_is_outstanding_at_most():
    beat = Heartbeat(2.0, 9.0, now=0.0)
    assert [beat.tick(moment) for moment in (2, 4, 6, 8)] == [Beat.PING] + [Beat.NOTHING] * 3
    assert beat.tick(11) is Beat.DEAD


def test_a_loop_that_slept_does_not_tick_in_bursts():
    beat = beating()
    assert beat.tick(95) is Beat.PING
    assert beat.deadline == 99


@given(st.lists(st.tuples(st.floats(0.01, 30), st.booleans()), max_size=60))
def test_a_client_dies_only_after_a_ping_and_its_whole_timeout_of_silence(schedule):
    beat, now, last_seen, pinged = beating(), 0.0, 0.0, None
    for pause, seen in schedule:
        now += pause
        if seen:
            beat.seen()
            last_seen, pinged = now, None
        verdict = beat.tick(now)
        if verdict is Beat.PING:
            assert pinged is None
            pinged = now
        elif verdict is Beat.DEAD:
            assert pinged is not None
            assert now - pinged >= TIMEOUT
            assert last_seen <= pinged
            return
        assert beat.deadline is not None
        assert beat.deadline > now
