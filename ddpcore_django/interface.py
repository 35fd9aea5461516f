"""What clients may use of a project: what `ddpcore types --settings …` declares."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NotRequired, Required, TypedDict, get_args, get_origin

from django.db.models import FloatField, IntegerField, QuerySet

from ddpcore.errors import DDPError
from ddpcore.live.query import LiveQuery
from ddpcore.server import Server
from ddpcore.typescript.annotations import first_paragraph, shape_of
from ddpcore.typescript.interface import Function, Interface
from ddpcore.typescript.shapes import Member, Shape, merged
from ddpcore_django.collection import Collection
from ddpcore_django.documents import Projection
from ddpcore_django.field_types import annotation_of, extra_annotation
from ddpcore_django.mutators import CollectionMutators
from ddpcore_django.publication import Publication
from ddpcore_django.registry import API, Registry
from ddpcore_django.server import make_server

__all__ = ["ById", "project_interface"]


def project_interface(settings: str, registry: Registry = API) -> Interface:
    """The interface of the project that Django has been set up for. No database is asked.

    Args:
        settings: The name of its settings module.
        registry: Where its collections, publications and endpoints are registered.

    Raises:
        ddpcore.DDPError: A publication cannot be published as it is.
    """
    server = make_server(registry)
    interface = Interface.of(server, f"ddpcore types --settings {settings}")
    shapes: dict[str, list[Shape]] = defaultdict(list)
    for name, annotation in server.collections.items():
        if (shape := shape_of(annotation)) is not None:
            shapes[name].append(shape)
    for name, collection in registry.collections.items():
        shapes[name].append(_documents(registry, collection, name, collection.get_queryset()))
    for name, publication in registry.publications.items():
        shown = _shown_by(registry, publication)
        for each, of_each in (shown or {}).items():
            shapes[each].append(of_each)
        found = interface.publications[name]
        signature = found.signature
        if type(publication).get_queries is Publication.get_queries:  # it takes no parameters
            signature = signature.replace(parameters=())
        interface.publications[name] = Function(signature, _note(publication), shown)
    for name, of_name in shapes.items():
        interface.collections[name] = merged(of_name)
    _describe_mutators(registry, server, interface)
    return interface


# --- publications -------------------------------------------------------------------------------


def _note(publication: Publication) -> str:
    kind = type(publication)
    own = kind.get_queries.__doc__ if kind.get_queries is not Publication.get_queries else None
    return first_paragraph(own or kind.__doc__)


def _shown_by(registry: Registry, publication: Publication) -> dict[str, Shape] | None:
    """The documents it shows, by collection; None if it depends on who asks, and for what."""
    if type(publication).get_queries is not Publication.get_queries or publication.queries is None:
        return None
    shapes: dict[str, list[Shape]] = defaultdict(list)
    for item in publication.queries:
        queryset, name = item if isinstance(item, tuple) else (item, None)
        if isinstance(queryset, LiveQuery):
            shapes[queryset.collection].append(Shape({}, more=True))
            continue
        if not isinstance(queryset, QuerySet):
            return None
        collection = registry.collection_for(queryset.model, name)
        shown = name or str(collection.name)
        whole = collection.get_queryset(queryset)
        try:
            shapes[shown].append(_documents(registry, collection, shown, whole))
        except TypeError as problem:
            raise DDPError(f"{publication.name} cannot be published: {problem}") from problem
    return {name: merged(of_name) for name, of_name in shapes.items()}


# --- documents ----------------------------------------------------------------------------------


def _documents(
    registry: Registry, collection: Collection, name: str, queryset: QuerySet[Any]
) -> Shape:
    """What the documents of a queryset hold."""
    projection = Projection(collection, name, queryset)
    many = {f"{field.name}_ids": field for field in projection.many_to_many}
    members: dict[str, Member] = {}
    if type(collection).serialize is Collection.serialize:
        members |= _members(registry, projection.fields)
        more = False
    else:
        made = _serialized(collection, projection)
        members |= made.members
        more = made.more
    for of_many, field in many.items():
        members[of_many] = Member(list[str], note=_refers(registry, field))
    for extra, like in projection.extras.items():
        # What a `serialize` of the project's own puts there stands.
        members.setdefault(extra, Member(extra_annotation(queryset, extra, like)))
    return Shape(_with_types(collection, members, whole=_is_whole(collection, projection)), more)


def _members(registry: Registry, fields: Any) -> dict[str, Member]:
    return {
        str(field.column): Member(annotation_of(field), note=_refers(registry, field))
        for field in fields
    }


def _serialized(collection: Collection, projection: Projection) -> Shape:
    # By a `serialize` of the project's own, which may say what it gives.
    signature = inspect.signature(type(collection).serialize, eval_str=True)
    shape = shape_of(signature.return_annotation)
    if shape is None:
        return Shape({}, more=True)
    return shape if _is_whole(collection, projection) else shape.partial()


def _is_whole(collection: Collection, projection: Projection) -> bool:
    return len(projection.fields) == len(collection.published_fields())


def _with_types(
    collection: Collection, members: Mapping[str, Member], *, whole: bool
) -> dict[str, Member]:
    # A name that the model does not have is that of an annotation somewhere, and not always there.
    found = dict(members)
    custom = (
        type(collection).serialize is not Collection.serialize
    )  # nothing else says what is there
    for name, annotation in collection.field_types.items():
        if name not in found and not whole:
            continue
        required = name in found or custom
        if get_origin(annotation) in (NotRequired, Required):
            required = get_origin(annotation) is Required
            (annotation,) = get_args(annotation)  # noqa: PLW2901
        found[name] = Member(annotation, required, found[name].note if name in found else "")
    return found


def _refers(registry: Registry, field: Any) -> str:
    if not field.is_relation or field.related_model is None:
        return ""
    try:
        name = registry.collection_of(field.related_model).name
    except DDPError:
        return ""
    several = "Ids of documents" if field.many_to_many else "The id of a document"
    return f"{several} of `{name}`."


# --- what clients may write ---------------------------------------------------------------------


class ById(TypedDict):
    """A document, by its id."""

    _id: str


def _describe_mutators(registry: Registry, server: Server, interface: Interface) -> None:
    """The six methods of each collection: those that clients may call, and no others."""
    described = {
        f"/{name}/{kind}": method
        for name, collection in registry.collections.items()
        for kind, method in _mutators(registry, collection)
    }
    for name, handler in server.methods.items():
        if handler.function.__module__ != CollectionMutators.__module__:
            continue  # the project's own
        method = described.get(name.removesuffix("Async"))
        if method is None:
            del interface.methods[name]
        else:
            interface.methods[name] = method


def _mutators(registry: Registry, collection: Collection) -> Iterator[tuple[str, Function]]:
    mutators = CollectionMutators(registry, collection)
    selector = str | ById
    if "insert" in mutators.allowed:
        document = _written(registry, collection, collection.client_insert)
        if mutators.takes_ids:
            document["_id"] = Member(str, required=False)
        yield "insert", _function({"document": Shape(document)}, str, "Insert a document; its id.")
    if "update" in mutators.allowed:
        fields = collection.client_fields(collection.client_update)
        of_set = Shape(_written(registry, collection, collection.client_update))
        numbers = [n for n, field in fields.items() if isinstance(field, IntegerField | FloatField)]
        modifier = {
            "$set": Member(of_set, required=False),
            "$unset": Member(_optional(fields, Literal["", 1, True]), required=False),
        }
        if numbers:
            modifier["$inc"] = Member(_optional(numbers, float), required=False)
        given = {"selector": selector, "modifier": Shape(modifier)}
        yield "update", _function(given, int, "Change a document; how many there were: 1 or 0.")
    if "remove" in mutators.allowed:
        note = "Remove a document; how many there were: 1 or 0."
        yield "remove", _function({"selector": selector}, int, note)


def _written(registry: Registry, collection: Collection, names: Any) -> dict[str, Member]:
    fields = collection.client_fields(names).values()
    members = _with_types(collection, _members(registry, fields), whole=False)
    return dict(Shape(members).partial().members)


def _optional(names: Any, annotation: Any) -> Shape:
    return Shape({name: Member(annotation, required=False) for name in names})


def _function(given: Mapping[str, Any], result: Any, note: str) -> Function:
    parameters = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY, annotation=annotation)
        for name, annotation in given.items()
    ]
    return Function(inspect.Signature(parameters, return_annotation=result), note)
