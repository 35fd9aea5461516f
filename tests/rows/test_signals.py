"""What the signals announce, with which images, in which order."""

from __future__ import annotations

import select

import psycopg2
import pytest

from ddpcore.bus import Change
from ddpcore_pg.payload import Assembler, channel

TOPICS = (
    "member", "member_friends", "member_follows", "member_labels", "club", "membership", "visit",
    "label", "place", "restaurant", "restaurant_tags", "pair", "loud", "narrow", "person",
)  # fmt: skip


class Listener:
    """Hears the changes of some topics of a database."""

    def __init__(self, dsn: str, *topics: str) -> None:
        self._connection = psycopg2.connect(dsn)
        self._connection.autocommit = True
        self._cursor = self._connection.cursor()
        self._topics = {channel(topic): topic for topic in topics}
        for name in [*self._topics, "end"]:
            self._cursor.execute(f'LISTEN "{name}"')

    def heard(self) -> list[Change]:
        """All that was committed before this call and not given yet."""
        self._cursor.execute('NOTIFY "end"')
        assembler = Assembler()
        found: list = []
        while True:
            while self._connection.notifies:
                notify = self._connection.notifies.pop(0)
                if notify.channel == "end":
                    assert not len(assembler)
                    return found
                found += assembler.put(self._topics[notify.channel], notify.payload)
            select.select([self._connection], [], [])
            self._connection.poll()

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def use_tz() -> str:
    return "yes"


@pytest.fixture
def listener(rows_dsn):
    listener = Listener(rows_dsn, *(f"rowsite.{topic}" for topic in TOPICS))
    yield listener
    listener.close()


@pytest.fixture
def told(project, listener):
    """Run code in another process: what is told of it, as (op, table, key, image)."""
    shell = project.shell()

    def run(code: str) -> list[tuple]:
        shell(code)
        return [
            (c.op.value, c.topic.partition(".")[2], c.key, c.before or c.after)
            for c in listener.heard()
        ]

    return run


MEMBERS = "a, b, c = [Member.objects.create(code=code) for code in 'abc']"


def test_a_row_is_told_of_as_the_database_has_it(told):
    assert told("a = Member.objects.create(code='a')") == [
        ("i", "member", "1", {"id": 1, "code": "a"})
    ]
    assert told(
        "stale = Member.objects.get()\n"
        "a.code = 'b'; a.save()\n"
        "stale.code = 'c'; stale.save(update_fields=['id'] and ['code'])\n"
        "from django.db.models import F, Value as V\n"
        "from django.db.models.functions import Concat\n"
        "a.code = Concat(F('code'), V('!')); a.save()\n"
    ) == [
        ("u", "member", "1", {"id": 1, "code": "b"}),
        ("u", "member", "1", {"id": 1, "code": "c"}),
        ("u", "member", "1", {"id": 1, "code": "c!"}),
    ]
    assert told("stale.delete()") == [("d", "member", "1", {"id": 1, "code": "c!"})]
    assert told("a.delete()") == []  # gone already


def test_what_is_rolled_back_is_not_told(told):
    code = (
        "class No(Exception): pass\n"
        "try:\n"
        "    with transaction.atomic():\n"
        "        a = Member.objects.create(code='a'); b = Label.everything.create()\n"
        "        a.labels.add(b); a.friends.add(a); a.delete()\n"
        "        raise No\n"
        "except No: pass\n"
    )
    assert told(code) == []


def test_fixtures(told):
    code = (
        "from django.core import serializers\n"
        'text = \'[{"model": "rowsite.place", "pk": 5, "fields": {"name": "x"}},\'\\\n'
        '    \'{"model": "rowsite.restaurant", "pk": 5, "fields": {"stars": 2}}]\'\n'
        "for each in serializers.deserialize('json', text): each.save()\n"
    )
    assert told(code) == [
        ("i", "place", "5", {"id": 5, "name": "x"}),
        ("i", "restaurant", "5", {"place_ptr_id": 5, "stars": 2}),
    ]


