"""`MeteorView`: a Meteor app in the URLs of a Django project."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, BinaryIO

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.urls import get_resolver
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View

from ddpcore.errors import DDPError
from ddpcore.meteor import BundleError, MeteorApp, Options, Request
from ddpcore.meteor.options import settings_of_environment

__all__ = ["MeteorView", "apps_in_urls", "meteor_settings"]

_apps: list[MeteorApp] = []
_lock = threading.Lock()

ENVIRONMENT = "METEOR_PUBLIC_ENVS"
"""Variable of the environment: names of variables, with spaces or commas, that become public
settings of a Meteor app that `MeteorView` serves. The Django setting of this name is a list."""

PIECE = 256 * 1024
"""Bytes of a large file that are sent at once."""


def apps_in_urls() -> list[MeteorApp]:
    """The Meteor apps that the project's URLs serve. In a thread: the URLs may yet be loaded."""
    if hasattr(settings, "ROOT_URLCONF"):
        _ = get_resolver().url_patterns
    return list(_apps)


def meteor_settings(
    given: Mapping[str, Any] | None = None, public_envs: Iterable[str] = ()
) -> dict[str, Any]:
    """`Meteor.settings`: what all have to say, the later before the earlier.

    These are `METEOR_SETTINGS` of the Django settings, the same of the environment (JSON), and
    what is given. Variables of the environment that `METEOR_PUBLIC_ENVS` names, likewise, become
    public ones (as in django-ddp 0.19).

    Args:
        given: The settings of one view.
        public_envs: Names of variables.

    Raises:
        ImproperlyConfigured: One of them is no dictionary, or no JSON.
    """
    try:
        environment = settings_of_environment()
    except DDPError as problem:
        raise ImproperlyConfigured(str(problem)) from problem
    merged: dict[str, Any] = {}
    for each in (getattr(settings, "METEOR_SETTINGS", {}), environment, given or {}):
        if not isinstance(each, Mapping) or not isinstance(each.get("public", {}), Mapping):
            raise ImproperlyConfigured(
                'METEOR_SETTINGS is a dictionary such as {"public": {"name": "value"}}.'
            )
        merged = _merged(merged, each)
    names = [
        *getattr(settings, ENVIRONMENT, ()),
        *os.environ.get(ENVIRONMENT, "").replace(",", " ").split(),
        *public_envs,
    ]
    public = {name: os.environ[name] for name in names if name in os.environ}
    return _merged(merged, {"public": public})


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    result = deepcopy(dict(one))
    for name, value in other.items():
        before = result.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            result[name] = _merged(before, value)
        else:
            result[name] = deepcopy(value)
    return result


def _app(
    path: str | os.PathLike[str],
    options: Options,
) -> MeteorApp:
    # Several patterns may serve one app: it is one to those who ask for its version, too.
    with _lock:
        for app in _apps:
            if os.fspath(app.path) == os.fspath(path) and app.options == options:
                return app
        app = MeteorApp(path, options)
        _apps.append(app)
        return app


@method_decorator(csrf_exempt, name="dispatch")
class MeteorView(View):
    """The client of a Meteor app, for a pattern that catches all paths.

    ::

        urlpatterns = [
            path("admin/", admin.site.urls),
            re_path("", MeteorView.as_view(json_path=BASE_DIR / "bundle" / "star.json")),
        ]

    All arguments of `as_view`, or attributes of a subclass:

    Attributes:
        json_path: The ``star.json`` of the bundle.
        root_url: Where it is seen from outside; None: where each request says, by https if
            `SECURE_SSL_REDIRECT` is set.
        root_url_path_prefix: What all its paths begin with, if it is not the path of `root_url`.
        bundled_js_css_prefix: See `ddpcore.meteor.Options`, as for the next five.
        inline_scripts: Whether the page may have its configuration in it.
        sri: Whether the page demands scripts and styles as they were built.
        source_maps: Whether source maps are served.
        html_attributes: Those of the page's ``html`` element.
        runtime_config: What else `__meteor_runtime_config__` has, or a function of the
            configuration and the `ddpcore.meteor.Request` (a method, in a subclass).
        meteor_settings: Settings that go before those of `METEOR_SETTINGS`; of all of them, pages
            get ``public`` alone.
        meteor_public_envs: Names of variables of the environment that become public settings.
        app: The app itself. `as_view` makes it of the others.
    """

    json_path: str | os.PathLike[str] | None = None
    root_url: str | None = None
    root_url_path_prefix: str | None = None
    bundled_js_css_prefix: str | None = None
    inline_scripts: bool = True
    sri: bool = False
    source_maps: bool = False
    html_attributes: Mapping[str, str] | None = None
    runtime_config: (
        Mapping[str, Any] | Callable[[dict[str, Any], Request], Mapping[str, Any]] | None
    ) = None
    meteor_settings: Mapping[str, Any] | None = None
    meteor_public_envs: Iterable[str] = ()
    app: MeteorApp | None = None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        """The view. The bundle is read when it is first needed, or when serving begins.

        Raises:
            ImproperlyConfigured: There is no `json_path`, or an option that cannot be.
        """
        # Once for the view, and not for each request.
        return super().as_view(**initkwargs, app=cls(**initkwargs)._make_app())

    def _make_app(self) -> MeteorApp:
        if self.json_path is None:
            raise ImproperlyConfigured(
                "MeteorView needs the star.json of a bundle: "
                'MeteorView.as_view(json_path="…/bundle/star.json").'
            )
        options = Options(
            root_url=self.root_url,
            prefix=self.root_url_path_prefix,
            public_settings=meteor_settings(self.meteor_settings, self.meteor_public_envs).get(
                "public", {}
            ),
            inline_scripts=self.inline_scripts,
            sri=self.sri,
            source_maps=self.source_maps,
            bundled_js_css_prefix=self.bundled_js_css_prefix,
            html_attributes=self.html_attributes or {},
            runtime_config=self.runtime_config,
        )
        try:
            _ = options.path
        except DDPError as problem:
            raise ImproperlyConfigured(str(problem)) from problem
        return _app(self.json_path, options)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer a request, whatever its method.

        Raises:
            ImproperlyConfigured: The bundle cannot be served.
        """
        del args, kwargs
        assert self.app is not None
        secure = request.is_secure() or settings.SECURE_SSL_REDIRECT
        asked = Request(
            method=request.method or "",
            path=request.META.get("SCRIPT_NAME", "") + request.path_info,
            query=request.META.get("QUERY_STRING", ""),
            headers={name.lower(): value for name, value in request.headers.items()},
            scheme="https" if secure else "http",
            host=request.get_host(),
            body=lambda: request.body,
        )
        try:
            response = self.app.respond(asked)
        except BundleError as problem:
            raise ImproperlyConfigured(str(problem)) from problem
        if isinstance(response.body, bytes):
            return _plain(HttpResponse(response.body, status=response.status), response.headers)
        large = (
            StreamingHttpResponse(_Pieces(response.body), status=response.status)
            if isinstance(request, ASGIRequest)
            else FileResponse(response.body, status=response.status)
        )
        return _plain(large, response.headers)


class _Pieces:
    """A file for ASGI: of a `FileResponse` Django would take all into memory there, and warn."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await asyncio.to_thread(self._file.read, PIECE):
            yield piece

    def close(self) -> None:
        """Django calls this at the end of the response, whichever that is."""
        self._file.close()


def _plain(response: HttpResponseBase, headers: Mapping[str, str]) -> HttpResponseBase:
    for name in ("Content-Type", "Content-Disposition"):
        if name in response:
            del response[name]
    for name, value in headers.items():
        response[name] = value
    return response
