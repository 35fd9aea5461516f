"""Endpoints: methods that clients can call, as functions of a class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar, overload

from django.conf import settings
from django.utils.module_loading import import_string

__all__ = ["APIMixin", "api_endpoint"]

F = TypeVar("F", bound=Callable[..., Any])


@overload
def api_endpoint(path: F) -> F: ...
@overload
def api_endpoint(path: str | None = None, *, decorate: bool = True) -> Callable[[F], F]: ...
def api_endpoint(path: F | str | None = None, *, decorate: bool = True) -> F | Callable[[F], F]:
    """Let clients call this function of an `APIMixin`: ``@api_endpoint`` or with a path.

    Args:
        path: The last part of the method's name; by default the function's name.
        decorate: Whether the project's `DDP_API_ENDPOINT_DECORATORS` apply, which wrap all
            endpoints (as in django-ddp 0.19).

    Returns:
        The function itself, marked; or with a path what marks one.
    """
    if callable(path):
        return api_endpoint()(path)

    def mark(function: F) -> F:
        function.api_path = path or function.__name__  # type: ignore[attr-defined]
        function.api_decorate = decorate  # type: ignore[attr-defined]
        return function

    return mark


class APIMixin:
    """Something with endpoints; a method's name is `api_path_prefix` and the endpoint's path.

    Attributes:
        name: What it is called; by default the class's name.
        api_path_prefix: What comes before each endpoint's path; may be empty.
        api_path_prefix_format: From which it is made where it is not given: ``{name}``.
    """

    name: str | None = None
    api_path_prefix: str | None = None
    api_path_prefix_format: ClassVar[str] = "/"

    def __init__(self) -> None:
        if self.name is None:
            self.name = self.default_name()
        if self.api_path_prefix is None:
            self.api_path_prefix = self.api_path_prefix_format.format(name=self.name)

    def default_name(self) -> str:
        """The name, where the class gives none."""
        return type(self).__name__

    def ready(self) -> None:
        """Called once everything is registered; for subclasses."""

    def api_path_map(self) -> dict[str, Callable[..., Any]]:
        """The endpoints: method name → function."""
        return {
            f"{self.api_path_prefix}{function.api_path}": _decorated(function)
            for function in self._endpoints()
        }

    def api_endpoint(self, api_path: str) -> Callable[..., Any]:
        """The function behind the method whose name is `api_path`.

        Raises:
            KeyError: There is none.
        """
        return self.api_path_map()[api_path]

    def _endpoints(self) -> Iterator[Any]:
        for name in dir(type(self)):
            if getattr(getattr(type(self), name, None), "api_path", None):
                yield getattr(self, name)


def _decorated(function: Any) -> Callable[..., Any]:
    decorated: Callable[..., Any] = function
    if function.api_decorate:
        # For instrumentation of all endpoints at once, e.g. by New Relic.
        for path in reversed(getattr(settings, "DDP_API_ENDPOINT_DECORATORS", [])):
            decorated = import_string(path)()(decorated)
    return decorated
