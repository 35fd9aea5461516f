"""Django models, live: collections, publications and methods in an app's `ddp.py`.

::

    INSTALLED_APPS = [..., "ddpcore_django"]

    # bookstore/ddp.py
    from ddpcore_django import API, Collection, Publication
    from bookstore import models

    class Book(Collection):
        model = models.Book

    class AllBooks(Publication):
        queries = [models.Book.objects.all()]

    API.register([Book, AllBooks])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddpcore_django.api import (
        API,
        AleaIdField,
        AlreadyRegistered,
        APIMixin,
        Collection,
        MeteorError,
        Publication,
        api_endpoint,
        login_required,
        permission_required,
        staff_only,
        this,
    )
    from ddpcore_django.views import MeteorView

__all__ = [
    "API",
    "APIMixin",
    "AleaIdField",
    "AlreadyRegistered",
    "Collection",
    "MeteorError",
    "MeteorView",
    "Publication",
    "api_endpoint",
    "login_required",
    "permission_required",
    "staff_only",
    "this",
]


def __getattr__(name: str) -> Any:
    # Late: the plugin module lives in this package and is loaded also where Django is missing.
    if name == "MeteorView":
        return getattr(import_module("ddpcore_django.views"), name)
    if name in __all__:
        return getattr(import_module("ddpcore_django.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
