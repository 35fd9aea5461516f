"""Bundles in the form that `meteor build` gives them, made of a few small files."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECRET = b"SERVER SECRET"
"""What stands in each file that nobody may ever be given."""


@dataclass
class Made:
    """A file of a client program, before it is built."""

    type: str
    content: bytes
    path: str
    url: str | None = None
    where: str = "client"
    cacheable: bool = True
    replaceable: bool = False
    map: bytes | None = None


def script(text: str, name: str = "app", **more: Any) -> Made:
    digest = hashlib.sha1(text.encode()).hexdigest()
    url = f"/{digest}.js?meteor_js_resource=true"
    return Made("js", text.encode(), f"{name}.js", url, **more)


def style(text: str) -> Made:
    digest = hashlib.sha1(text.encode()).hexdigest()
    return Made("css", text.encode(), "merged.css", f"/{digest}.css?meteor_css_resource=true")


def asset(url: str, content: bytes) -> Made:
    return Made("asset", content, "app" + url, url, cacheable=False)


def module(name: str, text: str) -> Made:
    path = "dynamic/" + name.replace(":", "_")
    return Made("dynamic js", text.encode(), path, "/" + path)


def fragment(kind: str, html: str) -> Made:
    return Made(kind, html.encode(), f"{kind}.html", None, "internal", cacheable=False)


def item(made: Made) -> dict[str, Any]:
    """What a manifest says of a file."""
    digest = hashlib.sha512(made.content).digest()
    said: dict[str, Any] = {
        "path": made.path,
        "where": made.where,
        "type": made.type,
        "cacheable": made.cacheable,
        "replaceable": made.replaceable,
    }
    if made.url is not None:
        said["url"] = made.url
    if made.type in ("js", "css"):
        said["sri"] = base64.b64encode(digest).decode()
    if made.map is not None:
        said |= {"sourceMap": made.path + ".map", "sourceMapUrl": f"/{digest.hex()[:40]}.map"}
    return said | {"size": len(made.content), "hash": hashlib.sha1(made.content).hexdigest()}


def write_program(directory: Path, files: Sequence[Made], **more: Any) -> None:
    """Write a client program; its program.json last."""
    for made in files:
        path = directory / made.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made.content)
        if made.map is not None:
            path.with_name(path.name + ".map").write_bytes(made.map)
    program = {"format": "web-program-pre1", "manifest": [item(made) for made in files], **more}
    new = directory / "program.json.new"
    new.write_text(json.dumps(program))
    new.replace(directory / "program.json")


def build(
    bundle: Path,
    programs: Mapping[str, Sequence[Made]],
    *,
    app_id: str | None = "testapp.id",
    backwards: bool = False,
    **star: Any,
) -> Path:
    """Write a bundle; its star.json."""
    shutil.rmtree(bundle, ignore_errors=True)
    server = bundle / "programs" / "server"
    server.mkdir(parents=True)
    for name in ("boot.js", "packages/accounts.js", "app/app.js", "assets/app/private.txt"):
        (server / name).parent.mkdir(parents=True, exist_ok=True)
        (server / name).write_bytes(SECRET)
    (server / "program.json").write_text(
        json.dumps({"format": "javascript-image-pre1", "load": [{"path": "app/app.js"}]})
    )
    config = {"meteorRelease": "METEOR@3.0.4", "clientArchs": list(programs)}
    if app_id is not None:
        config["appId"] = app_id
    (server / "config.json").write_text(json.dumps(config))
    (bundle / "main.js").write_bytes(SECRET)
    for arch, files in programs.items():
        write_program(bundle / "programs" / arch, files)
    named = [
        {"name": arch, "arch": arch, "path": f"programs/{arch}/program.json"} for arch in programs
    ]
    named.append({"name": "server", "arch": "os.linux.x86_64", "path": "programs/server/boot.js"})
    content = {
        "format": "site-archive-pre1",
        "builtBy": "Meteor METEOR@3.0.4",
        "programs": named,
        "meteorRelease": "METEOR@3.0.4",
        "nodeVersion": "20.18.0",
        "npmVersion": "10.8.2",
        "gitCommitHash": "0123456789012345678901234567890123456789",
        **star,
    }
    if backwards:
        content = dict(reversed(content.items()))
    path = bundle / "star.json"
    path.write_text(json.dumps(content))
    return path


def release(link: Path, programs: Mapping[str, Sequence[Made]], **options: Any) -> Path:
    """Make a link lead to a new bundle, at one stroke as deployments do; its star.json."""
    number = len(list(link.parent.glob("release-*")))
    build(link.parent / f"release-{number}", programs, **options)
    new = link.with_name("new")
    new.symlink_to(f"release-{number}")
    new.replace(link)
    return link / "star.json"


LONG = "/* a comment that makes it long enough */\n" * 50

MODERN = [
    fragment("head", "<title>Bookshop</title>\n<meteor-bundled-css></meteor-bundled-css>\n<meta name=x>"),
    fragment("body", "<main id=app></main>"),
    style("main { color: rgb(1, 2, 3); }" + LONG),
    script("window.packages = 1;", "packages/meteor", map=b'{"version":3,"sources":["secret.ts"]}'),
    script("window.app = 'modern';" + LONG, "app/app"),
    module("node_modules/left:pad/index.js", "module.exports = 'left';"),
    module("imports/page.js", "module.exports = 'page';"),
    asset("/logo.png", b"\x89PNG" + bytes(2000)),
    asset("/fonts/a name é.woff2", b"wOF2" + bytes(10)),
    asset("/hello.txt", b"hello " * 1000),
    Made("asset", SECRET, "app/hidden.txt", "/hidden.txt", where="server"),
]  # fmt: skip
LEGACY = [*MODERN[:3], script("window.app = 'legacy';", "app/app"), *MODERN[5:]]
BOTH = {"web.browser": MODERN, "web.browser.legacy": LEGACY}

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
OLD = "Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko"
