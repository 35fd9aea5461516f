"""What the documents of a queryset hold, read with SQL and made in memory."""

from __future__ import annotations

import textwrap

import pytest


def code(text: str) -> str:
    return textwrap.dedent(text)


def test_all_fields(books):
    books(code("""
        assert documents(Book.objects.filter(pk=1)) == {"1": {
            "title": "one", "author_id": "1", "predecessor": None, "price": "1.50",
            "tags_ids": ["1", "2"],
        }}
        assert documents(Book.objects.filter(pk=2))["2"]["predecessor"] == "1"
        assert documents(Author.objects.filter(pk=1)) == {
            "1": {"name": "ann", "email": "ann@example.org"}
        }
        made = projection(Author.objects.all())
        assert made.unmatched is None, made.unmatched
        assert made.columns == {"id", "name", "email"}
        assert made.topics == set()
        made = projection(Book.objects.all())
        assert made.unmatched is None, made.unmatched
        assert made.topics == {"docsite.book_tags"}
        assert made.many_to_many == [Book._meta.get_field("tags")]
        assert [(link.topic, link.field) for link in made.links] == [("docsite.book_tags", "tags_ids")]
        assert projection(City.objects.only("visited")).unmatched == (
            "the ids of visited do not follow from its table alone"
        )
    """))  # fmt: skip


def test_only_and_defer(books):
    books(code("""
        made = projection(Book.objects.only("title"))
        assert (made.unmatched, made.columns, made.topics) == (None, {"id", "title"}, set())
        one = Book.objects.filter(pk=1)
        assert documents(one.only("title")) == {"1": {"title": "one"}}
        assert documents(one.only("author")) == {"1": {"author_id": "1"}}
        assert documents(one.only("author_id", "pk")) == {"1": {"author_id": "1"}}
        assert documents(one.only("pk")) == {"1": {}}
        assert documents(one.only("title", "tags")) == {"1": {"title": "one", "tags_ids": ["1", "2"]}}
        assert documents(one.defer("title", "price")) == {
            "1": {"author_id": "1", "predecessor": None, "tags_ids": ["1", "2"]}
        }
        assert documents(one.defer("title", "price", "tags", "sequel_to")) == {"1": {"author_id": "1"}}
        assert documents(one.select_related("author").only("title", "author__name")) == {
            "1": {"title": "one", "author_id": "1"}
        }
        assert documents(Book.objects.only("title").order_by("-pk")[:2]) == {
            "3": {"title": "three"}, "2": {"title": "two"}
        }
        assert list(documents(Book.objects.only("title").order_by("-pk")[:2])) == ["3", "2"]
    """))  # fmt: skip


def test_a_change_of_what_is_not_projected_makes_the_same_document(books):
    books(code("""
        made = projection(Book.objects.only("title"))
        before = made.read(Book.objects.only("title"))
        Book.objects.update(price=7)
        after = made.read(Book.objects.only("title"))
        assert {k: texts(d) for k, d in before.items()} == {k: texts(d) for k, d in after.items()}
    """))  # fmt: skip


def test_keys_tell_projections_apart(books):
    books(code("""
        everything = Book.objects.all()
        querysets = [
            everything, everything.only("title"), everything.only("title", "tags"),
            everything.defer("tags"), everything.values("title"),
            everything.annotate(n=Count("tags")), everything.values("title", "author__name"),
            Novel.objects.all(),
        ]
        keys = [projection(each).key for each in querysets]
        assert len(set(keys)) == len(keys)
        assert projection(everything.only("title")).key == projection(
            everything.filter(pk=1).only("title").order_by("title")).key
        assert projection(everything, "shout").key not in keys
    """))  # fmt: skip


