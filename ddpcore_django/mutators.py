"""Mutators: `insert`, `update` and `remove` of a client's collection, without methods for them.

A Meteor client that writes to its collection calls ``/NAME/insert``, ``/NAME/update`` or
``/NAME/remove``, or the same with ``Async`` (Meteor 3.0.4, allow-deny/allow-deny.js). Each
`Collection` has all six. They say 403, but for what the collection lets clients do::

    class Task(Collection):
        model = models.Task
        user_rel = "owner"
        client_insert = ["text", "done"]
        client_update = ["text", "done"]
        client_remove = True

        def may_insert(self, user, obj):
            obj.owner = user
            return True

Even so a client may do it only where all of this holds:

- its user has Django's permission for it (``app.add_task`` and so on), in general or for that row;
- it sees the row, by the collection's `objects_for_user`; of rows it does not see there are none,
  and it gets 0, the number of rows changed. So also references must be to rows that it sees, where
  a collection publishes them;
- it writes named fields only, with values such as documents hold them;
- the hook for that document (`may_insert`, `may_update`, `may_remove`) gives True;
- the row passes `full_clean`: of an update the fields that change and the model's constraints.
  Otherwise the client gets 400, with what is wrong as ``details``: name of the field → texts.

The id of a new document is the one that the client has made, where the primary key is text of 17
characters or more. Otherwise the database makes it: the result is the real id, and the document
that the client showed meanwhile gives way to the real one before the method is ``updated``. (What
Meteor's own client tells its caller is the id that it had made up, even so: give models whose
documents clients are to refer to at once a primary key of text.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import DataError, IntegrityError, transaction
from django.db.models import (
    CharField,
    Field,
    FloatField,
    ForeignKey,
    IntegerField,
    Model,
    QuerySet,
    TextField,
)

from ddpcore.errors import DDPError, MeteorError
from ddpcore.server import Context, Server
from ddpcore.wire.ejson import ObjectID
from ddpcore_django.collection import Collection
from ddpcore_django.current import current_context, this
from ddpcore_django.deserialize import Unfit, can_be_sent, model_value, primary_key
from ddpcore_django.guards import says_yes
from ddpcore_django.ids import ID_LENGTH
from ddpcore_django.serialize import document_id

if TYPE_CHECKING:
    from ddpcore_django.registry import Registry

__all__ = ["CollectionMutators", "Mutators", "ProfileMutators", "Step", "define_mutators"]

logger = logging.getLogger(__name__)

# Of those that Meteor allows, these make sense for columns.
OPERATORS = ("$set", "$unset", "$inc")

Fields = Mapping[str, "Field[Any, Any]"]
"""Fields by the names that clients call them."""


class Step(NamedTuple):
    """One field of a modifier: ``{"$set": {"title": "x"}}`` is ``("$set", "title", "x")``."""

    operator: str
    path: str
    value: Any


def define_mutators(server: Server, registry: Registry) -> None:
    """Define the six methods of each collection, but those that the project defines itself.

    Raises:
        ddpcore.DDPError: A collection lets clients write what they cannot.
    """
    mutators: dict[str, Mutators] = {
        name: CollectionMutators(registry, collection)
        for name, collection in registry.collections.items()
    }
    if apps.is_installed("ddpcore_django.accounts"):
        own = mutators.get("users")
        if own is None or not own.allowed:
            mutators["users"] = ProfileMutators("users")
    for each in mutators.values():
        each.define(server)


class Mutators:
    """The six methods of one collection, which allow nothing by themselves.

    Args:
        name: What clients call the collection.
        allowed: Which of ``"insert"``, ``"update"`` and ``"remove"`` may succeed at all. If any
            may, clients are told more about why others do not.
    """

    def __init__(self, name: str, allowed: Iterable[str] = ()) -> None:
        self.name = name
        self.allowed = frozenset(allowed)

    def define(self, server: Server) -> None:
        """Define the methods, but those that are there already."""
        runs: dict[str, Callable[..., Any]] = {
            "insert": self._insert,
            "update": self._update,
            "remove": self._remove,
        }
        for kind, run in runs.items():
            for method in (kind, f"{kind}Async"):
                name = f"/{self.name}/{method}"
                if name not in server.methods:
                    server.method(name)(_handler(run, method))

    # What a collection does about those that are allowed

    def insert(self, document: dict[str, Any], new_id: str | None) -> str:
        """Insert a document; its id."""
        raise NotImplementedError

    def update(self, id: object, steps: Sequence[Step]) -> int:  # noqa: A002
        """Change a document; 1, or 0 if there is none."""
        raise NotImplementedError

    def remove(self, id: object) -> int:  # noqa: A002
        """Remove a document; 1, or 0 if there is none."""
        raise NotImplementedError

    # The order of the checks is Meteor's.

    def _insert(self, context: Context, method: str, params: Sequence[Any]) -> str:
        document = params[0] if params else None
        new_id = None
        if isinstance(document, dict) and "_id" not in document:
            # Before any hook runs, which might draw from the same stream.
            new_id = context.random.id(self.name)
        self._check_allowed("insert", method)
        if not isinstance(document, dict):
            raise _no_match()
        with _transaction(method):
            return self.insert(document, new_id)

    def _update(self, _: Context, method: str, params: Sequence[Any]) -> int:
        key = _id_of(params, method)
        self._check_allowed("update", method)
        modifier = params[1] if len(params) > 1 else None
        options = params[2] if len(params) > 2 else None
        steps = _steps(modifier, options)
        with _transaction(method):
            return self.update(key, steps)

    def _remove(self, _: Context, method: str, params: Sequence[Any]) -> int:
        key = _id_of(params, method)
        self._check_allowed("remove", method)
        with _transaction(method):
            return self.remove(key)

    def _check_allowed(self, kind: str, method: str) -> None:
        if not self.allowed:
            raise _denied()
        if kind not in self.allowed:
            raise MeteorError(
                403,
                "Access denied. No allow validators set on restricted collection for method "
                f"'{method}'.",
            )


def _handler(run: Callable[..., Any], method: str) -> Callable[..., Any]:
    def handler(context: Context, /, *params: Any) -> Any:
        current_context.set(context)
        return run(context, method, params)

    return handler


@contextmanager
def _transaction(method: str) -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
    except IntegrityError as problem:  # the database's, or `on_delete=PROTECT`
        logger.info("%s of a client: %s", method, problem)
        raise MeteorError(409, "This contradicts other documents") from None
    except DataError as problem:
        logger.info("%s of a client: %s", method, problem)
        raise _no_match() from None


def _visible_keys(collection: Collection, user: Any) -> QuerySet[Any, Any]:
    # Of all rows, which are given: a rule of the project's may want to be told of which.
    rows = collection.model._default_manager.all()
    return collection.objects_for_user(user, rows).values("pk")


class CollectionMutators(Mutators):
    """What a `Collection` lets clients do.

    Args:
        registry: Where the collections are that publish what references are to.
        collection: The collection.

    Raises:
        ddpcore.DDPError: It lets clients write what they cannot, or nobody can log in.
    """

    def __init__(self, registry: Registry, collection: Collection) -> None:
        allowed = {
            "insert": collection.client_insert is not None,
            "update": collection.client_update is not None,
            "remove": collection.client_remove is True,
        }
        assert collection.name is not None
        super().__init__(collection.name, (kind for kind, may in allowed.items() if may))
        if self.allowed and not apps.is_installed("django.contrib.auth"):
            raise DDPError(
                f"{type(collection).__name__} lets clients write, as Django's permissions say: "
                'put "django.contrib.auth" into INSTALLED_APPS.'
            )
        self._registry = registry
        self._collection = collection
        self._model = collection.model
        self._to_insert = collection.client_fields(collection.client_insert)
        self._to_update = collection.client_fields(collection.client_update)
        key = self._model._meta.pk
        length = getattr(key, "max_length", None)
        self.takes_ids = isinstance(key, CharField | TextField) and (
            length is None or length >= ID_LENGTH
        )

    def insert(self, document: dict[str, Any], new_id: str | None) -> str:
        """See `Mutators`."""
        user = this.user
        given = {name: value for name, value in document.items() if name != "_id"}
        if not self._permits(user, "add") or not given.keys() <= self._to_insert.keys():
            raise _denied()
        obj = self._model()
        problems = _Problems(self._to_insert, self._model)
        if not self.takes_ids:
            if "_id" in document:
                problems.add("_id", "The server makes the ids of these documents.")
        else:
            with problems.of("_id"):
                obj.pk = primary_key(self._model, document.get("_id", new_id))
                if obj.pk == "":
                    raise Unfit("An id is not empty.")
        for name, value in given.items():
            field = self._to_insert[name]
            with problems.of(name):
                setattr(obj, field.attname, self._value(user, field, value))
        problems.raise_any()
        self._ask("may_insert", user, obj)
        problems.clean(obj.full_clean)
        obj.save(force_insert=True)
        return document_id(obj.pk)

    def update(self, id: object, steps: Sequence[Step]) -> int:  # noqa: A002
        """See `Mutators`."""
        user = this.user
        obj = self._locked(user, id)
        if obj is None:
            return 0
        tops = {each.path.partition(".")[0] for each in steps}
        if not self._permits(user, "change", obj) or not tops <= self._to_update.keys():
            raise _denied()

        def hook(changes: Mapping[str, Any]) -> None:
            self._ask("may_update", user, obj, changes)

        def value(field: Field[Any, Any], sent: object) -> Any:
            return self._value(user, field, sent)

        _change(obj, steps, self._to_update, hook, value)
        return 1

    def remove(self, id: object) -> int:  # noqa: A002
        """See `Mutators`."""
        user = this.user
        obj = self._locked(user, id)
        if obj is None:
            return 0
        if not self._permits(user, "delete", obj):
            raise _denied()
        self._ask("may_remove", user, obj)
        obj.delete()
        return 1

    def _locked(self, user: Any, id: object) -> Any:  # noqa: A002
        # The row as it is and stays until all is done; None if the user sees none.
        try:
            key = primary_key(self._model, id)
        except Unfit:
            return None
        # No manager: one of the project's might hide rows, or add what cannot be locked.
        rows: QuerySet[Any] = QuerySet(self._model)
        rows = rows.filter(pk=key, pk__in=_visible_keys(self._collection, user))
        obj = rows.select_for_update().first()
        # Again, now that it is locked: whoever had it locked may have taken it out of sight, and
        # what is visible was asked for before.
        return obj if obj is not None and rows.exists() else None

    def _permits(self, user: Any, action: str, obj: Any = None) -> bool:
        options = self._model._meta
        name = f"{options.app_label}.{get_permission_codename(action, options)}"
        # Backends answer for all rows or for one, and Django's own has no answer for one.
        return says_yes(f"has_perm({name!r})", lambda: user.has_perm(name)) or (
            obj is not None and says_yes(f"has_perm({name!r}, …)", lambda: user.has_perm(name, obj))
        )

    def _ask(self, hook: str, *args: Any) -> None:
        what = f"{type(self._collection).__name__}.{hook}"
        if not says_yes(what, getattr(self._collection, hook), *args):
            raise _denied()

    def _value(self, user: Any, field: Field[Any, Any], sent: object) -> Any:
        value = model_value(field, sent)
        if value is not None and isinstance(field, ForeignKey):
            self._check_visible(user, field, value)
        return value

    def _check_visible(self, user: Any, field: Any, value: Any) -> None:
        # Otherwise clients could try out which rows there are that they do not see.
        publishing = [
            each
            for each in self._registry.collections.values()
            if each.model._meta.concrete_model is field.related_model._meta.concrete_model
        ]
        rows: QuerySet[Any] = QuerySet(field.related_model)
        rows = rows.filter(**{field.target_field.attname: value})
        if publishing and not any(
            rows.filter(pk__in=_visible_keys(each, user)).exists() for each in publishing
        ):
            raise Unfit("There is no such document.")


class ProfileMutators(Mutators):
    """Users: who is logged in may change the own document's `profile`, and nothing else.

    That is Meteor's rule (Meteor 3.0.4, accounts-base/accounts_server.js, `users.allow`). Here a
    profile is made of fields of the user model: those that `DDPCORE_ACCOUNTS["SIGNUP_PROFILE"]`
    names, which a client may give when it signs up, too. They are named so in the profile.

    All other users' documents answer alike, be there any or not.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, ["update"])

    def update(self, id: object, steps: Sequence[Step]) -> int:  # noqa: A002
        """See `Mutators`."""
        from ddpcore_django.accounts.conf import accounts_conf

        user = this.user
        if not user.is_authenticated or id != document_id(user.pk):
            raise _denied()
        if any(each.path.partition(".")[0] != "profile" for each in steps):
            raise _denied()
        fields = _profile_fields(type(user), accounts_conf().signup_profile)
        steps = [part for each in steps for part in _parts(each, fields)]
        if any(".".join(each.path.split(".")[:2]) not in fields for each in steps):
            raise _denied()
        rows: QuerySet[Any] = QuerySet(type(user))
        obj = rows.select_for_update().filter(pk=user.pk).first()
        if obj is None or not obj.is_active:
            raise _denied()
        _change(obj, steps, fields)
        return 1


