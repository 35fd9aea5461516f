"""Triggers that announce every change of a table, whoever makes it and by whatever means.

Each table gets one function and four triggers `AFTER … FOR EACH STATEMENT`. A statement that
touches few rows sends them with their images (`ddpcore_pg.images`), one that touches many sends
their keys, and what would take more than ten notifications sends one `Op.RESET`: the cost stays
small whatever the statement does. A statement that touches no row sends nothing.

The function runs in the session of whoever writes and with that role's rights. It pins all
settings it depends on, and first of them `search_path`: whatever stands in other schemas, it means
PostgreSQL's own functions. It never makes a write fail because a column is gone or has got another
type: until the triggers are installed anew, each statement then sends a reset.

The comment on the function holds a fingerprint of all this, so `status` can tell what is stale.
"""
# Names are quoted, values are parameters or literals in quotes.
# ruff: noqa: S608

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ddpcore.bus import Op
from ddpcore_pg.images import (
    MAX_SIZE,
    ONE,
    ORDER,
    PAYLOAD,
    PIECES,
    SIZES,
    Source,
    image_sql,
    key_sql,
    line_sql,
    quote,
    quote_column,
)
from ddpcore_pg.payload import channel

__all__ = [
    "Installed",
    "Status",
    "function_name",
    "install_sql",
    "installed",
    "remove_sql",
    "status",
]

MAX_NOTIFICATIONS = 10
"""What one statement may send."""

MAX_ROWS = 300
"""With more rows than this, a statement sends no images."""

# So many keys are more than ten notifications carry, however short they are.
_MAX_KEYS = 20_000

_MARK = "ddpcore announces changes of "

# Event, transition tables, and the tables' clause.
_TRIGGERS = {
    "insert": "REFERENCING NEW TABLE AS new_rows ",
    "update": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows ",
    "delete": "REFERENCING OLD TABLE AS old_rows ",
    "truncate": "",
}

_PINS = {
    "search_path": "pg_catalog, pg_temp",
    "TimeZone": "'UTC'",
    "DateStyle": "'ISO, YMD'",
    "IntervalStyle": "'postgres'",
    "bytea_output": "'hex'",
    "extra_float_digits": "1",
}


class _Cursor(Protocol):
    def execute(self, query: str, params: Any, /) -> Any: ...

    def fetchall(self) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True, slots=True)
