"""What triggers see: everything, told to clients of `ddpcore serve` while signals are silent."""

from __future__ import annotations

import psycopg2
import pytest
from ddp_client import connect


@pytest.fixture
def shell(project):
    shell = project.shell()
    shell("a = Author.objects.create(name='a')")
    return shell


def execute(project, statement, *parameters):
    """As psql and any other program would."""
    connection = psycopg2.connect(project.database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
    connection.close()


async def test_every_way_to_write_rows(project, shell):
    server = project.serve()
    steps = {
        "b = Book.objects.create(title='create', author=a)": {"create"},
        "b.title = 'save'; b.save()": {"save"},
        "b.title = 'fields'; b.save(update_fields=['title'])": {"fields"},
        "Book.objects.get_or_create(title='get', author=a)": {"fields", "get"},
        "Book.objects.update_or_create(title='get', defaults={'title': 'upd'})": {
            "fields",
            "upd",
        },
        "Book.objects.bulk_create([Book(title=t, author=a) for t in ('b1', 'b2')])": {
            "fields",
            "upd",
            "b1",
            "b2",
        },
        "Book.objects.bulk_create([Book(pk=b.pk, title='conflict', author=a)],"
        " update_conflicts=True, unique_fields=['id'], update_fields=['title'])": {
            "conflict",
            "upd",
            "b1",
            "b2",
        },
        "l = list(Book.objects.filter(title__startswith='b').order_by('pk'))\n"
        "for n, each in enumerate(l): each.title = f'bulk{n}'\n"
        "Book.objects.bulk_update(l, ['title'])": {"conflict", "upd", "bulk0", "bulk1"},
        "Book.objects.filter(title='upd').update(title='qs')": {
            "conflict",
            "qs",
            "bulk0",
            "bulk1",
        },
        "from django.db.models import F, Value\n"
        "from django.db.models.functions import Concat\n"
        "b = Book.objects.get(title='qs'); b.title = Concat(F('title'), Value('!')); b.save()": {
            "conflict",
            "qs!",
            "bulk0",
            "bulk1",
        },
        "b.delete()": {"conflict", "bulk0", "bulk1"},
        "Book.objects.filter(title='bulk0').delete()": {"conflict", "bulk1"},
        "from django.db import router\nBook.objects.filter(title='bulk1')._raw_delete('default')": {
            "conflict"
        },
        "connection.cursor().execute(\"UPDATE triggersite_book SET title = 'raw'\")": {"raw"},
        "from django.core.management import call_command\n"
        "import json, pathlib, tempfile\n"
        "with tempfile.TemporaryDirectory() as place:\n"
        "    path = pathlib.Path(place, 'f.json')\n"
        "    path.write_text(json.dumps([{'model': 'triggersite.book', 'pk': 77,"
        " 'fields': {'title': 'fixture', 'author': a.pk}}]))\n"
        "    call_command('loaddata', str(path), verbosity=0)": {"raw", "fixture"},
        "with transaction.atomic():\n"
        "    Book.objects.update(title=Concat(F('title'), Value('?')))\n"
        "    transaction.set_rollback(True)\n"
        "Book.objects.filter(title='raw').update(title='kept')": {"kept", "fixture"},
        "a.delete()": set(),
    }
    async with connect(server.address) as client:
        await client.sub("Books")

        def titles():
            return {each["title"] for each in client.docs("triggersite.book").values()}

        for code, expected in steps.items():
            shell(code)
            await client.until(lambda expected=expected: titles() == expected, code)
        assert client.docs("triggersite.author") == {}


async def test_many_to_many_by_every_way(project, shell):
    shell(
        "b = Book.objects.create(title='b', author=a)\n"
        "x, y, z = (Tag.objects.create(word=w) for w in 'xyz')\n"
        "Through = Book.tags.through"
    )
    server = project.serve()
    steps = {
        "b.tags.add(x, y)": "xy",
        "b.tags.remove(x)": "y",
        "b.tags.set([x, z])": "xz",
        "b.tags.clear()": "",
        "y.books.add(b)": "y",
        "y.books.clear()": "",
        "Through.objects.create(book=b, tag=z)": "z",
        "Through.objects.bulk_create([Through(book=b, tag=t) for t in (x, y)])": "xyz",
        "Through.objects.filter(tag=y).delete()": "xz",
        "Through.objects.filter(tag=x).update(tag=y)": "yz",
        "z.delete()": "y",
    }
    async with connect(server.address) as client:
        await client.sub("Books")
        words = {id: tag["word"] for id, tag in client.docs("triggersite.tag").items()}

        def tags():
            (book,) = client.docs("triggersite.book").values()
            return "".join(sorted(words[id] for id in book["tags_ids"]))

        for code, expected in steps.items():
            shell(code)
            await client.until(lambda expected=expected: tags() == expected, code)


async def test_what_the_database_and_other_programs_do(project, shell):
    shell(
        "one = Book.objects.create(title='one', author=a)\n"
        "two = Book.objects.create(title='two', author=a, sequel_to=one)"
    )
    server = project.serve()
    async with connect(server.address) as client:
        await client.sub("Books")

        def books():
            return {
                each["title"]: each["sequel_to_id"] is not None
                for each in client.docs("triggersite.book").values()
            }

        assert books() == {"one": False, "two": True}
        shell("one.delete()")  # and SET_NULL with it
        await client.until(lambda: books() == {"two": False}, "SET_NULL")
        connection = psycopg2.connect(project.database)
        with connection, connection.cursor() as cursor:
            cursor.execute("COPY triggersite_book (title, author_id) FROM PROGRAM 'echo \"c\t1\"'")
        connection.close()
        await client.until(lambda: books() == {"two": False, "c": False}, "COPY")
        execute(
            project,
            "ALTER TABLE triggersite_book DROP CONSTRAINT triggersite_book_title_key;"
            "UPDATE triggersite_book SET title = 'same'",
        )
        await client.until(lambda: books() == {"same": False}, "UPDATE")
        execute(
            project,
            "INSERT INTO triggersite_book (title, author_id)"
            " SELECT 'many', 1 FROM generate_series(1, 2000)",
        )
        await client.until(lambda: len(client.docs("triggersite.book")) == 2002, "INSERT")
        execute(project, "UPDATE triggersite_book SET id = id + 10000 WHERE title = 'same'")
        await client.until(
            lambda: sum(int(id) > 10_000 for id in client.docs("triggersite.book")) == 2, "keys"
        )
        execute(project, "TRUNCATE triggersite_book CASCADE")
        await client.until(lambda: books() == {}, "TRUNCATE")


async def test_parents_and_children(project, shell):
    server = project.serve()
    async with connect(server.address) as client:
        await client.sub("Restaurants")

        def rows():
            return sorted(
                (each["name"], each["stars"])
                for each in client.docs("triggersite.restaurant").values()
            )

        shell("r = Restaurant.objects.create(name='r', stars=1)")
        await client.until(lambda: rows() == [("r", 1)])
        shell("Place.objects.update(name='renamed')")
        await client.until(lambda: rows() == [("renamed", 1)])
        shell("Restaurant.objects.update(stars=3)")
        await client.until(lambda: rows() == [("renamed", 3)])
        shell("Place.objects.all().delete()")
        await client.until(lambda: rows() == [])


async def test_a_method_is_answered_after_its_bulk_writes(project, shell):
    shell("Book.objects.bulk_create([Book(title=t, author=a) for t in 'xyz'])")
    server = project.serve()
    async with connect(server.address) as client:
        await client.sub("Books")
        mark = len(client.messages)
        await client.call("shout")
        kinds = [message["msg"] for message in client.since(mark)]
        assert kinds.index("updated") > max(n for n, kind in enumerate(kinds) if kind == "changed")
        assert {b["title"] for b in client.docs("triggersite.book").values()} == {"X", "Y", "Z"}


async def test_keys_that_the_database_cannot_tell_are_left_to_signals(project, shell):
    server = project.serve()
    async with connect(server.address) as client:
        await client.sub("Moments")
        shell(
            "import datetime\n"
            "Moment.objects.create(at=datetime.datetime(2024, 1, 31, tzinfo=datetime.UTC))"
        )
        await client.until(lambda: len(client.docs("triggersite.moment")) == 1)


def test_signals_are_silent(shell):
    shell(
        "from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete\n"
        "from django.test.utils import CaptureQueriesContext\n"
        "for signal in (post_save, post_delete, pre_delete):\n"
        "    assert not signal.has_listeners(Book), signal\n"
        "    assert not signal.has_listeners(Restaurant), signal\n"
        "assert not m2m_changed.has_listeners(Book.tags.through)\n"
        "assert post_save.has_listeners(Note) and post_save.has_listeners(Moment)\n"
        "with CaptureQueriesContext(connection) as q: Book.objects.create(title='q', author=a)\n"
        "assert len(q) == 1, list(q)\n"
    )
