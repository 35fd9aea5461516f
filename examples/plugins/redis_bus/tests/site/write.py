"""A program that is no server: it writes at random until its standard input ends."""

import random
import select
import sys

import django

django.setup()

from django.db import IntegrityError, transaction  # noqa: E402
from shop.models import Author, Book  # noqa: E402

chance = random.Random(int(sys.argv[1]))


class Undo(Exception):
    pass


def anything() -> None:
    book = Book.objects.order_by("?").first()
    author = Author.objects.order_by("?").first()
    kind = chance.randrange(8)
    if kind < 3 or book is None:
        Book.objects.create(title=f"{sys.argv[1]}.{chance.random()}", sold=chance.randrange(100))
    elif kind < 5:
        book.sold = chance.randrange(100)
        book.save()
    elif kind == 5:
        book.delete()
    elif author is None or chance.random() < 0.3:
        Author.objects.create(name=str(chance.random()))
    elif chance.random() < 0.3:
        author.delete()
    else:
        book.authors.set(chance.sample([*Author.objects.all()], k=1) if kind == 6 else [])


def part() -> None:
    try:
        with transaction.atomic():
            anything()
            if chance.random() < 0.3:
                raise Undo
    except Undo:
        pass


written = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    if chance.random() < 0.5:
        try:
            anything()
        except IntegrityError:
            pass  # somebody else has deleted the book or the author meanwhile
    else:
        with transaction.atomic():
            for _ in range(chance.randrange(1, 6)):
                part()
    written += 1
    if written in (1, 100):
        print(written, flush=True)
print(written, flush=True)
