"""Row images, read by the database in the statement that announces them.

Values in Python's memory may not be what the row holds: a stale instance, `update_fields`, an F()
expression, a trigger of the database. So the writer names rows, and PostgreSQL reads, writes as
JSON, cuts and queues them, in one statement and in the writer's transaction. The payloads are
those of `ddpcore_pg.payload`. A set of many rows sends keys instead of images, or word that
anything of the table may have changed: about ten notifications at most.

In autocommit the statement is a transaction of its own, after that of the write. A lock lets
nobody change the rows between the reading and the commit, so an older value can never be
announced behind a newer one. PostgreSQL asks for the right to UPDATE the table for it, and for
nothing but SELECT without: who must do without the lock is to leave the images out, too.

The images do not depend on the settings of the writer's session, with one exception: where
`extra_float_digits` is below 1, PostgreSQL rounds floats on their way into JSON or text, which is
what ``"float"`` avoids for double precision. The zone of a time with an offset is the session's;
it is the same moment.
"""
# Names are quoted, values are parameters or literals in quotes.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

from ddpcore.bus import Op
from ddpcore_pg.payload import MAX_CHANGE, MAX_PAYLOAD, channel

__all__ = [
    "Column",
    "RowSet",
    "Source",
    "announce_row_sql",
    "announce_sql",
    "image_sql",
    "key_sql",
    "line_sql",
    "quote",
    "quote_column",
]

MAX_SIZE = 40_000
"""With more bytes than this in its images, a set of several rows sends keys."""

MAX_ROWS = 10_000
"""With more rows than this, a set sends a reset."""

MAX_KEYS = 70_000
"""With more bytes than this in its keys, a set sends a reset."""

ONE = 7900
"""Bytes of rows that fit into one payload for sure."""

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
            (interval), ``"float"`` as ``x`` and the hexadecimal digits of its eight bytes (double
            precision; of any other type as its text).
    """

    name: str
    kind: Literal["plain", "text", "hex", "epoch", "float"] = "plain"


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


class RowSet(NamedTuple):
    """Rows of a table of which to tell.

    Attributes:
        source: The table.
        op: What happened to the rows: before the deletion for `Op.DELETE`, afterwards for the
            others.
        where: A condition on the table, called ``t``, with ``%s`` for parameters.
        params: These.
        lock: Whether to lock them, ``FOR UPDATE`` before a deletion and ``FOR SHARE`` otherwise.
            Needed for images of rows that this transaction has not written itself.
    """

    source: Source
    op: Op
    where: str
    params: Sequence[Any] = ()
    lock: bool = True


def announce_sql(
    *rows: RowSet | tuple[Source, Op, str, Sequence[Any]],
) -> tuple[str, list[Any]]:
    """One statement that announces rows with their images, from the transaction that writes them.

    Args:
        rows: Sets of rows in the order in which to tell of them, each a `RowSet`, or a tuple of
            its first four.

    Returns:
        The statement and its parameters. It gives as many rows as it sends notifications; rows
        that are gone are not told of.

    Raises:
        ValueError: There are no sets, or one is of `Op.RESET`, which has no rows.
    """
    if not rows or any(each[1] is Op.RESET for each in rows):
        raise ValueError("Name rows that were inserted, updated or deleted.")
    texts: list[str] = []
    params: list[Any] = []
    for place, each in enumerate(map(_row_set, rows)):
        head, tail = _text_sql(each.source, each.op, each.lock)
        texts.append(f"SELECT {place} AS place, {head}({each.where}){tail}")
        params += [channel(each.source.topic), *each.params]
    return f"WITH texts AS ({' UNION ALL '.join(texts)}), {_SEND}", params


def announce_row_sql(row: RowSet) -> tuple[str, list[Any]]:
    """A cheaper statement for a set of one row, if that is not too large.

    Args:
        row: The set, whose condition meets one row.

    Returns:
        The statement and its parameters. It gives a row for each that it found, with null if that
        was not sent: then it has to be `announce_sql`.

    Raises:
        ValueError: It is of `Op.RESET`, which has no rows.
    """
    if row.op is Op.RESET:
        raise ValueError("Name a row that was inserted, updated or deleted.")
    head, tail = _row_sql(row.source, row.op, row.lock)
    return f"{head}({row.where}){tail}", [channel(row.source.topic), *row.params]


def _row_set(row: RowSet | tuple[Source, Op, str, Sequence[Any]]) -> RowSet:
    return row if isinstance(row, RowSet) else RowSet(*row)


@cache
def _row_sql(source: Source, op: Op, lock: bool) -> tuple[str, str]:
    # What stands before and behind the condition. Rows are read within, and told of without:
    # whoever had to wait for a lock reads a second time.
    line = line_sql(op, key_sql(source), image_sql(source))
    head = f"""SELECT CASE WHEN octet_length(line) <= {ONE} THEN pg_notify(%s,
            pg_current_xact_id()::text || '{{"n":"' || gen_random_uuid()::text
            || '","rows":[' || line || ']}}')::text END
        FROM (SELECT {_percent(line)} AS line FROM {_percent(quote(source.table))} AS t WHERE """
    return head, f" OFFSET 0{_lock(op, lock)}) AS found"


@cache
def _text_sql(source: Source, op: Op, lock: bool) -> tuple[str, str]:
    image = f"CASE WHEN octet_length(image) <= {MAX_CHANGE} THEN image END"
    head = f"""%s::text AS channel, gen_random_uuid()::text AS nonce,
        '{{"n":"' || gen_random_uuid()::text || '",' || CASE
            WHEN count(*) = 1 THEN '"rows":[' || min(line) || ']'
            WHEN sum(octet_length(line)) <= {MAX_SIZE} THEN '"rows":['
                || string_agg(line, ',') FILTER (WHERE octet_length(line) <= {MAX_SIZE}) || ']'
            WHEN count(*) <= {MAX_ROWS} AND sum(octet_length(key) + 1) <= {MAX_KEYS}
                THEN '"op":"{op.value}","keys":[' || string_agg(key, ',') || ']'
            ELSE '"rows":[["r"]]'
        END || '}}' AS body
        FROM (SELECT key, {line_sql(op, "key", image)} AS line FROM (
            SELECT {_percent(key_sql(source))} AS key, {_percent(image_sql(source))} AS image
            FROM {_percent(quote(source.table))} AS t WHERE """
    return head, (
        f" LIMIT {MAX_ROWS + 1}{_lock(op, lock)}) AS found OFFSET 0) AS lines HAVING count(*) > 0"
    )


def _lock(op: Op, lock: bool) -> str:
    if not lock:
        return ""
    return " FOR UPDATE OF t" if op is Op.DELETE else " FOR SHARE OF t"


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
    if column.kind == "float":
        return (
            f"CASE WHEN pg_typeof({name}) = 'pg_catalog.float8'::regtype"
            f" THEN 'x' || encode(float8send({name}::float8), 'hex') ELSE {name}::text END"
        )
    if column.kind == "epoch":
        return (
            f"CASE WHEN EXTRACT(YEAR FROM {name}) <> 0 OR EXTRACT(MONTH FROM {name}) <> 0"
            f" THEN 'months' ELSE EXTRACT(EPOCH FROM {name})::text END"
        )
    return name


def _percent(sql: str) -> str:
    return sql.replace("%", "%%")


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

ORDER = "ORDER BY place, piece"

# The volatile pg_notify() is evaluated after the sort: the queue has that order.
_SEND = f"{SIZES} SELECT pg_notify(channel, {PAYLOAD}) FROM {PIECES} {ORDER}"
