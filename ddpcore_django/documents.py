"""Documents: what a queryset's rows hold for clients.

`only()`, `defer()`, `values()` and `annotate()` of a queryset say which fields its documents have:
its *projection*. Documents are read with the queryset's own SQL, or made in memory of a row's
values where those say it all; both make the same documents, to the letter.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from inspect import getattr_static
from types import SimpleNamespace
from typing import Any

from django.db import connections
from django.db.models import Field, ManyToManyField, Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import Col
from django.db.models.fields.files import FileDescriptor, FileField
from django.db.models.fields.related_descriptors import ForeignKeyDeferredAttribute
from django.db.models.query import ModelIterable, RawQuerySet, ValuesIterable
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import post_init, pre_init

from ddpcore.errors import DDPError
from ddpcore.live.document import Document
from ddpcore.live.predicate import Row
from ddpcore.live.query import in_order
from ddpcore.wire.ejson import TooDeep
from ddpcore.wire.ids import id_stringify
from ddpcore_django.collection import Collection
from ddpcore_django.links import link_of
from ddpcore_django.rows import travelling
from ddpcore_django.serialize import Convert, document_id, ejson_value, reference
from ddpcore_django.tables import through_of, topic_of

__all__ = ["Projection"]

logger = logging.getLogger(__name__)


class Projection:
    """What the documents of a queryset hold.

    Attributes:
        key: Equal keys make equal documents of equal rows.
        columns: The columns of the model's own table that a document made in memory needs.
        fields: The fields that stand in the model's row.
        extras: What documents hold besides, by name: annotations, and paths to other rows. With
            each comes the field that its values are like; None: it is not known.
        unmatched: Why documents cannot be made in memory; None if they can.
        many_to_many: The many-to-many fields whose ids are in the documents.
        links: How these ids follow from the rows of other tables, as far as they do. A document
            made in memory lacks them.
        topics: The topics of other tables that documents take their values from, besides those
            that the SQL of the queryset names.

    Args:
        collection: Makes documents of rows.
        name: What clients call the collection of these documents.
        queryset: The rows, and by `only()`, `defer()`, `values()` and `annotate()` their fields.

    Raises:
        TypeError: The queryset gives no rows that documents could be made of.
    """

    key: Hashable
    columns: frozenset[str]
    fields: list[Field[Any, Any]]
    extras: dict[str, Any]
    unmatched: str | None
    many_to_many: list[ManyToManyField[Any, Any]]
    topics: frozenset[str]

    def __init__(self, collection: Collection, name: str, queryset: QuerySet[Any]) -> None:
        _refuse_what_are_no_rows(queryset)
        self._collection = collection
        self._name = name
        self._model: type[Model] = queryset.model
        self.fields = _fields_read(collection, queryset)
        self.extras = dict(_extras(collection, queryset))
        self._extras = {name: _converter(field) for name, field in self.extras.items()}
        self._values = _Values(queryset) if _has_values(queryset) else None
        self.many_to_many = list(_many_to_many(collection, queryset))
        self._elsewhere = [field for field in self.fields if _goes_elsewhere(field)]
        _refuse_twins(
            [str(field.column) for field in self.fields],
            [f"{field.name}_ids" for field in self.many_to_many],
            self._extras,
        )
        self.columns = frozenset(
            str(field.column) for field in (_primary_key(self._model), *self.fields)
        )
        self.topics = frozenset(
            [topic_of(through_of(field)) for field in self.many_to_many]
            + [topic_of(target.model) for target in map(_target, self._elsewhere)]
        )
        links = map(link_of, self.many_to_many)
        self.links = tuple(link for link in links if link is not None)
        self.unmatched = next(self._obstacles(queryset.db), None)
        self.key = (
            type(collection),
            name,
            self._model,
            tuple(str(field.column) for field in self.fields),
            tuple(field.name for field in self.many_to_many),
            tuple(self._extras),
            self._values is not None,
        )
        self._converters: dict[str, Convert] = {
            str(field.column): _converter(field) for field in self.fields
        }

    def document(self, key: str, row: Row) -> Document:
        """Make the document of a row in memory; only if it is not `unmatched`.

        Raises:
            ddpcore.live.predicate.Undecided: The row does not say all.
        """
        fields = {name: convert(row[name]) for name, convert in self._converters.items()}
        return self._made(key, fields)

    def _made(self, key: str, fields: dict[str, Any]) -> Document:
        id = id_stringify(key)  # noqa: A001
        with suppress(TooDeep):
            return Document.of(self._name, id, fields)
        # What somebody stored in one row must not keep the others from their watchers.
        carried = {name: value for name, value in fields.items() if _is_carried(name, value)}
        lost = ", ".join(name for name in fields if name not in carried)
        logger.error("%s %s goes without %s: too deep for EJSON", self._name, key, lost)
        return Document.of(self._name, id, carried)

    def read(self, queryset: QuerySet[Any]) -> dict[str, Document]:
        """Ask the database; in a thread.

        Args:
            queryset: The one that this was made of, or part of its rows.

        Returns:
            Row key → document, in the queryset's order.

        Raises:
            ddpcore.DDPError: An annotation has several values for one row.
        """
        using = queryset.db
        if self._values is None:
            rows = [(row, self._extras_of(row)) for row in queryset.all()]
        else:
            rows = list(self._values.rows(queryset, self.fields, self._extras))
        pks = [row.pk for row, _ in rows]
        related = {
            f"{field.name}_ids": self._collection.ids_of(pks, field, using)
            for field in self.many_to_many
            if pks
        }
        targets = {
            str(field.column): _targets(
                field, using, {getattr(row, field.attname) for row, _ in rows}
            )
            for field in self._elsewhere
        }
        documents: dict[str, Document] = {}
        for row, extras in rows:
            fields = self._own_fields(row)
            for column, ids in targets.items():
                if isinstance(held := fields.get(column), str):
                    fields[column] = ids.get(held, held)
            for name, others in related.items():
                fields[name] = in_order(others[row.pk])
            for name, value in extras.items():
                fields.setdefault(name, self._extras[name](value))
            self._put(documents, document_id(row.pk), fields)
        return documents

    def _own_fields(self, row: Model) -> dict[str, Any]:
        fields = dict(self._collection.serialize(row))
        if self._values is None or self._values.all_fields:
            return fields
        # The collection decides what a field looks like, and values() which there are.
        return {name: fields[name] for name in self._converters if name in fields}

    def _extras_of(self, row: Model) -> dict[str, Any]:
        return {name: getattr(row, name) for name in self._extras}

    def _put(self, documents: dict[str, Document], key: str, fields: dict[str, Any]) -> None:
        document = self._made(key, fields)
        held = documents.setdefault(key, document)
        if held is not document and held.fragments != document.fragments:
            differ = [name for name, text in document.fragments.items()
                      if held.fragments.get(name) != text]  # fmt: skip
            raise DDPError(
                f"{self._model._meta.label} {key} has several values for {', '.join(differ)}: what "
                "is read through many-to-many or reverse relations must be aggregated, or "
                "filtered down to one."
            )

    def _obstacles(self, using: str) -> Iterator[str]:
        # Why the values of a row of the model's own table do not say what its document holds.
        model = self._model
        parents = (model._meta.concrete_model or model)._meta.all_parents
        for name in self._extras:
            yield f"annotation {name}" if LOOKUP_SEP not in name else f"{name} of other rows"
        for many in self.many_to_many:
            if link_of(many) is None:
                yield f"the ids of {many.name} do not follow from its table alone"
            if type(self._collection).ids_of is not Collection.ids_of:
                yield "ids_of() is the project's own"
        if type(self._collection).serialize is not Collection.serialize:
            yield "serialize() is the project's own"
        if parents:
            yield f"its rows are in the table of {parents[0]._meta.label}, too"
        if not _reads_as_django_does(model):
            yield f"{model.__name__} makes its instances in a way of its own"
        if connections[using].vendor == "postgresql":
            carried = {column.name for column in travelling(model)}
        else:
            carried = set(self.columns)
        for field in (_primary_key(model), *self.fields):
            if field.column not in carried:
                yield f"field {field.name} does not travel"
            if not _is_plain(model, field):
                yield f"field {field.name} has a way of its own"
        for field in self._elsewhere:
            yield f"field {field.name} does not refer to a primary key"


class _Values:
    """A queryset with `values()`: rows are dictionaries, of which instances are made."""

    def __init__(self, queryset: QuerySet[Any]) -> None:
        self.all_fields = not _named(queryset)
        query = queryset.query
        self._names = [*query.extra_select, *query.values_select, *query.annotation_select]
        key = _primary_key(queryset.model)
        named = [each for each in self._names if each in {"pk", key.name, key.attname}]
        self._key = named[0] if named else "pk"
        self._adds_key = not named
        if not self._adds_key:
            return
        if query.combinator:
            raise TypeError(
                "Documents need an id: the values() of combined querysets must name 'pk'."
            )
        if isinstance(query.group_by, tuple) and not _groups_by_row(queryset):
            raise TypeError(
                "values() before annotate() makes groups of rows, and a group has no id that a "
                "document could have. Annotate the rows of the model that is grouped by."
            )

    def rows(
        self, queryset: QuerySet[Any], fields: Iterable[Field[Any, Any]], extras: Iterable[str]
    ) -> Iterator[tuple[Model, dict[str, Any]]]:
        model: Any = queryset.model
        key = _primary_key(model)
        names = {key: self._key}
        for field in fields:
            names[field] = next(name for name in (field.attname, field.name) if name in self._names)
        # Instances take their values in the order of the model's fields.
        names = {field: names[field] for field in model._meta.concrete_fields if field in names}
        attributes = [field.attname for field in names]
        # A clone in either case: querysets cache what they found.
        queryset = queryset.values(*self._names, self._key) if self._adds_key else queryset.all()
        for row in queryset:
            values = [row[name] for name in names.values()]
            yield (
                model.from_db(queryset.db, attributes, values),
                {name: row[name] for name in extras},
            )


# --- what a queryset is -------------------------------------------------------------------------


def _refuse_what_are_no_rows(queryset: object) -> None:
    if isinstance(queryset, RawQuerySet):
        raise TypeError("Raw SQL cannot be published: nobody knows what it reads. Use a queryset.")
    if not isinstance(queryset, QuerySet):
        raise TypeError(f"Documents are made of querysets, not of {type(queryset).__name__}.")
    if not issubclass(queryset._iterable_class, ModelIterable | ValuesIterable):
        raise TypeError(
            "Documents have names for their values: leave out values_list(), dates() and "
            "datetimes(). To publish some fields, use only() or values()."
        )
    if queryset.query.select_for_update:
        raise TypeError(
            "select_for_update() locks rows for a transaction, and reading what is published is "
            "none: leave it out."
        )


def _has_values(queryset: QuerySet[Any]) -> bool:
    return issubclass(queryset._iterable_class, ValuesIterable)


def _named(queryset: Any) -> tuple[str, ...]:
    # What values() was given; nothing: all fields.
    return queryset._fields or ()


def _primary_key(model: type[Model]) -> Field[Any, Any]:
    return model._meta.pk


def _own_field(model: type[Model], name: str) -> Field[Any, Any] | None:
    if name == "pk":
        return _primary_key(model)
    fields = model._meta.concrete_fields
    return next((field for field in fields if name in {field.name, field.attname}), None)


def _fields_read(collection: Collection, queryset: QuerySet[Any]) -> list[Field[Any, Any]]:
    # The fields of documents that stand in the model's row, in the model's order.
    published = collection.published_fields()
    query = queryset.query
    if not _has_values(queryset):
        mask: Any = query.get_select_mask()  # empty: all
        return [field for field in published if not mask or field in mask]
    if not _named(queryset):
        return published
    named = [field for name in query.values_select if (field := _own_field(queryset.model, name))]
    for field in named:
        _refuse_unpublished(collection, field)
    return [field for field in published if field in named]


def _many_to_many(
    collection: Collection, queryset: QuerySet[Any]
) -> Iterator[ManyToManyField[Any, Any]]:
    if _has_values(queryset) and _named(queryset):
        return
    names, deferred = queryset.query.deferred_loading
    for field in collection.published_many_to_many():
        if (field.name in names) is not deferred:
            yield field


def _extras(collection: Collection, queryset: QuerySet[Any]) -> Iterator[tuple[str, Any]]:
    # What documents hold besides fields: what it is called, and the field that it is like.
    query, model = queryset.query, queryset.model
    for name in query.extra_select:
        yield name, None
    if _has_values(queryset):
        for name in query.values_select:
            if _own_field(model, name) is None:
                yield name, _field_at_end(collection, queryset, name)
    for name, annotation in query.annotation_select.items():
        yield name, _output_field(annotation)


def _field_at_end(collection: Collection, queryset: QuerySet[Any], name: str) -> Any:
    options = queryset.model._meta
    path, final, _, transforms = queryset.query.names_to_path(name.split(LOOKUP_SEP), options)
    if not path:
        _refuse_unpublished(collection, final)
    if any(field.name == name for field in options.many_to_many):
        raise TypeError(
            f"values({name!r}) gives a row for each of them. For a list of ids, use "
            f"only({name!r}), with other fields if you like."
        )
    return None if transforms else final


def _refuse_unpublished(collection: Collection, field: Any) -> None:
    if not field.primary_key and field not in collection.published_fields():
        raise TypeError(f"{collection.name} does not publish {field.name}: see its `fields`.")


def _output_field(expression: Any) -> Any:
    if isinstance(expression, Col):
        return expression.target
    return getattr(expression, "_output_field_or_none", None)


def _groups_by_row(queryset: QuerySet[Any]) -> bool:
    group_by: Any = queryset.query.group_by
    key = _primary_key(queryset.model)
    table = queryset.query.get_initial_alias()
    return any(isinstance(each, Col) and (each.alias, each.target) == (table, key)
               for each in group_by)  # fmt: skip


def _refuse_twins(*names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in (each for several in names for each in several):
        if name in seen:
            raise TypeError(f"Two fields of a document cannot both be called {name!r}: rename one.")
        seen.add(name)


def _is_carried(name: str, value: Any) -> bool:
    try:
        Document.of("", "", {name: value})
    except TooDeep:
        return False
    return True


# --- values -------------------------------------------------------------------------------------


def _converter(field: Any) -> Convert:
    """From what the database gives for a field, or an expression like it, to an EJSON value."""
    if field is None:
        return ejson_value
    if getattr(field, "is_relation", False) or getattr(field, "primary_key", False):
        return reference
    if isinstance(field, FileField):
        return lambda name: ejson_value(name) or ""
    base = getattr(field, "base_field", None)
    if base is not None and (of_each := _converter(base)) is reference:
        return lambda values: None if values is None else [of_each(value) for value in values]
    return partial(_value_of, field)


def _value_of(field: Any, value: Any) -> Any:
    # Fields write themselves from an instance; all that Django's own look at is their value.
    return ejson_value(
        value, lambda value: field.value_to_string(SimpleNamespace(**{field.attname: value}))
    )


def _target(reference: Any) -> Field[Any, Any]:
    field: Field[Any, Any] = reference.target_field
    return field


def _goes_elsewhere(field: Field[Any, Any]) -> bool:
    # A reference by `to_field`: not the primary key of the other row, of which its id is made.
    return field.is_relation and not _target(field).primary_key


def _targets(field: Any, using: str, values: set[Any]) -> Mapping[str, str]:
    # What the references hold, as text → the other document's id.
    target = _target(field)
    rows = target.model._base_manager.using(using).filter(**{f"{target.attname}__in": values})
    pairs = rows.values_list(target.attname, "pk")
    return {document_id(value): document_id(pk) for value, pk in pairs}


def _reads_as_django_does(model: type[Model]) -> bool:
    # Whether an instance holds what is in the row.
    own = any(
        getattr_static(model, name) is not getattr_static(Model, name)
        for name in ("from_db", "__init__", "__getattribute__")
    )
    return not (own or pre_init.has_listeners(model) or post_init.has_listeners(model))


def _is_plain(model: type[Model], field: Field[Any, Any]) -> bool:
    # Whether its value follows from its column alone, and what it is written as from its value.
    if not type(field).value_to_string.__module__.startswith("django."):
        return False
    attribute = getattr_static(model, field.attname)
    if isinstance(attribute, FileDescriptor):
        return type(attribute).__module__.startswith("django.")
    return type(attribute) in {DeferredAttribute, ForeignKeyDeferredAttribute}
