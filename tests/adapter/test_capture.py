"""What the signals see, what they cost, and what they leave alone."""

from __future__ import annotations

import contextlib

import pytest
from ddp_client import connect

COUNT = """
from django.test.utils import CaptureQueriesContext
class counted(CaptureQueriesContext):
    def __init__(self): super().__init__(connection)
    @property
    def notifies(self): return [q['sql'] for q in self if 'pg_notify' in q['sql']]
a = Author.objects.create(name='a', email='a@example.org')
"""


@pytest.fixture
def shell(project):
    shell = project.shell()
    shell(COUNT)
    return shell


def test_one_statement_more_for_each_change(shell):
    shell(
        "Book.objects.create(title='the process asks for its rights once', author=a)\n"
        "with counted() as q: book = Book.objects.create(title='t', author=a)\n"
        "assert len(q) == 2 and len(q.notifies) == 1, list(q)\n"
        "with counted() as q: book.title = 'u'; book.save()\n"
        "assert len(q) == 2 and len(q.notifies) == 1, list(q)\n"
        "with counted() as q: book.save(update_fields=['title'])\n"
        "assert len(q) == 2 and len(q.notifies) == 1, list(q)\n"
        "tags = [Tag.objects.create(word=word) for word in 'ab']\n"
        "with counted() as q: book.tags.add(*tags)\n"
        "assert len(q.notifies) == 1, list(q)\n"
        "with counted() as q: tags[0].books.remove(book)\n"
        "assert len(q.notifies) == 1, list(q)\n"
        "with counted() as q: book.tags.clear()\n"
        "assert len(q.notifies) == 1, list(q)\n"
        "book.tags.add(*tags)\n"
        "with counted() as q: tags[0].delete()\n"
        "assert len(q.notifies) == 1, list(q)\n"
        "with counted() as q, transaction.atomic(): book.delete()\n"
        "assert len(q.notifies) == 1, list(q)\n"
        "with counted() as q: Restaurant.objects.create(name='two tables')\n"
        "assert len(q.notifies) == 1, list(q)\n"
    )


def test_models_that_nobody_publishes_have_no_receivers(shell):
    shell(
        "from django.db.models.signals import post_save, post_delete, pre_delete\n"
        "for signal in (post_save, post_delete, pre_delete):\n"
        "    assert not signal.has_listeners(Unpublished)\n"
        "    assert signal.has_listeners(Book)\n"
        "for n in range(3): Unpublished.objects.create(text='x')\n"
        "with counted() as q: Unpublished.objects.all().delete()\n"
        "assert [each['sql'][:6] for each in q] == ['BEGIN', 'DELETE', 'COMMIT'], list(q)\n"
    )


def test_who_decides_on_visibility_is_watched_too(shell):
    shell(
        "from ddpcore_django.capture import captured_topics\n"
        "topics = captured_topics()\n"
        "assert 'auth.user' in topics and 'testsite.book_tags' in topics, topics\n"
    )


@pytest.mark.pg
async def test_the_documented_matrix(project, shell):
    """docs/reference/django.md: seen by signals, or not."""
    server = project.serve()
    async with connect(server.address) as reader:
        await reader.sub("AllBooks")

        def titles():
            return {d["title"] for d in reader.docs("testsite.book").values()}

        seen = {
            "b = Book.objects.create(title='create', author=a)": {"create"},
            "b.title = 'save'; b.save()": {"save"},
            "b.title = 'fields'; b.save(update_fields=['title'])": {"fields"},
            "Book.objects.get_or_create(title='get', author=a)": {"fields", "get"},
            "Book.objects.update_or_create(title='get', defaults={'title': 'upd'})": {
                "fields",
                "upd",
            },
            "Book.objects.filter(title='upd').delete()": {"fields"},
            "c = Book.objects.create(title='next', author=a, sequel_to=b)": {"fields", "next"},
            "b.delete()": {"next"},
            "c.title = 'loaded'; c.sequel_to = None\n"
            "from django.core import serializers as s\n"
            "[o.save() for o in s.deserialize('json', s.serialize('json', [c]))]": {"loaded"},
        }
        for code, expected in seen.items():
            shell(code)
            await reader.until(lambda expected=expected: titles() == expected, code)
            if code == "b.delete()":
                # The SET_NULL on the other row comes without a signal: its old value stays.
                [document] = reader.docs("testsite.book").values()
                assert document["predecessor"] == "1"

        unseen = [
            "Book.objects.bulk_create([Book(title='bulk', author=a)])",
            "Book.objects.filter(title='bulk').update(title='update')",
            "x = Book.objects.get(title='update'); x.title='bu'; Book.objects.bulk_update([x], ['title'])",
            "connection.cursor().execute(\"UPDATE testsite_book SET title = 'raw' WHERE title = 'bu'\")",
            "Book.objects.filter(title='raw')._raw_delete('default')",
        ]
        mark = len(reader.messages)
        for code in unseen:
            shell(code)
        # They are all behind us when the author, told of after them, is here.
        shell("a.name = 'last'; a.save()")
        await reader.until(lambda: reader.docs("testsite.author")["1"]["name"] == "last")
        assert [m["collection"] for m in reader.since(mark)] == ["testsite.author"]


@pytest.mark.pg
async def test_the_writers_cost_does_not_grow_with_the_subscribers(project, shell):
    server = project.serve()
    shell("book = Book.objects.create(title='0', author=a)")
    counts = []
    for subscribers in (0, 1, 30):
        async with contextlib.AsyncExitStack() as stack:
            readers = [
                await stack.enter_async_context(connect(server.address)) for _ in range(subscribers)
            ]
            for reader in readers:
                await reader.sub("AllBooks")
            shell.start(
                f"with counted() as q: book.title = '{subscribers}'; book.save()\nprint(len(q))\n"
            )
            counts.append(int(shell.line()))
            shell.finished()
            for reader in readers:
                await reader.until(
                    lambda r=reader, n=subscribers: r.docs("testsite.book")["1"]["title"] == str(n)
                )
    assert counts == [2, 2, 2]
