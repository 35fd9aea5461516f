"""The life of a session as a table: in which state it is, what happens, in which state it is then.

The machine moves by this table alone, and the picture in docs/architecture.md is made from it
(scripts/state_picture.py).
"""

from __future__ import annotations

from enum import Enum

from ddpcore.errors import DDPError

__all__ = ["TRANSITIONS", "Event", "State", "after"]


class State(Enum):
    """Where a session stands."""

    NEW = "a socket that has not connected"
    CONNECTED = "with its client"
    DETACHED = "waiting for its client's return"
    CLOSED = "over"


class Event(Enum):
    """What moves a session."""

    CONNECT = "connect"
    REFUSE = "connect, of a version not spoken"
    HAND_OVER = "connect, to resume another session"
    TIMEOUT = "no connect in time"
    LOSE = "socket lost, silence"
    LEAVE = "socket lost, not to return"
    RESUME = "resume"
    OVERFLOW = "too many frames wait"
    EXPIRE = "grace is over, client went on elsewhere"
    CLOSE = "close"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.NEW, Event.CONNECT): State.CONNECTED,
    (State.NEW, Event.REFUSE): State.CLOSED,
    (State.NEW, Event.HAND_OVER): State.CLOSED,
    (State.NEW, Event.TIMEOUT): State.CLOSED,
    (State.NEW, Event.LEAVE): State.CLOSED,
    (State.NEW, Event.CLOSE): State.CLOSED,
    (State.CONNECTED, Event.LOSE): State.DETACHED,
    (State.CONNECTED, Event.RESUME): State.CONNECTED,  # at a new socket, the old one half open
    (State.CONNECTED, Event.LEAVE): State.CLOSED,
    (State.CONNECTED, Event.CLOSE): State.CLOSED,
    (State.DETACHED, Event.RESUME): State.CONNECTED,
    (State.DETACHED, Event.OVERFLOW): State.CLOSED,
    (State.DETACHED, Event.EXPIRE): State.CLOSED,
    (State.DETACHED, Event.CLOSE): State.CLOSED,
}


def after(state: State, event: Event) -> State:
    """The state that follows.

    Raises:
        ddpcore.DDPError: This cannot happen in this state: a mistake of whoever drives the session.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise DDPError(f"A session that is {state.name} cannot {event.name}.") from None
