"""What a user may see of a queryset, by `user_rel` and `qs_filter`."""

from __future__ import annotations

import textwrap

import pytest


@pytest.fixture
def rooms(shell):
    shell(
        textwrap.dedent("""
        ann, bob, root = [User.objects.create_user(n) for n in ("ann", "bob", "root")]
        root.is_superuser = True
        root.save()
        red = Room.objects.create(name="red", owner=ann)
        blue = Room.objects.create(name="blue", owner=bob)
        red.members.add(ann, bob)
        notes = [
            Note.objects.create(text="1", owner=ann),
            Note.objects.create(text="2", owner=bob, room=red),
            Note.objects.create(text="3", owner=bob, room=blue),
            Note.objects.create(text="4", owner=ann, room=red),
        ]
        Mail.objects.create(to=ann)
        Mail.objects.create(to=bob)
        def keys(user, queryset):
            return list(visible(user, queryset)[0])
    """)
    )
    return shell


def test_forward_lookups_filter_the_rows_themselves(rooms):
    rooms(
        textwrap.dedent("""
        found, sql = visible(ann, Note.objects.order_by("pk"))
        assert list(found) == ["1", "2", "4"]
        assert sql.count("SELECT") == 1, sql
        assert keys(bob, Note.objects.order_by("pk")) == ["2", "3"]
        assert keys(AnonymousUser(), Note.objects.all()) == []
        found, sql = visible(ann, Note.objects.filter(room=None).only("text"))
        assert found == {"1": {"text": "1"}}
    """)
    )


def test_lookups_with_several_values_give_each_row_once(rooms):
    rooms(
        textwrap.dedent("""
        found, sql = visible(ann, Room.objects.order_by("pk"))
        assert list(found) == ["1"]
        assert sql.count("SELECT") == 2, sql
        assert keys(bob, Room.objects.order_by("pk")) == ["1", "2"]
        assert API.collection_of(Room).objects_for_user(bob).count() == 2
    """)
    )


def test_superusers_see_all_where_they_may(rooms):
    rooms(
        textwrap.dedent("""
        assert keys(root, Room.objects.order_by("pk")) == ["1", "2"]
        assert keys(root, Note.objects.all()) == []
        class Plain:
            # A user model need not know superusers.
            pk, is_anonymous = ann.pk, False
        assert keys(Plain(), Room.objects.order_by("pk")) == ["1"]
    """)
    )


def test_a_slice_keeps_its_place_and_its_projection(rooms):
    rooms(
        textwrap.dedent("""
        newest = Note.objects.order_by("-pk").only("text")[:2]
        assert visible(ann, newest)[0] == {"4": {"text": "4"}}
        assert visible(bob, newest)[0] == {"3": {"text": "3"}}
        assert visible(ann, Note.objects.order_by("pk").values("text")[1:4])[0] == {
            "2": {"text": "2"}, "4": {"text": "4"}
        }
        busy = Note.objects.annotate(owned=Count("owner__note")).order_by("pk").only("text")[:2]
        assert visible(ann, busy)[0] == {
            "1": {"text": "1", "owned": 2}, "2": {"text": "2", "owned": 2}
        }
    """)
    )


def test_what_a_queryset_counts_is_not_disturbed(rooms):
    rooms(
        textwrap.dedent("""
        counted = Room.objects.only("name").annotate(members_there=Count("members"))
        assert visible(bob, counted.order_by("pk"))[0] == {
            "1": {"name": "red", "members_there": 2}, "2": {"name": "blue", "members_there": 0}
        }
        named = Note.objects.only("text").annotate(room_name=F("room__name")).order_by("pk")
        assert visible(ann, named)[0] == {
            "1": {"text": "1", "room_name": None},
            "2": {"text": "2", "room_name": "red"},
            "4": {"text": "4", "room_name": "red"},
        }
        # An annotation cannot take the place of what decides.
        tricked = Note.objects.values("text", "pk").annotate(owner=Value(ann.pk))
        assert keys(ann, tricked.order_by("pk")) == ["1", "2", "4"]
    """)
    )


def test_references_to_users_by_another_column(rooms):
    rooms(
        textwrap.dedent("""
        found, sql = visible(ann, Mail.objects.all())
        assert found == {"1": {"to_id": "1"}}
        assert sql.count("SELECT") == 1, sql
    """)
    )


def test_a_filter_with_several_values_gives_each_row_once(rooms):
    rooms(
        textwrap.dedent("""
        from ddpcore_django import Collection
        class Met(Collection):
            model = Room
            qs_filter = Q(members__isnull=False) | Q(name="blue")
            order_by = ["-name"]
        found = Met().get_queryset()
        assert [room.name for room in found] == ["red", "blue"]
        assert [room.name for room in Met().get_queryset(Room.objects.order_by("name"))] == [
            "blue", "red"
        ]
        class Red(Collection):
            model = Room
            qs_filter = Q(owner__username="ann")
        assert str(Red().get_queryset().query).count("SELECT") == 1
        assert [room.name for room in Red().get_queryset(Room.objects.order_by("name")[:1])] == []
    """)
    )
