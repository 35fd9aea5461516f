import os

from ddpcore_django.api import API, APIMixin, Collection, Publication, api_endpoint
from shop.models import Author, Book


class Authors(Collection):
    model = Author
    name = "authors"


class Books(Collection):
    model = Book
    name = "books"


class Everything(Publication):
    queries = [Author.objects.all(), Book.objects.all()]


class Few(Publication):
    queries = [Book.objects.filter(sold__gte=50)]


class Methods(APIMixin):
    api_path_prefix = ""

    @api_endpoint
    def sell(self, title):
        book = Book.objects.filter(title=title).first() or Book.objects.create(title=title)
        book.sold = (book.sold + 7) % 100
        book.save()
        return str(book.pk), book.sold

    @api_endpoint
    def pid(self):
        return os.getpid()


API.register([Authors, Books, Everything, Few, Methods])
