"""What clients see of accounts: their own user, and which services there are to log in with."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypedDict

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from ddpcore.live.document import Document
from ddpcore.live.predicate import Row, Undecided
from ddpcore.live.query import LiveQuery, MatchedQuery
from ddpcore.live.snapshot import Found
from ddpcore.server import Context, PublicationContext
from ddpcore.typescript.shapes import Member, Shape
from ddpcore.wire.ids import id_stringify
from ddpcore_django.accounts import addresses
from ddpcore_django.accounts.conf import accounts_conf
from ddpcore_django.accounts.lookup import email_field, username_field
from ddpcore_django.conf import conf
from ddpcore_django.current import current_context
from ddpcore_django.field_types import annotation_of
from ddpcore_django.livequery import InThread
from ddpcore_django.matching import compile_where
from ddpcore_django.rows import ModelTable, reading
from ddpcore_django.serialize import document_id, field_value
from ddpcore_django.server import DjangoServer
from ddpcore_django.users import user_of

__all__ = ["USERS", "Address", "OwnUser", "own_document", "register"]

USERS = "users"
"""What Meteor's clients call the collection of users."""


def register(server: DjangoServer) -> None:
    """Give a server these publications.

    Raises:
        ImproperlyConfigured: `DDPCORE_ACCOUNTS["PROFILE"]` names no fields and no function.
    """
    _check_profile()

    def own_user(context: Context) -> list[LiveQuery]:
        """The user who is logged in, live (Meteor 3.0.4, `accounts_server.js`)."""
        current_context.set(context)
        if context.user_id is None:
            return []
        user = user_of(context.user_id)
        return [OwnUser(user.pk, server.ask)] if user.is_authenticated else []

    def services(context: PublicationContext) -> None:
        """Nothing: there are no other services. Clients wait until it is ready."""
        context.ready()

    server.collection(USERS)(_own_shape())
    server.publish(None)(own_user)
    server.publish("meteor.loginServiceConfiguration")(services)


def own_document(user: Any) -> dict[str, Any]:
    """What a client may know of its own user: `username`, `emails`, `profile`, and nothing else.

    In a thread.
    """
    document: dict[str, Any] = {}
    address = getattr(user, email_field() or "", None)
    if username_field() != email_field():
        document["username"] = user.get_username()
    if address:
        document["emails"] = [{"address": address, "verified": _is_verified(user, address)}]
    profile = _profile(user)
    if profile is not None:
        document["profile"] = profile
    return document


class Address(TypedDict):
    """An address of a user."""

    address: str
    verified: bool


def _own_shape() -> Shape:
    """What `own_document` gives, for typed clients."""
    members: dict[str, Member] = {}
    if username_field() != email_field():
        members["username"] = Member(str)
    if email_field() is not None:
        members["emails"] = Member(list[Address], required=False)
    if shown := accounts_conf().profile:
        members["profile"] = Member(_profile_annotation(shown))
    return Shape(members)


def _profile_annotation(shown: str | tuple[str, ...]) -> Any:
    if isinstance(shown, str):
        signature = inspect.signature(import_string(shown), eval_str=True)
        made = signature.return_annotation
        return dict[str, Any] if made is signature.empty else made
    model: Any = get_user_model()
    return Shape({name: Member(annotation_of(model._meta.get_field(name))) for name in shown})


def _is_verified(user: Any, address: str) -> bool:
    return address in addresses.verified(user)


def _profile(user: Any) -> dict[str, Any] | None:
    shown = accounts_conf().profile
    if not shown:
        return None
    if isinstance(shown, str):
        made = import_string(shown)(user)
        if not isinstance(made, Mapping):
            raise TypeError(f"{shown} gave {type(made).__name__}, and a profile is a dictionary.")
        return dict(made)
    return {name: field_value(user, user._meta.get_field(name)) for name in shown}


def _check_profile() -> None:
    shown = accounts_conf().profile
    if isinstance(shown, str):
        if shown:
            try:
                import_string(shown)
            except ImportError as problem:
                raise ImproperlyConfigured(f'DDPCORE_ACCOUNTS["PROFILE"]: {problem}') from problem
        return
    for name in shown:
        try:
            field: Any = get_user_model()._meta.get_field(name)
        except FieldDoesNotExist:
            field = None
        if field is None or not field.concrete or field.many_to_many or name == "password":
            raise ImproperlyConfigured(
                f'DDPCORE_ACCOUNTS["PROFILE"] names {name!r}, which is no field that clients could '
                "be shown. It is a tuple of names of fields, or the path of a function."
            )


class OwnUser(MatchedQuery):
    """The row of one user, as the client sees it who is logged in with it.

    A change of the row is found by its key, and the row is read: nothing of it travels.

    Args:
        pk: The user's primary key.
        ask: Runs a blocking function in a thread that may use the database.
    """

    def __init__(self, pk: Any, ask: InThread) -> None:
        model = get_user_model()
        self._pk = pk
        self._ask = ask
        self.key = self.maker = (USERS, "own", document_id(pk))
        self.collection = USERS
        self.interval = conf().poll_interval
        self.table = ModelTable(model, ask)
        self.topics = frozenset((self.table.topic,))
        self.predicate = compile_where(_rows(pk), ask).predicate

    async def fetch(self) -> Mapping[str, Document]:
        """Read the row."""
        found: Found[Document] = await self._ask(self._read)
        return found

    def _read(self) -> Found[Document]:
        with reading() as snapshot:
            return Found(
                {
                    (key := document_id(user.pk)): Document.of(
                        USERS, id_stringify(key), own_document(user)
                    )
                    for user in _rows(self._pk)
                    if user.is_active
                },
                snapshot,
            )

    def item(self, key: str, row: Row) -> Document:  # noqa: ARG002
        """Have the row read."""
        raise Undecided(key)


def _rows(pk: Any) -> QuerySet[Any]:
    # No manager: one of the project's might hide the row.
    return QuerySet(get_user_model()).filter(pk=pk)
