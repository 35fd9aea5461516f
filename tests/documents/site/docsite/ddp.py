from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Count, F

from ddpcore_django.api import API, APIMixin, Collection, Publication, api_endpoint, this
from docsite import models


def published(model, **attributes):
    return type(model.__name__, (Collection,), {"model": model, **attributes})


class Shout(Collection):
    """A collection with a serialize() of its own, which looks at one field and drops another."""

    model = models.Book
    name = "shout"

    def serialize(self, obj):
        document = super().serialize(obj)
        document.pop("price", None)
        if "title" in document:
            document["title"] = document["title"].upper()
        document["words"] = len(obj.title.split())
        return document


collections = [
    published(models.Author),
    published(models.Tag),
    published(models.Book),
    Shout,
    published(models.Place),
    published(models.Restaurant),
    published(models.Country, carries=["code"]),
    published(models.City),
    published(models.Room, user_rel=["owner", "members"], always_allow_superusers=True),
    published(models.Note, user_rel=["owner", "room__owner"]),
    published(models.Mail, user_rel="to"),
    published(get_user_model(), fields=["username"]),
    published(models.Page),
    published(models.Everything),
    published(models.Custom),
    published(models.Strange),
    published(models.Watched),
]

if connection.vendor == "postgresql":
    collections.append(published(models.Arrays))


class Shown(Publication):
    """What the tests subscribe to, by name."""

    def get_queries(self, which, *params):
        yield QUERIES[which](*params)


Book, Author = models.Book.objects, models.Author.objects

QUERIES = {
    "authors": Author.all,
    "books": Book.all,
    "titles": lambda: Book.only("title"),
    "without titles": lambda: Book.defer("title"),
    "tagged titles": lambda: Book.only("title", "tags"),
    "values": lambda: Book.values("title", "author__name"),
    "own values": lambda: Book.values("title", "author"),
    "author_name": lambda: Book.only("title").annotate(author_name=F("author__name")),
    "counted": lambda: Author.only("name").annotate(count=Count("books")),
    "hidden": lambda: Author.only("name").alias(count=Count("books")).filter(count__gt=0),
    "pairs": lambda: Book.values_list("title"),
    "groups": lambda: Book.values("author").annotate(n=Count("pk")),
    "locked": lambda: Book.select_for_update(),
    "elsewhere": lambda: Book.using("other"),
    "novels": models.Novel.objects.all,
    "shout": lambda: (Book.only("title"), "shout"),
    "library": lambda: (Book.only("title"), "library"),
    "restaurants": models.Restaurant.objects.all,
    "places": models.Place.objects.all,
    "cities": models.City.objects.all,
    "countries": models.Country.objects.all,
    "notes": models.Note.objects.all,
    "rooms": models.Room.objects.all,
    "newest notes": lambda: models.Note.objects.order_by("-pk").only("text")[:2],
    "pages": models.Page.objects.all,
    "first pages": lambda: models.Page.objects.order_by("-path")[:9],
    "user": get_user_model().objects.values,
}


class Methods(APIMixin):
    api_path_prefix = ""

    @api_endpoint
    def log_in(self, username):
        this.set_user_id(str(get_user_model().objects.get(username=username).pk))


API.register([*collections, Shown, Methods])
