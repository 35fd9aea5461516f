"""A bundle with Meteor's own client, served by us, in Chromium."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from meteor_bundle import Made, fragment, release, script, style

from ddpcore.meteor import load
from ddpcore.meteor.versions import versions

pytestmark = [pytest.mark.browser, pytest.mark.node]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = HERE / "meteor_app"
METEOR = HERE / "node_modules/meteor-client-side/dist/meteor-client-side.bundle.js"
SETTINGS = {"town": "Bath"}

HEAD = "<title>Books</title>"
BODY = "<h1>Books</h1><ul></ul><button>Add</button><footer></footer>"
BLUE, GREEN = "rgb(0, 0, 255)", "rgb(0, 128, 0)"


def look(color):
    return style(f"body {{ font-family: sans-serif; margin: 3em; }} h1 {{ color: {color}; }}")


def app(color=BLUE, more=""):
    """The client program, in the order in which Meteor loads it."""
    parts = [
        ("packages/config.js", (FILES / "first.js").read_text()),
        ("packages/meteor.js", METEOR.read_text()),
        ("packages/autoupdate.js", (FILES / "autoupdate.js").read_text()),
        ("app/app.js", (FILES / "app.js").read_text() + more),
    ]
    scripts: list[Made] = [script(text, name.removesuffix(".js")) for name, text in parts]
    return {"web.browser": [fragment("head", HEAD), fragment("body", BODY), look(color), *scripts]}


class Serving:
    def __init__(self, link: Path, *command: str) -> None:
        environ = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(FILES)]),
            "METEOR_SETTINGS": '{"public": {"town": "Bath"}}',
        }
        self.link = link
        self.process = subprocess.Popen(
            [sys.executable, *command], env=environ, text=True, stdout=subprocess.PIPE
        )
        self.url = re.search(r"http://[^/]+", self.process.stdout.readline())[0]

    def deploy(self, color=BLUE, more=""):
        release(self.link, app(color, more))

    def version(self):
        return versions(load(self.link).programs["web.browser"], SETTINGS)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0
        self.process.stdout.close()


@pytest.fixture
def serving(tmp_path) -> Iterator[Serving]:
    """`ddpcore serve` with the app."""
    link = tmp_path / "bundle"
    release(link, app())
    serving = Serving(
        link, "-m", "ddpcore", "serve", "shop:server", "--bind", "127.0.0.1:0",
        "--meteor", str(link / "star.json"),
    )  # fmt: skip
    yield serving
    serving.end()


@pytest.fixture
def strict(tmp_path) -> Iterator[Serving]:
    """The same below a prefix, with a strict policy."""
    link = tmp_path / "bundle"
    release(link, app())
    serving = Serving(link, str(FILES / "serve.py"), str(link / "star.json"), "/shop")
    yield serving
    serving.end()


def color(page):
    return page.do("evaluate", "getComputedStyle(document.querySelector('h1')).color")


def no_complaints(page):
    assert page.seen("pageerror") == []
    assert page.seen("console") == []


def boots(page, path):
    page.do("open", path)
    page.until("loaded")
    page.do("see", "li", "Emma")
    page.do("see", "footer", "connected")
    page.do("see", "h1", "Books (Bath)")
    page.do("until", "autoupdate.ready")
    page.do("evaluate", "document.querySelector('button').click()")
    page.do("see", "li", "Persuasion")
    assert color(page) == BLUE


def survives_new_versions(page, serving):
    assert len(page.seen("loaded")) == 1

    # Styles alone are exchanged in the page that is there.
    page.do("evaluate", "window.mark = 1")
    serving.deploy(GREEN)
    page.do("until", f"getComputedStyle(document.querySelector('h1')).color === '{GREEN}'")
    assert page.do("evaluate", "window.mark") == 1
    assert page.do("evaluate", "document.querySelectorAll('.__meteor-css__').length") == 1

    # Anything else has the page load anew, once.
    serving.deploy(GREEN, more="\nwindow.release = 2;")
    page.until("loaded")
    page.do("until", "window.release === 2 && window.autoupdate?.ready")
    page.do("see", "li", "Persuasion")
    assert page.do("evaluate", "autoupdate.own") == serving.version()
    assert page.do("evaluate", "window.mark") is None
    # It has been told the versions by now, and would have gone if they were others.
    assert page.do("evaluate", "autoupdate.versions.find().count()") == 4
    serving.deploy(BLUE, more="\nwindow.release = 2;")
    page.do("until", f"getComputedStyle(document.querySelector('h1')).color === '{BLUE}'")
    assert len(page.seen("loaded")) == 2


def test_the_page_boots_and_survives_new_versions(start, serving, tmp_path):
    page = start("meteor_app", serving.url)
    boots(page, "/some/where")
    page.do("picture", str(tmp_path / "page.png"))
    survives_new_versions(page, serving)
    no_complaints(page)


def test_the_same_with_a_strict_policy_below_a_prefix(start, strict):
    page = start("meteor_app", strict.url)
    boots(page, "/shop/some/where")
    assert page.do("evaluate", "document.querySelectorAll('script:not([src])').length") == 0
    assert page.do("evaluate", "document.querySelectorAll('script[integrity]').length") == 4
    survives_new_versions(page, strict)
    no_complaints(page)
