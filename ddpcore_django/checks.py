"""System checks: wrong set-ups, told before they hurt."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections

from ddpcore_django.registry import API
from ddpcore_django.users import is_user_model

__all__ = ["register"]


def register() -> None:
    """Register all checks."""
    for check in (check_driver, check_collections):
        checks.register(check, "ddpcore")


def check_driver(**_: Any) -> list[checks.CheckMessage]:
    """ddpcore.E001: Django would silently use psycopg 3, which ddpcore does not listen with."""
    if connections[DEFAULT_DB_ALIAS].vendor != "postgresql":
        return []
    if find_spec("psycopg") is None:
        return []
    return [
        checks.Error(
            "psycopg 3 is installed, and Django prefers it to psycopg2 without a word.",
            hint="ddpcore speaks to PostgreSQL through psycopg2: pip uninstall psycopg.",
            id="ddpcore.E001",
        )
    ]


def check_collections(**_: Any) -> list[checks.CheckMessage]:
    """ddpcore.E002: a collection names unknown fields. ddpcore.W001: it publishes no field."""
    messages: list[checks.CheckMessage] = []
    for collection in API.collections.values():
        unknown = collection.check_fields()
        if unknown:
            messages.append(
                checks.Error(
                    f"{type(collection).__name__}.fields names {', '.join(unknown)}, which "
                    f"{collection.model._meta.label} does not have.",
                    obj=collection.model,
                    id="ddpcore.E002",
                )
            )
        if collection.fields is None and is_user_model(collection.model):
            messages.append(
                checks.Warning(
                    f"{type(collection).__name__} publishes the user model, but no field of it.",
                    hint='Name those that clients may see: fields = ["username"].',
                    obj=collection.model,
                    id="ddpcore.W001",
                )
            )
    return messages
