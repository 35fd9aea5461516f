"""What publications of a Django project do, beyond the bookstore."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import pytest
from ddp_client import CallError, connect
from project import Project
from psycopg2.extensions import parse_dsn

pytestmark = pytest.mark.pg


def site(database):
    return Project(Path(__file__).parent / "site", "testsite.settings", database)


@pytest.fixture
def shell(project):
    return project.shell()


@pytest.fixture
def server(project):
    server = project.serve()
    yield server
    assert server.end() == 0, server.errors


def values(reader, name):
    return {pk: document.get(name) for pk, document in reader.docs("testsite.book").items()}


async def test_every_kind_of_field_arrives_as_documented(server, shell):
    shell(
        "import datetime as d, decimal, uuid\n"
        "Everything.objects.create(id=uuid.UUID(int=1),\n"
        "    decimal=decimal.Decimal('1.1000000000'), time=d.time(1, 2, 3, 4),\n"
        "    date=d.date(2026, 11, 20), moment=d.datetime(2026, 1, 1, 12, tzinfo=d.timezone.utc),\n"
        "    duration=d.timedelta(days=1, seconds=5), binary=b'\\0\\xff', uuid=uuid.UUID(int=2),\n"
        "    json={'$date': 1, 'a': [None, 1.5, 'é😀']}, big=2**62, number=float('inf'), yes=True,\n"
        "    choice='a', file='some/file.txt', address='::1')\n"
        "Everything.objects.create(id=uuid.UUID(int=3), json={'$date': 1})\n"
    )
    async with connect(server.address) as reader:
        await reader.sub("AllEverything")
        full = reader.docs("testsite.everything")["00000000-0000-0000-0000-000000000001"]
        assert full == {
            "decimal": "1.1000000000",
            "time": "01:02:03.000004",
            "date": {"$date": 1795132800000},
            "moment": {"$date": 1767268800000},
            "duration": "1 00:00:05",
            "binary": {"$binary": "AP8="},
            "uuid": "00000000-0000-0000-0000-000000000002",
            "json": {"$date": 1, "a": [None, 1.5, "é😀"]},
            "big": 2**62,
            "number": {"$InfNaN": 1},
            "yes": True,
            "choice": "a",
            "file": "some/file.txt",
            "address": "::1",
        }
        nulls = dict(reader.docs("testsite.everything")["00000000-0000-0000-0000-000000000003"])
        # What only looks like a date travels escaped.
        assert nulls.pop("json") == {"$escape": {"$date": 1}}
        assert set(nulls) == set(full) - {"json"}
        assert nulls.pop("file") == ""
        assert set(nulls.values()) == {None}


async def test_arrays_and_ranges(server, shell):
    shell("Arrays.objects.create(numbers=[1, None, 3], prices=['1.10'], span=(1, 5))")
    async with connect(server.address) as reader:
        await reader.sub("AllArrays")
        document = reader.docs("testsite.arrays")["1"]
        assert document["numbers"] == [1, None, 3]
        assert document["prices"] == ["1.10"]
        assert "5" in str(document["span"])


@pytest.mark.parametrize("size", [7_999, 8_000, 20_000, 400_000])
async def test_a_long_document_with_multibyte_text_arrives_whole(server, shell, size):
    async with connect(server.address) as reader:
        await reader.sub("AllBooks")
        shell(
            "author = Author.objects.create(name='a', email='a@example.org')\n"
            f"book = Book.objects.create(title='😀é' * {size // 6}, author=author)\n"
        )
        await reader.until(lambda: reader.docs("testsite.book"))
        assert reader.docs("testsite.book")["1"]["title"] == "😀é" * (size // 6)
        shell("book.title = 'x' + book.title; book.save()")
        await reader.until(lambda: values(reader, "title") == {"1": "x" + "😀é" * (size // 6)})


async def test_many_to_many_ids_are_live_from_both_sides(server, shell):
    shell(
        "a = Author.objects.create(name='a', email='a@example.org')\n"
        "one, two = [Book.objects.create(title=t, author=a) for t in ('one', 'two')]\n"
        "x, y = [Tag.objects.create(word=w) for w in 'xy']\n"
        "one.tags.add(x)\n"
    )
    async with connect(server.address) as reader:
        await reader.sub("AllBooks")
        by_tag = await reader.sub("ByTag", "y")
        for code, expected in [
            ("one.tags.add(y)", {"1": ["1", "2"], "2": []}),
            ("y.books.add(two)", {"1": ["1", "2"], "2": ["2"]}),
            ("one.tags.remove(x)", {"1": ["2"], "2": ["2"]}),
            ("y.books.clear()", {"1": [], "2": []}),
            ("two.tags.set([x, y])", {"1": [], "2": ["1", "2"]}),
            ("two.tags.clear()", {"1": [], "2": []}),
        ]:
            shell(code)
            await reader.until(
                lambda expected=expected: values(reader, "tags_ids") == expected, code
            )
        await reader.unsub(by_tag)


async def test_a_query_through_many_to_many_follows(server, shell):
    shell(
        "a = Author.objects.create(name='a', email='a@example.org')\n"
        "one = Book.objects.create(title='one', author=a)\n"
        "x = Tag.objects.create(word='x')\n"
    )
    async with connect(server.address) as reader:
        await reader.sub("ByTag", "x")
        assert values(reader, "title") == {}
        shell("one.tags.add(x)")
        await reader.until(lambda: values(reader, "title") == {"1": "one"})
        shell("x.word = 'y'; x.save()")
        await reader.until(lambda: values(reader, "title") == {})
        shell("x.word = 'x'; x.save()")
        await reader.until(lambda: values(reader, "title") == {"1": "one"})
        shell("x.delete()")
        await reader.until(lambda: values(reader, "title") == {})


async def test_slices_and_annotations_follow(server, shell):
    shell(
        "a, b = [Author.objects.create(name=n, email='a@example.org') for n in 'ab']\n"
        "books = {t: Book.objects.create(title=t, author=a) for t in 'bcd'}\n"
    )
    async with connect(server.address) as reader:
        await reader.sub("FirstBooks", 2)
        await reader.sub("BusyAuthors", 2)
        assert sorted(values(reader, "title").values()) == ["b", "c"]
        assert set(reader.docs("testsite.author")) == {"1"}
        shell("Book.objects.create(title='a', author=b)")
        await reader.until(lambda: sorted(values(reader, "title").values()) == ["a", "b"])
        shell("books['b'].author = b; books['b'].save()")
        await reader.until(lambda: set(reader.docs("testsite.author")) == {"1", "2"})
        shell("books['d'].delete()")
        await reader.until(lambda: set(reader.docs("testsite.author")) == {"2"})


async def test_only_named_fields_are_published_and_others_stay_silent(server, shell):
    shell(
        "a = Author.objects.create(name='a', email='a@example.org')\n"
        "book = Book.objects.create(title='one', author=a)\n"
    )
    async with connect(server.address) as reader:
        await reader.sub("OnlyTitles")
        assert reader.docs("testsite.book") == {"1": {"title": "one"}}
        mark = len(reader.messages)
        shell("book.sequel_to = book; book.save(); book.title = 'two'; book.save()")
        await reader.until(lambda: values(reader, "title") == {"1": "two"})
        assert [m["fields"] for m in reader.since(mark)] == [{"title": "two"}]


async def test_update_fields_on_a_stale_instance_sends_what_the_database_has(server, shell):
    shell(
        "a = Author.objects.create(name='a', email='old@example.org')\n"
        "stale = Author.objects.get()\n"
        "a.email = 'new@example.org'; a.save()\n"
    )
    async with connect(server.address) as reader:
        await reader.sub("AllBooks")
        shell("stale.name = 'b'; stale.save(update_fields=['name'])")
        await reader.shows("testsite.author", {"1": {"name": "b", "email": "new@example.org"}})
        shell(
            "from django.db.models import F, Value\n"
            "from django.db.models.functions import Concat\n"
            "stale.name = Concat(F('name'), Value('!')); stale.save()\n"
        )
        await reader.until(lambda: reader.docs("testsite.author")["1"]["name"] == "b!")


async def test_other_collection_names_and_several_collections_on_one_model(server, shell):
    shell(
        "a = Author.objects.create(name='a', email='a@example.org')\n"
        "book = Book.objects.create(title='one', author=a)\n"
    )
    async with connect(server.address) as reader:
        await reader.sub("RenamedBooks")
        await reader.sub("UpperTitles")
        assert reader.docs("library")["1"]["title"] == "one"
        assert reader.docs("titles") == {"1": {"title": "ONE"}}
        shell("book.title = 'two'; book.save()")
        await reader.shows("titles", {"1": {"title": "TWO"}})
        await reader.until(lambda: reader.docs("library")["1"]["title"] == "two")


async def test_052_several_querysets_of_one_model_merge(server, shell):
    shell(
        "a = Author.objects.create(name='a', email='a@example.org')\n"
        "for title in ('one', 'two'): Book.objects.create(title=title, author=a)\n"
    )
    async with connect(server.address) as reader:
        sub = await reader.sub("BooksTwice")
        assert {row["title"] for row in reader.docs("testsite.book").values()} == {"one", "two"}
        await reader.unsub(sub)
        assert reader.docs("testsite.book") == {}


async def test_a_row_with_a_parent_appears_in_both_collections(server, shell):
    async with connect(server.address) as reader:
        await reader.sub("Places")
        shell("r = Restaurant.objects.create(name='chez', stars=1)")
        await reader.shows("testsite.restaurant", {"1": {"name": "chez", "stars": 1}})
        await reader.shows("testsite.place", {"1": {"name": "chez"}})
        shell("r.name = 'moi'; r.save()")
        await reader.shows("testsite.place", {"1": {"name": "moi"}})
        shell("p = Place.objects.get(); p.name = 'toi'; p.save()")
        await reader.shows("testsite.restaurant", {"1": {"name": "toi", "stars": 1}})
        shell("r.delete()")
        await reader.shows("testsite.place", {})
        await reader.shows("testsite.restaurant", {})


async def test_a_cascade_is_seen(server, shell):
    shell(
        "a = Author.objects.create(name='a', email='a@example.org')\n"
        "[Book.objects.create(title=t, author=a) for t in 'xyz']\n"
    )
    async with connect(server.address) as reader:
        await reader.sub("AllBooks")
        shell("a.delete()")
        await reader.shows("testsite.book", {})
        await reader.shows("testsite.author", {})


async def test_who_is_logged_in_decides_what_is_seen(server, shell):
    shell(
        "from django.contrib.auth.models import User\n"
        "ann, bob = [User.objects.create_user(n, password='secret') for n in ('ann', 'bob')]\n"
        "notes = [Note.objects.create(text=u.username, owner=u) for u in (ann, bob, bob)]\n"
    )
    async with connect(server.address) as reader:
        await reader.sub("MyNotes")
        await reader.sub("Values")
        assert reader.docs("testsite.note") == {}
        assert await reader.call("log_in", "bob") == "2"
        assert set(reader.docs("testsite.note")) == {"2", "3"}
        shell("notes[0].owner = bob; notes[0].save()")
        await reader.until(lambda: set(reader.docs("testsite.note")) == {"1", "2", "3"})
        shell("notes[1].owner = ann; notes[1].save()")
        await reader.until(lambda: set(reader.docs("testsite.note")) == {"1", "3"})
        assert await reader.call("who") == ["2", "bob", "127.0.0.1"]
        assert await reader.call("later", "x") == ["x", "2"]
        await reader.call("log_in", "ann")
        assert set(reader.docs("testsite.note")) == {"2"}
        await reader.call("log_in", None)
        assert reader.docs("testsite.note") == {}


async def test_what_may_be_seen_of_a_slice(server, shell):
    shell(
        "from django.contrib.auth.models import User\n"
        "ann, bob = [User.objects.create_user(n, password='secret') for n in ('ann', 'bob')]\n"
        "notes = [Note.objects.create(text=u.username, owner=u) for u in (ann, bob, ann)]\n"
    )
    async with connect(server.address) as reader:
        await reader.call("log_in", "ann")
        await reader.sub("NewestNotes")
        assert set(reader.docs("testsite.note")) == {"3"}
        shell("Note.objects.create(text='x', owner=ann)")
        await reader.until(lambda: set(reader.docs("testsite.note")) == {"3", "4"})


async def test_of_users_only_what_is_named(server, shell):
    shell("from django.contrib.auth.models import User; User.objects.create_user('ann')")
    async with connect(server.address) as reader:
        await reader.sub("Users")
        assert reader.docs("auth.user") == {"1": {"username": "ann"}}


async def test_equal_subscriptions_of_many_clients_share_one_listening_connection(
    project, server, shell, pg_cluster
):
    shell("a = Author.objects.create(name='a', email='a@example.org')")
    async with connect(server.address) as one, connect(server.address) as two:
        for client in (one, two, one):
            await client.sub("AllBooks")
        shell("a.name = 'b'; a.save()")
        for client in (one, two):
            await client.until(lambda c=client: c.docs("testsite.author")["1"]["name"] == "b")
            assert len([m for m in client.data() if m["msg"] == "changed"]) == 1
        listening = pg_cluster.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ddpcore listen' "
            "AND datname = current_database()",
            parse_dsn(project.database)["dbname"],
        )
        assert listening == [(1,)]


async def test_refusals(server):
    async with connect(server.address) as client:
        for name, params, code in [
            ("Broken", [], 403),
            ("AllBooks", ["surplus"], 400),
            ("BooksByAuthorEmail", [], 400),
            ("NoSuch", [], 404),
        ]:
            id = client.new_id()
            await client.send(msg="sub", id=id, name=name, params=params)
            answer = await client.message(msg="nosub", id=id)
            assert answer["error"]["error"] == code
        for method, params, code in [
            ("named", ["surplus"], 400),
            ("add_author", [], 400),
            ("other_name", [], 404),
            ("sub", [], 404),
            ("/sub", [], 404),
            ("get_queries", [], 404),
        ]:
            with pytest.raises(CallError) as caught:
                await client.call(method, *params)
            assert caught.value.error["error"] == code, method
        assert await client.call("named") == "named"
        assert await client.call("in_transaction") is True
        assert (await client.call("/testsite.author/schema"))["name"]["max"] == 200
        await client.sub("Nothing")


async def test_a_query_on_an_unpublished_model_says_what_to_do(server):
    async with connect(server.address) as client:
        await client.send(msg="sub", id="1", name="Hidden")
        answer = await client.message(msg="nosub", id="1")
        assert answer["error"]["error"] == 500
        await client.call("echo", 1)
    server.end()
    log = "".join(server.errors)
    assert re.search(
        r"No Collection publishes testsite.Unpublished. Write one in a ddp.py: class Unpublisheds",
        log,
    )


@pytest.mark.parametrize("kind", ["PostgreSQL", "SQLite"])
async def test_a_table_that_is_missing_says_what_to_do(kind, pg_cluster, tmp_path):
    name = f"ddpcore_{secrets.token_hex(6)}"
    database = pg_cluster.createdb(name) if kind == "PostgreSQL" else str(tmp_path / "db.sqlite3")
    project = site(database)  # not migrated
    try:
        server = project.serve()
        async with connect(server.address) as client:
            await client.send(msg="sub", id="1", name="AllBooks")
            answer = await client.message(msg="nosub", id="1")
            assert answer["error"]["error"] == 500
        assert server.end() == 0
        last = "".join(server.errors).splitlines()[-1]
        assert last == "Are all migrations applied? `python manage.py migrate` does it."
    finally:
        project.end()
        if kind == "PostgreSQL":
            pg_cluster.dropdb(name)


async def test_values_of_any_shape_come_back(server):
    async with connect(server.address) as client:
        for value in [
            None, True, 0, -1, 1.5, "", "é😀", "\ud800", [], {}, [[]], {"$date": 5},
            {"$escape": {"$date": 1}}, {"$InfNaN": 0}, {"$binary": "AP8="}, "\u2028", "\0", 2**70,
            {"$regexp": "a(b", "$flags": "gi"}, {"__proto__": 1, "constructor": 2},
        ]:  # fmt: skip
            assert await client.call("echo", value) == value


async def test_the_site_is_served_on_the_same_port(server):
    import asyncio
    import urllib.request

    def get():
        with urllib.request.urlopen(f"http://{server.address}/") as answer:
            return answer.read()

    assert await asyncio.to_thread(get) == b"the site"


async def test_a_value_that_is_too_deep_costs_its_field_and_nothing_else(server, shell):
    """Django stores it, EJSON does not carry it: one row must not take the others along."""
    rows = "import functools, uuid\ndeep = functools.reduce(lambda v, _: [v], range(600), 1)\n"
    shell(f"{rows}Everything.objects.create(pk=uuid.UUID(int=1), json=deep, big=1)")
    async with connect(server.address) as reader:
        await reader.sub("AllEverything")

        def seen():
            return sorted(
                (d["big"], d.get("json", "none"))
                for d in reader.docs("testsite.everything").values()
            )

        assert seen() == [(1, "none")]
        shell("Everything.objects.create(pk=uuid.UUID(int=2), json=deep, big=2)")
        shell("Everything.objects.create(pk=uuid.UUID(int=3), json=[], big=3)")
        await reader.until(lambda: seen() == [(1, "none"), (2, "none"), (3, [])])
        shell("e = Everything.objects.get(big=1); e.json = {}; e.save()")
        await reader.until(lambda: seen() == [(1, {}), (2, "none"), (3, [])])
        shell("e.json = deep; e.big = 4; e.save()")
        await reader.until(lambda: seen() == [(2, "none"), (3, []), (4, "none")])
    assert server.end() == 0
    log = "".join(server.errors)
    assert "testsite.everything" in log
    assert "json" in log
