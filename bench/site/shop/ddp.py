from typing import Any

from ddpcore_django.api import API, APIMixin, Collection, Publication, api_endpoint, this
from shop import models


class Author(Collection):
    model = models.Author


class Book(Collection):
    model = models.Book


class Note(Collection):
    model = models.Note


class Notes(Publication):
    def get_queries(self, owner: int):
        return [models.Note.objects.filter(owner=owner)]


class AllNotes(Publication):
    queries = [models.Note.objects.all()]


class BooksOf(Publication):
    def get_queries(self, email: str):
        return [models.Book.objects.filter(author__email=email)]


class FirstNotes(Publication):
    def get_queries(self, count: int):
        return [models.Note.objects.order_by("id")[:count]]


class Calls(APIMixin):
    api_path_prefix = ""

    @api_endpoint
    async def echo(self, value: Any):
        return value

    @api_endpoint
    def unlimit(self):
        limiter = this.context.server.rate_limiter
        for rule in list(limiter._rules):
            limiter.remove_rule(rule)

    @api_endpoint
    def text_of(self, note: int):
        return models.Note.objects.get(pk=note).text


API.register([Author, Book, Note, Notes, AllNotes, BooksOf, FirstNotes, Calls])
