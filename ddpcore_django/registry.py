"""`API`: what all the `ddp.py` modules have registered."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from importlib import import_module
from typing import Any, cast

from django.apps import apps
from django.db.models import Model
from django.utils.module_loading import module_has_submodule

from ddpcore.errors import DDPError
from ddpcore_django.collection import Collection
from ddpcore_django.endpoints import APIMixin
from ddpcore_django.publication import Publication

__all__ = ["API", "AlreadyRegistered", "Registry", "autodiscover"]


class AlreadyRegistered(DDPError):
    """Two things were registered under one name."""


class Registry:
    """Collections, publications and endpoints by name; `API` is the project's.

    Attributes:
        providers: An instance of each class that was registered, in this order.
        collections: Name → collection.
        publications: Name → publication.
        methods: Name → endpoint.
        watched: Model → names of fields, of what `watch` was told.
    """

    def __init__(self) -> None:
        self.providers: list[APIMixin] = []
        self.collections: dict[str, Collection] = {}
        self.publications: dict[str, Publication] = {}
        self.methods: dict[str, Any] = {}
        self.watched: dict[type[Model], tuple[str, ...]] = {}

    def register(self, api: type[APIMixin] | Iterable[type[APIMixin]]) -> None:
        """Register one class or several.

        Args:
            api: Subclasses of `Collection`, `Publication` or `APIMixin`; one instance is made of
                each.

        Raises:
            AlreadyRegistered: A name is taken. Nothing of that class is registered then.
        """
        classes = [api] if inspect.isclass(api) else list(api)
        for each in classes:
            self._register(each())

    def _register(self, provider: APIMixin) -> None:
        name = cast("str", provider.name)
        methods = provider.api_path_map()
        taken = next((path for path in methods if path in self.methods), None)
        if taken is not None:
            raise AlreadyRegistered(f"A method named {taken!r} is registered already.")
        if isinstance(provider, Collection):
            _claim(self.collections, name, provider, "collection")
        if isinstance(provider, Publication):
            _claim(self.publications, name, provider, "publication")
        self.methods.update(methods)
        self.providers.append(provider)

    def watch(self, model: type[Model], carries: Iterable[str] = ()) -> None:
        """Have the changes of a model announced though no collection may publish it.

        Args:
            model: Whose.
            carries: Names of the fields whose values travel in notifications, beside those that
                collections let travel; see `Collection.carries`.
        """
        self.watched[model] = (*self.watched.get(model, ()), *carries)

    def collection_of(self, model: type[Model]) -> Collection:
        """The collection that publishes `model`, the first registered if there are several.

        Raises:
            ddpcore.DDPError: There is none.
        """
        for collection in self.collections.values():
            if collection.model is model:
                return collection
        concrete = model._meta.concrete_model
        for collection in self.collections.values():
            if collection.model._meta.concrete_model is concrete:
                return collection
        raise DDPError(
            f"No Collection publishes {model._meta.label}. Write one in a ddp.py: "
            f"class {model.__name__}s(Collection): model = {model.__name__}; and name it in "
            f"API.register([{model.__name__}s, ...])."
        )

    def collection_for(self, model: type[Model], name: str | None) -> Collection:
        """The collection that makes the documents of a queryset.

        Args:
            model: The queryset's.
            name: Under which it is published, if that is said.

        Raises:
            ddpcore.DDPError: There is none.
        """
        collection = self.collection_named(name) if name is not None else None
        if collection is None or not issubclass(model, collection.model):
            return self.collection_of(model)
        return collection

    def collection_named(self, name: str) -> Collection | None:
        """The collection called `name`, if it is registered."""
        return self.collections.get(name)


def _claim(names: dict[str, Any], name: str, provider: APIMixin, what: str) -> None:
    if name in names:
        raise AlreadyRegistered(f"A {what} named {name!r} is registered already.")
    names[name] = provider


API = Registry()
"""The project's registry; `API.register([…])` at the end of a `ddp.py`."""


def autodiscover() -> None:
    """Import `ddp.py` of every installed app, or `dddp.py`, as django-ddp also called it."""
    for app in apps.get_app_configs():
        for name in ("ddp", "dddp"):
            if app.module is not None and module_has_submodule(app.module, name):
                import_module(f"{app.name}.{name}")
    for provider in API.providers:
        provider.ready()
