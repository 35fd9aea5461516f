"""The known defects of django-ddp 0.19: none of them is here.

| defect of django-ddp | where it is tested |
|---|---|
| D1 the changes of a transaction arrive in reverse | `tests/predecessor/test_data_defects.py`: `test_d01_a_transaction_arrives_in_its_order`; `tests/adapter/test_bookstore.py`: `test_two_saves_in_one_transaction_end_on_the_second`, `test_changes_of_one_transaction_arrive_in_statement_order` |
| D2 a method that fails after a write wedges its connection | `tests/predecessor/test_data_defects.py`: `test_d02_a_method_that_fails_after_a_write_wedges_nothing`; `tests/adapter/test_bookstore.py`: `test_a_method_that_fails_after_a_write_answers_and_the_connection_goes_on`, `test_rollbacks_send_nothing` |
| D3 a listener that is cut off never returns | `tests/predecessor/test_data_defects.py`: `test_d03_a_listener_that_is_cut_off_returns_and_misses_nothing`; `tests/adapter/test_bookstore.py`: `test_a_killed_listener_misses_nothing`, `test_a_restarted_database_misses_nothing`; `tests/pg/test_loss.py` |
| D4 what is written around a subscription is lost | here |
| D5 statements grow with subscriptions | `tests/adapter/test_capture.py`: `test_the_writers_cost_does_not_grow_with_the_subscribers`; `tests/adapter/test_cost.py`; of `user_rel` here |
| D6 stale instances send stale values | `tests/predecessor/test_data_defects.py`: `test_d06_a_stale_instance_does_not_send_stale_values`; `tests/adapter/test_publications.py`: `test_update_fields_on_a_stale_instance_sends_what_the_database_has` |
| D7 changes of joined rows are not seen | `tests/predecessor/test_data_defects.py`: `test_d07_joined_rows_take_their_documents_along`; `tests/adapter/test_bookstore.py`: `test_an_author_whose_email_changes_takes_the_books_along` |
| D8 decimals and times crash | `tests/predecessor/test_data_defects.py`: `test_d08_decimals_and_times_travel`; `tests/adapter/test_publications.py`: `test_every_kind_of_field_arrives_as_documented` |
| D9 writes around the ORM are not seen | `tests/predecessor/test_data_defects.py`: `test_d09_whoever_writes_is_seen`; `tests/triggers/test_matrix.py`: `test_every_way_to_write_rows` |
| D10 clients share one database connection | `tests/server/test_methods.py`: `test_logins_in_all_threads_at_once_do_not_starve_their_publications` |
| D11 a slow or flooding client harms others | `tests/tornado/test_websocket.py`: `test_a_flood_is_answered_in_order_and_leaves_others_alone`, `test_a_message_over_the_limit_closes_the_connection` |
| D12 connections are kept in tables, and stay there | nothing of a connection is in the database: here |
| D13 connections are never freed | `tests/server/test_publications.py`: `test_059_leaving_runs_callbacks_frees_queries_and_says_nothing` |
| D14 every server hears everything | `tests/pg/test_bus.py`: `test_listen_and_unlisten_follow_the_subscriptions` |
| D15 incomplete messages are kept for ever | `tests/pg/test_payload.py`: `test_incomplete_sets_are_given_up_in_time` |
| D16 a failing subscription leaves data, and no nosub | `tests/predecessor/test_data_defects.py`: `test_d16_a_failing_subscription_gets_nosub_and_leaves_nothing`; `tests/conformance/test_subscriptions.py`: `test_044_an_error_for_clients_takes_all_back` |
| D17 no heartbeat, resumption, rate limit, check of origins | `tests/conformance/test_heartbeat.py`, `tests/tornado/test_resumption.py`, `tests/conformance/test_rate_limit.py`, `tests/tornado/test_origin.py` |
| D18 deleting unpublished rows becomes slow | `tests/predecessor/test_data_defects.py`: `test_d18_what_nobody_publishes_is_deleted_fast`; `tests/adapter/test_capture.py`: `test_models_that_nobody_publishes_have_no_receivers` |
| D19 other databases: errors, or silence | here |
| D20 proxies, inheritance, `to_field`, `db_column`, renamed collections | here; `tests/documents/test_projection.py` |
| D21 superusers see other rows at first than later | here |
| D22 leaks of users, methods nobody meant | `tests/adapter/test_publications.py`: `test_of_users_only_what_is_named`, `test_refusals` |
| D23 no tests with several processes, of order or of failures | the suite |
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from ddp_client import connect

ROOT = Path(__file__).parents[2]


def test_the_table_is_complete_and_names_tests_that_exist():
    rows = re.findall(r"^\| D(\d+) [^|]*\| (.*) \|$", __doc__, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 24))
    here = Path(__file__).read_text()
    for number, where in rows:
        if re.search(r"\bhere\b", where):
            assert f"def test_d{int(number):02}_" in here, number
        for part in where.split(";"):
            paths = re.findall(r"`(tests/\S+\.py)`", part)
            names = re.findall(r"`(test_\w+)`", part)
            defined = {
                each.name
                for path in paths
                for each in ast.walk(ast.parse((ROOT / path).read_text()))
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            assert set(names) <= defined, (number, set(names) - defined)


async def test_d04_what_is_written_around_a_subscription_arrives(server, shell):
    """A transaction that began before the subscription and ends after it is seen."""
    shell("Book.objects.create(title='before', author=ann)")
    async with connect(server.address) as reader:
        shell(
            "block = transaction.atomic(); block.__enter__()\n"
            "Book.objects.create(title='open', author=ann)\n"
            "Book.objects.filter(title='before').get().delete()\n"
        )
        await reader.sub("Shown", "titles")
        assert reader.docs("docsite.book") == {"1": {"title": "before"}}
        shell("block.__exit__(None, None, None)")
        await reader.shows("docsite.book", {"2": {"title": "open"}})


async def test_d04_a_transaction_that_is_read_already_is_not_told_again(server, shell):
    async with connect(server.address) as reader:
        for number in range(1, 20):
            # Committed an instant before: its notification may still be on its way.
            shell(f"Book.objects.create(title='{number}', author=ann)")
            sub = await reader.sub("Shown", "titles")
            assert len(reader.docs("docsite.book")) == number
            await reader.unsub(sub)
        # The client itself complains of what it is told twice.
        added = [m["id"] for m in reader.messages if m["msg"] == "added"]
        assert len(added) == sum(range(1, 20))


async def test_d05_statements_of_a_writer_do_not_depend_on_who_watches(server, shell):
    shell(
        "from django.contrib.auth.models import User\n"
        "from django.test.utils import CaptureQueriesContext\n"
        "users = [User.objects.create_user(f'u{n}') for n in range(20)]\n"
        "def statements():\n"
        "    with CaptureQueriesContext(connection) as queries:\n"
        "        Note.objects.create(text='x', owner=users[7])\n"
        "    return len(queries)\n"
        "statements()  # the first time, a process asks what it may do\n"
        "alone = statements()\n"
    )
    clients = [connect(server.address) for _ in range(20)]
    readers = [await client.__aenter__() for client in clients]
    for number, reader in enumerate(readers):
        await reader.call("log_in", f"u{number}")
        await reader.sub("Shown", "notes")
    shell("assert statements() == alone")
    await readers[7].until(lambda: len(readers[7].docs("docsite.note")) == 3)
    for number, (reader, client) in enumerate(zip(readers, clients, strict=True)):
        assert bool(reader.docs("docsite.note")) == (number == 7)
        await client.__aexit__(None, None, None)


async def test_d12_connections_and_subscriptions_are_in_no_table(server, shell):
    shell(
        "def rows():\n"
        "    with connection.cursor() as cursor:\n"
        "        cursor.execute('ANALYZE')\n"
        "        cursor.execute(\"SELECT relname, reltuples FROM pg_class WHERE relkind = 'r'\"\n"
        "            \" AND relnamespace = 'public'::regnamespace ORDER BY 1\")\n"
        "        return cursor.fetchall()\n"
        "before = rows()\n"
    )
    async with connect(server.address) as reader:
        await reader.sub("Shown", "titles")
        shell("assert rows() == before and len(before) > 5")


async def test_d19_another_database_is_written_in_silence(other_database, server, shell):
    """No statement of ours goes there, and nothing of it is taken for the default one's."""
    async with connect(server.address) as reader:
        await reader.sub("Shown", "authors")
        mark = len(reader.messages)
        shell(
            "other = Author.objects.using('other').create(name='elsewhere', email='')\n"
            "assert other.pk == ann.pk == 1\n"
            "other.name = 'still elsewhere'; other.save()\n"
            "other.delete()\n"
            "bob.name = 'rob'; bob.save()\n"
        )
        await reader.until(lambda: reader.docs("docsite.author")["2"]["name"] == "rob")
        assert [(m["id"], m["fields"]) for m in reader.since(mark)] == [("2", {"name": "rob"})]


