from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Count

from ddpcore_django.api import (
    API,
    APIMixin,
    Collection,
    MeteorError,
    Publication,
    api_endpoint,
    this,
)
from testsite import models


class Author(Collection):
    model = models.Author


class Book(Collection):
    model = models.Book


class Tag(Collection):
    model = models.Tag


class Note(Collection):
    model = models.Note
    user_rel = "owner"


class Everything(Collection):
    model = models.Everything


class Place(Collection):
    model = models.Place


class Restaurant(Collection):
    model = models.Restaurant


class User(Collection):
    model = get_user_model()
    fields = ["username"]


class Titles(Collection):
    """A second collection on one model."""

    model = models.Book
    name = "titles"

    def serialize(self, obj, *args):
        return {"title": obj.title.upper()}

    def published_many_to_many(self):
        return []


class AllBooks(Publication):
    queries = [models.Author.objects.all(), models.Book.objects.all()]


class BooksByAuthorEmail(Publication):
    def get_queries(self, author_email):
        return [
            models.Author.objects.filter(email=author_email),
            models.Book.objects.filter(author__email=author_email),
        ]


class BookTitled(Publication):
    def get_queries(self, title):
        return [models.Book.objects.filter(title=title).only("title", "author", "sequel_to")]


class FirstBooks(Publication):
    def get_queries(self, count):
        yield models.Book.objects.order_by("title")[:count]


class OnlyTitles(Publication):
    queries = [models.Book.objects.only("title")]


class BooksTwice(Publication):
    queries = [models.Book.objects.filter(title="one"), models.Book.objects.all()]


class RenamedBooks(Publication):
    queries = [(models.Book.objects.all(), "library")]


class UpperTitles(Publication):
    queries = [(models.Book.objects.all(), "titles")]


class MyNotes(Publication):
    queries = [models.Note.objects.all()]


class NewestNotes(Publication):
    queries = [models.Note.objects.order_by("-id")[:2]]


class Values(Publication):
    queries = [models.Note.objects.values("text")]


class AllEverything(Publication):
    queries = [models.Everything.objects.all()]


class Places(Publication):
    queries = [models.Place.objects.all(), models.Restaurant.objects.all()]


class Users(Publication):
    queries = [get_user_model().objects.all()]


class Hidden(Publication):
    queries = [models.Unpublished.objects.all()]


class ByTag(Publication):
    def get_queries(self, word):
        return [models.Book.objects.filter(tags__word=word).distinct()]


class BusyAuthors(Publication):
    def get_queries(self, least):
        return [models.Author.objects.annotate(count=Count("books")).filter(count__gte=least)]


class Broken(Publication):
    def get_queries(self):
        raise MeteorError(403, "Not for you", {"why": "a test"})


class Nothing(Publication):
    queries = [models.Book.objects.none()]


published = [
    Author, Book, Tag, Note, Everything, Place, Restaurant, User, Titles, AllBooks,
    BooksByAuthorEmail, BookTitled, FirstBooks, OnlyTitles, BooksTwice, RenamedBooks, UpperTitles, MyNotes, NewestNotes, Values, AllEverything,
    Places, Users, Hidden, ByTag, BusyAuthors, Broken, Nothing,
]  # fmt: skip

if connection.vendor == "postgresql":

    class Arrays(Collection):
        model = models.Arrays

    class AllArrays(Publication):
        queries = [models.Arrays.objects.all()]

    published += [Arrays, AllArrays]


class Methods(APIMixin):
    api_path_prefix = ""

    @api_endpoint
    def add_author(self, name, email="a@example.org"):
        return str(models.Author.objects.create(name=name, email=email).pk)

    @api_endpoint
    def add_book(self, title, author):
        return str(models.Book.objects.create(title=title, author_id=author).pk)

    @api_endpoint
    def rename(self, pk, title):
        book = models.Book.objects.get(pk=pk)
        book.title = title
        book.save()

    @api_endpoint
    def rename_then_fail(self, pk, title, how):
        self.rename(pk, title)
        if how == "meteor":
            raise MeteorError("no-way", "No way", {"pk": pk})
        raise ZeroDivisionError("a secret")

    @api_endpoint
    def savepoints(self, pk):
        book = models.Book.objects.get(pk=pk)
        book.title = "kept"
        book.save()
        try:
            with transaction.atomic():
                book.title = "rolled back"
                book.save()
                raise ValueError
        except ValueError:
            pass

    @api_endpoint("named")
    def other_name(self):
        return "named"

    @api_endpoint
    def in_transaction(self):
        return connection.in_atomic_block

    @api_endpoint
    def log_in(self, username):
        user = get_user_model().objects.get(username=username) if username else None
        this.set_user_id(str(user.pk) if user else None)
        return this.user_id

    @api_endpoint
    def who(self):
        return [this.user_id, str(this.user), this.connection.client_address]

    @api_endpoint
    async def later(self, value):
        return [value, this.user_id]

    @api_endpoint
    def echo(self, value):
        return value


API.register([*published, Methods])