class Status:
    """How things are with the triggers of a table.

    Attributes:
        state: ``"installed"``, ``"missing"`` (changes are lost: one of them is not there, is
            disabled, or calls something else), ``"stale"`` (they announce the changes, but not as
            those would that `install_sql` makes), ``"absent"`` (the table or one of its columns is
            not there yet), or ``"impossible"`` (it is no table that could have them).
        reason: In words, for whoever reads it; empty if they are installed.
    """

    state: Literal["installed", "missing", "stale", "absent", "impossible"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Installed:
    """A function of ours in the database, whether anything uses it or not.

    Attributes:
        function: Its name, qualified and in quotes.
        topic: The topic it announces.
        triggers: Its triggers, each a table, qualified and in quotes, and a name in quotes.
    """

    function: str
    topic: str
    triggers: tuple[tuple[str, str], ...] = ()

    def remove_sql(self) -> list[str]:
        """The statements that remove it and its triggers."""
        return [
            *(f"DROP TRIGGER IF EXISTS {name} ON {table}" for table, name in self.triggers),
            f"DROP FUNCTION IF EXISTS {self.function}()",
        ]


def function_name(table: str) -> str:
    """The name of the function of a table, unquoted: readable, of its own, and short enough."""
    digest = hashlib.sha256(table.encode()).hexdigest()[:16]
    readable = "".join(re.findall(r"\w", table, re.ASCII))[:35]
    return f"ddpcore_{readable}_{digest}"


def install_sql(source: Source, schema: str | None = None) -> list[str]:
    """The statements that install the triggers of a table, or bring them up to date.

    To be executed in one transaction, by the owner of the table. They may be executed again at
    any time.

    Args:
        source: What to announce.
        schema: Where the table and its function are, unquoted. None: where the name says so, and
            else where the session's `search_path` leads.

    Returns:
        Statements without parameters.
    """
    table, function = _names(source, schema)
    body = _body(source)
    create = (
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql"
        f" SECURITY INVOKER {' '.join(f'SET {name} = {value}' for name, value in _PINS.items())}"
        f" AS {_literal(body)}"
    )
    statements = [create]
    for event, tables in _TRIGGERS.items():
        statements += [
            f"DROP TRIGGER IF EXISTS ddpcore_{event} ON {table}",
            (
                f"CREATE TRIGGER ddpcore_{event} AFTER {event.upper()} ON {table}"
                f" {tables}FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
            ),
        ]
    return [*statements, f"COMMENT ON FUNCTION {function}() IS {_literal(_comment(source))}"]


def remove_sql(source: Source, schema: str | None = None) -> list[str]:
    """The statements that remove what `install_sql` installed, as far as it is there."""
    table, function = _names(source, schema)
    return [
        *(f"DROP TRIGGER IF EXISTS ddpcore_{event} ON {table}" for event in _TRIGGERS),
        f"DROP FUNCTION IF EXISTS {function}()",
    ]


def status(cursor: _Cursor, source: Source, schema: str | None = None) -> Status:
    """Look at the triggers of a table.

    Args:
        cursor: Of any DB-API connection with ``%s`` parameters.
        source: What should be announced.
        schema: As for `install_sql`.
    """
    table, _ = _names(source, schema)
    cursor.execute(
        "SELECT c.oid, c.relkind::text, ARRAY("
        "SELECT attname::text FROM pg_catalog.pg_attribute"
        " WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)"
        " FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass(%s)",
        [table],
    )
    found = cursor.fetchall()
    if not found:
        return Status("absent", f"There is no table {table}.")
    ((relation, kind, columns),) = found
    if kind not in "rp":
        return Status("impossible", f"{table} is {_KINDS.get(kind, 'no table')}.")
    absent = {source.key, *(each.name for each in source.columns)} - set(columns)
    if absent:
        return Status("absent", f"{table} has no column {', '.join(sorted(absent))}.")
    cursor.execute(
        "SELECT t.tgname::text, t.tgenabled::text, p.proname::text,"
        " pg_catalog.obj_description(p.oid, 'pg_proc'), p.prosrc"
        " FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid"
        " WHERE t.tgrelid = %s AND t.tgname = ANY(%s) AND NOT t.tgisinternal",
        [relation, [f"ddpcore_{event}" for event in _TRIGGERS]],
    )
    return _judge(source, cursor.fetchall())


def installed(cursor: _Cursor) -> list[Installed]:
    """All functions of ours in the database, those that nothing uses any more included."""
    cursor.execute(
        "SELECT p.oid::text, d.description,"
        " pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname),"
        " pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(c.relname),"
        " pg_catalog.quote_ident(t.tgname)"
        " FROM pg_catalog.pg_proc AS p"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace"
        " JOIN pg_catalog.pg_description AS d ON d.objoid = p.oid"
        " AND d.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass"
        " LEFT JOIN pg_catalog.pg_trigger AS t ON t.tgfoid = p.oid"
        " LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid"
        " LEFT JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.relnamespace"
        " WHERE pg_catalog.starts_with(d.description, %s) ORDER BY 3, 4, 5",
        [_MARK],
    )
    functions: dict[str, Installed] = {}
    for oid, comment, function, table, trigger in cursor.fetchall():
        topic = comment.removeprefix(_MARK).rpartition(" (")[0]
        seen = functions.get(oid, Installed(function, topic))
        more = () if trigger is None else ((table, trigger),)
        functions[oid] = Installed(function, topic, seen.triggers + more)
    return list(functions.values())


_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence"}


def _judge(source: Source, found: Iterable[tuple[Any, ...]]) -> Status:
    triggers = {name: rest for name, *rest in found}
    if not triggers:
        return Status("missing", "It has no triggers.")
    for event in _TRIGGERS:
        if f"ddpcore_{event}" not in triggers:
            return Status("missing", f"The trigger for {event.upper()} is missing.")
        enabled, _, comment, _ = triggers[f"ddpcore_{event}"]
        if enabled not in "OA":  # in all sessions but those of replication, or in these, too
            return Status("missing", f"The trigger for {event.upper()} is disabled.")
        if not (comment or "").startswith(f"{_MARK}{source.topic} ("):
            return Status("missing", f"The trigger for {event.upper()} announces something else.")
    for _, function, comment, body in triggers.values():
        if function != function_name(source.table) or comment != _comment(source):
            return Status("stale", "The triggers are those of another version or other columns.")
        if body != _body(source):
            return Status("missing", "Somebody else has changed the function.")
    return Status("installed")


def _names(source: Source, schema: str | None) -> tuple[str, str]:
    """The table and its function, in quotes."""
    table, function = quote(source.table), quote_column(function_name(source.table))
    qualified = re.fullmatch(r'("(?:[^"]|"")+")\."(?:[^"]|"")+"', source.table)
    if qualified:
        return table, f"{qualified[1]}.{function}"
    if schema is not None:
        return f"{quote_column(schema)}.{table}", f"{quote_column(schema)}.{function}"
    return table, function


def _comment(source: Source) -> str:
    parts = [source.table, _body(source), repr(_TRIGGERS), repr(_PINS)]
    fingerprint = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return f"{_MARK}{source.topic} ({fingerprint})"


def _literal(text: str) -> str:
    # Whatever standard_conforming_strings says: dollars, with a tag that the text has not.
    tag = "ddpcore"
    while f"${tag}$" in text:
        tag += "_"
    return f"${tag}${text}${tag}$"


def _body(source: Source) -> str:
    """The body of the function.

    PL/pgSQL keeps its plans, which may have been made for a single row: hence no joins between
    the rows of a statement, which would then be nested loops over all of them.

    Triggers of the project may write to the table again while a statement's own word waits: its
    images are out of date, and its deletions perhaps undone, when it comes. So after a nested
    write nothing is claimed of this table's rows until the end of the transaction, but that they
    changed.
    """
    name = "'" + channel(source.topic).replace("'", "''") + "'::text"
    key = f"t.{quote_column(source.key)}"
    sizes = [f"coalesce(pg_column_size(t.{quote_column(c.name)}), 0)" for c in source.columns]
    keys_of_gone = "SELECT key FROM unnest(ddp_gone) AS key"

    def keys(op: Op, rows: str, place: int) -> str:
        return f"""
                SELECT {place} AS place, gen_random_uuid()::text AS nonce,
                    '{{"n":"' || gen_random_uuid()::text || '","op":"'
                    || CASE WHEN ddp_nested THEN 'u' ELSE '{op.value}' END || '","keys":['
                    || string_agg(key, ',') || ']}}' AS body
                FROM ({rows}) AS keys HAVING count(*) > 0"""

    def branch(op: Op, table: str) -> str:
        line = line_sql(op, key_sql(source), image_sql(source))
        lines = f"ARRAY(SELECT {line} FROM {table} AS t)"
        many = f"SELECT to_json({key})::text AS key FROM {table} AS t LIMIT {_MAX_KEYS + 1}"
        texts, gone = keys(op, many, 1), ""
        if op is Op.UPDATE:
            # A row whose key changes goes, and another one comes.
            gone = f"""
            ddp_gone := ARRAY(
                SELECT {key_sql(source)}
                FROM (SELECT {key} FROM old_rows AS t EXCEPT SELECT {key} FROM {table} AS t) AS t
                LIMIT {_MAX_KEYS + 1}
            );"""
            lines = f"""ARRAY(SELECT '["d",' || key || ']' FROM unnest(ddp_gone) AS key)
                || {lines}"""
            texts = f"{keys(Op.DELETE, keys_of_gone, 0)} UNION ALL {texts}"
        return f"""
            SELECT count(*), sum(size) INTO ddp_rows, ddp_size FROM (
                SELECT {" + ".join(sizes) or "0"} AS size FROM {table} AS t LIMIT {MAX_ROWS + 1}
            ) AS counted;
            IF ddp_rows = 0 THEN
                RETURN NULL;
            END IF;
            IF pg_trigger_depth() > 1 THEN
                PERFORM set_config('ddpcore.nested' || TG_RELID::text, 'yes', true);
            END IF;
            ddp_nested := 'yes' = coalesce(
                current_setting('ddpcore.nested' || TG_RELID::text, true), '');{gone}
            IF ddp_rows <= {MAX_ROWS} AND ddp_size <= {MAX_SIZE} AND NOT ddp_nested THEN
                ddp_lines := {lines};
                ddp_body := array_to_string(ddp_lines, ',');
                IF octet_length(ddp_body) <= {ONE} THEN
                    ddp_payloads := ARRAY[pg_current_xact_id()::text || '{{"n":"'
                        || gen_random_uuid()::text || '","rows":[' || ddp_body || ']}}'];
                ELSE
                    ddp_payloads := ARRAY(WITH {_TEXTS}, {_FEW});
                END IF;
            END IF;
            IF ddp_payloads = '{{}}' THEN
                ddp_payloads := ARRAY(WITH texts AS ({texts}
                ), {_FEW});
            END IF;"""

    return f"""#variable_conflict use_column
DECLARE
    ddp_nested boolean;
    ddp_rows bigint;
    ddp_size bigint;
    ddp_gone text[] := '{{}}';
    ddp_lines text[];
    ddp_body text;
    ddp_payloads text[] := '{{}}';
BEGIN
    BEGIN
        IF TG_OP = 'INSERT' THEN{branch(Op.INSERT, "new_rows")}
        ELSIF TG_OP = 'UPDATE' THEN{branch(Op.UPDATE, "new_rows")}
        ELSIF TG_OP = 'DELETE' THEN{branch(Op.DELETE, "old_rows")}
        END IF;
    EXCEPTION WHEN undefined_column OR undefined_function OR cannot_coerce THEN
        ddp_payloads := '{{}}';
    END;
    IF ddp_payloads = '{{}}' THEN
        ddp_payloads := ARRAY[pg_current_xact_id()::text || '{{"n":"'
            || gen_random_uuid()::text || '","rows":[["r"]]}}'];
    END IF;
    FOREACH ddp_body IN ARRAY ddp_payloads LOOP
        PERFORM pg_notify({name}, ddp_body);
    END LOOP;
    RETURN NULL;
END"""


_SHARED = 3900
"""Bytes of rows after which the next payload begins, so that most payloads need no pieces."""

# The rows, gathered by their sizes into texts of few payloads each. The running sum of the sizes
# is also what keeps them in the order in which they came.
_TEXTS = f"""texts AS MATERIALIZED (
    SELECT so_far / {_SHARED} AS place, gen_random_uuid()::text AS nonce,
        '{{"n":"' || gen_random_uuid()::text || '","rows":['
        || string_agg(line, ',' ORDER BY so_far) || ']}}' AS body
    FROM (
        SELECT line, sum(octet_length(line)) OVER (ROWS UNBOUNDED PRECEDING) AS so_far
        FROM unnest(ddp_lines) AS line
    ) AS measured
    GROUP BY 1
)"""

# The payloads, if they are few; none otherwise, and nothing is cut in vain.
_FEW = (
    f"{SIZES} SELECT {PAYLOAD} FROM {PIECES}"
    f" WHERE (SELECT sum(total) FROM sizes) <= {MAX_NOTIFICATIONS} {ORDER}"
)
