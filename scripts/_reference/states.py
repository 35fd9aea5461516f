"""The life of a session, from the tables that the machine goes by."""

from __future__ import annotations

from _reference import texts
from ddpcore.session.transitions import ANY, REACTIONS, TRANSITIONS, State

__all__ = ["REGIONS"]


def picture() -> str:
    """The transitions as a diagram of Mermaid; events that lead the same way share an arrow."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (before, event), following in TRANSITIONS.items():
        arrows.setdefault((before, following), []).append(event.value)
    lines = [
        "stateDiagram-v2",
        f"    [*] --> {State.NEW.name}",
        *(f"    {each.name}: {each.name}<br>{each.value}" for each in State),
        *(
            f"    {before.name} --> {following.name}: {'<br>'.join(events)}"
            for (before, following), events in arrows.items()
        ),
        f"    {State.CLOSED.name} --> [*]",
    ]
    return texts.fenced("\n".join(lines), "mermaid")


def reactions() -> str:
    """What each state does with each message."""
    kinds = [kind for each in REACTIONS.values() for kind in each if kind != ANY]
    rows = [
        [
            f"`{kind}`" if kind != ANY else ANY,
            *(each.get(kind, each[ANY]).value for each in REACTIONS.values()),
        ]
        for kind in [*dict.fromkeys(kinds), ANY]
    ]
    return texts.table(["message", *(state.name for state in REACTIONS)], rows)


REGIONS = {"states": picture, "reactions": reactions}
