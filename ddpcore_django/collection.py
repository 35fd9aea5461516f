"""Collections: how a model's rows become documents, and who may see them."""

from __future__ import annotations

from collections.abc import Collection as Container
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from django.core.exceptions import FieldDoesNotExist
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Field, ManyToManyField, Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields.reverse_related import ForeignObjectRel
from django.db.models.sql.query import Query

from ddpcore.errors import DDPError
from ddpcore_django.deserialize import can_be_sent
from ddpcore_django.endpoints import APIMixin, api_endpoint
from ddpcore_django.schema import field_schema
from ddpcore_django.serialize import document_id, field_value
from ddpcore_django.tables import through_of
from ddpcore_django.users import is_user_model

__all__ = ["Collection"]


class Collection(APIMixin):
    """A model, published.

    A document's id is the row's primary key as text (marked on the wire as Meteor marks ids that
    look like numbers or an `ObjectID`). References stand under their column's name
    (``author_id``) as the other document's id, many-to-many fields as lists of ids under
    ``<name>_ids``.

    Attributes:
        model: The model.
        name: What clients call the collection; by default ``app_label.model``.
        fields: Names of the fields to publish; None: all. Of the project's user model nothing is
            published that is not named here.
        qs_filter: Rows that are ever published: a `Q`.
        order_by: The order in which rows are sent first.
        user_rel: Lookups from the model to the users who may see a row, e.g. ``"owner"`` or
            ``["owner", "room__members"]``. With it, who is not logged in sees nothing.
        always_allow_superusers: Whether superusers see all rows in spite of `user_rel`.
        capture: How changes of this model are noticed, ``"signals"`` or ``"triggers"``; None: as
            everywhere in the project.
        carries: Names of the fields whose values travel in notifications, which any role that
            may connect to the database can listen to; None: all that may be published. What
            does not travel is read from the database when it is needed.
        client_insert: Names of the fields that clients may give to new documents; None: they
            insert none. See `ddpcore_django.mutators` for what else there is to it.
        client_update: Names of the fields that clients may change; None: they change nothing.
        client_remove: Whether clients may remove documents.
        field_types: Types of documents' fields, for `ddpcore types`, where they are not known from
            the model: name → annotation. One in `typing.NotRequired` is not always there.
    """

    model: type[Model]
    fields: Container[str] | None = None
    qs_filter: Q | None = None
    order_by: Sequence[str] | None = None
    user_rel: str | Sequence[str] | None = None
    always_allow_superusers: bool = False
    capture: Literal["signals", "triggers"] | None = None
    carries: Container[str] | None = None
    client_insert: Sequence[str] | None = None
    client_update: Sequence[str] | None = None
    client_remove: bool = False
    field_types: Mapping[str, Any] = MappingProxyType({})
    api_path_prefix_format: ClassVar[str] = "/{name}/"

    def default_name(self) -> str:
        """The name, where the class gives none: ``bookstore.book``."""
        return self.model._meta.label_lower

    def get_queryset(self, base_qs: QuerySet[Any] | None = None) -> QuerySet[Any]:
        """The rows of `base_qs`, or all, as far as this collection publishes them."""
        queryset = self.model._default_manager.all() if base_qs is None else base_qs
        if self.qs_filter is not None:
            queryset = _narrowed(queryset, self.model, self.qs_filter)
        if (
            self.order_by is not None
            and not queryset.query.order_by
            and not queryset.query.is_sliced
        ):
            queryset = queryset.order_by(*self.order_by)
        return queryset

    def objects_for_user(self, user: Any, qs: QuerySet[Any] | None = None) -> QuerySet[Any]:
        """The rows that `user` may see, of `qs` or of all. Override it for rules of your own.

        Args:
            user: A user, or Django's `AnonymousUser`.
            qs: What was asked for; None: all rows.
        """
        queryset = self.get_queryset(qs)
        if self.user_rel is None or (
            self.always_allow_superusers and getattr(user, "is_superuser", False)
        ):
            return queryset
        if user.is_anonymous:
            return queryset.none()
        lookups = [self.user_rel] if isinstance(self.user_rel, str) else self.user_rel
        visible = Q()
        for lookup in lookups:
            visible |= Q(**{_to_primary_key(self.model, lookup): user.pk})
        return _narrowed(queryset, self.model, visible)

    def may_insert(self, user: Any, obj: Any) -> bool:  # noqa: ARG002
        """Whether `user`, who has the permission to add rows, may insert the row `obj`.

        It has what the client sent, and is not validated yet. Fields that clients may not give can
        be filled in here: ``obj.owner = user``. Only True is a yes; a `ddpcore.MeteorError` is a
        no with a text of your own.
        """
        return True

    def may_update(self, user: Any, obj: Any, fields: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Whether `user`, who has the permission to change rows and sees this one, may do so.

        Args:
            user: Who asks.
            obj: The row as it is, locked.
            fields: The names of the fields that would change, with their new values.
        """
        return True

    def may_remove(self, user: Any, obj: Any) -> bool:  # noqa: ARG002
        """Whether `user`, who has the permission to delete rows and sees `obj`, may delete it."""
        return True

    def published_fields(self) -> list[Field[Any, Any]]:
        """The fields of documents, the primary key left out: it is the id."""
        options = self.model._meta
        return [
            field
            for field in options.concrete_fields
            if not field.primary_key and self._publishes(field)
        ]

    def published_many_to_many(self) -> list[ManyToManyField[Any, Any]]:
        """The many-to-many fields of documents."""
        return [field for field in self.model._meta.many_to_many if self._publishes(field)]

    def serialize(self, obj: Any, *_compatible: Any) -> dict[str, Any]:
        """The fields of the document of a row, but for many-to-many ids, which are added later.

        Override it to add or drop fields; the values must be what EJSON carries. It is called in
        a thread, once for all who watch: it must not depend on who does. (django-ddp passed a
        second argument, which is not given any more.)

        Args:
            obj: The row, an instance of the model.

        Returns:
            Name of the field → EJSON value.
        """
        deferred = obj.get_deferred_fields()
        return {
            str(field.column): field_value(obj, field)
            for field in self.published_fields()
            if field.attname not in deferred
        }

    def ids_of(
        self,
        pks: Sequence[Any],
        field: ManyToManyField[Any, Any],
        using: str = DEFAULT_DB_ALIAS,
    ) -> dict[Any, list[str]]:
        """The ids of the other side of a many-to-many field, by row.

        Args:
            pks: The primary keys of the rows.
            field: The field.
            using: The alias of the database.
        """
        through = through_of(field)
        ids: dict[Any, list[str]] = {pk: [] for pk in pks}
        near, far = f"{field.m2m_field_name()}__pk", f"{field.m2m_reverse_field_name()}__pk"
        # No manager: one of the project's might hide rows.
        links: QuerySet[Any] = QuerySet(through, using=using).filter(**{f"{near}__in": pks})
        for pk, other in links.values_list(near, far):
            ids[pk].append(document_id(other))
        return ids

    @api_endpoint
    def schema(self) -> dict[str, Any]:
        """What the collection's documents hold, for forms made by clients."""
        own = {str(field.column): field_schema(field) for field in self.published_fields()}
        many = self.published_many_to_many()
        return own | {f"{field.name}_ids": field_schema(field) for field in many}

    def _publishes(self, field: Field[Any, Any]) -> bool:
        if self.fields is None:
            return not is_user_model(self.model)
        return field.name in self.fields or field.attname in self.fields

    def check_fields(self) -> list[str]:
        """The names in `fields` that the model does not have."""
        return self._unknown(self.fields)

    def client_fields(self, names: Sequence[str] | None) -> dict[str, Field[Any, Any]]:
        """The fields that clients may write: name in documents → field.

        Args:
            names: `client_insert` or `client_update`.

        Raises:
            ddpcore.DDPError: A name is no field that clients can be let write.
        """
        if isinstance(names, str):
            raise DDPError(f"{type(self).__name__}: write a list of names, [{names!r}].")
        fields = {}
        for name in names or ():
            try:
                field = self.model._meta.get_field(name)
            except FieldDoesNotExist:
                field = None
            if not isinstance(field, Field) or not can_be_sent(field):
                raise DDPError(
                    f"{type(self).__name__} lets clients write {name!r}, which is no field of "
                    f"{self.model._meta.label} that they can write: that has a column, and is no "
                    "file and not the primary key."
                )
            fields[str(field.column)] = field
        return fields

    def check_carries(self) -> list[str]:
        """The names in `carries` that the model does not have."""
        return self._unknown(self.carries)

    def _unknown(self, names: Container[str] | None) -> list[str]:
        unknown = []
        for name in names or ():
            try:
                self.model._meta.get_field(name)
            except FieldDoesNotExist:
                unknown.append(name)
        return unknown


def _to_primary_key(model: type[Model], lookup: str) -> str:
    # A reference with `to_field` would be compared with another column.
    names = lookup.split(LOOKUP_SEP)
    _, final, targets, rest = Query(model).names_to_path(names, model._meta)
    if rest or not final.is_relation or targets[0].primary_key:
        return lookup
    return f"{lookup}{LOOKUP_SEP}pk"


def _narrowed(queryset: QuerySet[Any], model: type[Model], condition: Q) -> QuerySet[Any]:
    """The rows of a queryset that meet a condition on their model, too, each once."""
    query = queryset.query
    meeting = model._default_manager.filter(condition)
    alone = not (
        query.is_sliced
        or query.combinator
        or query.annotations
        or query.extra
        or query.group_by is not None
        or query.distinct_fields
    )
    if alone and not _may_repeat_rows(meeting):
        return queryset.filter(condition)
    # As a subquery: a join might repeat rows, or disturb what the queryset counts.
    return _unsliced(queryset).filter(pk__in=meeting.values("pk"))


def _may_repeat_rows(queryset: QuerySet[Any]) -> bool:
    # Whether it joins what there may be several of for a row.
    query = queryset.query
    return any(
        isinstance(relation := getattr(join, "join_field", None), ForeignObjectRel)
        and not relation.one_to_one
        for alias, join in query.alias_map.items()
        if query.alias_refcount[alias]
    )


def _unsliced(queryset: QuerySet[Any]) -> QuerySet[Any]:
    # What is cut off cannot be filtered any more: the same rows, asked for around the slice.
    if not queryset.query.is_sliced:
        return queryset
    whole = queryset.all()
    whole.query.clear_limits()
    return whole.filter(pk__in=queryset.values("pk"))
