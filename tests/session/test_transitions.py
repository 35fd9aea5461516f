"""The table of a session's states, and what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddpcore import DDPError
from ddpcore.session import machine
from ddpcore.session.transitions import (
    ANY,
    REACTIONS,
    TRANSITIONS,
    Event,
    Reaction,
    State,
    after,
    reaction_to,
)


def test_every_state_is_reached_and_only_the_last_is_never_left():
    assert {State.NEW, *TRANSITIONS.values()} == set(State)
    assert {state for state, _ in TRANSITIONS} == set(State) - {State.CLOSED}


def test_every_event_moves_some_state():
    assert {event for _, event in TRANSITIONS} == set(Event)


def test_the_machine_knows_every_event_and_moves_by_the_table_alone():
    code = Path(machine.__file__).read_text()
    assert [event for event in Event if f"Event.{event.name}" not in code] == []
    assert code.count("self.state = ") == 2  # NEW at first, then what the table says


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_what_is_not_in_the_table_cannot_happen(state, event):
    if (state, event) in TRANSITIONS:
        assert after(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(DDPError, match=f"A session that is {state.name} cannot {event.name}"):
            after(state, event)


def test_every_state_reacts_to_every_message():
    assert set(REACTIONS) == set(State)
    assert all(ANY in reactions for reactions in REACTIONS.values())
    assert {each for reactions in REACTIONS.values() for each in reactions.values()} == set(
        Reaction
    )


@pytest.mark.parametrize(
    ("state", "kind", "version", "reaction"),
    [
        (State.NEW, "connect", None, Reaction.NEGOTIATE),
        (State.NEW, "ping", None, Reaction.NOT_YET),
        (State.CONNECTED, "connect", "1", Reaction.NOT_AGAIN),
        (State.CONNECTED, "ping", "pre2", Reaction.ECHO),
        (State.CONNECTED, "ping", "pre1", Reaction.QUEUE),
        (State.CONNECTED, "pong", "pre1", Reaction.QUEUE),
        (State.CONNECTED, ["sub"], "1", Reaction.QUEUE),
        (State.CONNECTED, ANY, "1", Reaction.QUEUE),
        (State.DETACHED, "ping", "1", Reaction.IGNORE),
        (State.CLOSED, "connect", "1", Reaction.IGNORE),
    ],
)
def test_reactions(state, kind, version, reaction):
    assert reaction_to(REACTIONS[state], kind, version) is reaction
