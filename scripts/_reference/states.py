"""The life of a session, from the tables that the machine goes by."""

from __future__ import annotations

from html import escape

from _reference import texts
from ddpcore.session.transitions import ANY, REACTIONS, TRANSITIONS, State

__all__ = ["FILES", "REGIONS"]


# Where the states stand, and the arrows between them: corners, and the middle of the text beside.
WIDTH, HEIGHT = 1000, 470
BOX = 220, 56  # of a state
PLACES = {
    State.NEW: (140, 130),
    State.CONNECTED: (490, 130),
    State.DETACHED: (860, 130),
    State.CLOSED: (490, 400),
}
ARROWS = {
    (State.NEW, State.CONNECTED): ([(250, 130), (380, 130)], (315, 120)),
    (State.CONNECTED, State.CONNECTED): ([(450, 102), (450, 60), (530, 60), (530, 102)], (490, 50)),
    (State.CONNECTED, State.DETACHED): ([(600, 118), (750, 118)], (675, 108)),
    (State.DETACHED, State.CONNECTED): ([(750, 142), (600, 142)], (675, 162)),
    (State.NEW, State.CLOSED): ([(140, 158), (140, 400), (380, 400)], (270, 230)),
    (State.CONNECTED, State.CLOSED): ([(490, 158), (490, 372)], (590, 310)),
    (State.DETACHED, State.CLOSED): ([(860, 158), (860, 400), (600, 400)], (715, 230)),
}
LINE = 17  # pixels between lines of text


def drawing() -> str:
    """The transitions as a picture; events that lead the same way share an arrow."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (before, event), following in TRANSITIONS.items():
        arrows.setdefault((before, following), []).append(event.value)
    if missing := arrows.keys() - ARROWS.keys():
        raise SystemExit(f"scripts/_reference/states.py says not where to draw {missing}.")
    parts = [_path(*ARROWS[way][0]) for way in arrows]
    parts += [_path((490, 428), (490, 455)), _path((5, 130), (30, 130))]
    for way, events in arrows.items():
        x, y = ARROWS[way][1]
        # Upwards from the place where one stands above its arrow, and around it elsewhere.
        top = y - LINE * (len(events) - 1) / (1 if y < 130 else 2)
        parts += [_text(x, top + LINE * n, each) for n, each in enumerate(events)]
    for state, (x, y) in PLACES.items():
        wide, high = BOX
        corner = f'x="{x - wide / 2:g}" y="{y - high / 2:g}"'
        parts.append(f'<rect {corner} width="{wide}" height="{high}" rx="8"/>')
        parts.append(_text(x, y - 4, state.name, "state"))
        parts.append(_text(x, y + 15, state.value))
    return "\n".join([_HEAD, *parts, "</svg>", ""])


def _path(*points: tuple[int, int]) -> str:
    way = " L ".join(f"{x} {y}" for x, y in points)
    return f'<path d="M {way}"/>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{named}>{escape(text)}</text>'


# Readable on light pages and on dark ones.
_HEAD = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">
<title>The states of a session, and the events that lead from one to another</title>
<style>
rect {{ fill: #e8edf6; stroke: #4a6491; stroke-width: 1.5 }}
path {{ fill: none; stroke: #4a6491; stroke-width: 1.5; marker-end: url(#head) }}
text {{ font: 13px sans-serif; text-anchor: middle; fill: #1f2937 }}
.state {{ font-weight: bold }}
.page {{ fill: #fff; stroke: none }}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"
 orient="auto"><path d="M 0 0 L 8 4 L 0 8 z" style="fill: #4a6491; stroke: none; marker-end: none"/>
</marker></defs>
<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>"""


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


FILES = {"images/session.svg": drawing}
REGIONS = {"reactions": reactions}
