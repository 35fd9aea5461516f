"""Projections of publications, live: what arrives, and what does not."""

from __future__ import annotations

import pytest
from ddp_client import connect

BOOKS = """
ann, bob = [Author.objects.create(name=n, email=n + '@example.org') for n in ('ann', 'bob')]
x, y = [Tag.objects.create(word=w) for w in 'xy']
one = Book.objects.create(title='one', author=ann, price='1.50')
two = Book.objects.create(title='two', author=bob)
one.tags.add(y)
"""


@pytest.fixture
def server(project):
    server = project.serve()
    yield server
    assert server.end() == 0, server.errors


@pytest.fixture
def writer(project):
    shell = project.shell()
    shell(BOOKS)
    return shell


async def test_an_annotated_name_follows_the_row_it_comes_from(server, writer):
    async with connect(server.address) as reader:
        await reader.sub("Shown", "author_name")
        one = {"title": "one", "author_name": "ann"}
        assert reader.docs("docsite.book") == {
            "1": one,
            "2": {"title": "two", "author_name": "bob"},
        }
        mark = len(reader.messages)
        writer("bob.name = 'rob'; bob.save()")
        await reader.shows("docsite.book", {"1": one, "2": {"title": "two", "author_name": "rob"}})
        assert [m["fields"] for m in reader.since(mark)] == [{"author_name": "rob"}]
        writer("two.author = ann; two.title = 'more'; two.save()")
        await reader.shows("docsite.book", {"1": one, "2": {"title": "more", "author_name": "ann"}})
        writer("ann.delete()")
        await reader.shows("docsite.book", {})


async def test_counts_follow(server, writer):
    async with connect(server.address) as reader:
        await reader.sub("Shown", "counted")
        await reader.shows(
            "docsite.author", {"1": {"name": "ann", "count": 1}, "2": {"name": "bob", "count": 1}}
        )
        writer("two.author = ann; two.save()")
        await reader.shows(
            "docsite.author", {"1": {"name": "ann", "count": 2}, "2": {"name": "bob", "count": 0}}
        )


async def test_an_alias_is_not_published(server, writer):
    async with connect(server.address) as reader:
        await reader.sub("Shown", "hidden")
        assert reader.docs("docsite.author") == {"1": {"name": "ann"}, "2": {"name": "bob"}}
        writer("two.delete()")
        await reader.shows("docsite.author", {"1": {"name": "ann"}})


async def test_values_of_other_rows_follow(server, writer):
    async with connect(server.address) as reader:
        await reader.sub("Shown", "values")
        assert reader.docs("docsite.book") == {
            "1": {"title": "one", "author__name": "ann"},
            "2": {"title": "two", "author__name": "bob"},
        }
        writer("two.delete(); ann.name = 'joan'; ann.save()")
        await reader.shows("docsite.book", {"1": {"title": "one", "author__name": "joan"}})


async def test_what_is_not_projected_changes_in_silence(server, writer):
    async with connect(server.address) as reader:
        await reader.sub("Shown", "titles")
        await reader.sub("Shown", "own values")
        assert reader.docs("docsite.book") == {
            "1": {"title": "one", "author_id": "1"}, "2": {"title": "two", "author_id": "2"},
        }  # fmt: skip
        mark = len(reader.messages)
        writer("one.price = 7; one.save(); one.tags.set([x]); one.title = 'last'; one.save()")
        await reader.until(lambda: reader.docs("docsite.book")["1"]["title"] == "last")
        assert [m["fields"] for m in reader.since(mark)] == [{"title": "last"}]


async def test_many_to_many_ids_that_are_named(server, writer):
    async with connect(server.address) as reader:
        await reader.sub("Shown", "tagged titles")
        assert reader.docs("docsite.book")["1"] == {"title": "one", "tags_ids": ["2"]}
        writer("one.tags.add(x)")
        await reader.until(lambda: reader.docs("docsite.book")["1"]["tags_ids"] == ["1", "2"])
        writer("x.delete()")
        await reader.until(lambda: reader.docs("docsite.book")["1"]["tags_ids"] == ["2"])


