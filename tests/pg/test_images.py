"""Images: what the database itself says of a row, in the very transaction that changes it."""

from __future__ import annotations

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
from ddpcore_pg.images import Column, Source, announce_sql
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


@pytest.mark.parametrize("kind", ["plain", "text", "hex", "epoch"])
def test_null(place: Place, kind: str) -> None:
    types = {"plain": "text", "text": "numeric", "hex": "bytea", "epoch": "interval"}
    assert image(place, kind, types[kind], "NULL") is None


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
    writer.connection.commit()
    payloads = books.payloads()
    assert len(payloads) <= 10
    found = [event for heard in payloads for event in Assembler().put(*heard)]
    assert {each.after["title"] for each in found} == {f"x{n}" for n in range(1, 501)}
    assert len(found) == 500


@pytest.mark.parametrize("letter", ["x", "é", "日", "😀", '"', "\\", "\n"])
@pytest.mark.parametrize("length", [1, 950, 1890, 1900, 3800, 3950, 7800, 7850, 7900, 7950, 30_000])
def test_any_length(books: Ear, writer: Any, letter: str, length: int) -> None:
    for more in range(0, 100, 9):
        writer.execute(
            "INSERT INTO shop_book (title) VALUES (repeat(%s, %s))", [letter, length + more]
        )
        writer.execute(*announce_sql((BOOK, Op.INSERT, "t.id = lastval()", [])))
    writer.execute(*announce_sql((BOOK, Op.UPDATE, "true", [])))
    writer.connection.commit()
    sizes = [len(each.after["title"]) for each in books.changes() if isinstance(each, Change)]
    expected = [length + more for more in range(0, 100, 9)]
    assert sizes[: len(expected)] == expected
    assert sorted(sizes[len(expected) :]) == expected


def test_what_is_too_large_goes_without_image(books: Ear, writer: Any) -> None:
    writer.execute(
        "INSERT INTO shop_book (title) VALUES (repeat('x', %s)), (repeat('é', %s))",
        [MAX_CHANGE, MAX_CHANGE // 2 - 100],
    )
    writer.execute(*announce_sql((BOOK, Op.INSERT, "true", [])))
    writer.connection.commit()
    large, fits = sorted(books.told(), key=lambda each: each[1])
    assert large == ("i", "1", None)
    assert len(fits[2]["title"]) == MAX_CHANGE // 2 - 100


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


def test_the_value_is_the_one_after_waiting(place: Place, books: Ear) -> None:
    place.execute("INSERT INTO shop_book (title) VALUES ('one'), ('gone')")
    writer, teller = psycopg2.connect(place.dsn), psycopg2.connect(place.dsn)
    with writer.cursor() as first, teller.cursor() as second:
        first.execute("UPDATE shop_book SET title = 'two' WHERE id = 1")
        first.execute("DELETE FROM shop_book WHERE id = 2")

        def tell() -> None:
            second.execute(*announce_sql((BOOK, Op.UPDATE, "t.id IN (1, 2)", [])))
            teller.commit()

        thread = threading.Thread(target=tell)
        thread.start()
        waiting(place, teller.info.backend_pid)
        writer.commit()
        thread.join()
    writer.close()
    teller.close()
    assert [each[1:] for each in books.told()] == [("1", {"id": 1, "title": "two", "price": None})]