def test_values(books):
    books(code("""
        one = Book.objects.filter(pk=1)
        assert documents(one.values("title")) == {"1": {"title": "one"}}
        assert documents(one.values("author", "id")) == {"1": {"author_id": "1"}}
        assert documents(one.values("author_id", "author", "pk")) == {"1": {"author_id": "1"}}
        assert documents(one.values("sequel_to", "price")) == {
            "1": {"predecessor": None, "price": "1.50"}
        }
        assert documents(one.values("title", "author__name", "author__pk", "sequel_to__author")) == {
            "1": {"title": "one", "author__name": "ann", "author__pk": "1", "sequel_to__author": None}
        }
        assert documents(one.values(up=Upper("title"), writer=F("author__name"))) == {
            "1": {"up": "ONE", "writer": "ann"}
        }
        assert documents(one.annotate(n=Count("tags")).values("title", "n")) == {
            "1": {"title": "one", "n": 2}
        }
        assert documents(one.values("pk", "title").annotate(n=Count("tags"))) == {
            "1": {"title": "one", "n": 2}
        }
        assert documents(one.values()) == documents(one)
        assert documents(one.annotate(n=Count("tags")).values()) == {
            "1": {**documents(one)["1"], "n": 2}
        }
        assert documents(Book.objects.values("title").order_by("-pk")[:1]) == {
            "3": {"title": "three"}
        }
        assert documents(Book.objects.filter(tags__in=[1, 2]).distinct().values("title")) == {
            "1": {"title": "one"}
        }
        first = Book.objects.values("pk", "title").filter(pk=1)
        assert documents(first.union(Book.objects.values("pk", "title").filter(pk=2))) == {
            "1": {"title": "one"}, "2": {"title": "two"}
        }
        made = projection(Book.objects.values("title"))
        assert (made.unmatched, made.columns) == (None, {"id", "title"})
        assert projection(Book.objects.values("author__name")).unmatched == (
            "author__name of other rows"
        )
    """))  # fmt: skip


def test_annotations(books):
    books(code("""
        import datetime
        Book.objects.filter(pk=1).update(price="1.25")
        authors = Author.objects.annotate(
            count=Count("books"), total=Sum("books__price"), least=Min("books__price"),
            now=Value(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
        ).alias(hidden=Max("books__title"))
        assert documents(authors.filter(pk=1).only("name")) == {"1": {
            "name": "ann", "count": 2, "total": "1.25", "least": "1.25",
            "now": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        }}
        assert projection(authors).unmatched == "annotation count"
        named = Book.objects.annotate(author_name=F("author__name")).filter(pk=1)
        assert documents(named)["1"]["author_name"] == "ann"
        assert list(documents(named)["1"])[-1] == "author_name"
        assert documents(named.only("title")) == {"1": {"title": "one", "author_name": "ann"}}
        assert documents(named.defer("tags", "author", "price", "sequel_to")) == {
            "1": {"title": "one", "author_name": "ann"}
        }
        assert documents(named.values("author_name")) == {"1": {"author_name": "ann"}}
        assert documents(named.values("title")) == {"1": {"title": "one"}}
        # References and primary keys are ids, wherever they come from.
        newest = Author.objects.only("name").annotate(
            newest=Max("books"), any=Subquery(
                Book.objects.filter(author=OuterRef("pk")).order_by("pk").values("pk")[:1]),
        )
        assert documents(newest)["1"] == {"name": "ann", "newest": "2", "any": "1"}
        writers = Book.objects.only("title").annotate(writer=F("author"), key=F("pk"))
        assert documents(writers)["3"] == {"title": "three", "writer": "2", "key": "3"}
        assert documents(Book.objects.only("title").extra(select={"twice": "2 * docsite_book.id"})
            .filter(pk=3)) == {"3": {"title": "three", "twice": 6}}
    """))  # fmt: skip


def test_annotations_of_postgresql(project):
    shell = project.shell()
    shell(code("""
        from django.contrib.postgres.aggregates import ArrayAgg
        from django.db.models import *
        from django.db.models.functions import JSONObject
        from docsite.made import *
        ann = Author.objects.create(name="ann", email="a@example.org")
        for title in ("one", "two"):
            Book.objects.create(title=title, author=ann, price="1.5")
        made = Author.objects.only("name").annotate(
            titles=ArrayAgg("books__title", ordering="books__title"),
            books_ids=ArrayAgg("books", ordering="books"),
            prices=ArrayAgg("books__price"),
            card=JSONObject(name="name"),
        )
        assert documents(made) == {"1": {
            "name": "ann", "titles": ["one", "two"], "books_ids": ["1", "2"],
            "prices": ["1.50", "1.50"], "card": {"name": "ann"},
        }}
        Arrays.objects.create(numbers=[1, None, 3], span=(1, 5))
        assert projection(Arrays.objects.all()).unmatched == "field numbers does not travel"
        assert projection(Arrays.objects.only("pk")).unmatched is None
        assert documents(Arrays.objects.all())["1"]["numbers"] == [1, None, 3]
    """))  # fmt: skip


