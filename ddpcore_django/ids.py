"""Primary keys that clients can make as well: 17 characters, as Meteor's ids are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import CharField, Model

from ddpcore.errors import DDPError
from ddpcore.wire.alea import random_id
from ddpcore_django.current import current_context

if TYPE_CHECKING:
    _Text = CharField[str, str]
else:
    _Text = CharField

__all__ = ["ID_LENGTH", "AleaIdField"]

ID_LENGTH = 17
"""Characters of Meteor's `Random.id` (Meteor 3.0.4, random/AbstractRandomGenerator.js)."""


class AleaIdField(_Text):
    """A primary key that is made when a row is first saved, if it has none.

    Within a method it is drawn from the stream of the row's collection, which is seeded by the
    client. So a client that simulates the method makes the same id, and its document is the real
    one from the beginning (Meteor 3.0.4, `DDP.randomStream`). Elsewhere it is random.

    Args:
        *args: As of Django's `CharField`.
        **options: Likewise. By default it is the primary key, is not editable, and has a
            `max_length` of 17 characters.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("max_length", ID_LENGTH)
        options.setdefault("primary_key", True)
        options.setdefault("editable", False)
        super().__init__(*args, **options)

    def deconstruct(self) -> Any:
        """As fields do, with all that is presumed otherwise here than of others."""
        name, path, args, options = super().deconstruct()
        return (
            name,
            path,
            args,
            {
                **options,
                "primary_key": self.primary_key,
                "editable": self.editable,
            },
        )

    def get_pk_value_on_save(self, instance: Model) -> Any:
        """A new id, for a row without one."""
        return super().get_pk_value_on_save(instance) or _new_id(type(instance))

    def pre_save(self, model_instance: Model, add: bool) -> Any:
        """The id; a new one where the field is no primary key and has none."""
        value = super().pre_save(model_instance, add)
        if not value:
            value = _new_id(type(model_instance))
            setattr(model_instance, self.attname, value)
        return value


def _new_id(model: type[Model]) -> str:
    context = current_context.get(None)
    if context is None:
        return random_id()
    from ddpcore_django.registry import API

    try:
        name = str(API.collection_of(model).name)
    except DDPError:
        return random_id()
    return context.random.id(name)
