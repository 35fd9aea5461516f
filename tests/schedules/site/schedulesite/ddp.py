from django.contrib.auth import get_user_model
from django.db import connection

from ddpcore_django import API, APIMixin, Collection, MeteorError, Publication, api_endpoint, this
from schedulesite import models
from schedulesite.queries import build
from schedulesite.writing import POSTGRESQL, Writer, reset


class Publisher(Collection):
    model = models.Publisher
    name = "publisher"


class Author(Collection):
    model = models.Author
    name = "author"


class Tag(Collection):
    model = models.Tag
    name = "tag"


class Book(Collection):
    model = models.Book
    name = "book"


class Note(Collection):
    model = models.Note
    name = "note"
    user_rel = "owner"


class Message(Collection):
    model = models.Message
    name = "message"
    user_rel = ["room__members", "room__owner"]
    always_allow_superusers = True


class Marker(Collection):
    model = models.Marker
    name = "marker"


class User(Collection):
    model = get_user_model()
    name = "user"
    fields = ["username"]


class Any(Publication):
    """Whatever query a client describes."""

    def get_queries(self, description):
        queryset = build(description, this.user_id)
        yield (queryset, description["as"]) if "as" in description else queryset


class Methods(APIMixin):
    api_path_prefix = ""

    @api_endpoint
    def log_in(self, user_id):
        this.set_user_id(user_id)

    @api_endpoint
    def run(self, ops, rollback):
        """Operations in the transaction of this method; the marks of those that were undone."""
        if POSTGRESQL:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '60ms'")
        writer = Writer()
        for op in ops:
            writer.run(op)
            if writer.problem:
                raise MeteorError("failed", writer.problem)
        while writer.atomics:
            writer.commit()
        if rollback:
            raise MeteorError("rollback")
        return writer.report()["undone"]

    @api_endpoint
    def reset(self, populated):
        reset(populated)

    @api_endpoint
    def fence(self):
        """A write of no consequence: its `updated` comes after all that was committed before."""
        models.Marker(pk=1, number=0).save()


API.register([Publisher, Author, Tag, Book, Note, Message, Marker, User, Any, Methods])
