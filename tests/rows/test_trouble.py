"""Announcements that fail, and writers that may not lock what they announce."""

from __future__ import annotations

import psycopg2
import pytest

from .test_signals import Listener, listener, told, use_tz

__all__ = ["Listener", "listener", "told", "use_tz"]

WARNINGS = """
import logging
class Kept(logging.Handler):
    def emit(self, record): warned.append(record.getMessage())
warned = []
logging.getLogger('ddpcore_django.announcing').addHandler(Kept())
def warnings(count):
    found = len(warned)
    warned.clear()
    assert found == count, found
"""


@pytest.fixture
def other(rows_dsn):
    connection = psycopg2.connect(rows_dsn)
    yield connection
    connection.close()


@pytest.fixture
def role(rows_dsn, pg_cluster):
    """A role that may read and add, and nothing else."""
    name = "ddpcore_adder"
    connection = psycopg2.connect(rows_dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE ROLE {name}; GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {name};"
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}"
        )
        yield name
        cursor.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    connection.close()


def test_a_committed_row_is_told_of_even_if_it_cannot_be_locked(told, other):
    """Somebody has a parent's row, of which nothing is written but which is read."""
    told(WARNINGS)
    told("r = Restaurant.objects.create(name='x', stars=1)")
    with other.cursor() as cursor:
        cursor.execute("UPDATE rowsite_restaurant SET stars = 2")
        heard = told(
            "connection.cursor().execute(\"SET lock_timeout = '50ms'\")\n"
            "r.name = 'y'; r.save(update_fields=['name'])\n"
            "warnings(1); assert Place.objects.get().name == 'y'\n"
        )
    assert heard == [("u", "place", "1", None), ("u", "restaurant", "1", None)]
    other.rollback()
    place, restaurant = {"id": 1, "name": "z"}, {"place_ptr_id": 1, "stars": 1}
    assert told("r.name = 'z'; r.save(); warnings(0)") == [
        ("u", "place", "1", place),
        ("u", "restaurant", "1", restaurant),
    ]


def test_in_a_transaction_it_is_the_writers_failure(told, other):
    told(WARNINGS)
    told("r = Restaurant.objects.create(name='x', stars=1)")
    with other.cursor() as cursor:
        cursor.execute("UPDATE rowsite_restaurant SET stars = 2")
        code = (
            "from django.db import OperationalError\n"
            "connection.cursor().execute(\"SET lock_timeout = '50ms'\")\n"
            "r.name = 'y'\n"
            "try:\n"
            "    with transaction.atomic(): r.save(update_fields=['name'])\n"
            "except OperationalError: pass\n"
            "else: raise AssertionError\n"
            "warnings(0); assert Place.objects.get().name == 'x'\n"
        )
        assert told(code) == []


def test_a_lost_connection_is_the_writers_failure(told):
    code = (
        "from django.db import OperationalError, connections\n"
        "from django.db.models.signals import post_save\n"
        "a = Member.objects.create(code='a')\n"
        "def cut(**_):\n"
        "    pid = connection.connection.info.backend_pid\n"
        "    with connections['foreign'].cursor() as cursor:\n"
        "        cursor.execute('SELECT pg_terminate_backend(%s, 10000)', [pid])\n"
        "ours, post_save.receivers = post_save.receivers, []\n"
        "post_save.connect(cut, sender=Member)\n"
        "post_save.receivers += ours; post_save.sender_receivers_cache.clear()\n"
        "try: a.save()\n"
        "except OperationalError: pass\n"
        "else: raise AssertionError\n"
    )
    assert [op for op, *_ in told(code)] == ["i"]


