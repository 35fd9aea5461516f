"""What a field may hold, in the terms of Meteor's simple-schema and autoform."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db.models import (
    BooleanField,
    DateField,
    DecimalField,
    Field,
    FloatField,
    IntegerField,
    ManyToManyField,
)

__all__ = ["field_schema"]


def field_schema(field: Field[Any, Any]) -> dict[str, Any]:
    """Type, label, limits and choices of a field, as plain JSON."""
    schema: dict[str, Any] = {"type": _type(field), "label": str(field.verbose_name).capitalize()}
    if isinstance(field, FloatField | DecimalField):
        schema["decimal"] = True
    if field.max_length is not None:
        schema["max"] = field.max_length
    if field.null or field.blank or field.has_default():
        schema["optional"] = True
    if field.choices:
        choices = [(value, str(label)) for value, label in field.flatchoices]
        schema["allowedValues"] = [value for value, _ in choices]
        schema["autoform"] = {
            "options": [{"label": label, "value": value} for value, label in choices]
        }
    if field.is_relation and field.related_model is not None:
        schema["relation"] = str(field.related_model._meta.label_lower)
    return schema


def _type(field: Field[Any, Any]) -> str:
    match field:
        case ManyToManyField():
            return "[String]"
        case _ if field.is_relation:
            return "String"
        case BooleanField():
            return "Boolean"
        case IntegerField() | FloatField():
            return "Number"
        case DateField():  # and so of dates with times
            return date.__name__.capitalize()
    return "String"
