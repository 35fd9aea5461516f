"""Row images, read by the database in the statement that announces them.

Values in Python's memory may not be what the row holds: a stale instance, `update_fields`, an F()
expression, a trigger of the database. So the writer names rows, and PostgreSQL reads, writes as
JSON, cuts and queues them, in one statement and in the writer's transaction. The payloads are
those of `ddpcore_pg.payload`.

In autocommit the statement is a transaction of its own, after that of the write. `FOR SHARE` lets
nobody change the rows between the reading and the commit, so an older value can never be
announced behind a newer one. (PostgreSQL asks for the right to UPDATE the table for it.)

The images do not depend on the settings of the writer's session, with one exception: where
`extra_float_digits` is below 1, PostgreSQL rounds floats on their way into JSON. The zone of a
time with an offset is the session's; it is the same moment.
"""
# Names are quoted, values are parameters or literals in quotes.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ddpcore.bus import Op
from ddpcore_pg.payload import MAX_CHANGE, MAX_PAYLOAD, channel

__all__ = ["Column", "Source", "announce_sql"]

_SHARED = 3900
"""Bytes of rows after which the next payload begins, so that most payloads need no pieces."""

# The number of the transaction and the head of a piece stand before them. A character may take
# four bytes.
_WHOLE = MAX_PAYLOAD - 20
_PIECE_ASCII = 7900
_PIECE = 1900


@dataclass(frozen=True, slots=True)
class Column:
    """A column that travels.

    Attributes:
        name: Its name, unquoted.
        kind: How it is written: ``"plain"`` as `to_json` does, ``"text"`` as the text of its
            value (exact for numeric and json), ``"hex"`` as hexadecimal digits (bytea),
            ``"epoch"`` as the text of its seconds, or ``"months"`` if it has months or years
            (interval).
    """

    name: str
    kind: Literal["plain", "text", "hex", "epoch"] = "plain"


@dataclass(frozen=True, slots=True)
class Source:
    """A table whose changes are told of.

    Attributes:
        topic: What its changes are called on the bus.
        table: Its name as Django has it: unquoted, or already quoted as ``"schema"."table"``.
        key: The column of the primary key, unquoted.
        columns: What travels.
    """

    topic: str
    table: str
    key: str
    columns: tuple[Column, ...] = ()


def announce_sql(*rows: tuple[Source, Op, str, Sequence[Any]]) -> tuple[str, list[Any]]:
    """One statement that announces rows with their images, from the transaction that writes them.

    Args:
        rows: Sets of rows in the order in which to tell of them, each a source, what happened to
            the rows (before the deletion for `Op.DELETE`, afterwards for the others), a
            condition on the table, called ``t``, with ``%s`` for parameters, and these.

    Returns:
        The statement and its parameters. It gives as many rows as it sends notifications; rows
        that are gone are not told of.

    Raises:
        ValueError: There are no sets, or one is of `Op.RESET`, which has no rows.
    """
    if not rows or any(op is Op.RESET for _, op, _, _ in rows):
        raise ValueError("Name rows that were inserted, updated or deleted.")
    found: list[str] = []
    lines: list[str] = []
    params: list[Any] = []
    image = f"CASE WHEN octet_length(image) <= {MAX_CHANGE} THEN image END"
    for place, (source, op, where, values) in enumerate(rows):
        lock = "" if op is Op.DELETE else " FOR SHARE OF t"
        found.append(
            f"found{place} AS MATERIALIZED (SELECT %s::text AS channel,"
            f" {_percent(key_sql(source))} AS key, {_percent(image_sql(source))} AS image"
            f" FROM {_percent(quote(source.table))} AS t WHERE {where}{lock})"
        )
        lines.append(
            f"SELECT {place} AS place, channel, {line_sql(op, 'key', image)} AS line"
            f" FROM found{place}"
        )
        params += [channel(source.topic), *values]
    statement = f"WITH {', '.join(found)}, lines AS ({' UNION ALL '.join(lines)}), {_SEND}"
    return statement, params