def _profile_fields(model: type[Model], names: Iterable[str]) -> Fields:
    fields = {}
    for name in names:
        field = model._meta.get_field(name)
        if not isinstance(field, Field) or not can_be_sent(field):
            raise DDPError(
                f'DDPCORE_ACCOUNTS["SIGNUP_PROFILE"] names {name!r}, which clients cannot write.'
            )
        fields[f"profile.{name}"] = field
    return fields


def _parts(step: Step, fields: Fields) -> list[Step]:
    # The profile as a whole stands for its fields: those that are not given are not to be there.
    if step.path != "profile":
        return [step]
    if step.operator == "$unset":
        return [Step("$unset", name, None) for name in fields]
    if step.operator != "$set" or not isinstance(step.value, dict):
        raise _no_match({"profile": ["This is no profile."]})
    given = {f"profile.{name}": value for name, value in step.value.items()}
    gone = [Step("$unset", name, None) for name in fields if name not in given]
    return [*(Step("$set", name, value) for name, value in given.items()), *gone]


# What client and server agree on


def _denied() -> MeteorError:
    return MeteorError(403, "Access denied")


def _no_match(details: Mapping[str, list[str]] | None = None) -> MeteorError:
    return MeteorError(400, "Match failed", details or None)


def _id_of(params: Sequence[Any], method: str) -> object:
    """The id of the document that is meant, of whatever type ids may be with Meteor."""
    selector = params[0] if params else None
    if isinstance(selector, dict) and len(selector) == 1:
        selector = selector.get("_id")
    if isinstance(selector, bool) or not isinstance(selector, str | int | float | ObjectID):
        raise MeteorError(403, f"Not permitted. Untrusted code may only {method} documents by ID.")
    return selector


