"""What clients may see and do. This file is all that makes the bookstore live."""

# ruff: noqa: N802  (method names as DDP clients write them)
from django.core.exceptions import ValidationError

from bookstore import models
from ddpcore_django.api import API, APIMixin, Collection, MeteorError, Publication, api_endpoint


class Book(Collection):
    model = models.Book


class Author(Collection):
    model = models.Author


class AllBooks(Publication):
    queries = [
        models.Author.objects.all(),
        models.Book.objects.all(),
    ]


class BooksByAuthorEmail(Publication):
    def get_queries(self, author_email: str):
        return [
            models.Author.objects.filter(email=author_email),
            models.Book.objects.filter(author__email=author_email),
        ]


class Bookstore(APIMixin):
    """Methods: a client calls `bookstore.addBook` and so on. Each runs in a transaction."""

    api_path_prefix = "bookstore."

    @api_endpoint
    def addAuthor(self, name: str, email: str) -> str:
        return add(models.Author(name=name.strip(), email=email.strip()))

    @api_endpoint
    def addBook(self, title: str, author_id: str) -> str:
        author = find(models.Author, author_id)
        return add(models.Book(title=title.strip(), author=author))

    @api_endpoint
    def renameBook(self, book_id: str, title: str) -> None:
        change(find(models.Book, book_id), "title", title)

    @api_endpoint
    def renameAuthor(self, author_id: str, name: str) -> None:
        change(find(models.Author, author_id), "name", name)

    @api_endpoint
    def changeEmail(self, author_id: str, email: str) -> None:
        change(find(models.Author, author_id), "email", email)

    @api_endpoint
    def removeBook(self, book_id: str) -> None:
        find(models.Book, book_id).delete()

    @api_endpoint
    def removeAuthor(self, author_id: str) -> None:
        find(models.Author, author_id).delete()  # the books go with the author


def find(model, pk):
    try:
        return model.objects.get(pk=pk)
    except (model.DoesNotExist, ValueError):
        raise MeteorError(404, f"There is no such {model._meta.verbose_name}.") from None


def add(row):
    check(row)
    row.save()
    return str(row.pk)


def change(row, field, text):
    setattr(row, field, text.strip())
    check(row)
    row.save(update_fields=[field])


def check(row):
    try:
        row.full_clean()
    except ValidationError as error:
        raise MeteorError(400, " ".join(error.messages)) from None


API.register([Book, Author, AllBooks, BooksByAuthorEmail, Bookstore])
