"""System checks: wrong set-ups, told before they hurt."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from django.core import checks
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.utils.connection import ConnectionDoesNotExist

from ddpcore_django import triggers
from ddpcore_django.conf import conf
from ddpcore_django.registry import API
from ddpcore_django.users import is_user_model

__all__ = [
    "before_serving",
    "check_capture",
    "check_collections",
    "check_driver",
    "check_triggers",
    "register",
]

_FATAL_WHEN_SERVING = ("ddpcore.W002",)


def register() -> None:
    """Register all checks."""
    for check in (check_driver, check_collections, check_capture):
        checks.register(check, "ddpcore")
    checks.register(check_triggers, "ddpcore", checks.Tags.database)


def before_serving() -> list[checks.CheckMessage]:
    """Why the project cannot be served; an empty list if it can.

    The database is asked, too. A project that chose triggers and has none would lose all changes
    in silence: what is a warning while it is being set up (`migrate` runs checks before it
    installs them) is an error here.
    """
    messages = checks.run_checks(tags=["ddpcore"], databases=[DEFAULT_DB_ALIAS])
    return [each for each in messages if each.is_serious() or each.id in _FATAL_WHEN_SERVING]


def check_driver(**_: Any) -> list[checks.CheckMessage]:
    """Whether Django would silently use psycopg 3, which ddpcore does not listen with.

    Ids:
        ddpcore.E001: psycopg 3 is installed, and Django prefers it to psycopg2, which ddpcore
            uses. What to do: ``pip uninstall psycopg``.
    """
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
    """Whether collections name fields that there are, and any of the user model.

    Ids:
        ddpcore.E002: `fields` or `carries` of a collection names what the model does not have.
            What to do: correct the name.
        ddpcore.W001: A collection publishes the user model, but no field of it. What to do: name
            those that clients may see: ``fields = ["username"]``.
        ddpcore.W004: A collection publishes the hashes of the users' passwords. What to do: take
            ``"password"`` out of its `fields`.
    """
    messages: list[checks.CheckMessage] = []
    for collection in API.collections.values():
        unknown = {"fields": collection.check_fields(), "carries": collection.check_carries()}
        messages += [
            checks.Error(
                f"{type(collection).__name__}.{attribute} names {', '.join(names)}, which "
                f"{collection.model._meta.label} does not have.",
                obj=collection.model,
                id="ddpcore.E002",
            )
            for attribute, names in unknown.items()
            if names
        ]
        if collection.fields is None and is_user_model(collection.model):
            messages.append(
                checks.Warning(
                    f"{type(collection).__name__} publishes the user model, but no field of it.",
                    hint='Name those that clients may see: fields = ["username"].',
                    obj=collection.model,
                    id="ddpcore.W001",
                )
            )
        elif is_user_model(collection.model) and "password" in (collection.fields or ()):
            messages.append(
                checks.Warning(
                    f"{type(collection).__name__} publishes the hashes of the users' passwords.",
                    hint="Take 'password' out of its fields: who sees a hash can guess at leisure.",
                    obj=collection.model,
                    id="ddpcore.W004",
                )
            )
    return messages


def check_capture(**_: Any) -> list[checks.CheckMessage]:
    """Whether triggers are chosen where they cannot work.

    Ids:
        ddpcore.E003: `CAPTURE`, or `capture` of a collection, is none there is, or triggers are
            chosen where they cannot work. What to do: choose ``"signals"``; triggers need
            PostgreSQL as the default database, and a bus that is not ``memory:``.
    """
    chosen = [
        f"{type(each).__name__}.capture"
        for each in API.collections.values()
        if each.capture == "triggers"
    ]
    if conf().capture == "triggers":
        chosen.insert(0, 'DDPCORE["CAPTURE"]')
    messages: list[checks.CheckMessage] = [
        checks.Error(
            f"{type(each).__name__}.capture is {each.capture!r}.",
            hint='There are "signals" and "triggers", or None for that of the project.',
            obj=each.model,
            id="ddpcore.E003",
        )
        for each in API.collections.values()
        if each.capture not in ("signals", "triggers", None)
    ]
    if not chosen:
        return messages
    vendor = connections[DEFAULT_DB_ALIAS].vendor
    if vendor != "postgresql":
        reason = f"the default database is {vendor}"
        hint = 'Triggers need PostgreSQL. Any other database has "signals".'
    elif conf().captures(vendor) != "notify":
        reason = f'DDPCORE["BUS"] is {conf().bus!r}, so nothing is sent by way of the database'
        hint = 'Leave "BUS" out, or choose "signals".'
    else:
        return messages
    text = f"{', '.join(chosen)} chooses triggers, but {reason}."
    return [*messages, checks.Error(text, hint=hint, id="ddpcore.E003")]


def check_triggers(databases: Any = None, **_: Any) -> list[checks.CheckMessage]:
    """Whether all triggers are there.

    Ids:
        ddpcore.W002: Changes of a table that is captured by triggers are lost: a trigger is missing
            or disabled, or the table can have none. What to do: run ``manage.py ddp_triggers
            install``; where the table can have none, write ``capture = "signals"`` into its
            collection.
        ddpcore.W003: The triggers of a table are stale. What to do: run ``manage.py ddp_triggers
            install``.
    """
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    try:
        found = triggers.statuses()
    except (Error, ConnectionDoesNotExist):
        return []  # whoever needs the database will hear of it
    hint = "Run manage.py ddp_triggers install, or manage.py migrate."
    messages: list[checks.CheckMessage] = []
    for model, each in found.items():
        label = model._meta.label
        if each.state == "missing":
            text = f"{label} is captured by triggers, and changes of it are lost: {each.reason}"
            messages.append(checks.Warning(text, hint=hint, obj=model, id="ddpcore.W002"))
        elif each.state == "impossible":
            text = f"{label} is captured by triggers, and cannot be: {each.reason}"
            other = 'Write capture = "signals" into its collection.'
            messages.append(checks.Warning(text, hint=other, obj=model, id="ddpcore.W002"))
        elif each.state == "stale":
            text = f"The triggers of {label} are stale: {each.reason}"
            messages.append(checks.Warning(text, hint=hint, obj=model, id="ddpcore.W003"))
    return messages
