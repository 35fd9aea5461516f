"""Changes the bookstore from a process of its own: `python -m interop.writer`.

One line of JSON in, `[command, …arguments]`; one line out, the answer.
"""

import json
import sys
import time

import django

django.setup()

from bookstore.models import Author, Book  # noqa: E402
from django.db import transaction  # noqa: E402

from interop import gate  # noqa: E402
from interop.models import Note  # noqa: E402

MODELS = {model.__name__: model for model in (Author, Book, Note)}


def create(model, **fields):
    return str(MODELS[model].objects.create(**fields).pk)


def create_many(model, rows):
    with transaction.atomic():
        return [create(model, **row) for row in rows]


def save(model, pk, **fields):
    row = MODELS[model].objects.get(pk=pk)
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()


def save_all(model, **fields):
    with transaction.atomic():
        for pk in MODELS[model].objects.values_list("pk", flat=True):
            save(model, pk, **fields)


def delete(model, pk):
    MODELS[model].objects.get(pk=pk).delete()


def documents(model):
    """What a client that sees all of it must hold: id → fields."""
    rows = MODELS[model].objects.values()
    found = {str(row.pop("id")): row for row in rows}
    for row in found.values():
        if "author_id" in row:
            row["author_id"] = str(row["author_id"])
    return found


def clear():
    gate.unlock()
    until(lambda: not gate.transactions())  # what was left at the gate by the last test
    Author.objects.all().delete()  # and with them their books
    Note.objects.all().delete()


def shut_gate():
    gate.shut()


def open_gate():
    gate.unlock()


def at_gate(number=1):
    """Return once so many wait at the gate."""
    until(lambda: gate.waiting() >= number)


def exists(model, **fields):
    """Return once there is such a row."""
    until(MODELS[model].objects.filter(**fields).exists)


def until(condition):
    deadline = time.monotonic() + 50  # less than the tests wait for an answer
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


COMMANDS = (
    create,
    create_many,
    save,
    save_all,
    delete,
    documents,
    clear,
    shut_gate,
    open_gate,
    at_gate,
    exists,
)

if __name__ == "__main__":
    commands = {function.__name__: function for function in COMMANDS}
    for line in sys.stdin:
        command, arguments, fields = json.loads(line)
        print(json.dumps(commands[command](*arguments, **fields)), flush=True)