def _steps(modifier: object, options: object) -> list[Step]:
    """The parts of a modifier, as far as it is one of a kind that clients may use."""
    if not isinstance(modifier, dict):
        raise _no_match()
    if isinstance(options, dict) and options.get("upsert") not in (None, False, 0, ""):
        raise MeteorError(403, "Access denied. Upserts not allowed in a restricted collection.")
    if not modifier or not all(operator.startswith("$") for operator in modifier):
        raise MeteorError(
            403,
            "Access denied. In a restricted collection you can only update documents, not "
            "replace them. Use a Mongo update operator, such as '$set'.",
        )
    for operator in modifier:
        if operator not in OPERATORS:
            raise MeteorError(
                403,
                f"Access denied. Operator {operator} not allowed in a restricted collection.",
            )
    if not all(isinstance(each, dict) for each in modifier.values()):
        raise _no_match()
    return [
        Step(operator, path, value)
        for operator, values in modifier.items()
        for path, value in values.items()
    ]


# How a row is changed


def _change(
    obj: Any,
    steps: Sequence[Step],
    fields: Fields,
    hook: Callable[[Mapping[str, Any]], None] = lambda _: None,
    value: Callable[[Field[Any, Any], object], Any] = model_value,
) -> None:
    problems = _Problems(fields, type(obj))
    changes: dict[str, Any] = {}
    for step in steps:
        with problems.of(step.path):
            field = fields.get(step.path)
            if field is None:
                raise Unfit("Fields can be written as a whole only.")
            if field.name in changes:
                raise Unfit("This is written twice.")
            changes[field.name] = _changed(obj, field, step, value)
    problems.raise_any()
    hook(dict(changes))
    for field in fields.values():
        if field.name in changes:
            setattr(obj, field.attname, changes[field.name])
    unchanged = {field.name for field in obj._meta.fields} - changes.keys()
    # As Django's forms do: a field that is wrong since long is no reason against another.
    problems.clean(
        lambda: obj.full_clean(unchanged, validate_unique=False, validate_constraints=False)
    )
    problems.clean(obj.validate_unique)
    problems.clean(obj.validate_constraints)
    # Whole, for `auto_now` and the model's own `save`: it is locked, so nothing is overwritten.
    obj.save()


