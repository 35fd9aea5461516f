"""What the tests say about documents, in the process of the project."""

import json

from django.db import connection
from django.test.utils import CaptureQueriesContext

from ddpcore_django.documents import Projection
from ddpcore_django.registry import API
from ddpcore_django.rows import ModelTable, source_of
from docsite import ddp  # noqa: F401


def projection(queryset, name=None):
    collection = API.collections[name] if name else API.collection_of(queryset.model)
    return Projection(collection, collection.name, queryset)


def documents(queryset, name=None):
    """The documents of a queryset, by id; those made in memory must be the same to the letter."""
    made = projection(queryset, name)
    found = made.read(queryset)
    if made.unmatched is None:
        for key, row in rows(queryset.model).items():
            if key in found:
                document = made.document(key, only(row, made.columns))
                assert texts(document) == texts(found[key], {link.field for link in made.links})
    return {document.id: document.fields for document in found.values()}


def only(row, columns):
    return {column: row[column] for column in columns}


def rows(model):
    """All rows of a model, as they come off the bus."""
    table = ModelTable(model, in_thread)
    if connection.vendor != "postgresql":
        keys = [str(pk) for pk in model._base_manager.values_list("pk", flat=True)]
        return at_once(table.read(keys))
    from ddpcore_pg.images import image_sql, key_sql

    source = source_of(model)
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT {key_sql(source)}, {image_sql(source)} FROM "{source.table}" AS t')
        return {json.loads(key): table.row(json.loads(image)) for key, image in cursor.fetchall()}


def at_once(coroutine):
    # An event loop would keep the ORM from the database.
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value


async def in_thread(function, *arguments):
    return function(*arguments)


def texts(document, without=()):
    fields = [(name, text) for name, text in document.fragments.items() if name not in without]
    return document.collection, document.id, fields


def visible(user, queryset):
    """What a user sees of a queryset, by what its documents hold, and the SQL that says so."""
    collection = API.collection_of(queryset.model)
    seen = collection.objects_for_user(user, queryset)
    with CaptureQueriesContext(connection) as queries:
        found = Projection(collection, collection.name, seen).read(seen)
    sql = queries[0]["sql"] if queries.captured_queries else ""
    return {document.id: document.fields for document in found.values()}, sql


def refusal(make):
    try:
        made = make()
    except TypeError as problem:
        return str(problem)
    raise AssertionError(f"{made!r} was made")
