"""Images: what the database itself says of a row, in the very transaction that changes it."""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.extras
import pytest
from psycopg2 import sql

from ddpcore.bus import Change, Gap, Op
from ddpcore_pg.images import (
    MAX_KEYS,
    MAX_ROWS,
    MAX_SIZE,
    Column,
    RowSet,
    Source,
    announce_row_sql,
    announce_sql,
)
from ddpcore_pg.payload import MAX_CHANGE, Assembler, channel

from .conftest import Place

BOOK = Source(
    "shop.book", "shop_book", "id", (Column("id"), Column("title"), Column("price", "text"))
)


class Ear:
    """Hears the topics of sources, and says which payloads and which changes came."""

    def __init__(self, dsn: str, *topics: str) -> None:
        self.connection = psycopg2.connect(dsn)
        self.connection.autocommit = True
        self._topics = {channel(topic): topic for topic in topics}
        with self.connection.cursor() as cursor:
            for name in self._topics:
                cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))

    def payloads(self) -> list[tuple[str, str]]:
        """What has been committed since the last time: topic and payload."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT 1")  # the answer comes behind what is waiting for us
        self.connection.poll()
        heard = [(self._topics[each.channel], each.payload) for each in self.connection.notifies]
        self.connection.notifies.clear()
        return heard

    def changes(self) -> list[Change | Gap]:
        assembler = Assembler()
        found = [event for heard in self.payloads() for event in assembler.put(*heard)]
        assert len(assembler) == 0
        assert all(isinstance(each, Change) and each.xid for each in found)
        return found

    def told(self) -> list[tuple[str, str | None, Any]]:
        """Operation, key, and image of whichever side."""
        return [
            (each.op.value, each.key, each.after if each.before is None else each.before)
            for each in self.changes()
            if isinstance(each, Change)
        ]


@pytest.fixture
def writer(place: Place) -> Iterator[Any]:
    connection = psycopg2.connect(place.dsn)
    with connection.cursor() as cursor:
        yield cursor
    connection.close()


@pytest.fixture
def books(place: Place) -> Iterator[Ear]:
    place.execute("CREATE TABLE shop_book (id serial PRIMARY KEY, title text, price numeric)")
    ear = Ear(place.dsn, BOOK.topic)
    yield ear
    ear.connection.close()


def image(place: Place, kind: str, definition: str, value: str, settings: str = "") -> Any:
    """The image of `value` in a column of that definition, as a session of these settings sends it."""
    place.execute(f"CREATE TABLE one (id integer PRIMARY KEY, it {definition})")
    source = Source("a.one", "one", "id", (Column("it", kind),))
    ear = Ear(place.dsn, "a.one")
    connection = psycopg2.connect(place.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"{settings}; INSERT INTO one VALUES (1, {value})")
        cursor.execute(*announce_sql((source, Op.INSERT, "t.id = %s", [1])))
    connection.close()
    ((op, key, found),) = ear.told()
    ear.connection.close()
    assert (op, key) == ("i", "1")
    return found["it"]


STRANGE = (
    "SET DateStyle = 'SQL, DMY'; SET TimeZone = 'UTC'; SET IntervalStyle = 'sql_standard';"
    " SET bytea_output = 'escape'"
)


@pytest.mark.parametrize(
    ("kind", "definition", "value", "expected"),
    [
        ("plain", "integer", "-7", -7),
        ("plain", "bigint", "9223372036854775807", 2**63 - 1),
        ("plain", "boolean", "true", True),
        ("plain", "double precision", "0.1::float8 + 0.2", 0.1 + 0.2),
        ("plain", "double precision", "'Infinity'", "Infinity"),
        ("plain", "text", "E'é日😀\\\\ \" \\n\\x01 %s'", 'é日😀\\ " \n\x01 %s'),
        ("plain", "varchar(10)", "'null'", "null"),
        ("plain", "uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
         "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("plain", "date", "DATE '2024-01-31'", "2024-01-31"),
        ("plain", "time", "TIME '13:30:00.000001'", "13:30:00.000001"),
        ("plain", "timestamptz", "TIMESTAMPTZ '2024-01-31 10:00:00.5+02'",
         "2024-01-31T08:00:00.5+00:00"),
        ("plain", "timestamp", "TIMESTAMP '2024-01-31 10:00:00'", "2024-01-31T10:00:00"),
        ("plain", "inet", "'10.0.0.1'", "10.0.0.1"),
        ("text", "numeric(30, 10)", "12345678901234567890.1234567890",
         "12345678901234567890.1234567890"),
        ("text", "numeric", "'NaN'", "NaN"),
        ("text", "json", "'{\"a\":  1.10, \"a\": 2}'", '{"a":  1.10, "a": 2}'),
        ("text", "jsonb", "'{\"b\": 1.10, \"a\": null}'", '{"a": null, "b": 1.10}'),
        ("text", "jsonb", "'null'", "null"),
        ("hex", "bytea", "'\\x00ff10'", "00ff10"),
        ("float", "double precision", "0.1::float8 + 0.2", "x3fd3333333333334"),
        ("float", "double precision", "'-0'", "x8000000000000000"),
        ("float", "double precision", "'-Infinity'", "xfff0000000000000"),
        ("float", "real", "0.1", "0.1"),
        ("float", "numeric", "0.10", "0.10"),
        ("float", "text", "'much'", "much"),
        ("epoch", "interval", "make_interval(days => -2, hours => 3, secs => 0.000001)", "-161999.999999"),
        ("epoch", "interval", "'1 month -30 days'", "months"),
        ("epoch", "interval", "'-2 years'", "months"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("settings", ["SELECT 1", STRANGE], ids=["usual", "strange"])
def test_every_kind(
    place: Place, kind: str, definition: str, value: str, expected: Any, settings: str
) -> None:
    assert image(place, kind, definition, value, settings) == expected


@pytest.mark.parametrize("digits", [-15, 0, 3])
def test_floats_lose_no_digits(place: Place, digits: int) -> None:
    settings = f"SET extra_float_digits = {digits}"
    found = image(place, "float", "double precision", "pi()", settings)
    assert found == "x" + struct.pack("!d", math.pi).hex()


@pytest.mark.parametrize("kind", ["plain", "text", "hex", "epoch", "float"])
def test_null(place: Place, kind: str) -> None:
    types = {"hex": "bytea", "epoch": "interval", "float": "float8"}
    assert image(place, kind, types.get(kind, "text"), "NULL") is None


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ("integer", -7),
        ("bigint", 2**63 - 1),
        ("text", 'é"\\/ 😀'),
        ("text", "007"),
        ("varchar(5)", ""),
        ("uuid", UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ("date", date(2024, 1, 31)),
        ("numeric(10, 2)", Decimal("1.50")),
    ],
)
def test_keys_are_what_python_prints(
    place: Place, writer: Any, definition: str, value: Any
) -> None:
    psycopg2.extras.register_uuid()
    place.execute(f"CREATE TABLE one (it {definition} PRIMARY KEY)")
    ear = Ear(place.dsn, "a.one")
    writer.execute(STRANGE)
    writer.execute("INSERT INTO one VALUES (%s)", [value])
    writer.execute(*announce_sql((Source("a.one", "one", "it"), Op.INSERT, "t.it = %s", [value])))
    writer.connection.commit()
    assert ear.told() == [("i", str(value), None)]
    ear.connection.close()


def test_before_and_after(place: Place, books: Ear, writer: Any) -> None:
    writer.execute("INSERT INTO shop_book (title, price) VALUES ('Emma', 1.50), ('Ulysses', NULL)")
    writer.execute(*announce_sql((BOOK, Op.INSERT, "t.id = %s", [1])))
    writer.execute("UPDATE shop_book SET price = price + 1")
    writer.execute(*announce_sql((BOOK, Op.UPDATE, "t.id = ANY(%s)", [[1, 2, 3]])))
    writer.execute(*announce_sql((BOOK, Op.DELETE, "t.title = %s", ["Emma"])))
    writer.execute("DELETE FROM shop_book WHERE id = 1")
    writer.execute(*announce_sql((BOOK, Op.UPDATE, "t.id = %s", [1])))
    writer.connection.commit()
    emma = {"id": 1, "title": "Emma", "price": "2.50"}
    heard = books.changes()
    assert [(each.op, each.key, each.before, each.after) for each in heard] == [
        (Op.INSERT, "1", None, emma | {"price": "1.50"}),
        (Op.UPDATE, "1", None, emma),
        (Op.UPDATE, "2", None, {"id": 2, "title": "Ulysses", "price": None}),
        (Op.DELETE, "1", emma, None),
    ]
    assert len({each.xid for each in heard}) == 1


def test_sets_of_several_tables_keep_their_order(place: Place, books: Ear, writer: Any) -> None:
    place.execute(
        'CREATE SCHEMA "odd%s"; CREATE TABLE "odd%s"."a""%s T" ("Key %s" text PRIMARY KEY)'
    )
    odd = Source("a.odd", '"odd%s"."a""%s T"', "Key %s", (Column("Key %s"),))
    ear = Ear(place.dsn, BOOK.topic, odd.topic)
    writer.execute("INSERT INTO shop_book (title) VALUES ('Emma'), ('Ulysses')")
    writer.execute("""INSERT INTO "odd%s"."a""%s T" VALUES ('x')""")
    writer.execute(
        *announce_sql(
            (BOOK, Op.INSERT, "t.id = %s", [2]),
            (odd, Op.UPDATE, 't."Key %%s" = %s', ["x"]),
            (BOOK, Op.UPDATE, "t.id = %s AND t.title = %s", [1, "Emma"]),
            (BOOK, Op.INSERT, "false", []),
        )
    )
    assert writer.rowcount == 3
    writer.connection.commit()
    assert [each[:2] for each in ear.told()] == [("i", "2"), ("u", "x"), ("u", "1")]
    ear.connection.close()
    assert books.told() == [
        ("i", "2", {"id": 2, "title": "Ulysses", "price": None}),
        ("u", "1", {"id": 1, "title": "Emma", "price": None}),
    ]


def test_what_cannot_be_announced() -> None:
    with pytest.raises(ValueError, match="Name rows"):
        announce_sql()
    with pytest.raises(ValueError, match="Name rows"):
        announce_sql((BOOK, Op.RESET, "true", []))


def test_rollback_and_savepoint(books: Ear, writer: Any) -> None:
    writer.execute("INSERT INTO shop_book (title) VALUES ('Emma'), ('Ulysses')")
    writer.execute("SAVEPOINT one")
    writer.execute(*announce_sql((BOOK, Op.INSERT, "t.id = %s", [1])))
    writer.execute("ROLLBACK TO one")
    writer.execute("SAVEPOINT two")
    writer.execute(*announce_sql((BOOK, Op.INSERT, "t.id = %s", [2])))
    writer.execute("RELEASE two")
    writer.connection.commit()
    assert [each[:2] for each in books.told()] == [("i", "2")]
    writer.execute(*announce_sql((BOOK, Op.INSERT, "t.id = %s", [1])))
    writer.connection.rollback()
    assert books.told() == []


def test_the_number_is_that_of_the_transaction(books: Ear, writer: Any) -> None:
    writer.execute("INSERT INTO shop_book (title) VALUES ('Emma')")
    writer.execute("SELECT pg_current_xact_id()::text::bigint")
    ((xid,),) = writer.fetchall()
    writer.execute("SAVEPOINT one")
    writer.execute(*announce_sql((BOOK, Op.INSERT, "true", [])))
    writer.connection.commit()
    assert [each.xid for each in books.changes()] == [xid]


# --- sizes ------------------------------------------------------------------------------------


def test_small_rows_share_a_payload(books: Ear, writer: Any) -> None:
    writer.execute("INSERT INTO shop_book (title) SELECT 'x' || n FROM generate_series(1, 500) n")
    writer.execute(*announce_sql((BOOK, Op.INSERT, "true", [])))
    assert writer.rowcount <= 10
    writer.connection.commit()
    found = books.told()
    assert {each[2]["title"] for each in found} == {f"x{n}" for n in range(1, 501)}
    assert len(found) == 500


@pytest.mark.parametrize("letter", ["x", "é", "日", "😀", '"', "\\", "\n"])
@pytest.mark.parametrize("length", [1, 950, 1890, 1900, 3800, 3950, 7800, 7850, 7900, 7950, 30_000])
def test_any_length(books: Ear, writer: Any, letter: str, length: int) -> None:
    expected = [length + more for more in range(0, 100, 9)]
    for each in expected:
        writer.execute("INSERT INTO shop_book (title) VALUES (repeat(%s, %s))", [letter, each])
        writer.execute(*announce_sql((BOOK, Op.INSERT, "t.id = lastval()", [])))
    few = (BOOK, Op.UPDATE, "t.id IN (1, 2)", [])
    writer.execute(*announce_sql(few, few))
    assert writer.rowcount <= 2 * (1 + MAX_SIZE // 1900)
    writer.connection.commit()
    heard = books.told()
    assert [len(row["title"]) for _, _, row in heard[: len(expected)]] == expected
    assert [key for _, key, _ in heard[len(expected) :]] == ["1", "2"] * 2
    for _, key, row in heard[len(expected) :]:
        # Together they may be too large for images.
        if row is None:
            assert 2 * length * len(letter.encode()) > MAX_SIZE - 1000
        else:
            assert len(row["title"]) == expected[int(key) - 1]


@pytest.mark.parametrize("op", [Op.INSERT, Op.DELETE])
def test_large_sets_send_keys(books: Ear, writer: Any, op: Op) -> None:
    writer.execute(
        "INSERT INTO shop_book (title) SELECT repeat('x', 100) FROM generate_series(1, 5000) n"
    )
    writer.execute(*announce_sql((BOOK, op, "true", [])))
    assert writer.rowcount <= 10
    writer.connection.commit()
    heard = books.told()
    assert {each[1] for each in heard} == {str(n) for n in range(1, 5001)}
    assert {(each[0], each[2]) for each in heard} == {(op.value, None)}


def test_larger_sets_send_a_reset(place: Place, writer: Any) -> None:
    place.execute("CREATE TABLE one (it text PRIMARY KEY)")
    ear = Ear(place.dsn, "a.one")
    one = Source("a.one", "one", "it", (Column("it"),))
    writer.execute("INSERT INTO one SELECT n::text FROM generate_series(1, %s) n", [MAX_ROWS + 1])
    short, long = "length(it) < 9", "length(it) > 9"
    writer.execute(*announce_sql((one, Op.DELETE, short, []), (one, Op.UPDATE, "it = '7'", [])))
    writer.execute("INSERT INTO one SELECT repeat('x', 999) || n FROM generate_series(1, 70) n")
    writer.execute(*announce_sql((one, Op.INSERT, long, [])))
    writer.execute("DELETE FROM one WHERE it LIKE '%x70'")
    writer.execute(*announce_sql((one, Op.INSERT, long, [])))
    writer.connection.commit()
    heard = ear.told()
    assert heard[:3] == [("r", None, None), ("u", "7", {"it": "7"}), ("r", None, None)]
    assert len(heard) == 3 + 69
    assert 69 * 1005 < MAX_KEYS < 70 * 1005
    ear.connection.close()


def test_what_is_too_large_goes_without_image(books: Ear, writer: Any) -> None:
    writer.execute(
        "INSERT INTO shop_book (title) VALUES (repeat('x', %s)), (repeat('é', %s))",
        [MAX_CHANGE, MAX_CHANGE // 2 - 100],
    )
    for key in (1, 2):
        writer.execute(*announce_sql((BOOK, Op.INSERT, "t.id = %s", [key])))
    writer.connection.commit()
    large, fits = books.told()
    assert large == ("i", "1", None)
    assert len(fits[2]["title"]) == MAX_CHANGE // 2 - 100


@pytest.mark.parametrize("letter", ["x", "😀"])
@pytest.mark.parametrize("op", [Op.INSERT, Op.UPDATE, Op.DELETE])
def test_one_row(books: Ear, writer: Any, op: Op, letter: str) -> None:
    for length in (1, 1800, 7700, 7900):
        writer.execute("INSERT INTO shop_book (title) VALUES (repeat(%s, %s))", [letter, length])
        row = RowSet(BOOK, op, "t.id = lastval() AND %s", [True])
        writer.execute(*announce_row_sql(row))
        fits = length * len(letter.encode()) < 7800
        assert writer.fetchall() == [("" if fits else None,)]
        writer.connection.commit()
        assert len(books.told()) == fits
    writer.execute(*announce_row_sql(RowSet(BOOK, op, "false")))
    assert writer.fetchall() == []
    with pytest.raises(ValueError, match="Name a row"):
        announce_row_sql(RowSet(BOOK, Op.RESET, "true"))


def test_hundreds_of_columns(place: Place, writer: Any) -> None:
    names = [f"column_{n}" for n in range(800)]
    place.execute(f"CREATE TABLE wide (id int PRIMARY KEY, {', '.join(f'{n} int' for n in names)})")
    source = Source("a.wide", "wide", "id", tuple(map(Column, names)))
    ear = Ear(place.dsn, "a.wide")
    writer.execute(f"INSERT INTO wide VALUES (1, {', '.join(map(str, range(800)))})")
    writer.execute(*announce_sql((source, Op.INSERT, "t.id = 1", [])))
    writer.connection.commit()
    assert ear.told() == [("i", "1", dict(zip(names, range(800), strict=True)))]
    ear.connection.close()


def test_columns_that_are_called_as_our_names_are(place: Place, writer: Any) -> None:
    names = ["t", "ddp", "i", "image", "key", "line", "body", "size", "piece", "place", "channel"]
    place.execute(f"CREATE TABLE odd ({', '.join(f'{name} int' for name in names)})")
    source = Source("a.odd", "odd", "key", tuple(map(Column, names)))
    ear = Ear(place.dsn, "a.odd")
    writer.execute(f"INSERT INTO odd VALUES ({', '.join(map(str, range(len(names))))})")
    writer.execute(*announce_sql((source, Op.INSERT, "t.image = %s", [3])))
    writer.connection.commit()
    assert ear.told() == [("i", "4", {name: n for n, name in enumerate(names)})]
    ear.connection.close()


def test_a_database_of_another_encoding(pg_cluster: Any, place: Place) -> None:
    name = place.dsn.rsplit("/", 1)[-1].partition("?")[0] + "_latin"
    pg_cluster.execute(
        f"""CREATE DATABASE "{name}" ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"""
    )
    try:
        latin = Place(pg_cluster.dsn(name))
        found = image(latin, "plain", "text", "repeat(U&'\\00e9', 20000)")
        assert found == "é" * 20_000
    finally:
        pg_cluster.dropdb(name)


# --- two writers ------------------------------------------------------------------------------


def waiting(place: Place, pid: int) -> None:
    """Return when that backend waits for a lock."""
    while not place.execute("SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted", [pid]):
        pass


def test_an_older_value_is_never_announced_last(place: Place, books: Ear) -> None:
    place.execute("INSERT INTO shop_book (title) VALUES ('one')")  # autocommit, not yet announced
    slow, fast = psycopg2.connect(place.dsn), psycopg2.connect(place.dsn)
    with slow.cursor() as first, fast.cursor() as second:
        # The slow one has read the row for its announcement, and has not committed it yet...
        first.execute(*announce_sql((BOOK, Op.UPDATE, "t.id = 1", [])))

        def overtake() -> None:
            second.execute("UPDATE shop_book SET title = 'two' WHERE id = 1")
            second.execute(*announce_sql((BOOK, Op.UPDATE, "t.id = 1", [])))
            fast.commit()

        # ...so the fast one must wait with a newer value.
        thread = threading.Thread(target=overtake)
        thread.start()
        waiting(place, fast.info.backend_pid)
        slow.commit()
        thread.join()
    slow.close()
    fast.close()
    assert [each[2]["title"] for each in books.told()] == ["one", "two"]


@pytest.mark.parametrize("one", [True, False])
def test_the_value_is_the_one_after_waiting(place: Place, books: Ear, one: bool) -> None:
    place.execute("INSERT INTO shop_book (title) VALUES ('one'), ('gone')")
    writer, teller = psycopg2.connect(place.dsn), psycopg2.connect(place.dsn)
    with writer.cursor() as first, teller.cursor() as second:
        first.execute("UPDATE shop_book SET title = 'two' WHERE id = 1")
        first.execute("DELETE FROM shop_book WHERE id = 2")

        def tell() -> None:
            rows = RowSet(BOOK, Op.UPDATE, "t.id IN (1, 2)")
            second.execute(*(announce_row_sql if one else announce_sql)(rows))
            teller.commit()

        thread = threading.Thread(target=tell)
        thread.start()
        waiting(place, teller.info.backend_pid)
        writer.commit()
        thread.join()
    writer.close()
    teller.close()
    assert [each[1:] for each in books.told()] == [("1", {"id": 1, "title": "two", "price": None})]


def test_without_a_lock_nobody_waits(place: Place, books: Ear) -> None:
    place.execute("INSERT INTO shop_book (title) VALUES ('one')")
    other, teller = psycopg2.connect(place.dsn), psycopg2.connect(place.dsn)
    with other.cursor() as first, teller.cursor() as second:
        first.execute("UPDATE shop_book SET title = 'two' WHERE id = 1")
        second.execute("SET lock_timeout = '20s'")  # the other one waits for us
        rows = RowSet(BOOK, Op.UPDATE, "t.id = 1", lock=False)
        second.execute(*announce_row_sql(rows))
        second.execute(*announce_sql(rows))
        teller.commit()
    other.close()
    teller.close()
    assert [each[2]["title"] for each in books.told()] == ["one", "one"]