def test_several_values_for_a_row_are_refused_when_they_come(books):
    books(code("""
        from ddpcore.errors import DDPError
        titles = Book.objects.only("title")
        words = titles.annotate(word=F("tags__word"))
        # The annotation takes the join of the filter.
        assert documents(titles.filter(tags__word="x").annotate(word=F("tags__word"))) == {
            "1": {"title": "one", "word": "x"}
        }
        for queryset in (words, Book.objects.values("title", "tags__word")):
            try:
                documents(queryset)
            except DDPError as problem:
                assert "docsite.Book 1 has several values for" in str(problem), problem
                assert "word: what is read through" in str(problem), problem
            else:
                raise AssertionError
    """))  # fmt: skip


@pytest.mark.parametrize(
    ("queryset", "reason"),
    [
        ("Book.objects.values_list('title')", "leave out values_list()"),
        ("Book.objects.values_list('title', flat=True)", "leave out values_list()"),
        ("Book.objects.values_list('title', named=True)", "leave out values_list()"),
        ("Everything.objects.dates('date', 'year')", "dates()"),
        ("Book.objects.raw('SELECT * FROM docsite_book')", "Raw SQL"),
        ("Book.objects.select_for_update()", "locks rows"),
        ("Book.objects.values('tags')", "only('tags')"),
        ("Book.objects.values('author').annotate(n=Count('pk'))", "a group has no id"),
        ("Book.objects.values('author__name').annotate(n=Count('pk'))", "a group has no id"),
        ("User.objects.values('password')", "does not publish password"),
        ("User.objects.values('password__length')", "does not publish password"),
        ("User.objects.values('groups')", "only('groups')"),
        ("Book.objects.values('title').union(Book.objects.values('title'))", "name 'pk'"),
        ("Book.objects.annotate(predecessor=F('author__name'))", "both be called 'predecessor'"),
        ("Book.objects.annotate(tags_ids=Count('tags'))", "both be called 'tags_ids'"),
        ("[]", "not of list"),
    ],
)  # fmt: skip
def test_what_cannot_be_published_is_refused_with_a_reason(shell, queryset, reason):
    shell(
        "from ddpcore_django.documents import Projection\n"
        "from django.db.models.fields import CharField\n"
        "CharField.register_lookup(Length)\n"
        f"queryset = {queryset}\n"
        "collection = API.collection_of(getattr(queryset, 'model', Book))\n"
        "said = refusal(lambda: Projection(collection, 'x', queryset))\n"
        f"assert {reason!r} in said, said\n"
    )


def test_of_users_only_what_is_named_by_any_projection(shell):
    shell(code("""
        User.objects.create_user("ann", email="a@example.org", password="secret")
        users = User.objects.all()
        for queryset in (users, users.values(), users.only("username", "password"),
                users.defer("email"), users.values("username", "pk"),
                users.only("username", "groups")):
            assert documents(queryset) == {"1": {"username": "ann"}}, queryset
        assert documents(users.only("email")) == {"1": {}}
        # What is named is meant.
        assert documents(users.only("pk").annotate(address=F("email"))) == {
            "1": {"address": "a@example.org"}
        }
    """))  # fmt: skip


def test_a_serialize_of_the_projects_own_decides(books):
    books(code("""
        one = Book.objects.filter(pk=1)
        assert documents(one, "shout") == {"1": {
            "title": "ONE", "author_id": "1", "predecessor": None, "words": 1,
            "tags_ids": ["1", "2"],
        }}
        assert documents(one.only("title"), "shout") == {"1": {"title": "ONE", "words": 1}}
        # values() chooses among what it gives.
        assert documents(one.values("title", "price"), "shout") == {"1": {"title": "ONE"}}
        # What it sets stands.
        assert documents(one.only("title").annotate(words=Value(7)), "shout") == {
            "1": {"title": "ONE", "words": 1}
        }
        made = projection(one.only("title"), "shout")
        assert made.unmatched == "serialize() is the project's own"
    """))  # fmt: skip


