"""The life of a session as two tables.

`TRANSITIONS`: in which state it is, what happens, in which state it is then. `REACTIONS`: in which
state it is, which message comes, what is done with it. The machine goes by these tables alone, and
the picture in docs/explanation/architecture.md is made from them (scripts/reference).
"""

from __future__ import annotations

from enum import Enum

from ddpcore.errors import DDPError

__all__ = ["DEAF", "REACTIONS", "TRANSITIONS", "Event", "Reaction", "State", "after", "reaction_to"]


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


class Reaction(Enum):
    """What is done with a message."""

    NEGOTIATE = "the version is negotiated"
    NOT_YET = "error: Must connect first"
    NOT_AGAIN = "error: Already connected"
    ECHO = "pong, past the queue"
    NOTE_LIFE = "nothing, but that it shows life"
    NOTE_LEAVING = "the client will not return"
    QUEUE = "waits for its turn"
    IGNORE = "not heard"


ANY = "any other"
"""In `REACTIONS`: whatever message is not named."""

DEAF: dict[str, Reaction] = {ANY: Reaction.IGNORE}
"""Nothing is heard."""

REACTIONS: dict[State, dict[str, Reaction]] = {
    State.NEW: {"connect": Reaction.NEGOTIATE, ANY: Reaction.NOT_YET},
    State.CONNECTED: {
        "connect": Reaction.NOT_AGAIN,
        "ping": Reaction.ECHO,
        "pong": Reaction.NOTE_LIFE,
        "disconnect": Reaction.NOTE_LEAVING,
        ANY: Reaction.QUEUE,  # method, sub, unsub; and what is unknown, to be told so in its turn
    },
    State.DETACHED: DEAF,
    State.CLOSED: DEAF,
}

UNKNOWN_TO_PRE1 = frozenset({"ping", "pong"})
"""Version pre1 of DDP has no heartbeats: to it these are unknown messages (Meteor 3.0.4)."""


def reaction_to(reactions: dict[str, Reaction], kind: object, version: str | None) -> Reaction:
    """What to do with a message.

    Args:
        reactions: Those of the session's state.
        kind: The message's `msg`, of whatever type it came.
        version: Of DDP, as negotiated.
    """
    if not isinstance(kind, str) or (version == "pre1" and kind in UNKNOWN_TO_PRE1):
        return reactions[ANY]
    return reactions.get(kind, reactions[ANY])