async def test_d19_publishing_another_database_is_refused_with_a_reason(other_database, server):
    async with connect(server.address) as client:
        await client.send(msg="sub", id="1", name="Shown", params=["elsewhere"])
        assert (await client.message(msg="nosub", id="1"))["error"]["error"] == 500
    assert server.end() == 0
    log = "".join(server.errors)
    assert "docsite.book reads the database 'other', but changes are heard of in" in log


async def test_d20_proxies_are_live_whoever_writes(server, shell):
    async with connect(server.address) as reader:
        await reader.sub("Shown", "novels")
        shell("book = Book.objects.create(title='Novel 1', author=ann)")
        await reader.until(lambda: set(reader.docs("docsite.book")) == {"1"})
        shell("book.title = 'Poems'; book.save()")
        await reader.shows("docsite.book", {})
        shell("novel = Novel.objects.create(title='Novel 2', author=ann)")
        await reader.until(lambda: set(reader.docs("docsite.book")) == {"2"})
        shell("novel.title = 'Novel 3'; novel.save()")
        await reader.until(lambda: reader.docs("docsite.book")["2"]["title"] == "Novel 3")
        await reader.sub("Shown", "titles")
        shell("novel.delete()")
        await reader.shows("docsite.book", {"1": {"title": "Poems"}})