def test_each_table_of_a_row_is_told_of(told):
    place, restaurant = {"id": 1, "name": "x"}, {"place_ptr_id": 1, "stars": 3}
    assert told("r = Restaurant.objects.create(name='x', stars=3)") == [
        ("i", "place", "1", place),
        ("i", "restaurant", "1", restaurant),
    ]
    assert told("p = Place.objects.get(); p.name = 'y'; p.save()") == [
        ("u", "place", "1", {"id": 1, "name": "y"})
    ]
    assert told("Bistro.objects.get().save()") == [
        ("u", "place", "1", {"id": 1, "name": "y"}),
        ("u", "restaurant", "1", restaurant),
    ]
    assert told("Restaurant.objects.get().delete(keep_parents=True)") == [
        ("d", "restaurant", "1", restaurant)
    ]
    told("r = Restaurant.objects.create(name='z', stars=0)")
    gone = told("Bistro.objects.get(pk=2).delete()")
    assert sorted(gone) == [
        ("d", "place", "2", {"id": 2, "name": "z"}),
        ("d", "restaurant", "2", {"place_ptr_id": 2, "stars": 0}),
    ]


def test_links_from_both_sides(told):
    told(f"{MEMBERS}; x, y = [Label.objects.create(word=word) for word in 'xy']")

    def link(key, member, label):
        return {"id": key, "member_id": member, "label_id": label}

    assert told("a.labels.add(x, y); a.labels.add(x)") == [
        ("i", "member_labels", "1", link(1, 1, 1)),
        ("i", "member_labels", "2", link(2, 1, 2)),
    ]
    assert told("x.member_set.add(b, c)") == [
        ("i", "member_labels", "3", link(3, 2, 1)),
        ("i", "member_labels", "4", link(4, 3, 1)),
    ]
    assert told("a.labels.remove(str(x.pk), 77)") == [("d", "member_labels", "1", link(1, 1, 1))]
    assert told("x.member_set.remove(b)") == [("d", "member_labels", "3", link(3, 2, 1))]
    assert told("x.member_set.clear(); x.member_set.clear()") == [
        ("d", "member_labels", "4", link(4, 3, 1))
    ]
    assert told("a.labels.set([x])") == [
        ("d", "member_labels", "2", link(2, 1, 2)),
        ("i", "member_labels", "5", link(5, 1, 1)),
    ]


def test_links_that_a_manager_hides_are_not_gone(told):
    told(f"{MEMBERS}; x, y = [Label.everything.create(word=word) for word in ('x', 'hidden')]")
    told("a.labels.add(x, y)")
    hidden = {"id": 2, "member_id": 1, "label_id": 2}
    for code in ("a.labels.remove(y)", "a.labels.clear()"):
        heard = told(code)
        assert [op for op, *_ in heard if op == "i"] == ["i"]
        assert heard[-1] == ("i", "member_labels", "2", hidden)


def test_links_go_with_the_rows_that_they_link(told):
    told(f"{MEMBERS}; x = Label.objects.create(word='x'); a.labels.add(x); b.labels.add(x)")
    links = [
        ("d", "member_labels", str(n), {"id": n, "member_id": n, "label_id": 1}) for n in (1, 2)
    ]
    # Nobody publishes labels: they themselves are not told of.
    assert told("x.delete()") == links
    told("y = Label.objects.create(word='y'); a.labels.add(y); a.follows.add(b); c.follows.add(a)")
    heard = told("Member.objects.filter(code='a').delete()")
    assert heard[-1] == ("d", "member", "1", {"id": 1, "code": "a"})
    assert sorted(heard[:-1], key=lambda change: change[:3]) == [
        ("d", "member_follows", "1", {"id": 1, "from_member_id": 1, "to_member_id": 2}),
        ("d", "member_follows", "2", {"id": 2, "from_member_id": 3, "to_member_id": 1}),
        ("d", "member_labels", "3", {"id": 3, "member_id": 1, "label_id": 2}),
    ]
    told(
        "r = Restaurant.objects.create(name='x'); t = Target.objects.create(code='t'); r.tags.add(t)"
    )
    assert [change[:3] for change in told("t.delete()")] == [("d", "restaurant_tags", "1")]
    told("t = Target.objects.create(code='t'); r.tags.add(t)")
    assert sorted(change[:3] for change in told("Place.objects.get(pk=r.pk).delete()")) == [
        ("d", "place", "1"),
        ("d", "restaurant", "1"),
        ("d", "restaurant_tags", "2"),
    ]