def quote(name: str) -> str:
    """An identifier in quotes; one that is quoted already stays as it is, as in Django."""
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        return name
    return '"' + name.replace('"', '""') + '"'


def quote_column(name: str) -> str:
    """A column in quotes: these are never given in quotes."""
    return '"' + name.replace('"', '""') + '"'


def key_sql(source: Source) -> str:
    """The JSON text of the key of row ``t``, a string whatever the column's type is."""
    # By way of JSON, because a cast of a date to text goes by the session's DateStyle.
    return (
        "pg_catalog.to_json("
        f"pg_catalog.to_jsonb(t.{quote_column(source.key)}) #>> '{{}}'::text[])::text"
    )


def image_sql(source: Source) -> str:
    """The JSON text of the image of row ``t``, or null."""
    if not source.columns:
        return "NULL::text"
    names = {each.name for each in source.columns}
    row = "ddp"
    while row in names:  # which would mean that column
        row += "_"
    columns = ", ".join(f"{_value(each)} AS {quote_column(each.name)}" for each in source.columns)
    # A function takes at most 100 arguments; a row has no such limit, and its JSON no spaces.
    return f"(SELECT row_to_json({row}) FROM (SELECT {columns}) AS {row})::text"


def line_sql(op: Op, key: str, image: str) -> str:
    """The JSON text of a row of a payload, of the SQL of its key's and its image's JSON text."""
    before = "" if op is Op.DELETE else "null,"
    return f"'[\"{op.value}\",' || {key} || coalesce(',{before}' || {image}, '') || ']'"


def _value(column: Column) -> str:
    name = f"t.{quote_column(column.name)}"
    if column.kind == "text":
        return f"{name}::text"
    if column.kind == "hex":
        return f"encode({name}, 'hex')"
    if column.kind == "epoch":
        return (
            f"CASE WHEN EXTRACT(YEAR FROM {name}) <> 0 OR EXTRACT(MONTH FROM {name}) <> 0"
            f" THEN 'months' ELSE EXTRACT(EPOCH FROM {name})::text END"
        )
    return name


def _percent(sql: str) -> str:
    return sql.replace("%", "%%")


# Rows of one place and channel, gathered by their sizes into texts of few payloads each. The
# running sum of the sizes is also what keeps them in the order in which they came.
TEXTS = f"""texts AS MATERIALIZED (
    SELECT place, so_far / {_SHARED} AS bucket, channel, gen_random_uuid()::text AS nonce,
        '{{"n":"' || gen_random_uuid()::text || '","rows":['
        || string_agg(line, ',' ORDER BY so_far) || ']}}' AS body
    FROM (
        SELECT *, sum(octet_length(line))
            OVER (PARTITION BY place ROWS UNBOUNDED PRECEDING) AS so_far
        FROM lines
    ) AS measured
    GROUP BY 1, 2, 3
)"""

# Into how many pieces of which size a text must be cut.
SIZES = f"""sizes AS (
    SELECT *, (length(body) + size - 1) / size AS total
    FROM (
        SELECT *, CASE WHEN octet_length(body) <= {_WHOLE} THEN {_WHOLE}
            WHEN octet_length(body) = length(body) THEN {_PIECE_ASCII} ELSE {_PIECE} END AS size
        FROM texts
    ) AS measured
)"""

PIECES = "sizes CROSS JOIN LATERAL generate_series(0, total - 1) AS piece"

PAYLOAD = f"""pg_current_xact_id()::text || CASE
    WHEN size = {_WHOLE} THEN body
    ELSE '#' || nonce || '/' || piece::text || '/' || total::text || '/'
        || substr(body, piece * size + 1, size)
    END"""

ORDER = "ORDER BY place, bucket, piece"

# The volatile pg_notify() is evaluated after the sort: the queue has that order.
_SEND = f"{TEXTS}, {SIZES} SELECT pg_notify(channel, {PAYLOAD}) FROM {PIECES} {ORDER}"
