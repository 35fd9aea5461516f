"""From a model's values to what travels: EJSON values only, and nothing lost on the way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from django.db.models import Field, Model
from django.db.models.fields.files import FieldFile
from django.utils import timezone
from django.utils.duration import duration_string

__all__ = ["document_id", "ejson_value", "field_value"]


def document_id(pk: Any) -> str:
    """The id of the document of a row: its primary key as text."""
    return str(pk)


def field_value(instance: Model, field: Field[Any, Any]) -> Any:
    """What a document holds for a field of its row. A reference is the other document's id."""
    value = getattr(instance, field.attname)
    if field.is_relation:
        return None if value is None else document_id(value)
    return ejson_value(value, field, instance)


def ejson_value(value: Any, field: Field[Any, Any] | None = None, row: Model | None = None) -> Any:
    """The EJSON value for a Python value of a model field.

    Decimals travel as strings, since a float would not be the same number; times and durations
    as ISO and Django text; dates as `$date` at midnight UTC; binary as `$binary`.
    """
    match value:
        case None | bool() | float():
            return value
        case Enum():
            return ejson_value(value.value, field, row)
        case str():
            return str(value)
        case int():
            return int(value)
        case datetime():
            # Without USE_TZ the database holds local time.
            return timezone.make_aware(value) if timezone.is_naive(value) else value
        case date():
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        case time():
            return value.isoformat()
        case timedelta():
            return duration_string(value)
        case Decimal() | UUID():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case FieldFile():
            return value.name or ""
        case Mapping():
            return {str(key): ejson_value(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [ejson_value(item) for item in value]
    if field is not None and row is not None:
        return field.value_to_string(row)
    return str(value)
