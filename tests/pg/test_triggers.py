"""Triggers: every change of a table is told, whoever makes it and how."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from ddpcore.bus import Change, Op
from ddpcore_pg.images import Column, Source
from ddpcore_pg.triggers import (
    MAX_NOTIFICATIONS,
    MAX_ROWS,
    function_name,
    install_sql,
    installed,
    remove_sql,
    status,
)

from .conftest import Place
from .test_images import Ear

TABLE = "CREATE TABLE shop_book (id serial PRIMARY KEY, title text UNIQUE, price numeric)"
BOOK = Source(
    "shop.book", "shop_book", "id", (Column("id"), Column("title"), Column("price", "text"))
)


def install(place: Place, *sources: Source) -> None:
    place.execute(";\n".join(text for source in sources for text in install_sql(source)))


def state(place: Place, source: Source) -> str:
    connection = psycopg2.connect(place.dsn)
    with connection.cursor() as cursor:
        found = status(cursor, source)
    connection.close()
    assert (found.state == "installed") == (not found.reason)
    return found.state


def ours(place: Place) -> list[tuple[str, list[str]]]:
    connection = psycopg2.connect(place.dsn)
    with connection.cursor() as cursor:
        found = [(each.topic, [table for table, _ in each.triggers]) for each in installed(cursor)]
    connection.close()
    return found


def book(key: int, title: str | None = None, price: str | None = None) -> dict[str, Any]:
    return {"id": key, "title": title, "price": price}


@pytest.fixture
def writer(place: Place) -> Iterator[Any]:
    connection = psycopg2.connect(place.dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        yield cursor
    connection.close()


@pytest.fixture
def books(place: Place) -> Iterator[Ear]:
    place.execute(TABLE)
    install(place, BOOK)
    ear = Ear(place.dsn, BOOK.topic)
    yield ear
    ear.connection.close()


# --- what is told -----------------------------------------------------------------------------


def test_few_rows_have_images(books: Ear, writer: Any) -> None:
    writer.execute("INSERT INTO shop_book (title, price) VALUES ('Emma', 1.50), (NULL, NULL)")
    writer.execute("UPDATE shop_book SET price = price + 1 WHERE id = 1")
    writer.execute("DELETE FROM shop_book")
    heard = books.changes()
    assert [(each.op, each.key, each.before, each.after) for each in heard] == [
        (Op.INSERT, "1", None, book(1, "Emma", "1.50")),
        (Op.INSERT, "2", None, book(2)),
        (Op.UPDATE, "1", None, book(1, "Emma", "2.50")),
        (Op.DELETE, "2", book(2), None),
        (Op.DELETE, "1", book(1, "Emma", "2.50"), None),
    ]
    assert len({each.xid for each in heard}) == 3


def test_no_row_no_word(books: Ear, writer: Any) -> None:
    writer.execute("UPDATE shop_book SET title = 'x'")
    writer.execute("DELETE FROM shop_book")
    writer.execute("INSERT INTO shop_book SELECT 1 WHERE false")
    assert books.payloads() == []


def test_truncate_is_a_reset(books: Ear, writer: Any) -> None:
    writer.execute("TRUNCATE shop_book")
    assert books.told() == [("r", None, None)]


def test_upsert(books: Ear, writer: Any) -> None:
    writer.execute("INSERT INTO shop_book (title) VALUES ('Emma')")
    writer.execute(
        "INSERT INTO shop_book (title) VALUES ('Emma'), ('Ulysses')"
        " ON CONFLICT (title) DO UPDATE SET price = 9"
    )
    writer.execute("INSERT INTO shop_book (title) VALUES ('Emma') ON CONFLICT DO NOTHING")
    told = books.told()
    assert told[0] == ("i", "1", book(1, "Emma"))
    assert sorted(told[1:]) == [("i", "3", book(3, "Ulysses")), ("u", "1", book(1, "Emma", "9"))]


def test_merge(books: Ear, writer: Any) -> None:
    if writer.connection.server_version < 150000:
        pytest.skip("MERGE came with PostgreSQL 15")
    writer.execute("INSERT INTO shop_book (title) VALUES ('Emma'), ('Ulysses')")
    writer.execute(
        "MERGE INTO shop_book AS b USING (VALUES (1), (2), (7)) AS s (id) ON b.id = s.id"
        " WHEN MATCHED AND s.id = 1 THEN UPDATE SET price = 5"
        " WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'new')"
    )
    assert sorted(books.told()[2:]) == [
        ("d", "2", book(2, "Ulysses")),
        ("i", "7", book(7, "new")),
        ("u", "1", book(1, "Emma", "5")),
    ]


def test_copy(books: Ear, writer: Any) -> None:
    writer.copy_expert("COPY shop_book (id, title) FROM STDIN", io.StringIO("5\tEmma\n6\t\\N\n"))
    assert books.told() == [("i", "5", book(5, "Emma")), ("i", "6", book(6))]


def test_a_key_that_changes(books: Ear, writer: Any) -> None:
    writer.execute("INSERT INTO shop_book (title) VALUES ('Emma'), ('Ulysses')")
    books.told()
    writer.execute("UPDATE shop_book SET id = 9 WHERE id = 1")
    assert books.told() == [("d", "1", None), ("u", "9", book(9, "Emma"))]
    writer.execute("INSERT INTO shop_book SELECT n + 1000 FROM generate_series(1, 2000) AS n")
    assert len(books.told()) == 2000
    writer.execute("UPDATE shop_book SET id = id + 5000 WHERE id > 1000")
    told = books.told()
    assert {key for op, key, _ in told if op == "d"} == {str(n) for n in range(1001, 3001)}
    assert {key for op, key, _ in told if op == "u"} == {str(n) for n in range(6001, 8001)}
    last_gone = max(place for place, each in enumerate(told) if each[0] == "d")
    assert all(op == "u" for op, _, _ in told[last_gone + 1 :])
    assert len(told[last_gone + 1 :]) == 2000


def test_cascades_of_the_database(place: Place, books: Ear, writer: Any) -> None:
    place.execute(
        "CREATE TABLE review (id serial PRIMARY KEY, book int REFERENCES shop_book"
        " ON DELETE CASCADE ON UPDATE CASCADE);"
        "CREATE TABLE shelf (id serial PRIMARY KEY, book int REFERENCES shop_book"
        " ON DELETE SET NULL)"
    )
    columns = (Column("id"), Column("book"))
    install(place, Source("shop.review", "review", "id", columns))
    install(place, Source("shop.shelf", "shelf", "id", columns))
    ear = Ear(place.dsn, "shop.review", "shop.shelf")
    writer.execute("INSERT INTO shop_book (title) SELECT n FROM generate_series(1, 100) AS n")
    writer.execute("INSERT INTO review (book) SELECT n FROM generate_series(1, 100) AS n")
    writer.execute("INSERT INTO shelf (book) VALUES (1)")
    ear.told()
    writer.execute("DELETE FROM shop_book")
    payloads = ear.payloads()
    assert len(payloads) <= 2 * MAX_NOTIFICATIONS  # and not one for each parent
    writer.execute("INSERT INTO shop_book (id) VALUES (500)")
    writer.execute("INSERT INTO review (id, book) VALUES (500, 500)")
    writer.execute("UPDATE shop_book SET id = 501 WHERE id = 500")
    assert ear.told()[-1] == ("u", "500", {"id": 500, "book": 501})
    ear.connection.close()


def test_order_and_rollback_in_a_transaction(place: Place, books: Ear, writer: Any) -> None:
    writer.execute("BEGIN")
    writer.execute("INSERT INTO shop_book VALUES (7)")
    writer.execute("DELETE FROM shop_book")
    writer.execute("SAVEPOINT one")
    writer.execute("INSERT INTO shop_book VALUES (8)")
    writer.execute("ROLLBACK TO one")
    writer.execute("INSERT INTO shop_book VALUES (7)")
    writer.execute("SELECT pg_current_xact_id()::text::bigint")
    ((xid,),) = writer.fetchall()
    assert books.told() == []
    writer.execute("COMMIT")
    heard = books.changes()
    assert [(each.op.value, each.key, each.xid) for each in heard] == [
        ("i", "7", xid),
        ("d", "7", xid),
        ("i", "7", xid),
    ]
    writer.execute("BEGIN; TRUNCATE shop_book; ROLLBACK")
    assert books.told() == []


def test_triggers_that_write_to_the_table_again(place: Place, books: Ear, writer: Any) -> None:
    # The nested statement is told of before the one that it is part of.
    place.execute(
        """
        CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                UPDATE shop_book SET title = 'again' WHERE id = NEW.id AND title = 'once';
            ELSIF TG_OP = 'UPDATE' AND NEW.title = 'away' THEN
                DELETE FROM shop_book WHERE id = NEW.id;
            ELSIF TG_OP = 'DELETE' THEN
                INSERT INTO shop_book VALUES (OLD.id, 'back' || OLD.id);
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER again AFTER INSERT OR UPDATE OR DELETE ON shop_book
            FOR EACH ROW EXECUTE FUNCTION again()
        """
    )
    writer.execute("INSERT INTO shop_book VALUES (1, 'once')")
    assert books.told()[-1] == ("u", "1", None)
    writer.execute("INSERT INTO shop_book VALUES (2, 'twice')")  # another transaction
    assert books.told() == [("i", "2", book(2, "twice"))]
    writer.execute("UPDATE shop_book SET title = 'away' WHERE id = 2")
    assert books.told()[-1] == ("u", "2", None)
    writer.execute("DELETE FROM shop_book WHERE id = 1")
    told = books.told()
    assert told[-1] == ("u", "1", None)
    assert all(op != "d" for op, _, _ in told)


# --- how much is told -------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, MAX_ROWS, MAX_ROWS + 1, 10_000])
def test_many_rows(books: Ear, writer: Any, rows: int) -> None:
    series = f"generate_series(1, {rows})"
    for op, statement in (
        ("i", f"INSERT INTO shop_book (title) SELECT 'Title ' || n FROM {series} AS n"),
        ("u", "UPDATE shop_book SET price = 1"),
        ("d", "DELETE FROM shop_book"),
    ):
        writer.execute(statement)
        payloads = books.payloads()
        assert 1 <= len(payloads) <= MAX_NOTIFICATIONS
        writer.execute("SELECT pg_notify('ddp:shop.book', p) FROM unnest(%s) AS p",
                       [[payload for _, payload in payloads]])  # fmt: skip
        told = books.told()
        assert {(each[0], each[1]) for each in told} == {(op, str(n + 1)) for n in range(rows)}
        assert len(told) == rows
        assert all((image is None) == (rows > MAX_ROWS) for _, _, image in told)


def test_more_than_ten_notifications_are_one_reset(books: Ear, writer: Any) -> None:
    writer.execute("INSERT INTO shop_book SELECT n FROM generate_series(100000, 119999) AS n")
    writer.execute("UPDATE shop_book SET price = 1")
    writer.execute("UPDATE shop_book SET id = id + 1000000")
    writer.execute("DELETE FROM shop_book")
    payloads = books.payloads()
    assert len(payloads) == 4
    assert all('"rows":[["r"]]' in payload for _, payload in payloads)
    assert len({payload for _, payload in payloads}) == 4


@pytest.mark.parametrize("letter", ["x", "é", "😀"])
@pytest.mark.parametrize("length", [3000, 7000, 9000, 30_000, 200_000, 3_000_000])
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_large_rows(books: Ear, writer: Any, letter: str, length: int, rows: int) -> None:
    place = "CREATE TABLE IF NOT EXISTS pad (n int)"
    writer.execute(place)
    writer.execute(
        "INSERT INTO shop_book (title) SELECT n || repeat(%s, %s) FROM generate_series(1, %s) AS n"
        if length < 2000
        else "INSERT INTO shop_book (title, price) SELECT NULL, repeat('7', %s)::numeric"
        " FROM generate_series(1, %s) AS n"
        if letter == "x" and length < 100_000
        else "ALTER TABLE shop_book DROP CONSTRAINT shop_book_title_key;"
        "INSERT INTO shop_book (title) SELECT n || repeat(%s, %s) FROM generate_series(1, %s) AS n",
        [length, rows] if letter == "x" and length < 100_000 else [letter, length, rows],
    )
    payloads = books.payloads()
    assert len(payloads) <= MAX_NOTIFICATIONS
    writer.execute("SELECT pg_notify('ddp:shop.book', p) FROM unnest(%s) AS p",
                   [[payload for _, payload in payloads]])  # fmt: skip
    assert [each[1] for each in books.told()] == [str(n + 1) for n in range(rows)]


def test_text_keys(place: Place, writer: Any) -> None:
    place.execute("CREATE TABLE tag (name text PRIMARY KEY)")
    tag = Source("shop.tag", "tag", "name", (Column("name"),))
    install(place, tag)
    ear = Ear(place.dsn, tag.topic)
    names = {f'é"{n}\\' for n in range(500)} | {"007", "7", "null", "1.50", ""}
    writer.execute("INSERT INTO tag SELECT unnest(%s)", [list(names)])
    assert {each[1] for each in ear.told()} == names
    writer.execute("UPDATE tag SET name = name || '!'")
    told = ear.told()
    assert {each[1] for each in told if each[0] == "d"} == names
    assert {each[1] for each in told if each[0] == "u"} == {f"{name}!" for name in names}
    ear.connection.close()


def test_a_plan_for_one_row_serves_for_many(books: Ear, writer: Any) -> None:
    writer.execute("INSERT INTO shop_book SELECT n FROM generate_series(1, 10000) AS n")
    writer.execute("SET statement_timeout = '15s'")  # nested loops would take minutes
    for _ in range(20):
        writer.execute("UPDATE shop_book SET price = 1 WHERE id = 1")
    writer.execute("UPDATE shop_book SET price = 2")
    assert len(books.told()) == 20_020


# --- strange tables ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["Upper Case", 'quo"te', "dollar $ddpcore$ %s", "ünïcödé'", "x" * 63, "new_rows", "t"],
)
def test_strange_names(place: Place, writer: Any, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    place.execute(f"CREATE TABLE {quoted} ({quoted} int PRIMARY KEY)")
    source = Source(f"app.{name}", name, name, (Column(name),))
    install(place, source)
    assert state(place, source) == "installed"
    assert len(function_name(name).encode()) <= 63
    ear = Ear(place.dsn, source.topic)
    writer.execute(f"INSERT INTO {quoted} VALUES (1)")
    writer.execute(f"UPDATE {quoted} SET {quoted} = 2")
    assert ear.told() == [("i", "1", {name: 1}), ("d", "1", None), ("u", "2", {name: 2})]
    assert [topic for topic, _ in ours(place)] == [source.topic]
    ear.connection.close()


def test_columns_that_are_called_as_our_variables_are(place: Place, writer: Any) -> None:
    names = [
        "ddp_rows",
        "ddp_gone",
        "ddp_payload",
        "key",
        "line",
        "body",
        "size",
        "piece",
        "ddp",
        "t",
    ]
    place.execute(f"CREATE TABLE odd ({', '.join(f'{name} int' for name in names)})")
    source = Source("a.odd", "odd", "key", tuple(map(Column, names)))
    install(place, source)
    ear = Ear(place.dsn, "a.odd")
    writer.execute(f"INSERT INTO odd VALUES ({', '.join(map(str, range(len(names))))})")
    assert ear.told() == [("i", "3", {name: n for n, name in enumerate(names)})]
    ear.connection.close()


def test_schemas(place: Place, writer: Any) -> None:
    place.execute(
        'CREATE SCHEMA "a.b"; CREATE TABLE "a.b".thing (id int PRIMARY KEY);'
        "CREATE TABLE thing (id int PRIMARY KEY)"
    )
    there = Source("a.there", '"a.b"."thing"', "id", (Column("id"),))
    here = Source("a.here", "thing", "id", (Column("id"),))
    install(place, there, here)
    ear = Ear(place.dsn, there.topic, here.topic)
    writer.execute('INSERT INTO "a.b".thing VALUES (1)')
    assert [topic for topic, _ in ear.payloads()] == [there.topic]
    writer.execute("INSERT INTO thing VALUES (1)")
    assert [topic for topic, _ in ear.payloads()] == [here.topic]
    assert sorted(ours(place)) == [
        ("a.here", ["public.thing"] * 4),
        ("a.there", ['"a.b".thing'] * 4),
    ]
    writer.execute(";".join(remove_sql(here)))
    assert (state(place, there), state(place, here)) == ("installed", "missing")
    writer.execute(";".join(install_sql(here, "public")))
    assert state(place, here) == "installed"
    ear.connection.close()


def test_partitions_are_seen_by_way_of_their_parent(place: Place, writer: Any) -> None:
    place.execute(
        "CREATE TABLE log (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE log1 PARTITION OF log FOR VALUES FROM (0) TO (100);"
        "CREATE TABLE log2 PARTITION OF log FOR VALUES FROM (100) TO (200)"
    )
    source = Source("a.log", "log", "id", (Column("id"),))
    install(place, source)
    assert state(place, source) == "installed"
    ear = Ear(place.dsn, "a.log")
    writer.execute("INSERT INTO log VALUES (1), (101)")
    writer.execute("UPDATE log SET id = 150 WHERE id = 1")
    writer.execute("DELETE FROM log")
    assert sorted(ear.told()[:2]) == [("i", "1", {"id": 1}), ("i", "101", {"id": 101})]
    writer.execute("INSERT INTO log1 VALUES (2)")  # unseen: it does not pass through the parent
    assert ear.told() == []
    ear.connection.close()


def test_every_setting_is_pinned(place: Place, writer: Any) -> None:
    place.execute(
        "CREATE TABLE odd (id int PRIMARY KEY, at timestamptz, day date, f float8, b bytea)"
    )
    columns = (Column("at"), Column("day"), Column("f"), Column("b", "hex"))
    install(place, Source("a.odd", "odd", "id", columns))
    ear = Ear(place.dsn, "a.odd")
    writer.execute(
        "SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Tokyo'; SET extra_float_digits = -5;"
        "SET bytea_output = 'escape'; SET standard_conforming_strings = off; SET quote_all_identifiers = on"
    )
    writer.execute(
        "INSERT INTO odd VALUES (1, '2024-01-31 10:00+09', '2024-01-31'::date, 0.1::float8 + 0.2,"
        " decode('00ff', 'hex'))"
    )
    writer.execute("SHOW TimeZone")
    assert writer.fetchall() == [("Asia/Tokyo",)]
    assert ear.told() == [
        ("i", "1", {"at": "2024-01-31T01:00:00+00:00", "day": "2024-01-31", "f": 0.1 + 0.2, "b": "00ff"})
    ]  # fmt: skip
    ear.connection.close()


# --- rights and attacks -----------------------------------------------------------------------


def test_other_peoples_functions_are_never_called(place: Place, books: Ear, writer: Any) -> None:
    trap = "LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$"
    place.execute(
        f"""
        CREATE FUNCTION public.pg_notify(text, text) RETURNS void {trap};
        CREATE FUNCTION public.to_json(integer) RETURNS json {trap};
        CREATE FUNCTION public.to_jsonb(integer) RETURNS jsonb {trap};
        CREATE FUNCTION public.row_to_json(record) RETURNS json {trap};
        CREATE FUNCTION public.octet_length(text) RETURNS integer {trap};
        CREATE FUNCTION public.length(text) RETURNS integer {trap};
        CREATE FUNCTION public.pg_column_size(integer) RETURNS integer {trap};
        CREATE FUNCTION public.pg_column_size(text) RETURNS integer {trap};
        CREATE FUNCTION public.gen_random_uuid() RETURNS uuid {trap};
        CREATE FUNCTION public.substr(text, integer, integer) RETURNS text {trap};
        CREATE FUNCTION public.concat(text, text) RETURNS text {trap};
        CREATE FUNCTION public.path(jsonb, text[]) RETURNS text {trap};
        CREATE FUNCTION public.equal(integer, integer) RETURNS boolean {trap};
        CREATE OPERATOR public.|| (FUNCTION = public.concat, LEFTARG = text, RIGHTARG = text);
        CREATE OPERATOR public.#>> (FUNCTION = public.path, LEFTARG = jsonb, RIGHTARG = text[]);
        CREATE OPERATOR public.= (FUNCTION = public.equal, LEFTARG = integer, RIGHTARG = integer);
        CREATE OPERATOR public.<= (FUNCTION = public.equal, LEFTARG = integer, RIGHTARG = integer);
        """
    )
    writer.execute(
        "CREATE TEMP TABLE new_rows (id int, title text, price numeric);"
        "CREATE TEMP TABLE old_rows (id int, title text, price numeric);"
        "CREATE TEMP TABLE lines (line text); CREATE TEMP TABLE sizes (total int);"
        "CREATE DOMAIN pg_temp.text AS integer;"
        "INSERT INTO new_rows VALUES (666); INSERT INTO old_rows VALUES (666);"
        "SET search_path = public, pg_temp, pg_catalog"
    )
    with pytest.raises(psycopg2.errors.RaiseException, match="trapped"):
        writer.execute("SELECT pg_notify('a'::pg_catalog.text, 'b'::pg_catalog.text)")
    writer.execute("INSERT INTO shop_book (title) VALUES ('Emma')")
    writer.execute("UPDATE shop_book SET price = 7")
    writer.execute("DELETE FROM shop_book")
    assert books.told() == [
        ("i", "1", book(1, "Emma")),
        ("u", "1", book(1, "Emma", "7")),
        ("d", "1", book(1, "Emma", "7")),
    ]


def test_writers_need_no_further_rights(place: Place, books: Ear, writer: Any) -> None:
    role = "ddpcore_inserter"
    place.execute(f"CREATE ROLE {role}; GRANT INSERT ON shop_book TO {role};"
                  f"GRANT USAGE ON SEQUENCE shop_book_id_seq TO {role}")  # fmt: skip
    try:
        writer.execute(f"SET ROLE {role}")
        writer.execute("INSERT INTO shop_book (title) VALUES ('Emma')")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            writer.execute("SELECT * FROM shop_book")
        writer.execute("RESET ROLE")
    finally:
        place.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert books.told() == [("i", "1", book(1, "Emma"))]


def test_replicas_are_not_heard(books: Ear, writer: Any) -> None:
    writer.execute("SET session_replication_role = replica")
    writer.execute("INSERT INTO shop_book (title) VALUES ('Emma')")
    assert books.told() == []


# --- installing -------------------------------------------------------------------------------


def test_installing_and_removing_again_and_again(place: Place, writer: Any) -> None:
    assert state(place, BOOK) == "absent"
    writer.execute(";".join(remove_sql(BOOK)))  # no table yet
    place.execute(TABLE)
    assert state(place, BOOK) == "missing"
    for _ in range(2):
        install(place, BOOK)
        assert state(place, BOOK) == "installed"
        assert ours(place) == [("shop.book", ["public.shop_book"] * 4)]
    for _ in range(2):
        writer.execute(";".join(remove_sql(BOOK)))
        assert state(place, BOOK) == "missing"
        assert ours(place) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("ALTER TABLE shop_book DISABLE TRIGGER ddpcore_update", "missing"),
        ("ALTER TABLE shop_book ENABLE REPLICA TRIGGER ddpcore_update", "missing"),
        ("DROP TRIGGER ddpcore_truncate ON shop_book", "missing"),
        ("COMMENT ON FUNCTION {function}() IS 'mine'", "missing"),
        ("CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
         "missing"),
        ("COMMENT ON FUNCTION {function}() IS 'ddpcore announces changes of shop.book (0)'", "stale"),
        ("ALTER FUNCTION {function}() RENAME TO another", "stale"),
    ],
)  # fmt: skip
def test_whether_changes_are_lost(place: Place, change: str, expected: str) -> None:
    place.execute(TABLE)
    install(place, BOOK)
    place.execute(change.format(function=function_name("shop_book")))
    assert state(place, BOOK) == expected
    install(place, BOOK)
    assert state(place, BOOK) == "installed"


def test_other_columns_are_stale(place: Place) -> None:
    place.execute(TABLE)
    install(place, BOOK)
    fewer = Source(BOOK.topic, BOOK.table, BOOK.key, BOOK.columns[:2])
    assert state(place, fewer) == "stale"
    assert state(place, Source("a.b", BOOK.table, BOOK.key, BOOK.columns)) == "missing"
    more = Source(BOOK.topic, BOOK.table, BOOK.key, (*BOOK.columns, Column("pages")))
    assert state(place, more) == "absent"
    place.execute("ALTER TABLE shop_book ADD COLUMN pages int")
    assert state(place, more) == "stale"
    install(place, more)
    assert state(place, more) == "installed"


def test_a_table_renamed(place: Place) -> None:
    place.execute(TABLE)
    install(place, BOOK)
    place.execute("ALTER TABLE shop_book RENAME TO tome")
    tome = Source(BOOK.topic, "tome", "id", BOOK.columns)
    assert state(place, tome) == "stale"
    install(place, tome)
    assert state(place, tome) == "installed"
    assert sorted(ours(place)) == [("shop.book", []), ("shop.book", ["public.tome"] * 4)]
    connection = psycopg2.connect(place.dsn)
    with connection, connection.cursor() as cursor:
        for each in installed(cursor):
            if not each.triggers:
                cursor.execute(";".join(each.remove_sql()))
    connection.close()
    assert ours(place) == [("shop.book", ["public.tome"] * 4)]


@pytest.mark.parametrize(
    "change",
    ["DROP COLUMN price", "RENAME COLUMN price TO cost", "DROP COLUMN id"],
)
def test_a_column_gone_is_a_reset_and_no_failure(books: Ear, writer: Any, change: str) -> None:
    writer.execute("INSERT INTO shop_book (title) VALUES ('Emma')")
    books.told()
    writer.execute(f"ALTER TABLE shop_book {change}")
    writer.execute("INSERT INTO shop_book (title) VALUES ('Ulysses')")
    writer.execute("UPDATE shop_book SET title = title || '!'")
    writer.execute("DELETE FROM shop_book")
    assert [op for op, _, _ in books.told()] == ["r"] * 3


def test_a_column_of_another_type(books: Ear, writer: Any) -> None:
    writer.execute("INSERT INTO shop_book (title) VALUES ('Emma')")
    writer.execute(
        "ALTER TABLE shop_book ALTER COLUMN id TYPE bigint, ALTER COLUMN price TYPE text"
    )
    writer.execute("UPDATE shop_book SET price = 'dear'")
    assert books.told()[-1] == ("u", "1", book(1, "Emma", "dear"))


@pytest.mark.parametrize("kind", ["hex", "float", "epoch"])
def test_a_column_of_a_type_that_has_no_such_image(place: Place, writer: Any, kind: str) -> None:
    types = {"hex": "bytea", "float": "float8", "epoch": "interval"}
    place.execute(f"CREATE TABLE one (id int PRIMARY KEY, it {types[kind]})")
    source = Source("a.one", "one", "id", (Column("it", kind),))
    install(place, source)
    ear = Ear(place.dsn, "a.one")
    place.execute("ALTER TABLE one ALTER COLUMN it TYPE jsonb USING NULL")
    place.execute("ALTER TABLE one ALTER COLUMN it TYPE uuid USING NULL")
    writer.execute("INSERT INTO one VALUES (1, gen_random_uuid())")
    writer.connection.commit()
    assert [op for op, _, _ in ear.told()] == ["r"]
    ear.connection.close()


def test_what_can_have_no_triggers(place: Place) -> None:
    place.execute(TABLE)
    place.execute("CREATE VIEW shown AS SELECT * FROM shop_book")
    assert state(place, Source("a.b", "shown", "id")) == "impossible"
    assert state(place, Source("a.b", "nowhere", "id")) == "absent"
    assert state(place, Source("a.b", '"nowhere"."nothing"', "id")) == "absent"


def test_names_of_functions_are_short_and_their_own() -> None:
    tables = ["a", "A", "x" * 100, "x" * 101, "é", '"s"."t"', "s.t", "s_t", ""]
    names = [function_name(table) for table in tables]
    assert len(set(names)) == len(tables)
    assert all(len(name.encode()) <= 63 for name in names)


def test_images_are_those_of_the_last_value(books: Ear, writer: Any) -> None:
    writer.execute("INSERT INTO shop_book (title) VALUES ('one')")
    writer.execute("BEGIN")
    for title in ("two", "three", "two"):
        writer.execute("UPDATE shop_book SET title = %s", [title])
    writer.execute("COMMIT")
    heard = [each for each in books.changes() if isinstance(each, Change)]
    assert [each.after["title"] for each in heard if each.after] == ["one", "two", "three", "two"]
