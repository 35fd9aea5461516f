"""Without PostgreSQL the writer itself names rows, and says of links what they link."""

from __future__ import annotations

from pathlib import Path

import pytest
from project import Project

HEAR = """
from ddpcore.bus import MemoryBus
from ddpcore_django.announcing import told_buses

class Told(MemoryBus):
    def publish_threadsafe(self, change):
        heard.append((change.op.value, change.topic.partition('.')[2], change.key,
                      change.before or change.after))

heard = []
bus = Told()
told_buses.add(bus)

def check(*expected):
    assert heard == list(expected), heard
    heard.clear()

def link(table, op, key, one, other, columns=('member_id', 'label_id')):
    return op, table, str(key), dict(zip(columns, (one, other)))

a, b, c = [Member.objects.create(code=code) for code in 'abc']
x, y = [Label.objects.create(word=word) for word in 'xy']
check(*[('i', 'member', str(n), None) for n in (1, 2, 3)])
"""


@pytest.fixture
def shell(tmp_path):
    site = Path(__file__).parent / "site"
    project = Project(site, "rowsite.settings", str(tmp_path / "rows.sqlite3"))
    project.migrate()
    shell = project.shell()
    shell(HEAR)
    yield shell
    project.end()


def test_rows(shell):
    shell(
        "a.save(); check(('u', 'member', '1', None))\n"
        "a.delete(); check(('d', 'member', '1', None))\n"
        "r = Restaurant.objects.create(name='x')\n"
        "check(('i', 'place', '1', None), ('i', 'restaurant', '1', None))\n"
    )


def test_what_is_rolled_back_is_not_told(shell):
    shell(
        "try:\n"
        "    with transaction.atomic():\n"
        "        a.save(); a.labels.add(x); a.friends.add(b); b.delete()\n"
        "        check()\n"
        "        raise ZeroDivisionError\n"
        "except ZeroDivisionError: check()\n"
    )


def test_links(shell):
    shell(
        "a.labels.add(x, y)\n"
        "check(link('member_labels', 'i', 1, 1, 1), link('member_labels', 'i', 2, 1, 2))\n"
        "x.member_set.remove(a); check(link('member_labels', 'd', 1, 1, 1))\n"
        "a.labels.clear(); check(link('member_labels', 'd', 2, 1, 2))\n"
        "a.labels.add(x); check(link('member_labels', 'i', 3, 1, 1))\n"
        "x.delete(); check(link('member_labels', 'd', 3, 1, 1))\n"
        "ends = ('from_member_id', 'to_member_id')\n"
        "a.friends.add(b)\n"
        "check(link('member_friends', 'i', 1, 1, 2, ends), link('member_friends', 'i', 2, 2, 1, ends))\n"
        "b.delete()\n"
        "check(link('member_friends', 'd', 1, 1, 2, ends), link('member_friends', 'd', 2, 2, 1, ends),\n"
        "      ('d', 'member', '2', None))\n"
    )


def test_links_that_are_a_model_of_their_own(shell):
    shell(
        "club = Club.objects.create(); check(('i', 'club', '1', None))\n"
        "club.members.add(a); check(link('membership', 'i', 1, 1, 'a', ('club_id', 'who')))\n"
        "Membership.objects.get().save(); check(('u', 'membership', '1', None))\n"
        "Membership.objects.get().delete()\n"
        "check(link('membership', 'd', 1, 1, 'a', ('club_id', 'who')))\n"
    )


def test_uuids_are_written_as_in_images(shell):
    shell(
        "r = Restaurant.objects.create(name='x'); t = Target.objects.create(code='t')\n"
        "heard.clear(); r.tags.add(t)\n"
        "check(link('restaurant_tags', 'i', 1, 1, str(t.pk), ('restaurant_id', 'target_id')))\n"
        "from ddpcore_django.rows import ModelTable\n"
        "table = ModelTable(Restaurant.tags.through, None)\n"
        "row = table.row({'restaurant_id': 1, 'target_id': str(t.pk)})\n"
        "assert row['target_id'] == t.pk and row['restaurant_id'] == 1\n"
    )


def test_nobody_listening_costs_nothing(shell):
    shell(
        "told_buses.discard(bus)\n"
        "from django.test.utils import CaptureQueriesContext\n"
        "with CaptureQueriesContext(connection) as q: a.save()\n"
        "assert len(q) == 1, list(q)\n"
    )
