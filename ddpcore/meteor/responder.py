"""Requests to a Meteor app, and what they get: the rules of Meteor's `webapp`, without any server.

A request finds files by looking its path up among those of the manifests. No path of a request
is ever joined to one of the file system.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha1
from mimetypes import MimeTypes
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import parse_qsl, unquote

from ddpcore.meteor import dynamic
from ddpcore.meteor.bundle import Item
from ddpcore.meteor.compression import accepts_gzip, compress, is_compressible
from ddpcore.meteor.edition import Edition
from ddpcore.meteor.page import CONFIG_PATH, config_script, page

if TYPE_CHECKING:
    from ddpcore.meteor.app import MeteorApp

__all__ = ["MAX_BODY", "Request", "Response", "respond"]

logger = logging.getLogger(__name__)

MAX_BODY = dynamic.MAX_BODY
"""Bytes that the body of any request may have."""

IN_ONE_PIECE = 1024 * 1024
"""Bytes up to which a file is read at once; of a larger one an open file is given."""

FOREVER = "public, max-age=31536000, immutable"
NOT_FOR_LONG = "public, max-age=0"
ALLOW = "OPTIONS, GET, HEAD"

_NO_PAGES = frozenset({"/favicon.ico", "/robots.txt", "/app.manifest"})
_OTHERS = re.compile(r"/(?:sockjs|websocket|_oauth)(?:/|$)")

_TYPES = MimeTypes(filenames=())  # the same on every machine
for _extension, _type in {
    ".avif": "image/avif",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "application/javascript",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "application/javascript",
    ".otf": "font/otf",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}.items():
    _TYPES.add_type(_type, _extension)

_BY_TYPE = {
    "js": "application/javascript; charset=UTF-8",
    "dynamic js": "application/javascript; charset=UTF-8",
    "css": "text/css; charset=UTF-8",
    "json": "application/json; charset=UTF-8",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request, as far as it matters.

    Attributes:
        method: Such as ``GET``.
        path: The path of the URL, decoded once.
        query: What comes after its question mark, as it was sent.
        headers: Names in lower case.
        scheme: ``http`` or ``https``, as the client sees it.
        host: The host, with its port if that is not the scheme's.
        body: Gives the body; called for those requests alone that have a use for it.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "http"
    host: str = "localhost"
    body: Callable[[], bytes] = bytes


@dataclass(frozen=True, slots=True)
class Response:
    """What is to be sent.

    Attributes:
        status: The code.
        headers: All that concern the content, Content-Length included.
        body: The content, or an open file to be sent and closed; empty for HEAD.
    """

    status: int
    headers: dict[str, str]
    body: bytes | BinaryIO = b""


def respond(app: MeteorApp, request: Request) -> Response:
    """Answer a request to an app.

    Raises:
        BundleError: There is no bundle, and never was.
    """
    response = _respond(app, request)
    if request.method == "HEAD" and response.body:
        if not isinstance(response.body, bytes):
            response.body.close()
        return Response(response.status, response.headers)
    return response


def _respond(app: MeteorApp, request: Request) -> Response:
    if not request.path.startswith("/"):
        return _text(400, "Not a proxy")
    path, prefix = request.path, unquote(app.options.path)
    if prefix:
        if f"{path}/".startswith(f"{prefix}/"):
            path = path.removeprefix(prefix) or "/"
        elif path not in ("/favicon.ico", "/robots.txt"):
            return _text(404, "Unknown path")
    if path == dynamic.PATH:
        edition = app.edition
        return _dynamic(edition, request)
    if request.method not in ("GET", "HEAD"):
        code = 200 if request.method == "OPTIONS" else 405
        return Response(code, {"Allow": ALLOW, "Content-Length": "0"})
    edition = app.edition
    response = _file(edition, path, request, for_good=True)
    if response is None:
        # All else depends on which bundle there is now.
        edition = app.refresh()
        response = _file(edition, path, request)
    if response is None and (former := app.former) is not None:
        response = _file(former, path, request, for_good=True)
    return response or _other(app, edition, path, request)


def _other(app: MeteorApp, edition: Edition, path: str, request: Request) -> Response:
    named, inner = edition.split(path)
    arch = named or edition.arch_for(request.headers.get("user-agent", ""))
    if named and inner == "/manifest.json":
        headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "ETag": f'"{edition.versions[named]["version"]}"',
        }
        return _content(request, edition.manifest(named), headers)
    if inner == CONFIG_PATH and not app.options.inline_scripts:
        return _config(app, edition, arch, request)
    query = {name for name, _ in parse_qsl(request.query[:10_000], keep_blank_values=True)}
    if "meteor_css_resource" in query:
        # A page that waits for its style sees that it has come, and is not the right one.
        return _text(200, ".meteor-css-not-found-error { width: 0px;}", "text/css")
    if (
        query & {"meteor_js_resource", "meteor_dont_serve_index"}
        or inner in _NO_PAGES
        or _OTHERS.match(inner)
        or edition.find_map(inner, arch) is not None  # and they are not served
        or edition.find(inner, arch) is not None  # and it is not there, or another one is
    ):
        return _text(404, "404 Not Found")
    return _page(edition, arch, request)


# Files


def _file(
    edition: Edition, path: str, request: Request, *, for_good: bool = False
) -> Response | None:
    # `for_good`: only those whose URLs change with their content.
    named, inner = edition.split(path)
    arch = named or edition.arch_for(request.headers.get("user-agent", ""))
    item = edition.find(inner, arch)
    if item is not None:
        if for_good and not item.cacheable:
            return None
        return _item(edition, item, request)
    item = edition.find_map(inner, arch) if edition.options.source_maps else None
    if item is None or item.source_map is None:
        return None
    file = item.source_map.file
    headers = {"Content-Type": _BY_TYPE["json"], "Cache-Control": FOREVER}
    return _send(edition, file, None, headers, request)


def _item(edition: Edition, item: Item, request: Request) -> Response | None:
    headers = {
        "Content-Type": _BY_TYPE.get(item.type) or _type_of(item.path),
        "ETag": f'"{item.hash}"',
        "Cache-Control": _caching(item, request),
    }
    if item.cacheable:
        headers["Vary"] = "User-Agent"
    if item.source_map is not None and edition.options.source_maps:
        url = edition.options.path + item.source_map.url
        headers |= {"SourceMap": url, "X-SourceMap": url}
    return _send(edition, item.file, item.size, headers, request)


def _caching(item: Item, request: Request) -> str:
    if not item.cacheable:
        return NOT_FOR_LONG
    # Who asks for another hash than this file's must not keep it under that name.
    wanted = dict(parse_qsl((item.url or "").partition("?")[2])).get("hash")
    asked = dict(parse_qsl(request.query[:10_000])).get("hash", wanted)
    return FOREVER if asked == wanted else NOT_FOR_LONG


def _send(
    edition: Edition, path: Path, size: int | None, headers: dict[str, str], request: Request
) -> Response | None:
    try:
        file = path.open("rb")
    except OSError:
        return None  # the bundle has been replaced, or is about to be
    with file:
        found = os.fstat(file.fileno()).st_size
        if size is not None and found != size:
            return None
        if is_compressible(headers["Content-Type"], found):
            content = file.read()
            return _content(request, content, headers, lambda: edition.compressed(path, content))
        if found <= IN_ONE_PIECE:
            return _content(request, file.read(), headers)
        if (unchanged := _unchanged(request, headers)) is not None:
            return unchanged
        headers["Content-Length"] = str(found)
        if request.method == "HEAD":
            return Response(200, headers)
        return Response(200, headers, os.fdopen(os.dup(file.fileno()), "rb"))


def _type_of(name: str) -> str:
    found, encoding = _TYPES.guess_type(name)
    if found is None or encoding is not None:
        return "application/octet-stream"
    if found.startswith("text/") or found in ("application/javascript", "application/json"):
        return f"{found}; charset=UTF-8"
    return found


# The page and its configuration


def _root_url(edition: Edition, request: Request) -> str:
    options = edition.options
    return options.root_url or f"{request.scheme}://{request.host}{options.path}/"


def _configuration(edition: Edition, arch: str, request: Request) -> dict[str, Any]:
    config = edition.config(arch, _root_url(edition, request))
    extend = edition.options.runtime_config
    return dict(extend(config, request)) if callable(extend) else config


def _page(edition: Edition, arch: str, request: Request) -> Response:
    config = _configuration(edition, arch, request)
    program = edition.bundle.programs[arch]
    html = page(program, config, edition.options, edition.config_hash(arch)).encode()
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "ETag": f'"{sha1(html, usedforsecurity=False).hexdigest()}"',
        # By whatever comes between, a page of yesterday would load scripts that are gone.
        "Cache-Control": "no-cache",
        "Vary": "User-Agent",
    }
    return _content(request, html, headers)


def _config(app: MeteorApp, edition: Edition, arch: str, request: Request) -> Response:
    asked = dict(parse_qsl(request.query[:10_000])).get("hash")
    headers = {"Content-Type": _BY_TYPE["js"], "Cache-Control": "no-store"}
    for each in (edition, app.former):
        for program in each.programs(arch) if each else ():
            assert each is not None
            if each.config_hash(program.arch) == asked:
                if each.options.root_url and not callable(each.options.runtime_config):
                    headers["Cache-Control"] = FOREVER
                config = _configuration(each, program.arch, request)
                return _content(request, config_script(config).encode(), headers)
    # A page of an edition that is not known here, made by another process perhaps. It must not
    # take itself for this one: without versions it reloads as soon as it is connected.
    config = _configuration(edition, arch, request)
    nothing = {arch: dict.fromkeys(told, "") for arch, told in edition.versions.items()}
    config["autoupdate"] = {**config["autoupdate"], "versions": nothing}
    return _content(request, config_script(config).encode(), headers)


# Dynamic imports


def _dynamic(edition: Edition, request: Request) -> Response:
    cors = {"Access-Control-Allow-Origin": "*"}
    if request.method == "OPTIONS":
        cors["Access-Control-Allow-Headers"] = request.headers.get(
            "access-control-request-headers", "*"
        )
        cors["Access-Control-Allow-Methods"] = "POST"
        return Response(200, cors | {"Content-Length": "0"})
    if request.method != "POST":
        return _text(405, f"method {request.method} not allowed", Allow="OPTIONS, POST", **cors)
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 9 or int(length) > MAX_BODY:
        return _text(413, "Payload Too Large", **cors)
    arch = edition.arch_for(request.headers.get("user-agent", ""))
    try:
        found = dynamic.fetch(edition.bundle.programs[arch], request.body())
    except dynamic.BadTree as problem:
        return _text(400, str(problem), **cors)
    headers = cors | {"Content-Type": _BY_TYPE["json"], "Vary": "User-Agent"}
    return _content(request, found, headers)


# Responses


def _content(
    request: Request,
    content: bytes,
    headers: dict[str, str],
    compressed: Callable[[], bytes] | None = None,
) -> Response:
    if is_compressible(headers["Content-Type"], len(content)):
        vary = headers.get("Vary")
        headers["Vary"] = f"{vary}, Accept-Encoding" if vary else "Accept-Encoding"
        if accepts_gzip(request.headers):
            headers["Content-Encoding"] = "gzip"
            if "ETag" in headers:  # the same meaning, other bytes
                headers["ETag"] = f"W/{headers['ETag']}"
            if (unchanged := _unchanged(request, headers)) is not None:
                return unchanged
            content = compressed() if compressed else compress(content)
    if (unchanged := _unchanged(request, headers)) is not None:
        return unchanged
    headers["Content-Length"] = str(len(content))
    return Response(200, headers, content)


def _unchanged(request: Request, headers: dict[str, str]) -> Response | None:
    etag, known = headers.get("ETag"), request.headers.get("if-none-match", "")
    if etag is None or request.method not in ("GET", "HEAD"):
        return None
    tags = re.findall(r'(?:W/)?("[^"]*")', known)
    if known.strip() != "*" and etag.removeprefix("W/") not in tags:
        return None
    kept = ("ETag", "Cache-Control", "Vary")
    return Response(304, {name: headers[name] for name in kept if name in headers})


def _text(code: int, text: str, kind: str = "text/plain", **headers: str) -> Response:
    content = text.encode()
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    told |= {
        "Content-Type": f"{kind}; charset=UTF-8",
        "Cache-Control": "no-cache",
        "Content-Length": str(len(content)),
    }
    return Response(code, told, content)
