from datetime import UTC, datetime
from typing import Literal, NotRequired, TypedDict

from django.db import connection
from django.db.models import Count, F, Max
from django.db.models.functions import Upper

from ddpcore_django.api import API, APIMixin, Collection, Publication, api_endpoint, this
from typedsite import models


def published(model, **attributes):
    return type(model.__name__, (Collection,), {"model": model, **attributes})


class Settings(TypedDict):
    theme: Literal["dark", "light"]
    size: NotRequired[int]


class Custom(Collection):
    model = models.Custom
    name = "custom"
    field_types = {"settings": Settings, "words": list[str], "length": NotRequired[int]}


class Book(Collection):
    model = models.Book
    name = "books"
    field_types = {"rank": int}
    client_insert = ["title", "price", "author"]
    client_update = ["title", "sold", "genre"]
    client_remove = True


class ShoutDocument(TypedDict):
    title: str
    words: int


class Shout(Collection):
    """A collection with a serialize() of its own, which says what it gives."""

    model = models.Book
    name = "shout"

    def serialize(self, obj) -> ShoutDocument:
        return {"title": obj.title.upper(), "words": len(obj.title.split())}


class Mystery(Collection):
    """A collection with a serialize() of its own, which does not."""

    model = models.Book
    name = "mystery"
    field_types = {"known": str}

    def serialize(self, obj):
        return {"known": obj.title, "what": [1]}


collections = [
    published(models.Tag),
    published(models.Everything, name="everything"),
    published(models.Nothing, name="nothing"),
    published(models.Author, name="authors", get_queryset=lambda self, base_qs=None: (
        Collection.get_queryset(self, base_qs).annotate(books_count=Count("books"))
    )),
    Custom, Book, Shout, Mystery,
]  # fmt: skip
if connection.vendor == "postgresql":
    collections.append(published(models.Arrays, name="arrays"))


class All(Publication):
    """Everything there is."""

    queries = [each.model.objects.all() for each in collections[:3]]


class Customs(Publication):
    queries = [models.Custom.objects.all()]


class Books(Publication):
    queries = [
        models.Book.objects.only("title", "tags"),
        (models.Book.objects.all(), "shout"),
        (models.Book.objects.all(), "mystery"),
    ]


class Shelf(Publication):
    queries = [
        (
            models.Book.objects.annotate(
                author_name=F("author__name"),
                editor_name=F("editor__name"),
                loud=Upper("genre"),
                own_genre=F("genre"),
                tag_count=Count("tags"),
                last_tag=Max("tags"),
            ),
            "shelf",
        ),
        models.Author.objects.all(),
    ]


class Paths(Publication):
    queries = [
        (models.Book.objects.values("title", "price", "author__name", "editor__name"), "paths")
    ]


class Ranked(Publication):
    def get_queries(self, genre: Literal["novel", "poem"], limit: int | None = None):
        """The best of a genre."""
        yield models.Book.objects.filter(genre=genre).annotate(rank=F("sold"))[:limit]


class Lists(Publication):
    queries = [models.Arrays.objects.all()] if connection.vendor == "postgresql" else []


class Result(TypedDict):
    at: datetime
    words: list[str]


class Methods(APIMixin):
    api_path_prefix = "typed."

    @api_endpoint
    def analyse(self, text: str, *, deep: bool = False) -> Result:
        """Take a text apart."""
        return {"at": datetime.now(UTC), "words": text.split()}

    @api_endpoint
    def log_in(self, id: str):
        this.set_user_id(id)


API.register([*collections, All, Customs, Books, Shelf, Paths, Ranked, Lists, Methods])
