"""How a Meteor app is served, as one value."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ddpcore.errors import DDPError

if TYPE_CHECKING:
    from ddpcore.meteor.responder import Request

__all__ = ["Options", "path_prefix", "settings_of_environment"]

SETTINGS = "METEOR_SETTINGS"
"""Variable of the environment: the settings of a Meteor app, a JSON object such as
``{"public": {"name": "value"}}``, as for Meteor's own server. Pages get what is public."""

VERSION = "AUTOUPDATE_VERSION"
"""Variable of the environment: what all versions of a Meteor app are to be, in place of hashes of
its files, as for Meteor's own server: clients load the page anew when it changes."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a Meteor app is served.

    Attributes:
        root_url: Where it is seen from outside; None: where each request says.
        prefix: What all paths begin with, such as ``/app``; None: the path of `root_url`.
        public_settings: `Meteor.settings.public`.
        inline_scripts: Whether the page has a script in it with its configuration. Without, it is
            loaded from ``meteor_runtime_config.js``, and a strict Content-Security-Policy allows
            the page.
        sri: Whether pages demand that scripts and styles are as they were built.
        source_maps: Whether source maps are served, and with them the app's sources.
        bundled_js_css_prefix: What comes before the URLs of scripts and styles in pages, such as
            that of a CDN; None: `prefix`.
        html_attributes: Those of the page's ``html`` element.
        runtime_config: What else `__meteor_runtime_config__` has; or a function of it and the
            request that gives what is to be sent.
        autoupdate_version: What all versions are to be; None: hashes of the files.
    """

    root_url: str | None = None
    prefix: str | None = None
    public_settings: Mapping[str, Any] = field(default_factory=dict)
    inline_scripts: bool = True
    sri: bool = False
    source_maps: bool = False
    bundled_js_css_prefix: str | None = None
    html_attributes: Mapping[str, str] = field(default_factory=dict)
    runtime_config: (
        Mapping[str, Any] | Callable[[dict[str, Any], Request], Mapping[str, Any]] | None
    ) = None
    autoupdate_version: str | None = field(default_factory=lambda: os.environ.get(VERSION) or None)

    @property
    def path(self) -> str:
        """The prefix in effect: empty, or with a slash in front and none behind.

        Raises:
            ddpcore.DDPError: `root_url` is no URL of a web site.
        """
        if self.prefix is None:
            return path_prefix(self.root_url)
        return "/" + self.prefix.strip("/") if self.prefix.strip("/") else ""


def path_prefix(root_url: str | None) -> str:
    """The path of a ROOT_URL: empty, or with a slash in front and none behind.

    Raises:
        ddpcore.DDPError: It is no URL of a web site.
    """
    if root_url is None:
        return ""
    try:
        parts = urlsplit(root_url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        fits = False
    if not fits or parts.query or parts.fragment:
        raise DDPError(
            f"A root URL is such as https://www.example.com/ or https://example.com/app, "
            f"not {root_url!r}."
        )
    return parts.path.rstrip("/")


def settings_of_environment(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What METEOR_SETTINGS in the environment holds, as for Meteor's own server.

    Raises:
        ddpcore.DDPError: It is no JSON object.
    """
    text = environ.get(SETTINGS) or "{}"
    try:
        found = json.loads(text)
    except ValueError as problem:
        raise DDPError(f"METEOR_SETTINGS in the environment is no JSON: {problem}.") from problem
    if not isinstance(found, dict) or not isinstance(found.get("public", {}), dict):
        raise DDPError('METEOR_SETTINGS is a JSON object such as {"public": {"name": "value"}}.')
    return found
