"""Those of django-ddp's defects that made data wrong, or late, or dear, one test for each."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from ddp_client import CallError, connect
from project import Project

TESTS = Path(__file__).parents[1]


def titles(reader):
    return sorted(document["title"] for document in reader.docs("testsite.book").values())


@pytest.fixture(scope="module")
def bookstore(pg_cluster) -> Iterator[Project]:
    name = f"ddpcore_{secrets.token_hex(6)}"
    project = Project(TESTS / "adapter" / "site", "testsite.settings", pg_cluster.createdb(name))
    project.migrate()
    yield project
    project.end()
    pg_cluster.dropdb(name)


@pytest.fixture(scope="module")
def address(bookstore) -> str:
    return bookstore.serve().address


@pytest.fixture(scope="module")
def writer(bookstore):
    return bookstore.shell()


@pytest.fixture
def shell(writer):
    writer(
        "for model in (Book, Author, Tag, Note): model.objects.all().delete()\n"
        "ann = Author.objects.create(name='ann', email='a@example.org')\n"
        "book = Book.objects.create(title='one', author=ann)\n"
    )
    return writer


async def test_d01_a_transaction_arrives_in_its_order(address, shell):
    async with connect(address) as reader:
        await reader.sub("AllBooks")
        mark = len(reader.messages)
        shell(
            "with transaction.atomic():\n"
            "    for title in 'abc': Book.objects.create(title=title, author=ann)\n"
            "    book.title = 'v1'; book.save(); book.title = 'v2'; book.save()\n"
        )
        await reader.until(lambda: titles(reader) == ["a", "b", "c", "v2"])
        assert [m["fields"]["title"] for m in reader.since(mark)] == ["a", "b", "c", "v2"]


async def test_d02_a_method_that_fails_after_a_write_wedges_nothing(address, shell):
    async with connect(address) as reader:
        await reader.sub("AllBooks")
        (key,) = reader.docs("testsite.book")
        with pytest.raises(CallError):
            await reader.call("rename_then_fail", key, "never", "meteor")
        await reader.call("rename", key, "renamed")
        assert titles(reader) == ["renamed"]  # `updated` came after the data


async def test_d03_a_listener_that_is_cut_off_returns_and_misses_nothing(bookstore, address, shell):
    async with connect(address) as reader:
        await reader.sub("AllBooks")
        with psycopg2.connect(bookstore.database) as admin, admin.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'ddpcore listen' AND datname = current_database()"
            )
            assert cursor.rowcount == 1
        shell("book.title = 'unheard'; book.save()")
        await reader.until(lambda: titles(reader) == ["unheard"])
        (key,) = reader.docs("testsite.book")
        await reader.call("rename", key, "heard")
        assert titles(reader) == ["heard"]


async def test_d06_a_stale_instance_does_not_send_stale_values(address, shell):
    async with connect(address) as reader:
        await reader.sub("AllBooks")
        shell(
            "stale = Author.objects.get(pk=ann.pk)\n"
            "ann.email = 'new@example.org'; ann.save()\n"
            "stale.name = 'anna'; stale.save(update_fields=['name'])\n"
        )
        await reader.until(
            lambda: (
                list(reader.docs("testsite.author").values())
                == [{"name": "anna", "email": "new@example.org"}]
            )
        )


async def test_d07_joined_rows_take_their_documents_along(address, shell):
    async with connect(address) as reader:
        await reader.sub("BooksByAuthorEmail", "a@example.org")
        assert titles(reader) == ["one"]
        shell("ann.email = 'other@example.org'; ann.save()")
        await reader.until(lambda: titles(reader) == [])
        shell("ann.email = 'a@example.org'; ann.save()")
        await reader.until(lambda: titles(reader) == ["one"])


async def test_d08_decimals_and_times_travel(address, shell):
    async with connect(address) as reader:
        await reader.sub("AllEverything")
        shell(
            "import datetime, decimal, uuid\n"
            "Everything.objects.create(pk=uuid.UUID(int=1),\n"
            "    decimal=decimal.Decimal('12345678.0123456789'), time=datetime.time(1, 2, 3, 4))\n"
        )
        await reader.until(lambda: reader.docs("testsite.everything"))
        (document,) = reader.docs("testsite.everything").values()
        assert document["decimal"] == "12345678.0123456789"
        assert document["time"] == "01:02:03.000004"


async def test_d09_whoever_writes_is_seen(pg_cluster):
    """Under triggers; tests/triggers has the whole matrix."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    project = Project(
        TESTS / "triggers" / "site", "triggersite.settings", pg_cluster.createdb(name)
    )
    try:
        project.migrate()
        shell = project.shell()
        shell("a = Author.objects.create(name='a'); Book.objects.create(title='one', author=a)")
        async with connect(project.serve().address) as reader:
            await reader.sub("Books")

            def seen():
                return sorted(d["title"] for d in reader.docs("triggersite.book").values())

            raw = "UPDATE triggersite_book SET title = title || '!'"
            for code, expected in [
                ("Book.objects.update(title='update')", ["update"]),
                ("Book.objects.bulk_create([Book(title='bulk', author=a)])", ["bulk", "update"]),
                (f"connection.cursor().execute({raw!r})", ["bulk!", "update!"]),
            ]:
                shell(code)
                await reader.until(lambda expected=expected: seen() == expected, code)
    finally:
        project.end()
        pg_cluster.dropdb(name)


async def test_d16_a_failing_subscription_gets_nosub_and_leaves_nothing(address, shell):
    async with connect(address) as reader:
        await reader.send(msg="sub", id="x", name="Broken", params=[])
        answer = await reader.message(msg="nosub", id="x")
        assert answer["error"]["error"] == 403
        assert reader.data() == []


def test_d18_what_nobody_publishes_is_deleted_fast(shell):
    shell(
        "from django.test.utils import CaptureQueriesContext\n"
        "for n in range(3): Unpublished.objects.create(text='x')\n"
        "with CaptureQueriesContext(connection) as queries: Unpublished.objects.all().delete()\n"
        "assert len([q for q in queries if 'DELETE' in q['sql']]) == 1, list(queries)\n"
        "assert not [q for q in queries if 'SELECT' in q['sql']], list(queries)\n"
    )
