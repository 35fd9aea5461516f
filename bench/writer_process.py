"""A writer: reads commands as lines of JSON, answers with lines of JSON."""

import json
import sys
import time

import django

django.setup()

from django.db import connection, transaction  # noqa: E402
from shop.models import Author, Book, Note  # noqa: E402


def make(notes, owners):
    Note.objects.all().delete()
    Note.objects.bulk_create(Note(owner=n % owners, text="") for n in range(notes))
    return Note.objects.order_by("id").first().pk


def save(count, pause, pk):
    """Save a note again and again; the seconds each took."""
    note = Note.objects.get(pk=pk)
    took = []
    for number in range(count):
        time.sleep(pause)
        began = time.perf_counter()
        note.text = str(number)
        note.save()
        took.append(time.perf_counter() - began)
    return took


def commits(model, field, pk, count, pause):
    """Change a row again and again; when each commit began, on the clock of the machine."""
    row = {"note": Note, "book": Book, "author": Author}[model].objects.get(pk=pk)
    began = []
    for number in range(count):
        time.sleep(pause)
        with transaction.atomic():
            setattr(row, field, f"{field}{number}")
            row.save()
            began.append(time.monotonic())
    return began


def move(pk, emails, count, pause):
    """Give an author one e-mail address, then the other; when each commit began."""
    author = Author.objects.get(pk=pk)
    began = []
    for number in range(count):
        time.sleep(pause)
        with transaction.atomic():
            author.email = emails[number % 2]
            author.save()
            began.append(time.monotonic())
    return began


def library(email):
    author = Author.objects.create(email=email)
    return [author.pk, Book.objects.create(author=author, title="").pk]


def update_all(text):
    began = time.perf_counter()
    Note.objects.update(text=text)
    return time.perf_counter() - began


for line in sys.stdin:
    name, *arguments = json.loads(line)
    print(json.dumps(globals()[name](*arguments)), flush=True)
connection.close()
