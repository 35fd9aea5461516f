"""From what clients send to a model's values: the way back of `serialize`, and as strict.

What a document holds for a field is what a client may send for it, and nothing else: nothing is
guessed, and whatever the database driver would choke on is told apart here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import (
    AutoField,
    BinaryField,
    BooleanField,
    CharField,
    DateField,
    DateTimeField,
    DecimalField,
    Field,
    FileField,
    FloatField,
    ForeignKey,
    GenericIPAddressField,
    IntegerField,
    JSONField,
    Model,
    TextField,
    UUIDField,
)
from django.utils import timezone

from ddpcore_django.serialize import document_id

__all__ = ["Unfit", "can_be_sent", "model_value", "primary_key"]


class Unfit(ValueError):
    """What a client sent is nothing that the field could hold. The text is safe to show."""


def primary_key(model: type[Model], id: object) -> Any:  # noqa: A002
    """The primary key of the row with this document id.

    Raises:
        Unfit: No row can have it. So also if it is just another way to write the id of one.
    """
    return _key(model._meta.pk, id)


def can_be_sent(field: Field[Any, Any]) -> bool:
    """Whether clients may be let write a field at all.

    Not the primary key, and no files: a client that names one could read any of the others'.
    """
    generated = getattr(field, "generated", False)
    return field.concrete and not (
        field.primary_key or generated or isinstance(field, FileField | AutoField)
    )


def model_value(field: Field[Any, Any], value: object) -> Any:
    """What the ORM takes for what a document holds.

    Args:
        field: A concrete field of the model. A reference is sent as the other document's id.
        value: An EJSON value.

    Raises:
        Unfit: It is of another type, or nothing this field could hold.
    """
    if value is None:
        if not field.null:
            raise Unfit("This field cannot be null.")
        return None
    if isinstance(field, ForeignKey):
        return _key(field.target_field, value)
    base = getattr(field, "base_field", None)
    if isinstance(base, Field) and not hasattr(field, "range_type"):  # an array of PostgreSQL
        return [model_value(base, item) for item in _of(list, value)]
    convert = next((convert for kind, convert in _KINDS if isinstance(field, kind)), _by_text)
    try:
        converted = convert(field, value)
    except Unfit:
        raise
    except Exception as problem:  # a field may be the project's own, and choke in any way
        raise Unfit(_UNFIT) from problem
    if converted is None and not field.null:
        raise Unfit(_UNFIT)
    return converted


_UNFIT = "This is nothing that the field can hold."


def _key(field: Any, id: object) -> Any:  # noqa: A002
    text = _text(field, id)
    while field.is_relation:  # the primary key of a model may be that of another
        field = field.target_field
    try:
        key = field.to_python(text)
        field.run_validators(key)  # a number may be beyond what the column can be compared with
    except Exception as problem:  # a field may be the project's own, and choke in any way
        raise Unfit(_UNFIT) from problem
    if document_id(key) != text:
        raise Unfit(_UNFIT)
    return key


def _of(kind: type[Any], value: object) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Unfit(_UNFIT)
    return value


def _text(_: Any, value: object) -> str:
    text: str = _of(str, value)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character
        raise Unfit(_UNFIT) from None
    if "\0" in text:  # PostgreSQL's text has none
        raise Unfit(_UNFIT)
    return text


def _by_text(field: Any, value: object) -> Any:
    # Fields of no known type travel as Django's serializers write them, who read them so.
    return field.to_python(_text(field, value))


def _boolean(_: Any, value: object) -> bool:
    return bool(_of(bool, value))


def _integer(_: Any, value: object) -> int:
    # JavaScript has no integers: what has no fraction is one.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(_of(int, value))


def _float(_: Any, value: object) -> float:
    return float(value) if isinstance(value, float) else float(_of(int, value))


def _decimal(_: Any, value: object) -> Decimal:
    number = Decimal(_of(str, value))
    if not number.is_finite():
        raise Unfit(_UNFIT)
    return number


def _moment(_: Any, value: object) -> datetime:
    # Without USE_TZ the database holds local time.
    moment: datetime = _of(datetime, value)
    return moment if settings.USE_TZ else timezone.make_naive(moment)


def _date(_: Any, value: object) -> date:
    moment = _of(datetime, value).astimezone(UTC)
    if (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
        raise Unfit("A date is midnight of that day, in UTC.")
    return date(moment.year, moment.month, moment.day)


def _json(_: Any, value: object) -> Any:
    _check_json(value)
    return value


def _check_json(value: object) -> None:
    match value:
        case None | bool() | int():
            return
        case float() if math.isfinite(value):
            return
        case str():
            _text(None, value)
        case list():
            for item in value:
                _check_json(item)
        case dict():
            for key, item in value.items():
                _text(None, key)
                _check_json(item)
        case _:
            raise Unfit("This is no plain JSON.")


# Each row stands for subclasses, too; the first that fits is taken.
_KINDS: list[tuple[type[Any], Callable[[Any, object], Any]]] = [
    (BooleanField, _boolean),
    (IntegerField, _integer),
    (FloatField, _float),
    (DecimalField, _decimal),
    (DateTimeField, _moment),
    (DateField, _date),
    (BinaryField, lambda _, value: _of(bytes, value)),
    (UUIDField, lambda field, value: UUID(_text(field, value))),
    (JSONField, _json),
    (CharField, _text),
    (TextField, _text),
    (GenericIPAddressField, _text),
]
