"""docs/how-to/meteor-app.md shows what curl says of each class of URLs, and it is true.

python -m pytest tests/meteor/test_transcript.py     when it is not, shows what is
"""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil

import pytest
from meteor_bundle import LONG, Made, asset, build, fragment, module, script, style
from pages import reading
from served import listening
from tornado.web import Application

from ddpcore import Server
from ddpcore.meteor import Options
from ddpcore_tornado import handlers, meteor_handlers

CSS = style("body { color: navy; }" + LONG)
JS = script("console.log('books');" + LONG, "app/app")
FILES = [
    fragment("head", "<title>Books</title>"),
    fragment("body", "<main></main>"),
    CSS,
    JS,
    module("imports/page.js", "module.exports = 1;"),
    asset("/logo.png", b"\x89PNG\r\n\x1a\n" + bytes(500)),
    Made("asset", b"hello", "app/hello.txt", "/hello.txt?hash=5d41", cacheable=True),
]
NAME = re.search(r"/(\w+)\.js", JS.url)[1]
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0"

ASKED = [
    ("Any path that is no file has the page.", ["/books/7"]),
    ("A script, compressed; its URL changes with its content.",
     ["-H", "Accept-Encoding: gzip", f"/{NAME}.js"]),
    ("The same, for a browser that has it.",
     ["-H", f'If-None-Match: "{NAME}"', f"/{NAME}.js"]),
    ("A file whose URL stays: it is asked for each time.", ["-I", "/logo.png"]),
    ("What changed since: not kept under the name of another.", ["-I", "/hello.txt?hash=0000"]),
    ("A script that is gone, as of a page of last week.", ["/0123.js?meteor_js_resource=true"]),
    ("A style that is gone.", ["/0123.css?meteor_css_resource=true"]),
    ("No page for these.", ["/favicon.ico"]),
    ("What Cordova apps ask for, and an architecture in the path.",
     ["-I", "/__browser/manifest.json"]),
    ("Modules by import().",
     ["-d", '{"imports":{"page.js":1}}', "/__meteor__/dynamic-import/fetch"]),
    ("Not of this app.", ["--path-as-is", "/../programs/server/boot.js?meteor_dont_serve_index"]),
    ("Other methods.", ["-X", "DELETE", "/"]),
]  # fmt: skip


async def curl(address, arguments):
    *options, path = arguments
    process = await asyncio.create_subprocess_exec(
        "curl", "-si", "-A", CHROME, *options, f"http://{address}{path}",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0
    head, _, body = said.partition(b"\r\n\r\n")
    lines = [each for each in head.decode().split("\r\n") if not each.startswith("Date:")]
    if not body:
        return lines
    if b"Content-Encoding" in head:
        # Compressors differ from machine to machine.
        lines = [re.sub(r"^(Content-Length:).*", r"\1 …", each) for each in lines]
        return [*lines, "", "(compressed)"]
    texts = body.decode().splitlines()
    texts = [each if len(each) < 110 else each[:100] + " …" for each in texts]
    return [*lines, "", *texts]


async def transcript(star):
    server = Server()
    options = Options(root_url="http://localhost:8000/")
    rules = handlers(server) + meteor_handlers(star, server, options=options)
    said = []
    async with listening(Application(rules, log_function=lambda _: None), server) as address:
        for comment, arguments in ASKED:
            *options, path = arguments
            shown = shlex.join([*options, f"http://localhost:8000{path}"])
            said += [f"# {comment}", f"$ curl -si {shown}", *await curl(address, arguments), ""]
    return "\n".join(said)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
async def test_the_transcript_is_what_curl_says(tmp_path):
    said = await transcript(build(tmp_path, {"web.browser": FILES}))
    with reading("how-to/meteor-app.md", "shell-session") as page:
        (block,) = page.take()
    assert block.text == said