def test_proxies_are_rows_of_their_model(books):
    books(code("""
        Book.objects.create(title="Novel 1", author=ann)
        found = documents(Novel.objects.only("title"))
        assert found == {"4": {"title": "Novel 1"}}
        made = projection(Novel.objects.only("title"))
        assert made.unmatched is None
        assert texts(made.document("4", rows(Novel)["4"]))[1:] == ("4", [("title", '"title":"Novel 1"')])
    """))  # fmt: skip


def test_documents_of_children_hold_the_fields_of_their_parents(shell):
    shell(code("""
        tag = Tag.objects.create(word="x")
        Place.objects.create(name="park")
        chez = Restaurant.objects.create(name="chez", stars=2)
        chez.tags.add(tag)
        assert documents(Restaurant.objects.all()) == {
            "2": {"name": "chez", "stars": 2, "tags_ids": ["1"]}
        }
        assert documents(Restaurant.objects.only("name")) == {"2": {"name": "chez"}}
        found = documents(Restaurant.objects.values("name", "stars"))
        assert found == {"2": {"name": "chez", "stars": 2}}, found
        assert documents(Restaurant.objects.all(), "docsite.place") == {
            "2": {"name": "chez", "tags_ids": ["1"]}
        }
        assert documents(Place.objects.values("name", "restaurant__stars")) == {
            "1": {"name": "park", "restaurant__stars": None},
            "2": {"name": "chez", "restaurant__stars": 2},
        }
        made = projection(Restaurant.objects.only("stars"))
        assert made.unmatched == "its rows are in the table of docsite.Place, too"
    """))  # fmt: skip


def test_references_are_the_ids_of_documents_whatever_they_refer_to(shell):
    shell(code("""
        nowhere = Country.objects.create(code="NO", name="Norway")
        home = Country.objects.create(code="NZ", name="New Zealand")
        chez = Restaurant.objects.create(name="chez")
        city = City.objects.create(name="Wellington", country=home, restaurant=chez)
        City.objects.create(name="Atlantis")
        Visit.objects.create(city=city, country=home)
        Visit.objects.create(city=city, country=nowhere, host=home)
        found = documents(City.objects.all())
        assert found[str(city.pk)] == {
            "name": "Wellington", "country": "2", "restaurant": "1", "visited_ids": ["1", "2"]
        }
        assert set(documents(Country.objects.all())) == {"1", "2"}
        atlantis = documents(City.objects.filter(name="Atlantis").only("country"))
        assert list(atlantis.values()) == [{"country": None}]
        assert documents(City.objects.filter(pk=city.pk).values("country")) == {
            str(city.pk): {"country": "2"}
        }
        made = projection(City.objects.only("country"))
        assert made.unmatched == "field country does not refer to a primary key"
        assert made.topics == {"docsite.country"}
        assert projection(City.objects.only("restaurant")).unmatched is None
        assert documents(City.objects.filter(pk=city.pk).only("restaurant")) == {
            str(city.pk): {"restaurant": "1"}
        }
    """))  # fmt: skip


def test_every_kind_of_field_is_the_same_from_memory(shell):
    shell(code("""
        import datetime as d, decimal, uuid
        Everything.objects.create(id=uuid.UUID(int=1),
            decimal=decimal.Decimal("1.1000000000"), time=d.time(1, 2, 3, 4),
            date=d.date(2026, 11, 20), moment=d.datetime(2026, 1, 1, 12, tzinfo=d.timezone.utc),
            duration=d.timedelta(days=1, seconds=5), binary=b"\\0\\xff", uuid=uuid.UUID(int=2),
            json={"$date": 1, "a": [None, 1.5, "é"]}, big=2**62, number=1.5,
            yes=True, choice="a", file="some/file.txt", address="::1")
        Everything.objects.create(id=uuid.UUID(int=3))
        made = projection(Everything.objects.all())
        assert made.unmatched is None, made.unmatched
        found = made.read(Everything.objects.all())
        assert len(found) == 2
        there = rows(Everything)
        for key, document in found.items():
            assert texts(made.document(key, there[key])) == texts(document)
    """))  # fmt: skip


