"""From a model's values to what travels: EJSON values only, and nothing lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from django.db.models import Field, Model
from django.db.models.fields.files import FieldFile
from django.utils import timezone
from django.utils.duration import duration_string

__all__ = ["Convert", "document_id", "ejson_value", "field_value", "reference"]

Convert = Callable[[Any], Any]
"""Makes an EJSON value of what the ORM gives."""


def document_id(pk: Any) -> str:
    """The id of the document of a row: its primary key as text."""
    return str(pk)


def reference(pk: Any) -> str | None:
    """What a document holds for a reference to another document: its id, or None."""
    return None if pk is None else document_id(pk)


def field_value(instance: Model, field: Field[Any, Any]) -> Any:
    """What a document holds for a field of its row. A reference is the other document's id."""
    value = getattr(instance, field.attname)
    if field.is_relation:
        return reference(value)
    return ejson_value(value, lambda _: field.value_to_string(instance))


def ejson_value(value: Any, otherwise: Convert = str) -> Any:
    """The EJSON value for a Python value of a model field.

    Decimals travel as strings, since a float would not be the same number; times and durations
    as ISO and Django text; dates as `$date` at midnight UTC; binary as `$binary`.

    Args:
        value: What the ORM gives.
        otherwise: Makes the EJSON value where it is of no known type.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    convert = _BY_TYPE.get(kind) or _of_kin(kind)
    if convert is None:
        return otherwise(value)
    try:
        return convert(value)
    except RecursionError:
        return value  # whoever writes it as EJSON says that it is too deep


def _moment(value: datetime) -> datetime:
    # Without USE_TZ the database holds local time.
    return timezone.make_aware(value) if timezone.is_naive(value) else value


def _date(value: date) -> datetime:
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): ejson_value(item) for key, item in value.items()}


def _items(value: Any) -> list[Any]:
    return [ejson_value(item) for item in value]


# Each row of this table stands for subclasses, too; the first that fits is taken.
_KINDS: list[tuple[type[Any], Convert]] = [
    (type(None), lambda value: value),
    (bool, lambda value: value),
    (float, lambda value: value),
    (Enum, lambda value: ejson_value(value.value)),
    (str, str),
    (int, int),
    (datetime, _moment),
    (date, _date),
    (time, time.isoformat),
    (timedelta, duration_string),
    (Decimal, str),
    (UUID, str),
    (bytes, bytes),
    (bytearray, bytes),
    (memoryview, bytes),
    (FieldFile, lambda value: value.name or ""),
    (Mapping, _mapping),
    (list, _items),
    (tuple, _items),
    (set, _items),
    (frozenset, _items),
]
# What stands for itself. Not containers: what is in them may not.
_PLAIN = frozenset({type(None), bool, float, str, int})
_BY_TYPE = dict(_KINDS)


def _of_kin(kind: type[Any]) -> Convert | None:
    return next((convert for base, convert in _KINDS if issubclass(kind, base)), None)
