"""The versions of a client program: hashes by which a page knows that it is out of date."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from ddpcore.meteor.bundle import Item, Program

__all__ = ["versions"]

_FILTERS: Mapping[str, Callable[[Item], bool]] = {
    "version": lambda item: True,  # noqa: ARG005
    "versionRefreshable": lambda item: item.type == "css",
    "versionNonRefreshable": lambda item: item.type != "css" and not item.replaceable,
    "versionReplaceable": lambda item: item.replaceable,
}


def versions(
    program: Program, public_settings: Mapping[str, Any] | None, override: str | None = None
) -> dict[str, str]:
    """The versions of a program, as pages and the autoupdate publication tell them.

    Args:
        program: The program.
        public_settings: `Meteor.settings.public`; they are a part of the app.
        override: What all versions are to be, as AUTOUPDATE_VERSION in the environment.

    Returns:
        ``version`` (all), ``versionRefreshable`` (the styles, which change without a reload),
        ``versionNonRefreshable`` (the rest), ``versionReplaceable`` (what pages can exchange),
        and ``versionHmr`` where a development build has one (Meteor 3.0.4,
        `webapp-hashing/webapp-hashing.js`).
    """
    found = {name: override or _hash(program, public_settings, _FILTERS[name]) for name in _FILTERS}
    if "hmrVersion" in program.raw:
        found["versionHmr"] = program.raw["hmrVersion"]
    return found


def _hash(
    program: Program, settings: Mapping[str, Any] | None, wanted: Callable[[Item], bool]
) -> str:
    config = {} if settings is None else {"PUBLIC_SETTINGS": settings}
    text = json.dumps(config, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False)
    for item in program.items:
        if wanted(item):
            digest.update(item.path.encode("utf-8", "surrogatepass"))
            digest.update(item.hash.encode())
    return digest.hexdigest()