def _changed(
    obj: Any,
    field: Field[Any, Any],
    step: Step,
    value: Callable[[Field[Any, Any], object], Any],
) -> Any:
    if step.operator == "$set":
        return value(field, step.value)
    if step.operator == "$unset":
        return _nothing(field)
    now = getattr(obj, field.attname)
    if not isinstance(field, IntegerField | FloatField) or not isinstance(now, int | float):
        raise Unfit("This is no number.")
    by = model_value(FloatField(), step.value)
    return value(field, now + (int(by) if by.is_integer() else by))


def _nothing(field: Field[Any, Any]) -> Any:
    # Columns are always there: without a value they hold what stands for none.
    if field.null:
        return None
    if field.has_default():
        return field.get_default()
    if field.empty_strings_allowed:
        return ""
    raise Unfit("This field cannot be without a value.")


class _Problems:
    """What is wrong with what a client sent: name of the field → texts, all safe to show."""

    def __init__(self, fields: Fields, model: type[Model]) -> None:
        self._found: dict[str, list[str]] = {}
        key = model._meta.pk
        assert key is not None
        self._names = {key.name: "_id", NON_FIELD_ERRORS: NON_FIELD_ERRORS}
        self._names |= {field.name: name for name, field in fields.items()}

    def add(self, name: str, text: str) -> None:
        """Say what is wrong with a field."""
        self._found.setdefault(name, []).append(text)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """What raises `Unfit` in here is wrong with this field."""
        try:
            yield
        except Unfit as problem:
            self.add(name, str(problem))

    def raise_any(self) -> None:
        """Raise what has been found.

        Raises:
            ddpcore.MeteorError: 400 "Match failed".
        """
        if self._found:
            raise _no_match(self._found)

    def clean(self, validate: Callable[[], Any]) -> None:
        """Run a validation of Django's.

        Raises:
            ddpcore.MeteorError: 400 "Validation failed".
        """
        try:
            validate()
        except ValidationError as error:
            found: dict[str, list[str]] = (
                error.message_dict
                if hasattr(error, "error_dict")
                else {NON_FIELD_ERRORS: error.messages}
            )
            hidden = {name: texts for name, texts in found.items() if name not in self._names}
            known = {self._names[name]: found[name] for name in found.keys() - hidden.keys()}
            if hidden:
                # The client could do nothing about these, and need not know that they exist.
                logger.warning("Fields that clients may not write are not valid: %s", hidden)
            raise MeteorError(400, "Validation failed", known or None) from None