def test_links_that_cannot_be_read(told):
    """The mirrored ones of a symmetrical field are told of after the commit."""
    told(WARNINGS)
    told("a, b = [Member.objects.create(code=code) for code in 'ab']")
    code = (
        "def fail(execute, sql, params, many, context):\n"
        "    if 'to_member_id\" IN' in sql and connection.get_autocommit():\n"
        "        return execute('SELECT 1 / 0', None, many, context)\n"
        "    return execute(sql, params, many, context)\n"
        "with connection.execute_wrapper(fail): a.friends.add(b)\n"
        "warnings(1)\n"
    )
    assert told(code) == [
        ("i", "member_friends", "1", {"id": 1, "from_member_id": 1, "to_member_id": 2}),
        ("r", "member_friends", None, None),
    ]


def test_who_may_only_add(told, role):
    told(WARNINGS)
    told(f"connection.cursor().execute('SET ROLE {role}')")
    alone = "a = Member.objects.create(code='a'); warnings(0)"
    assert told(alone) == [("i", "member", "1", None)]
    together = (
        "with transaction.atomic():\n"
        "    b = Member.objects.create(code='b'); b.labels.add(*Label.objects.all())\n"
        "    r = Restaurant.objects.create(name='x', stars=1); a.friends.add(b)\n"
    )
    assert told(together) == [
        ("i", "member", "2", None),
        ("i", "place", "1", None),
        ("i", "restaurant", "1", None),
        ("i", "member_friends", "1", None),
        ("i", "member_friends", "2", None),
    ]


def test_who_may_add_and_remove(told, role, other):
    with other.cursor() as cursor:
        cursor.execute(f"GRANT DELETE ON rowsite_member TO {role}")
    other.commit()
    told(f"connection.cursor().execute('SET ROLE {role}')\na = Member.objects.create(code='a')")
    code = "from ddpcore_django.announcing import Rows, announce\n"
    code += "from ddpcore.bus import Op\nwith transaction.atomic():\n"
    code += "    announce('default', Rows.of(Member, Op.DELETE, a.pk))\n"
    code += "    Member.objects.filter(pk=a.pk)._raw_delete('default')\n"
    assert told(code) == [("d", "member", "1", None)]


def test_one_column_that_may_be_changed_is_enough(told, role, other):
    with other.cursor() as cursor:
        cursor.execute(f"GRANT UPDATE (code) ON rowsite_member TO {role}")
    other.commit()
    code = f"connection.cursor().execute('SET ROLE {role}'); Member.objects.create(code='a')"
    assert told(code) == [("i", "member", "1", {"id": 1, "code": "a"})]


def test_the_keys_are_written_as_the_database_writes_them(told):
    """Also when it is Python that tells them."""
    told("from ddpcore_django.announcing import Rows\nfrom ddpcore.bus import Op\nimport uuid")
    told(
        "key = uuid.uuid4()\n"
        "told = list(Rows.of(Target, Op.UPDATE, key.hex).blindly())\n"
        "assert [each.key for each in told] == [str(key)], told\n"
        "assert [each.key for each in Rows.of(Member, Op.UPDATE, '007').blindly()] == ['7']\n"
    )


def test_unlinking_very_many_sends_little(told):
    told(
        "a = Member.objects.create(code='a')\n"
        "Label.objects.bulk_create([Label(word=str(n)) for n in range(12_000)])\n"
        "link = Member.labels.through\n"
        "link.objects.bulk_create([link(member=a, label=l) for l in Label.objects.all()[:3000]])\n"
    )
    heard = told("a.labels.clear()")
    assert {each[:2] + each[3:] for each in heard} == {("d", "member_labels", None)}
    assert len({key for _, _, key, _ in heard}) == 3000
    told("link.objects.bulk_create([link(member=a, label=l) for l in Label.objects.all()])")
    assert told("a.labels.clear()") == [("r", "member_labels", None, None)]


def test_a_row_too_large_for_one_payload(told):
    heard = told("r = Restaurant.objects.create(name='x' * 50); p = Narrow.objects.create()")
    assert len(heard) == 3
    told("connection.cursor().execute('ALTER TABLE rowsite_narrow ALTER COLUMN shown TYPE text')")
    [(*_, image)] = told("p.shown = 'é' * 30_000; p.save()")
    assert image["shown"] == "é" * 30_000
