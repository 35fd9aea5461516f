"""A bundle: the files that ``meteor build`` makes, read and checked.

``star.json`` names the programs; each client program has a ``program.json`` whose manifest names
its files. Nothing that no manifest of a client program gives to clients is known here, so nothing
else can be served (form: Meteor 3.0.4, `tools/isobuild/bundler.js`, `webapp_server.js`).
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ddpcore.errors import DDPError

__all__ = [
    "Bundle",
    "BundleError",
    "Item",
    "Program",
    "Signature",
    "SourceMap",
    "load",
    "path_of",
    "signature",
]

STAR_FORMAT = "site-archive-pre1"
PROGRAM_FORMAT = "web-program-pre1"


Signature = tuple[int, ...]
"""What a file is like from outside; of another content it is another one."""


def signature(path: Path) -> Signature | None:
    """What a file is like from outside; None if there is none."""
    try:
        return _signature(path.stat())
    except OSError:
        return None


def _signature(found: os.stat_result) -> Signature:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class BundleError(DDPError):
    """A bundle cannot be served; the text names the file and says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class SourceMap:
    """Where in the sources the lines of a script are.

    Attributes:
        file: Where it lies.
        url: Where clients ask for it.
    """

    file: Path
    url: str


@dataclass(frozen=True, slots=True)
class Item:
    """A file of a client program.

    Attributes:
        path: Its name in the program.
        file: Where it lies.
        type: ``js``, ``css``, ``asset``, ``dynamic js``, ``json``, ``head``, ``body``.
        where: ``client``, or ``internal`` for what goes into the page.
        url: Where clients ask for it, maybe with a query; None: nowhere.
        cacheable: Whether its URL changes with its content.
        replaceable: Whether running pages can exchange it (in development).
        hash: Its SHA-1, in hexadecimal.
        size: Its length in bytes.
        sri: Its SHA-512 in base64, which pages may demand.
        source_map: Where its lines come from.
    """

    path: str
    file: Path
    type: str
    where: str
    url: str | None
    cacheable: bool
    replaceable: bool
    hash: str
    size: int
    sri: str | None = None
    source_map: SourceMap | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """What one kind of browsers runs.

    Attributes:
        arch: ``web.browser``, ``web.browser.legacy``, ``web.cordova``.
        items: Its files, in order.
        raw: Its program.json as it is.
        by_path: Those for clients, by the decoded path of their URLs.
        dynamic: Those that ``import()`` fetches, by their names in the program.
        maps: The source maps, by the decoded paths of their URLs.
        head: HTML for the head of the page.
        body: HTML for its body.
    """

    arch: str
    items: tuple[Item, ...]
    raw: Mapping[str, Any]
    by_path: Mapping[str, Item]
    dynamic: Mapping[str, Item]
    maps: Mapping[str, Item]
    head: str
    body: str

    def of_type(self, kind: str) -> list[Item]:
        """The files whose `Item.type` is `kind`, as far as pages load them by URL."""
        return [each for each in self.items if each.type == kind and each.url and _public(each)]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A Meteor app as it was built.

    Attributes:
        path: Its star.json.
        programs: The client programs by architecture.
        app_id: Which app it is, in all its versions; None if the bundle does not say.
        release: Meteor's version.
        commit: The git commit of the app, if known.
        files: The files whose change makes it another bundle, and what they were like.
    """

    path: Path
    programs: Mapping[str, Program]
    app_id: str | None = None
    release: str | None = None
    commit: str | None = None
    files: Mapping[Path, Signature | None] = field(default_factory=dict)


def load(path: str | Path) -> Bundle:
    """Read a bundle.

    Args:
        path: Its ``star.json``, or the directory with it.

    Raises:
        BundleError: It is damaged, of another format, or names files that are not its own. A file
            is a program's own if it lies in its directory when all symbolic links are followed.
    """
    path = Path(path)
    if path.is_dir():
        path /= "star.json"
    star, seen = _read(path)
    _check_format(path, star, STAR_FORMAT)
    named = star.get("programs")
    if not isinstance(named, list) or not all(isinstance(each, dict) for each in named):
        raise BundleError(f"{path} has no list of programs. Build the app again.")
    root = path.resolve().parent
    programs: dict[str, Program] = {}
    files: dict[Path, Signature | None] = {path: seen}
    server = root / "programs" / "server"
    for each in named:
        arch, where = each.get("arch"), each.get("path")
        if not isinstance(arch, str) or not isinstance(where, str):
            raise BundleError(f"{path} has a program without arch or path. Build the app again.")
        if each.get("name") == "server":
            server = _within(root, str(Path(where).parent), path)
        elif arch.startswith("web."):
            found = _within(root, where, path)
            # An app may be built for some architectures only (Meteor 3.0.4, `webapp_server.js`).
            files[path.parent / where] = None
            if found.exists():
                programs[arch], files[path.parent / where] = _program(arch, found)
    if not programs:
        raise BundleError(
            f"{path} has no program for browsers that exists. Build the app anew, with meteor "
            "build --directory, and name the star.json of its bundle."
        )
    config_file = server / "config.json"
    config = _read(config_file)[0] if config_file.exists() else {}
    return Bundle(
        path=path,
        programs=programs,
        app_id=_text(config.get("appId")),
        release=_text(config.get("meteorRelease")) or _text(star.get("meteorRelease")),
        commit=_text(star.get("gitCommitHash")),
        files=files,
    )


def _program(arch: str, path: Path) -> tuple[Program, Signature]:
    raw, seen = _read(path)
    _check_format(path, raw, PROGRAM_FORMAT)
    manifest = raw.get("manifest")
    if not isinstance(manifest, list) or not all(isinstance(each, dict) for each in manifest):
        raise BundleError(f"{path} has no manifest. Build the app again.")
    # What is neither for clients nor for the page is nobody's business.
    items = tuple(
        _item(each, path) for each in manifest if each.get("where") in ("client", "internal")
    )
    public = [each for each in items if _public(each)]
    program = Program(
        arch=arch,
        items=items,
        raw=raw,
        by_path={path_of(each.url): each for each in public if each.url},
        dynamic={each.path: each for each in public if each.type == "dynamic js"},
        maps={path_of(each.source_map.url): each for each in public if each.source_map},
        head=_fragment(items, "head"),
        body=_fragment(items, "body"),
    )
    return program, seen


def _item(raw: Mapping[str, Any], manifest: Path) -> Item:
    name, digest, url = raw.get("path"), raw.get("hash"), raw.get("url")
    if not isinstance(name, str) or not isinstance(digest, str) or not digest.isalnum():
        raise BundleError(f"{manifest} has a file without path or hash. Build the app again.")
    if url is not None and not (isinstance(url, str) and url.startswith("/")):
        raise BundleError(f"{manifest}: the URL of {name!r} is {url!r}. Build the app again.")
    file, size = _file(manifest, name)
    if raw.get("size", size) != size:
        raise BundleError(
            f"{file} has {size} bytes, and {manifest} says {raw['size']}. Copy the bundle again, "
            "completely."
        )
    map_name, map_url = raw.get("sourceMap"), raw.get("sourceMapUrl")
    source_map = None
    if isinstance(map_name, str) and isinstance(map_url, str):
        source_map = SourceMap(_file(manifest, map_name)[0], map_url)
    return Item(
        path=name,
        file=file,
        type=str(raw.get("type")),
        where=str(raw["where"]),
        url=url,
        cacheable=raw.get("cacheable") is True,
        replaceable=raw.get("replaceable") is True,
        hash=digest,
        size=size,
        sri=_text(raw.get("sri")),
        source_map=source_map,
    )


def _public(item: Item) -> bool:
    return item.where == "client"


def path_of(url: str) -> str:
    """The path of a URL of a manifest, decoded."""
    return unquote(url.partition("?")[0])


def _fragment(items: tuple[Item, ...], kind: str) -> str:
    try:
        return "\n".join(
            each.file.read_text("utf-8")
            for each in items
            if each.type == kind and each.where == "internal"
        )
    except (OSError, UnicodeDecodeError) as problem:
        raise BundleError(f"The {kind} of the page cannot be read: {problem}.") from problem


def _file(manifest: Path, name: str) -> tuple[Path, int]:
    # Where it lies, and its size. It is looked at once: a bundle may be being replaced.
    found = _within(manifest.parent, name, manifest)
    try:
        seen = found.stat()
    except OSError:
        seen = None
    if seen is None or not stat.S_ISREG(seen.st_mode):
        raise BundleError(f"{manifest} names {name!r}, which is no file. Copy the bundle again.")
    return found, seen.st_size


def _within(directory: Path, name: str, source: Path) -> Path:
    try:
        found = (directory / name).resolve()
        inside = found.is_relative_to(directory.resolve())
    except (OSError, ValueError, RuntimeError) as problem:  # names with NUL, links in circles
        raise BundleError(f"{source} names {name!r}: {problem}.") from problem
    if not inside:
        raise BundleError(f"{source} names {name!r}, which lies outside of {directory}.")
    return found


def _read(path: Path) -> tuple[dict[str, Any], Signature]:
    try:
        with path.open("rb") as file:
            seen = _signature(os.fstat(file.fileno()))  # of what is read, not of what follows
            content = json.loads(file.read())
    except OSError as problem:
        raise BundleError(
            f"Cannot read {path}: {problem.strerror}. Name the star.json of a bundle that meteor "
            "build has made."
        ) from problem
    except (ValueError, RecursionError) as problem:
        raise BundleError(f"{path} is damaged: {problem}. Copy the bundle again.") from problem
    if not isinstance(content, dict):
        raise BundleError(f"{path} is no JSON object. Name the star.json of a bundle.")
    return content, seen


def _check_format(path: Path, content: Mapping[str, Any], expected: str) -> None:
    found = content.get("format")
    if found != expected:
        raise BundleError(
            f"{path} has the format {found!r}, and only {expected!r} can be served. Build the app "
            "with Meteor 1.5 or later."
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
