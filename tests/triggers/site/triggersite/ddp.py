from django.contrib.auth import get_user_model

from ddpcore_django import API, APIMixin, Collection, Publication, api_endpoint
from triggersite import models


class Author(Collection):
    model = models.Author


class Book(Collection):
    model = models.Book


class Tag(Collection):
    model = models.Tag


class Restaurant(Collection):
    model = models.Restaurant


class Note(Collection):
    model = models.Note
    user_rel = "owner"
    capture = "signals"


class Moment(Collection):
    model = models.Moment


class User(Collection):
    model = get_user_model()
    fields = ["username"]


class Shown(Collection):
    model = models.Shown


class Books(Publication):
    queries = [models.Author.objects.all(), models.Book.objects.all(), models.Tag.objects.all()]


class Restaurants(Publication):
    queries = [models.Restaurant.objects.all()]


class Moments(Publication):
    queries = [models.Moment.objects.all()]


class Methods(APIMixin):
    api_path_prefix = ""

    @api_endpoint
    def shout(self):
        for book in models.Book.objects.all():
            models.Book.objects.filter(pk=book.pk).update(title=book.title.upper())


API.register(
    [Author, Book, Tag, Restaurant, Note, Moment, User, Shown, Books, Restaurants, Moments, Methods]
)
