"""What may happen, and how hypothesis draws it.

A schedule is plain data, so that a failing one can be kept, read and lived through again:

    {"populated": ..., "eager": ..., "watchers": ..., "steps": [[name, argument, ...], ...]}

`eager` writers are told the next thing before the last is done, so that everybody runs at once;
otherwise each step is over before the next begins, and the same schedule is the same story.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

WRITERS = 3
"""Two processes, and methods of the server."""

PKS = {
    "publisher": 2, "author": 3, "tag": 2, "book": 4, "note": 3, "room": 2, "message": 3, "user": 3
}  # fmt: skip
"""Few rows, so that what happens happens to the same ones."""

Step = list[Any]


def pk(model: str) -> st.SearchStrategy[int]:
    return st.integers(1, PKS[model])


def reference(model: str) -> st.SearchStrategy[int | None]:
    return st.none() | pk(model)


# The first ones are the usual ones, so that what is written is also what is looked for.
texts = st.sampled_from(["a", "ab", "B", ""] * 3 + ["A", "é", "É", "a%b_\\", " a", "b\n", "ß", "z"])
prices = st.sampled_from([None, "1.10", "9.99", "100.00", "0.00", "-1.00"])
numbers = st.sampled_from([None, 0, 1, 2, 5, -1])
dates = st.sampled_from([None, "2026-01-01", "2025-06-30", "0999-12-31"])
yes_no = st.sampled_from([True, False, None])
me = st.just("$me")

COLUMNS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "publisher": {"name": texts, "country": st.none() | texts.map(lambda text: text[:2]), "active": st.booleans()},
    "author": {"name": texts, "email": texts, "publisher_id": reference("publisher")},
    "tag": {"word": texts},
    "book": {
        "title": texts, "price": prices, "pages": numbers, "published": yes_no, "created": dates,
        "author_id": reference("author"), "owner_id": reference("user"), "sequel_to_id": reference("book"),
    },
    "note": {"text": texts, "owner_id": pk("user")},
    "room": {"name": texts, "owner_id": reference("user")},
    "message": {"text": texts, "room_id": pk("room")},
}  # fmt: skip
"""What writers write."""


def given(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values.filter(lambda value: value is not None)


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(given(values), max_size=3)


def span(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(given(values), min_size=2, max_size=2)


def on_text(path: str, *, nullable: bool = False) -> list[tuple[str, Any]]:
    words = ("exact", "contains", "icontains", "startswith", "istartswith", "endswith", "iexact")
    lookups = [(f"{path}__{word}", texts) for word in words]
    lookups += [(f"{path}__in", several(texts))]
    return lookups + ([(f"{path}__isnull", st.booleans())] if nullable else [])


def on_order(path: str, values: Any, *, nullable: bool = True) -> list[tuple[str, Any]]:
    words = ("exact", "gt", "gte", "lt", "lte")
    lookups = [(f"{path}__{word}", given(values)) for word in words]
    lookups += [(f"{path}__in", several(values)), (f"{path}__range", span(values))]
    return lookups + ([(f"{path}__isnull", st.booleans())] if nullable else [])


def on_rows(path: str, model: str) -> list[tuple[str, Any]]:
    return [
        (path, pk(model)),
        (f"{path}__in", st.lists(pk(model), max_size=3)),
        (f"{path}__isnull", st.booleans()),
    ]


PLAIN: dict[str, list[tuple[str, Any]]] = {
    "publisher": [
        *on_text("name"), *on_text("country", nullable=True), ("active", st.booleans()),
        ("id__in", st.lists(pk("publisher"), max_size=2)),
    ],
    "author": [
        *on_text("name"), *on_text("email"), *on_rows("publisher", "publisher"),
        *on_text("publisher__country", nullable=True), ("publisher__active", st.booleans()),
        ("publisher__name", texts),
    ],
    "tag": [*on_text("word"), ("pk", pk("tag"))],
    "book": [
        *on_text("title"), *on_order("price", prices), *on_order("pages", numbers),
        ("published", st.booleans()), ("published__isnull", st.booleans()),
        *on_order("created", dates), ("created__year", st.sampled_from([2025, 2026])),
        *on_rows("author", "author"), *on_rows("owner", "user"), ("owner", me), ("owner", me),
        *on_rows("sequel_to", "book"), *on_order("id", pk("book"), nullable=False),
        *on_text("author__email"), ("author__name", texts), ("author__publisher", pk("publisher")),
        *on_text("author__publisher__country", nullable=True),
        ("author__publisher__active", st.booleans()), ("author__publisher__isnull", st.booleans()),
        ("owner__username", st.sampled_from(["ada", "bob"])),
        ("sequel_to__title", texts), ("sequel_to__author__publisher__active", st.booleans()),
    ],
    "note": [*on_text("text"), ("owner", me), *on_rows("owner", "user")],
    "message": [
        *on_text("text"), *on_rows("room", "room"), *on_text("room__name"), ("room__owner", me),
    ],
}  # fmt: skip
"""Lookups on the own columns and through forward references."""

BEYOND: dict[str, list[tuple[str, Any]]] = {
    "publisher": [("authors__name", texts), ("authors__books__title", texts)],
    "author": [
        ("books__title", texts), ("books__isnull", st.booleans()), ("books__price__gt", given(prices)),
        ("name__gt", texts),
    ],
    "tag": [("books__title", texts), ("word__lte", texts), ("books__author__name", texts)],
    "book": [
        ("tags", pk("tag")), ("tags__word", texts), ("tags__isnull", st.booleans()),
        ("title__lt", texts), ("title__gte", texts), ("title__regex", st.just("^[a-c]")),
        ("sequels__isnull", st.booleans()), ("author__books__title", texts),
        ("sequel_to__sequel_to__title", texts), ("owner__rooms__name", texts),
    ],
    "note": [("text__gt", texts), ("owner__rooms__name", texts)],
    "message": [("room__members__username", st.just("ada")), ("room__messages__text", texts)],
}  # fmt: skip

ORDERS = {
    "publisher": ["name", "country"], "author": ["email", "-name", "publisher__country"],
    "tag": ["word"], "book": ["title", "-price", "pages", "author__name", "-created"],
    "note": ["text", "-version"], "message": ["text", "room__name"],
}  # fmt: skip

COUNTED = {"publisher": "authors", "author": "books", "tag": "books", "book": "tags"}


@st.composite
def conditions(draw: Any, model: str, lookups: list[tuple[str, Any]], depth: int = 2) -> Step:
    kinds = ["is"] * 5 + (["and", "or", "xor", "not", "not"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "is":
        lookup, values = draw(st.sampled_from(lookups))
        return ["is", lookup, draw(values)]
    inner = conditions(model, lookups, depth - 1)
    if kind == "not":
        return ["not", draw(inner)]
    return [kind, *draw(st.lists(inner, min_size=2, max_size=3 if depth == 2 else 2))]


@st.composite
def queries(draw: Any) -> dict[str, Any]:
    """A description as `schedulesite.queries` takes it."""
    model = draw(
        st.sampled_from(
            ["book", "book", "book", "author", "publisher", "tag", "note", "message", "message"]
        )
    )
    kind = draw(
        st.sampled_from(
            ["all", "all", "plain", "plain", "plain", "plain", "beyond", "slice", "special"]
        )
    )
    query: dict[str, Any] = {"model": model}
    if kind == "all":
        return query
    if kind == "plain":
        query["where"] = draw(conditions(model, PLAIN[model]))
        shape = draw(st.sampled_from(["", "", "", "as", "only", "defer", "order", "values"]))
        if shape == "as":
            query["as"] = f"shelf of {model}s"
        elif shape in ("only", "defer"):
            names = [name for name in COLUMNS[model] if not name.endswith("_id")]
            names += ["tags"] if model == "book" else []
            query[shape] = draw(
                st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)
            )
        elif shape == "order":
            query["order"] = [draw(st.sampled_from(ORDERS[model]))]
        elif shape == "values":
            names = st.sampled_from(sorted(COLUMNS[model]))
            query["values"] = ["id", *draw(st.lists(names, min_size=1, max_size=3, unique=True))]
        return query
    if kind == "slice":
        query["order"] = [draw(st.sampled_from(ORDERS[model])), "pk"]
        start = draw(st.sampled_from([0, 0, 1]))
        query["slice"] = [start, start + draw(st.integers(1, 3))]
        if draw(st.booleans()):
            query["where"] = draw(conditions(model, PLAIN[model], 1))
        return query
    if kind == "special":
        return draw(special(model))
    query["where"] = draw(conditions(model, [*PLAIN[model][::4], *BEYOND[model] * 2]))
    if draw(st.booleans()):
        query["distinct"] = True
    return query


@st.composite
def special(draw: Any, model: str) -> dict[str, Any]:
    """Annotations, subqueries, columns compared with each other, unions."""
    kind = draw(st.sampled_from(["count", "sub", "same", "union"]))
    if kind == "count" and model in COUNTED:
        least = draw(st.integers(0, 2))
        lookup = draw(st.sampled_from(["count__gte", "count", "count__lt"]))
        # A document has one "count": where queries meet in it, they count the same.
        return {
            "model": model, "annotate": ["count", COUNTED[model]], "where": ["is", lookup, least]
        }  # fmt: skip
    if kind == "same" and model == "book":
        lookup, other = draw(
            st.sampled_from([("pages__gt", "author_id"), ("title", "author__name")])
        )
        return {"model": "book", "where": ["same", lookup, other]}
    if kind == "union" and model not in ("note", "message"):
        parts = st.builds(
            lambda where: {"model": model, "where": where}, conditions(model, PLAIN[model], 0)
        )
        return {"model": model, "union": draw(st.lists(parts, min_size=2, max_size=2))}
    where = draw(conditions("author", PLAIN["author"], 1))
    return {"model": "book", "where": ["sub", "author__in", {"model": "author", "where": where}]}


# --- what writers do ----------------------------------------------------------------------------


@st.composite
def puts(draw: Any) -> dict[str, Any]:
    model = draw(st.sampled_from([*COLUMNS, "book", "book"]))
    values = {
        name: draw(COLUMNS[model][name])
        for name in sorted(draw(st.sets(st.sampled_from(sorted(COLUMNS[model])), min_size=1, max_size=3)))
    }  # fmt: skip
    how = draw(st.sampled_from(["save", "save", "update_fields", "update_or_create", "stale"]))
    return {"op": "put", "model": model, "pk": draw(pk(model)), "values": values, "how": how}


def chosen(op: str, *models: str, **more: Any) -> st.SearchStrategy[dict[str, Any]]:
    """An operation on one row of one of these models."""
    return st.sampled_from(models).flatmap(
        lambda model: st.fixed_dictionaries(
            {"op": st.just(op), "model": st.just(model), "pk": pk(model), **more}
        )
    )


def of_rows(op: str, *models: str, **more: Any) -> st.SearchStrategy[dict[str, Any]]:
    """An operation on all rows that meet a condition, or with these keys."""

    def of(model: str) -> st.SearchStrategy[dict[str, Any]]:
        parts = {"op": st.just(op), "model": st.just(model)}
        if "pks" in more:
            parts["pks"] = st.lists(pk(model), min_size=1, max_size=3, unique=True)
        else:
            parts["where"] = conditions(model, PLAIN[model], 1).filter(
                lambda tree: "$me" not in str(tree)
            )
        for name, make in more.items():
            if name != "pks":
                parts[name] = make(model)
        return st.fixed_dictionaries(parts)

    return st.sampled_from(models).flatmap(of)


def some_values(model: str) -> st.SearchStrategy[dict[str, Any]]:
    columns = COLUMNS[model]
    return st.sampled_from(sorted(columns)).flatmap(
        lambda name: st.fixed_dictionaries({name: columns[name]})
    )


def needed_values(model: str) -> st.SearchStrategy[dict[str, Any]]:
    needed = {"note": "owner_id", "message": "room_id"}.get(model)
    extra = st.fixed_dictionaries({needed: COLUMNS[model][needed]} if needed else {})
    return st.builds(lambda one, two: one | two, some_values(model), extra)


def relations(of: str, model: str, other: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({
        "op": st.just("relate"), "of": st.just(of), "pk": pk(model),
        "how": st.sampled_from(["add", "remove", "set", "clear"]),
        "others": st.lists(pk(other), max_size=2, unique=True),
    })  # fmt: skip


SEEN_BY_SIGNALS = st.one_of(
    puts(),
    puts(),
    puts(),
    chosen("hold", "book", "author", "note", "room"),
    chosen("delete", *COLUMNS),
    of_rows("delete_where", "book", "note", "author"),
    st.builds(lambda number: {"op": "more_pages", "pk": number}, pk("book")),
    relations("book.tags", "book", "tag"),
    relations("tag.books", "tag", "book"),
    relations("room.members", "room", "user"),
    st.builds(
        lambda room, user, on: {"op": "member", "room": room, "user": user, "on": on},
        pk("room"), pk("user"), st.booleans(),
    ),
)  # fmt: skip

BULK = st.one_of(
    of_rows("update", "book", "author", "publisher", "note", "message", values=some_values),
    of_rows("bulk_create", "book", "author", "tag", "note", "message",
            pks=True, values=needed_values, conflicts=lambda _: st.sampled_from(["ignore", "update"])),
    of_rows("bulk_update", "book", "author", "message", pks=True, values=some_values),
    conditions("book", PLAIN["book"], 0).filter(lambda tree: "$me" not in tree).map(
        lambda where: {"op": "update_pages", "where": where}
    ),
)  # fmt: skip


@st.composite
def sql(draw: Any) -> dict[str, Any]:
    what = draw(st.sampled_from(
        ["update", "update", "update all", "delete", "rekey", "swap", "tag", "untag", "truncate"]
    ))  # fmt: skip
    if what in ("tag", "untag"):
        return {"op": "sql", "what": what, "pk": draw(pk("book")), "other": draw(pk("tag"))}
    # Those to whose rows nothing refers.
    leaves = ["note", "message"]
    models = {
        "update": ["book", "author", "publisher", "tag", "note"],
        "update all": ["book", "author", "note"],
    }
    models["truncate"] = ["note", "message", "book"]
    model = draw(st.sampled_from(models.get(what, leaves)))
    return {
        "op": "sql", "what": what, "model": model, "pk": draw(pk(model)), "other": draw(pk(model)),
        "text": draw(texts),
    }  # fmt: skip


ANY_WRITE = st.one_of(SEEN_BY_SIGNALS, SEEN_BY_SIGNALS, BULK, sql())


# --- schedules ----------------------------------------------------------------------------------


@st.composite
def transactions(draw: Any, writes: st.SearchStrategy[dict[str, Any]]) -> list[Step]:
    """A whole transaction of one writer, perhaps with a savepoint."""
    writer = draw(st.integers(0, WRITERS - 1))
    ends = st.sampled_from(["commit", "rollback"])

    def several_writes() -> list[Step]:
        return [["write", writer, op] for op in draw(st.lists(writes, min_size=1, max_size=2))]

    inside = several_writes()
    if draw(st.booleans()):
        inside += [["begin", writer], *several_writes(), [draw(ends), writer], *several_writes()]
    return [["begin", writer], *inside, [draw(ends), writer]]


def steps(
    writes: st.SearchStrategy[dict[str, Any]], *, listener: bool
) -> st.SearchStrategy[list[Step]]:
    """A step, or some that belong together."""
    writer, watcher = st.integers(0, WRITERS - 1), st.integers(0, 2)

    def step(name: str, *arguments: Any) -> st.SearchStrategy[list[Step]]:
        return st.tuples(st.just(name), *arguments).map(lambda parts: [list(parts)])

    write = step("write", writer, writes)
    subscribe = step("subscribe", watcher, queries(), st.booleans())
    kinds = {
        "write": (write, 18),
        "transaction": (transactions(writes), 3),
        "begin": (step("begin", writer), 2),
        "commit": (step("commit", writer), 1),
        "rollback": (step("rollback", writer), 1),
        "subscribe": (subscribe, 6),
        "unsubscribe": (step("unsubscribe", watcher, st.integers(0, 4)), 2),
        "log in": (step("log in", watcher, st.sampled_from([None, "1", "2", "3", "4"])), 2),
        "return": (step("return", watcher, st.booleans()), 1),
        "compare": (step("compare"), 1),
    }
    if listener:
        kinds["kill"] = (step("kill"), 1)
    names = [name for name, (_, weight) in kinds.items() for _ in range(weight)]
    return st.sampled_from(names).flatmap(lambda name: kinds[name][0])


def unlinks(op: dict[str, Any]) -> bool:
    """Whether links go: those that others add meanwhile, signals do not see going."""
    if op["op"] == "relate":
        return op["how"] != "add"
    return op["op"] in ("delete", "delete_where") and op["model"] in ("tag", "book", "room")


def schedules(mode: str) -> st.SearchStrategy[dict[str, Any]]:
    """Schedules for "signals", "triggers" or "sqlite"."""
    if mode == "triggers":
        return st.booleans().flatmap(lambda eager: _schedules(mode, ANY_WRITE, eager=eager))
    in_turn, at_once = SEEN_BY_SIGNALS, SEEN_BY_SIGNALS.filter(lambda op: not unlinks(op))
    return st.booleans().flatmap(
        lambda eager: _schedules(mode, at_once if eager else in_turn, eager=eager)
    )


def _schedules(
    mode: str, writes: st.SearchStrategy[dict[str, Any]], *, eager: bool
) -> st.SearchStrategy[dict[str, Any]]:
    step = steps(writes, listener=mode != "sqlite")
    return st.fixed_dictionaries({
        "populated": st.sampled_from([False, True, True]),
        "eager": st.just(eager),
        # Everybody watches something from the beginning: otherwise much would go unseen.
        "watching": st.lists(
            st.tuples(st.sampled_from([None, "1", "2", "3", "4"]), st.lists(queries(), min_size=1, max_size=3)).map(list),
            min_size=1, max_size=3,
        ),
        # Left to itself hypothesis prefers short lists, in which little can happen.
        "steps": st.one_of(*(
            st.lists(step, min_size=least, max_size=40) for least in (0, 8, 12, 12, 16, 16, 20, 20)
        )).map(lambda groups: [each for group in groups for each in group]),
    })  # fmt: skip


# --- for people ---------------------------------------------------------------------------------


def described(schedule: dict[str, Any]) -> str:
    """The schedule, a step a line."""
    rows = "the usual rows" if schedule["populated"] else "no rows"
    lines = [f"with {rows}, {'all at once' if schedule['eager'] else 'step by step'}"]
    for number, (user, queries_) in enumerate(schedule["watching"]):
        lines.append(f"      watcher {number} is user {user} and watches {queries_}")
    for number, (name, *arguments) in enumerate(schedule["steps"]):
        lines.append(f"{number:4}  {name} {' '.join(map(str, arguments))}")
    return "\n".join(lines)
