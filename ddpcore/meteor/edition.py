"""An edition: one state of a bundle, and all that is told of it.

What pages hold as their versions and what the autoupdate publication tells must be equal, or pages
would reload for ever. So both are made here, of one and the same state.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ddpcore.meteor.browsers import is_modern
from ddpcore.meteor.bundle import Bundle, Item, Program
from ddpcore.meteor.compression import compress
from ddpcore.meteor.options import Options
from ddpcore.meteor.page import public_url
from ddpcore.meteor.versions import versions

__all__ = ["CORDOVA", "Edition"]

MODERN = "web.browser"
LEGACY = "web.browser.legacy"
CORDOVA = "web.cordova"

OUTDATED = ("version", "version-refreshable", "version-cordova")
"""Documents that clients of years ago look for; what they say has them reload (Meteor 3.0.4)."""


class Edition:
    """One state of a bundle.

    Args:
        bundle: The files.
        options: How they are served.

    Attributes:
        versions: Of each program, by architecture.
    """

    def __init__(self, bundle: Bundle, options: Options) -> None:
        self.bundle = bundle
        self.options = options
        self.versions = {
            arch: versions(program, options.public_settings, options.autoupdate_version)
            for arch, program in bundle.programs.items()
        }
        self._manifests = {arch: self._manifest(arch) for arch in bundle.programs}
        self._compressed: dict[Path, bytes] = {}
        self._lock = threading.Lock()

    def _manifest(self, arch: str) -> bytes:
        raw = self.bundle.programs[arch].raw
        told = {
            "format": raw["format"],
            "manifest": raw["manifest"],
            "version": self.versions[arch]["version"],
            "PUBLIC_SETTINGS": self.options.public_settings,
        }
        for name in ("cordovaCompatibilityVersions", "hmrVersion"):
            if name in raw:
                told[name] = raw[name]
        return json.dumps(told).encode()

    def arch_for(self, user_agent: str) -> str:
        """The architecture for a browser: the best that this bundle has."""
        order = (MODERN, LEGACY) if is_modern(user_agent) else (LEGACY, MODERN)
        return next((arch for arch in order if arch in self.bundle.programs), self._any)

    @property
    def _any(self) -> str:
        return next(iter(self.bundle.programs))

    def split(self, path: str) -> tuple[str | None, str]:
        """The architecture that a path names, such as ``/__browser.legacy/…``, and the rest."""
        if path.startswith("/__"):
            name, _, rest = path[3:].partition("/")
            if (arch := f"web.{name}") in self.bundle.programs:
                return arch, f"/{rest}"
        return None, path

    def programs(self, first: str) -> Iterator[Program]:
        """All programs, that of one architecture before the others."""
        programs = self.bundle.programs
        if first in programs:
            yield programs[first]
        yield from (each for arch, each in programs.items() if arch != first)

    def find(self, path: str, arch: str) -> Item | None:
        """The file for clients at a decoded path."""
        return next(
            (each.by_path[path] for each in self.programs(arch) if path in each.by_path), None
        )

    def find_map(self, path: str, arch: str) -> Item | None:
        """The file whose source map is at a decoded path."""
        return next((each.maps[path] for each in self.programs(arch) if path in each.maps), None)

    def manifest(self, arch: str) -> bytes:
        """What ``/__…/manifest.json`` says, of which Cordova apps learn what to load."""
        return self._manifests[arch]

    def config(self, arch: str, root_url: str) -> dict[str, Any]:
        """`__meteor_runtime_config__`, as Meteor 3.0.4 has it, but for what requests add."""
        bundle, options = self.bundle, self.options
        config: dict[str, Any] = {
            "meteorEnv": {"NODE_ENV": "production", "TEST_METADATA": "{}"},
            "PUBLIC_SETTINGS": options.public_settings,
            "ROOT_URL": root_url,
            "ROOT_URL_PATH_PREFIX": options.path,
            "isModern": arch != LEGACY,
            "autoupdate": {
                "versions": self.versions,
                "autoupdateVersion": None,
                "autoupdateVersionRefreshable": None,
                "autoupdateVersionCordova": None,
                "appId": bundle.app_id,
            },
            "appId": bundle.app_id,
            "meteorRelease": bundle.release,
        }
        if bundle.commit is not None:
            config["gitCommitHash"] = bundle.commit
        if arch == CORDOVA:  # its pages come from a file
            config["DDP_DEFAULT_CONNECTION_URL"] = root_url
        if isinstance(options.runtime_config, Mapping):
            config |= options.runtime_config
        return config

    def config_hash(self, arch: str) -> str:
        """What pages name their configuration by: the same in all processes that serve alike."""
        config = self.config(arch, self.options.root_url or "")
        text = json.dumps(config, separators=(",", ":"))
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def documents(self) -> dict[str, dict[str, Any]]:
        """What the autoupdate publication tells: fields by id."""
        told: dict[str, dict[str, Any]] = {
            arch: {
                **self.versions[arch],
                "assets": [
                    {"url": public_url(each.url or "", self.options)}
                    for each in program.of_type("css")
                ],
            }
            for arch, program in self.bundle.programs.items()
        }
        return told | {name: {"version": "outdated"} for name in OUTDATED}

    def compressed(self, file: Path, content: bytes) -> bytes:
        """The content of a file, compressed once and then kept."""
        found = self._compressed.get(file)
        if found is None:
            with self._lock:  # of many who come at once, one compresses
                found = self._compressed.get(file)
                if found is None:
                    found = self._compressed[file] = compress(content)
        return found
