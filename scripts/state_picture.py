"""Draw the life of a session into its page, from the tables the machine goes by.

Run it after a change of ddpcore/session/transitions.py: `.venv-test/bin/python
scripts/state_picture.py`. A test fails while the picture is an old one.
"""

from pathlib import Path

from ddpcore.session.transitions import ANY, REACTIONS, TRANSITIONS, State

PAGE = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "architecture.md"
BEGIN, END = "<!-- states: begin -->\n", "<!-- states: end -->\n"


def picture() -> str:
    """The table as a diagram of Mermaid; events that lead the same way share an arrow."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (before, event), following in TRANSITIONS.items():
        arrows.setdefault((before, following), []).append(event.value)
    return "\n".join(
        [
            "```mermaid",
            "stateDiagram-v2",
            f"    [*] --> {State.NEW.name}",
            *(f"    {each.name}: {each.name}<br>{each.value}" for each in State),
            *(
                f"    {before.name} --> {following.name}: {'<br>'.join(events)}"
                for (before, following), events in arrows.items()
            ),
            f"    {State.CLOSED.name} --> [*]",
            "```",
            "",
            *reactions(),
            "",
        ]
    )


def reactions() -> "list[str]":
    """What each state does with each message, as a table of Markdown."""
    kinds = [kind for each in REACTIONS.values() for kind in each if kind != ANY]
    rows = [
        [
            f"`{kind}`" if kind != ANY else ANY,
            *(each.get(kind, each[ANY]).value for each in REACTIONS.values()),
        ]
        for kind in [*dict.fromkeys(kinds), ANY]
    ]
    heads = [["message", *(state.name for state in REACTIONS)], ["---"] * (1 + len(REACTIONS))]
    return [f"| {' | '.join(row)} |" for row in heads + rows]


def drawn(page: str) -> str:
    """The page with the picture as it should be."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + picture() + END + tail


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