def test_symmetrical_links(told):
    told(MEMBERS)

    def link(op, key, one, other):
        image = {"id": key, "from_member_id": one, "to_member_id": other}
        return op, "member_friends", str(key), image

    added = [link("i", 1, 1, 2), link("i", 2, 1, 3), link("i", 3, 2, 1), link("i", 4, 3, 1)]
    assert told("a.friends.add(b, c)") == added
    gone = told("b.friends.remove(a)")
    assert sorted(gone) == [link("d", 1, 1, 2), link("d", 3, 2, 1)]
    assert sorted(told("with transaction.atomic(): a.friends.clear(); a.friends.add(b)")) == [
        link("d", 2, 1, 3),
        link("d", 4, 3, 1),
        link("i", 5, 1, 2),
        link("i", 6, 2, 1),
    ]


def test_links_that_are_a_model_of_their_own(told):
    told(f"{MEMBERS}; club = Club.objects.create()")

    def membership(op, key, who, role="guest"):
        return op, "membership", str(key), {"id": key, "club_id": 1, "who": who, "role": role}

    assert told("club.members.add(a, through_defaults={'role': 'chair'})") == [
        membership("i", 1, "a", "chair")
    ]
    assert told("b.clubs.add(club)") == [membership("i", 2, "b")]
    assert told("m = Membership.objects.create(club=club, member=c)") == [membership("i", 3, "c")]
    assert told("m.role = 'host'; m.save()") == [membership("u", 3, "c", "host")]
    assert told("club.members.remove(a)") == [membership("d", 1, "a", "chair")]
    assert told("m.delete()") == [membership("d", 3, "c", "host")]
    assert sorted(told("club.delete()")) == [
        ("d", "club", "1", {"id": 1}),
        membership("d", 2, "b"),
    ]


def test_a_row_that_is_saved_while_it_is_being_deleted_stays_deleted(told):
    """A receiver of the project keeps a count in the row that is about to go."""
    told(
        "from django.db.models.signals import post_delete\n"
        "def count(instance, **_): instance.club.save()\n"
        "post_delete.connect(count, sender=Visit)\n"
        "club = Club.objects.create(); visit = Visit.objects.create(club=club)\n"
    )
    heard = told("Club.objects.get().delete()")
    assert ("u", "club", "1", {"id": 1}) in heard
    assert heard[-1][:3] == ("d", "club", "1")
    image = {"id": 1, "club_id": 1}
    assert ("d", "visit", "1", image) in heard


def test_nobody_changes_a_row_after_its_deletion_was_told(told):
    told(
        "from django.db import OperationalError, connections\n"
        "from django.db.models.signals import pre_delete\n"
        "def compete(instance, **_):\n"
        "    for table in ('rowsite_member', 'rowsite_member_labels'):\n"
        "        with connections['foreign'].cursor() as cursor:\n"
        "            try:\n"
        "                cursor.execute(f'SELECT FROM {table} FOR NO KEY UPDATE NOWAIT')\n"
        "            except OperationalError:\n"
        "                continue\n"
        "        raise AssertionError(table)\n"
        "pre_delete.connect(compete, sender=Member)\n"
        "a = Member.objects.create(code='a'); a.labels.add(Label.objects.create(word='x'))\n"
    )
    assert [op for op, *_ in told("a.delete()")] == ["d", "d"]


def test_columns_that_are_nobodys_business_stay_at_home(told):
    [(*_, image)] = told("Person.objects.create(username='u', first_name='f', secret='s')")
    assert image == {"id": 1, "username": "u", "first_name": "f", "boss_id": None}
    [(*_, image)] = told("Narrow.objects.create(shown='x', hidden='y', owner_id=1)")
    assert image == {"id": 1, "shown": "x", "owner_id": 1}


def test_keys_that_only_python_can_write_are_told_of_without_image(told):
    assert told("p = Pair.objects.create(one=1, two=2)") == [("i", "pair", "(1, 2)", None)]
    assert told("p.delete()") == [("d", "pair", "(1, 2)", None)]
    assert told("Loud.objects.create(name='x'); l = Loud.objects.get()") == [
        ("i", "loud", "x", None)
    ]
    assert told("l.delete()") == [("d", "loud", "X", None)]
