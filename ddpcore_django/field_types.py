"""What clients get for a model's field, as an annotation: what `serialize` makes of its values.

A field class of another library or of the project's own says it itself, by an attribute
``ddpcore_type``: an annotation of what clients get, None aside. Otherwise the field's internal
type counts, unless it reads its values in a way of its own: then nobody knows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Optional

from django.db.models import Count, Exists, Field, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import Col
from django.db.models.fields.files import FileField
from django.db.models.query_utils import DeferredAttribute
from django.db.models.sql.constants import INNER
from django.utils.choices import CallableChoiceIterator

from ddpcore_django.serialize import ejson_value

__all__ = ["annotation_of", "extra_annotation"]

_BY_INTERNAL_TYPE: dict[str, Any] = {
    "AutoField": int,
    "BigAutoField": int,
    "BigIntegerField": int,
    "BinaryField": bytes,
    "BooleanField": bool,
    "CharField": str,
    "DateField": datetime,  # midnight
    "DateTimeField": datetime,
    "DecimalField": str,
    "DurationField": str,
    "FileField": str,
    "FilePathField": str,
    "FloatField": float,
    "GenericIPAddressField": str,
    "IntegerField": int,
    "IPAddressField": str,
    "PositiveBigIntegerField": int,
    "PositiveIntegerField": int,
    "PositiveSmallIntegerField": int,
    "SlugField": str,
    "SmallAutoField": int,
    "SmallIntegerField": int,
    "TextField": str,
    "TimeField": str,
    "UUIDField": str,
}


def annotation_of(field: Field[Any, Any]) -> Any:
    """What documents hold for a field of their row."""
    annotation = _value(field, choices=True)
    return Optional[annotation] if field.null and not isinstance(field, FileField) else annotation  # noqa: UP045


def extra_annotation(queryset: QuerySet[Any], name: str, field: Any) -> Any:
    """What documents hold for an annotation of a queryset, or for a path to another row.

    Args:
        queryset: Whose.
        name: What it is called.
        field: The field that its values are like; None: nobody knows.
    """
    if field is None:
        return Any
    expression = queryset.query.annotation_select.get(name)
    if expression is None:
        annotation, nullable = _value(field, choices=True), _is_nullable_path(queryset, name)
    elif isinstance(expression, Col):
        annotation, nullable = _value(field, choices=True), _is_nullable(queryset, expression)
    else:
        # An expression has the class of its field, and values of its own.
        annotation = _value(field, choices=False)
        nullable = not isinstance(expression, Count | Exists)
    return Optional[annotation] if nullable and not isinstance(field, FileField) else annotation  # noqa: UP045


def _value(field: Any, *, choices: bool) -> Any:
    if getattr(field, "is_relation", False) or getattr(field, "primary_key", False):
        return str
    if isinstance(field, FileField):
        return str
    declared = getattr(field, "ddpcore_type", None)
    if declared is not None:
        return declared
    if _reads_in_its_own_way(field):
        return Any
    if hasattr(field, "range_type"):
        return str
    base = getattr(field, "base_field", None)
    if base is not None:
        item = _value(base, choices=choices)
        return list[Optional[item]] if base.null else list[item]  # type: ignore[valid-type]  # noqa: UP045
    known = _BY_INTERNAL_TYPE.get(field.get_internal_type(), Any)
    return (_choices(field, known) if choices else None) or known


def _choices(field: Any, known: Any) -> Any:
    if not field.choices or isinstance(field.choices, CallableChoiceIterator):
        return None
    values = [ejson_value(value) for value, _ in field.flatchoices]
    if known is str and field.blank:
        values.append("")
    if field.has_default() and not callable(field.default):
        values.append(ejson_value(field.default))
    values = [each for each in dict.fromkeys(values) if each is not None]
    if known not in (str, int) or any(type(each) is not known for each in values):
        return None
    return Literal[tuple(values)]


def _reads_in_its_own_way(field: Any) -> bool:
    kind = type(field)
    own = [getattr(kind, name, None) for name in ("from_db_value", "value_to_string")]
    descriptor = getattr(kind, "descriptor_class", DeferredAttribute)
    return any(
        each is not None and not each.__module__.startswith("django.")
        for each in [*own, descriptor]
    )


def _is_nullable(queryset: QuerySet[Any], column: Any) -> bool:
    query = queryset.query
    if column.target.null:
        return True
    join = query.alias_map.get(column.alias)
    return column.alias != query.base_table and getattr(join, "join_type", None) != INNER


def _is_nullable_path(queryset: QuerySet[Any], name: str) -> bool:
    options = queryset.model._meta
    path, final, _, _ = queryset.query.names_to_path(name.split(LOOKUP_SEP), options)
    forward = all(step.direct and not step.m2m and not step.join_field.null for step in path)
    return not forward or final.null
