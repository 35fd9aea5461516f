"""The bookstore over several processes and a real PostgreSQL: what the first issue of all is."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest
from ddp_client import CallError, connect

pytestmark = pytest.mark.pg

JANET = "janet@evanovich.com"


@pytest.fixture
def shell(project):
    shell = project.shell()
    shell(
        f"janet = Author.objects.create(name='Janet', email='{JANET}')\n"
        "other = Author.objects.create(name='Other', email='other@example.org')\n"
    )
    return shell


async def test_saves_and_deletes_of_another_server_arrive(project, shell):
    a, b = project.serve(), project.serve()
    async with connect(b.address) as reader, connect(a.address) as writer:
        await reader.sub("BooksByAuthorEmail", JANET)
        assert reader.docs("testsite.author") == {"1": {"name": "Janet", "email": JANET}}
        pk = await writer.call("add_book", "One for the Money", 1)
        book = {"title": "One for the Money", "author_id": "1", "predecessor": None, "tags_ids": []}
        await reader.shows("testsite.book", {pk: book})
        await writer.call("rename", pk, "Two for the Dough")
        await reader.shows("testsite.book", {pk: book | {"title": "Two for the Dough"}})
        shell(f"Book.objects.get(pk={pk}).delete()")
        await reader.shows("testsite.book", {})
    assert a.end() == b.end() == 0


async def test_a_process_that_is_no_server_is_seen(project, shell):
    server = project.serve()
    async with connect(server.address) as reader:
        await reader.sub("BooksByAuthorEmail", JANET)
        # In a thread: a client that answers no pings for as long as this may take is left.
        await asyncio.to_thread(
            project.manage,
            "shell", "-c", "from testsite.models import *; "
            "Book.objects.create(title='From the shell', author_id=1)",
        )  # fmt: skip
        await reader.until(lambda: reader.docs("testsite.book"))


async def test_an_author_whose_email_changes_takes_the_books_along(project, shell):
    shell(
        "mine = Book.objects.create(title='Mine', author=janet)\n"
        "theirs = Book.objects.create(title='Theirs', author=other)\n"
    )
    server = project.serve()
    async with connect(server.address) as reader:
        await reader.sub("BooksByAuthorEmail", JANET)
        assert set(reader.docs("testsite.book")) == {"1"}
        shell("janet.email = 'new@example.org'; janet.save()")
        await reader.until(lambda: not reader.docs("testsite.book"))
        await reader.until(lambda: not reader.docs("testsite.author"))
        shell(f"janet.email = '{JANET}'; janet.save()")
        await reader.until(lambda: set(reader.docs("testsite.book")) == {"1"})
        shell("theirs.author = janet; theirs.save()")
        await reader.until(lambda: set(reader.docs("testsite.book")) == {"1", "2"})


async def test_rollbacks_send_nothing(project, shell):
    shell("book = Book.objects.create(title='as it was', author=janet)")
    server = project.serve()
    async with connect(server.address) as reader:
        await reader.sub("AllBooks")
        mark = len(reader.messages)
        shell(
            "transaction.set_autocommit(False)\n"
            "book.title = 'never'; book.save()\n"
            "Book.objects.create(title='never', author=janet)\n"
            "transaction.rollback()\n"
            "transaction.set_autocommit(True)\n"
            "with transaction.atomic():\n"
            "    book.title = 'kept'; book.save()\n"
            "    try:\n"
            "        with transaction.atomic():\n"
            "            book.title = 'never'; book.save()\n"
            "            Book.objects.create(title='never', author=janet)\n"
            "            raise ValueError\n"
            "    except ValueError: pass\n"
        )
        await reader.until(lambda: reader.docs("testsite.book")["1"]["title"] == "kept")
        assert [message.get("fields") for message in reader.since(mark)] == [{"title": "kept"}]


async def test_a_writer_killed_before_its_commit_sends_nothing(project, shell):
    server = project.serve()
    async with connect(server.address) as reader:
        await reader.sub("AllBooks")
        mark = len(reader.messages)
        victim = project.shell()
        victim(
            "transaction.set_autocommit(False)\nBook.objects.create(title='never', author_id=1)\n"
        )
        victim.end(signal.SIGKILL)
        shell("Author.objects.create(name='after', email='a@example.org')")
        await reader.until(lambda: len(reader.docs("testsite.author")) == 3)
        assert [message["msg"] for message in reader.since(mark)] == ["added"]


async def test_two_saves_in_one_transaction_end_on_the_second(project, shell):
    shell("book = Book.objects.create(title='0', author=janet)")
    server = project.serve()
    async with connect(server.address) as reader:
        await reader.sub("AllBooks")
        for n in range(1, 20, 2):
            shell(
                "with transaction.atomic():\n"
                f"    book.title = '{n}'; book.save()\n"
                f"    book.title = '{n + 1}'; book.save()\n"
            )
        await reader.until(lambda: reader.docs("testsite.book")["1"]["title"] == "20")
        titles = [int(m["fields"]["title"]) for m in reader.data() if m["msg"] == "changed"]
        assert titles == sorted(titles)
        assert all(title % 2 == 0 for title in titles)


async def test_changes_of_one_transaction_arrive_in_statement_order(project, shell):
    server = project.serve()
    async with connect(server.address) as reader:
        await reader.sub("AllBooks")
        mark = len(reader.messages)
        shell(
            "with transaction.atomic():\n"
            "    for n in range(5):\n"
            "        author = Author.objects.create(name=f'author {n}', email='x@example.org')\n"
            "        book = Book.objects.create(title=f'book {n}', author=author)\n"
            "    other.name = 'changed'; other.save()\n"
            "    book.delete()\n"
            "    janet.delete()\n"
        )
        await reader.until(lambda: "1" not in reader.docs("testsite.author"))
        seen = [
            (message["msg"], message["collection"].rpartition(".")[2], message["id"])
            for message in reader.since(mark)
        ]
        # Book 5 was made and unmade in one transaction: it never existed for anybody else.
        expected = []
        for n in range(5):
            expected.append(("added", "author", str(3 + n)))
            if n < 4:
                expected.append(("added", "book", str(1 + n)))
        expected += [("changed", "author", "2"), ("removed", "author", "1")]
        assert seen == expected


async def test_updated_comes_after_the_data_it_promises(project, shell):
    a, b = project.serve(), project.serve()
    async with connect(a.address) as writer, connect(b.address) as reader:
        await writer.sub("AllBooks")
        await reader.sub("AllBooks")
        for n in range(30):
            pk = await writer.call("add_book", f"book {n}", 1)
            await writer.call("rename", pk, f"renamed {n}")
            kinds = [m["msg"] for m in writer.messages]
            assert kinds[-1] == "updated" or kinds[-1] == "result"
            order = [
                i
                for i, m in enumerate(writer.messages)
                if m.get("fields", {}).get("title") == f"renamed {n}" or m["msg"] == "updated"
            ]
            assert writer.messages[order[-2]].get("fields", {}).get("title") == f"renamed {n}"
            assert writer.messages[order[-1]]["msg"] == "updated"
        await reader.until(lambda: len(reader.docs("testsite.book")) == 30)
        await reader.shows("testsite.book", writer.docs("testsite.book"))


@pytest.mark.parametrize("how", ["meteor", "bug"])
async def test_a_method_that_fails_after_a_write_answers_and_the_connection_goes_on(
    project, shell, how
):
    shell("Book.objects.create(title='as it was', author=janet)")
    server = project.serve()
    async with connect(server.address) as client:
        await client.sub("AllBooks")
        mark = len(client.messages)
        with pytest.raises(CallError) as caught:
            await client.call("rename_then_fail", "1", "never", how)
        assert caught.value.error["error"] == ("no-way" if how == "meteor" else 500)
        assert "secret" not in str(caught.value.error)
        await client.call("savepoints", "1")
        assert [m["fields"] for m in client.since(mark) if m["msg"] == "changed"] == [
            {"title": "kept"}
        ]
    assert server.end() == 0
    assert any("ZeroDivisionError: a secret" in line for line in server.errors) == (how == "bug")


@pytest.mark.parametrize("times", [1, 5])
async def test_a_killed_listener_misses_nothing(project, shell, pg_cluster, times):
    server = project.serve()
    async with connect(server.address) as reader:
        await reader.sub("AllBooks")
        for _ in range(times):
            shell.start(
                "for n in range(60):\n"
                "    Book.objects.create(title=f'book {n}', author=janet)\n"
                "    if n % 3 == 0: Book.objects.order_by('?').first().delete()\n"
            )
            # After the last kill the listener may still be on its way back.
            while not pg_cluster.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'ddpcore listen'"
            ):
                await asyncio.sleep(0.01)
            await asyncio.to_thread(shell.finished)
        await _equal(reader, shell)


async def test_a_restarted_database_misses_nothing(project, shell, pg_cluster):
    server = project.serve()
    async with connect(server.address) as reader:
        await reader.sub("BooksByAuthorEmail", JANET)
        shell("Book.objects.create(title='before', author=janet)")
        await reader.until(lambda: reader.docs("testsite.book"))
        await asyncio.to_thread(pg_cluster.restart)
        shell(
            "connection.close()\n"
            "Book.objects.create(title='after', author=janet)\n"
            "Book.objects.get(title='before').delete()\n"
        )
        await _equal(reader, shell)
        await reader.call("add_book", "and methods work", 1)
        await _equal(reader, shell)


async def _equal(reader, shell):
    """Once quiet, the client has what the query gives when it is run fresh."""
    shell.start("import json; print(json.dumps(list(Book.objects.values_list('pk', 'title'))))")
    fresh = {str(pk): title for pk, title in json.loads(shell.line())}
    shell.finished()
    await reader.until(
        lambda: {pk: book["title"] for pk, book in reader.docs("testsite.book").items()} == fresh,
        f"books {fresh}",
    )