def test_values_of_the_projects_own_kinds(shell):
    shell(code("""
        from docsite.models import Words
        Custom.objects.create(words=Words("a b"), loud=Words("c d"))
        Custom.objects.create()
        assert documents(Custom.objects.all()) == {
            "1": {"words": "a+b", "loud": "C+D"}, "2": {"words": None, "loud": None}
        }
        made = projection(Custom.objects.only("words"))
        assert made.unmatched is None, made.unmatched
        assert documents(Custom.objects.only("words"))["1"] == {"words": "a+b"}
        assert projection(Custom.objects.all()).unmatched == "field loud has a way of its own"
    """))  # fmt: skip


def test_instances_that_are_not_what_is_in_their_rows(shell):
    shell(code("""
        from django.db.models.signals import post_init
        Strange.objects.create(text="a")
        assert documents(Strange.objects.all()) == {"1": {"text": "A"}}
        made = projection(Strange.objects.all())
        assert made.unmatched == "Strange makes its instances in a way of its own"
        assert projection(Watched.objects.all()).unmatched is None
        def receiver(**_): pass
        post_init.connect(receiver, sender=Watched)
        assert "Watched makes" in projection(Watched.objects.all()).unmatched
    """))  # fmt: skip


def test_a_row_that_does_not_say_all_is_undecided(books):
    books(code("""
        from ddpcore.live.predicate import Undecided
        from ddpcore_django.rows import ModelTable
        row = ModelTable(Book, in_thread).row({"id": 1, "author_id": 1})
        made = projection(Book.objects.only("title", "author"))
        from django.test.utils import CaptureQueriesContext
        with CaptureQueriesContext(connection) as queries:
            try:
                made.document("1", row)
            except Undecided:
                pass
            else:
                raise AssertionError
        assert len(queries) == 0
    """))  # fmt: skip


def test_statements_do_not_grow_with_rows(books):
    books(code("""
        from django.test.utils import CaptureQueriesContext
        for number in range(50):
            Book.objects.create(title=str(number), author=ann).tags.add(x, y)
        made = projection(Book.objects.all())
        with CaptureQueriesContext(connection) as queries:
            made.read(Book.objects.all())
        assert len(queries) == 2
    """))  # fmt: skip


def test_what_does_not_travel_is_read(shell):
    shell(code("""
        Country.objects.create(code="NZ", name="New Zealand")
        assert documents(Country.objects.all()) == {"1": {"code": "NZ", "name": "New Zealand"}}
        travels = connection.vendor != "postgresql"
        assert (projection(Country.objects.all()).unmatched is None) == travels
        assert (projection(Country.objects.only("name")).unmatched is None) == travels
        assert projection(Country.objects.only("code")).unmatched is None
        assert documents(Country.objects.only("code")) == {"1": {"code": "NZ"}}
        assert projection(User.objects.all()).unmatched is None
    """))  # fmt: skip


def test_names_that_a_model_does_not_have(shell):
    shell(code("""
        from ddpcore_django import Collection
        class Odd(Collection):
            model = Book
            fields = ["title", "author_id", "author", "tags", "isbn"]
            carries = ["title", "shelf"]
        assert Odd().check_fields() == ["isbn"]
        assert Odd().check_carries() == ["shelf"]
        assert API.collection_of(Book).check_carries() == []
    """))  # fmt: skip


def test_what_of_the_user_model_is_published(shell):
    shell(code("""
        from ddpcore_django.checks import check_collections
        def said(fields):
            API.collection_of(User).fields = fields
            return [each.id for each in check_collections()]
        assert said(None) == ["ddpcore.W001"]
        assert said(["username"]) == []
        assert said(["username", "password"]) == ["ddpcore.W004"]
    """))  # fmt: skip
