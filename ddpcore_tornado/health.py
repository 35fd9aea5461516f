"""How a process fares, and how all the workers of a command do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["Health", "State", "summary", "told"]


class State(Enum):
    """What a process is at; the values are what is told."""

    STARTING = "starting"
    SERVING = "serving"
    CUT_OFF = "cut off"
    DRAINING = "draining"
    DOWN = "down"

    @property
    def reason(self) -> str:
        """Why new clients should go elsewhere; empty: they need not."""
        return _REASONS[self]


_REASONS = {
    State.STARTING: "It does not serve yet.",
    State.SERVING: "",
    State.CUT_OFF: "The bus has lost its database, and is waiting for it.",
    State.DRAINING: "It is stopping, and takes no new clients.",
    State.DOWN: "It has ended, and is started again unless all stop.",
}


@dataclass(slots=True)
class Health:
    """How this process fares.

    Attributes:
        phase: What it is at, as far as that is its own doing.
        connected: Whether its bus has its database; asked whenever somebody wants to know.
    """

    connected: Callable[[], bool]
    phase: State = State.STARTING

    @property
    def state(self) -> State:
        """What it is at."""
        if self.phase is State.SERVING and not self.connected():
            return State.CUT_OFF
        return self.phase


def summary(workers: Mapping[int, tuple[State, int]], *, stopping: bool) -> dict[str, Any]:
    """How a command with workers fares: it serves when at least one of them does.

    Args:
        workers: The state of each by its number, and the id of its process.
        stopping: Whether all of them have been told to stop.
    """
    states = {state for state, _ in workers.values()}
    # Who of them is nearest to serving says best what the whole is at.
    order = (State.SERVING, State.CUT_OFF, State.STARTING, State.DRAINING, State.DOWN)
    state = next((each for each in order if each in states), State.STARTING)
    if stopping:
        state = State.DRAINING
    return told(state) | {
        "workers": {
            str(number): told(each) | {"process": process}
            for number, (each, process) in sorted(workers.items())
        }
    }


def told(state: State) -> dict[str, Any]:
    """A state as it is told."""
    return {"status": state.value} | ({"reason": state.reason} if state.reason else {})