async def test_projections_of_one_model_merge_in_a_client(server, writer):
    async with connect(server.address) as reader:
        await reader.sub("Shown", "titles")
        names = await reader.sub("Shown", "author_name")
        await reader.sub("Shown", "without titles")
        assert reader.docs("docsite.book")["2"] == {
            "title": "two", "author_name": "bob", "author_id": "2", "predecessor": None,
            "price": None, "tags_ids": [],
        }  # fmt: skip
        await reader.unsub(names)
        assert "author_name" not in reader.docs("docsite.book")["2"]


async def test_serialize_of_the_projects_own_is_live(server, writer):
    async with connect(server.address) as reader:
        await reader.sub("Shown", "shout")
        assert reader.docs("shout")["1"] == {"title": "ONE", "words": 1}
        writer("one.title = 'two words'; one.save()")
        await reader.until(lambda: reader.docs("shout")["1"] == {"title": "TWO WORDS", "words": 2})


async def test_of_users_values_give_only_what_is_named(server, writer):
    writer("from django.contrib.auth.models import User; User.objects.create_user('ann')")
    async with connect(server.address) as reader:
        await reader.sub("Shown", "user")
        assert reader.docs("auth.user") == {"1": {"username": "ann"}}


async def test_what_a_slice_leaves_out_stays_out_for_users(server, writer):
    writer(
        "from django.contrib.auth.models import User; u = User.objects.create_user('ann')\n"
        "for text in 'abc': Note.objects.create(text=text, owner=u)\n"
    )
    async with connect(server.address) as reader:
        await reader.call("log_in", "ann")
        await reader.sub("Shown", "newest notes")
        assert reader.docs("docsite.note") == {"2": {"text": "b"}, "3": {"text": "c"}}
        writer("Note.objects.create(text='d', owner=u)")
        await reader.shows("docsite.note", {"3": {"text": "c"}, "4": {"text": "d"}})


@pytest.mark.parametrize(
    ("which", "reason"),
    [
        ("pairs", r"leave out values_list\(\)"),
        ("groups", r"a group has no id"),
        ("locked", r"select_for_update\(\) locks rows"),
    ],
)
async def test_what_cannot_be_published_is_told_in_the_log(server, writer, which, reason):
    import re

    async with connect(server.address) as client:
        await client.send(msg="sub", id="1", name="Shown", params=[which])
        answer = await client.message(msg="nosub", id="1")
        assert answer["error"]["error"] == 500
    assert server.end() == 0
    assert re.search(reason, "".join(server.errors))


@pytest.mark.parametrize("pages", ["pages", "first pages"])
async def test_an_id_that_looks_like_none_is_marked_and_references_are_not(server, project, pages):
    odd = ["-a", "~a", "{a", "0123456789abcdef01234567"]
    writer = project.shell()
    async with connect(server.address) as reader:
        await reader.sub("Shown", pages)
        for key in odd:
            writer(f"Page.objects.create(path={key!r}); Page.objects.create(path='of-' + {key!r}, "
                   f"above_id={key!r})")  # fmt: skip
        shown = {f"-{key}": {"above_id": None} for key in odd}
        shown |= {f"of-{key}": {"above_id": key} for key in odd}
        await reader.shows("docsite.page", shown)
        writer("Page.objects.filter(pk='-a').get().delete()")
        await reader.shows(
            "docsite.page",
            {id: page for id, page in shown.items() if id not in ("--a", "of--a")},
        )


async def test_a_row_whose_key_looks_like_another_is_another_document(server, project):
    project.shell()("Author.objects.create(pk=5, name='a'); Author.objects.create(pk=-5, name='b')")
    async with connect(server.address) as reader:
        await reader.sub("Shown", "authors")
        await reader.shows(
            "docsite.author",
            {"5": {"name": "a", "email": ""}, "--5": {"name": "b", "email": ""}},
        )
