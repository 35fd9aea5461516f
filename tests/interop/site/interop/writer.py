"""Changes the bookstore from a process of its own: `python -m interop.writer`.

One line of JSON in, `[command, …arguments]`; one line out, the answer.
"""

import json
import sys

import django

django.setup()

from bookstore import models  # noqa: E402


def create(model, **fields):
    return str(getattr(models, model).objects.create(**fields).pk)


def save(model, pk, **fields):
    row = getattr(models, model).objects.get(pk=pk)
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()


def delete(model, pk):
    getattr(models, model).objects.get(pk=pk).delete()


def clear():
    models.Author.objects.all().delete()  # and with them their books


if __name__ == "__main__":
    commands = {function.__name__: function for function in (create, save, delete, clear)}
    for line in sys.stdin:
        command, arguments, fields = json.loads(line)
        print(json.dumps(commands[command](*arguments, **fields)), flush=True)