async def test_d20_children_hold_the_fields_of_their_parents(server, shell):
    async with connect(server.address) as reader:
        await reader.sub("Shown", "restaurants")
        await reader.sub("Shown", "places")
        shell("chez = Restaurant.objects.create(name='chez', stars=1)")
        whole = {"name": "chez", "stars": 1, "tags_ids": []}
        await reader.shows("docsite.restaurant", {"1": whole})
        await reader.shows("docsite.place", {"1": {"name": "chez", "tags_ids": []}})
        shell("place = Place.objects.get(); place.name = 'moi'; place.save()")
        await reader.shows("docsite.restaurant", {"1": whole | {"name": "moi"}})
        shell("chez.refresh_from_db(); chez.stars = 2; chez.save()")
        await reader.shows("docsite.restaurant", {"1": whole | {"name": "moi", "stars": 2}})
        shell("tag = Tag.objects.create(word='x'); chez.tags.add(tag)")
        await reader.until(lambda: reader.docs("docsite.restaurant")["1"]["tags_ids"] == ["1"])
        await reader.until(lambda: reader.docs("docsite.place")["1"]["tags_ids"] == ["1"])
        shell("place.delete()")
        await reader.shows("docsite.restaurant", {})
        await reader.shows("docsite.place", {})


async def test_d20_references_lead_to_documents_whatever_their_columns(server, shell):
    """By `to_field`, and in columns that are called as the field is (`db_column`)."""
    shell(
        "home = Country.objects.create(code='NZ', name='New Zealand')\n"
        "away = Country.objects.create(code='NO', name='Norway')\n"
        "chez = Restaurant.objects.create(name='chez')\n"
        "city = City.objects.create(name='Wellington', country=home, restaurant=chez)\n"
    )
    async with connect(server.address) as reader:
        await reader.sub("Shown", "cities")
        await reader.sub("Shown", "countries")

        def city():
            (document,) = reader.docs("docsite.city").values()
            return document

        whole = {"name": "Wellington", "country": "1", "restaurant": "1", "visited_ids": []}
        assert city() == whole
        assert reader.docs("docsite.country")[city()["country"]]["code"] == "NZ"
        shell("city.country = away; city.restaurant = None; city.save()")
        await reader.until(lambda: city() == whole | {"country": "2", "restaurant": None})
        shell("Visit.objects.create(city=city, country=home)")
        await reader.until(lambda: city()["visited_ids"] == ["1"])
        shell(
            # The code of a country goes over to another row.
            "with transaction.atomic():\n"
            "    Country.objects.filter(pk=1).get().delete()\n"
            "    City.objects.filter(pk=city.pk).update(country=None)\n"
            "    away.delete()\n"
            "    third = Country.objects.create(code='NO', name='Norway')\n"
            "    city.country = third; city.save()\n"
        )
        await reader.until(lambda: city()["country"] == "3")


async def test_d20_a_collection_has_the_name_it_is_given(server, shell):
    shell("book = Book.objects.create(title='one', author=ann)")
    async with connect(server.address) as reader:
        await reader.sub("Shown", "library")
        assert reader.docs("library") == {"1": {"title": "one"}}
        shell("book.title = 'two'; book.save()")
        await reader.shows("library", {"1": {"title": "two"}})
        shell("book.delete()")
        await reader.shows("library", {})
        assert reader.docs("docsite.book") == {}


async def test_d21_superusers_see_the_same_at_first_and_later(server, shell):
    shell(
        "from django.contrib.auth.models import User\n"
        "u, root = User.objects.create_user('u'), User.objects.create_superuser('root')\n"
        "room = Room.objects.create(name='red', owner=u)\n"
        "Note.objects.create(text='a', owner=u)\n"
    )
    async with connect(server.address) as boss, connect(server.address) as user:
        for client, name in ((boss, "root"), (user, "u")):
            await client.call("log_in", name)
            await client.sub("Shown", "rooms")
            await client.sub("Shown", "notes")
            assert set(client.docs("docsite.room")) == {"1"}
        # Rooms let superusers see them all, notes do not.
        assert boss.docs("docsite.note") == {}
        assert set(user.docs("docsite.note")) == {"1"}
        shell(
            "Note.objects.create(text='b', owner=u); room.name = 'blue'; room.save()\n"
            "other = Room.objects.create(name='white', owner=root); other.members.add(root)\n"
            "Room.objects.create(name='green', owner=u)\n"
        )
        await boss.until(
            lambda: (
                [room["name"] for _, room in sorted(boss.docs("docsite.room").items())]
                == ["blue", "white", "green"]
            )
        )
        await user.until(lambda: set(user.docs("docsite.room")) == {"1", "3"})
        await user.until(lambda: set(user.docs("docsite.note")) == {"1", "2"})
        assert boss.docs("docsite.note") == {}
