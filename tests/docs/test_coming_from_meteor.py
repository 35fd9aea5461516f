"""docs/coming-from/meteor.md: its client runs in Chromium, with Meteor's packages, on its server."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest
from pages import DOCS, ROOT, files, write

PAGE = DOCS / "coming-from" / "meteor.md"
INTEROP = ROOT / "tests" / "interop"
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))

SETTINGS = """
SECRET_KEY = "a test's"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "mysite.urls"
MIDDLEWARE = []
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
"""
BASE = {
    "tasks/__init__.py": "",
    "mysite/__init__.py": "",
    "mysite/urls.py": "from django.http import HttpResponse\nfrom django.urls import path\n"
    "from pathlib import Path\n"
    "urlpatterns = [path('', lambda request: HttpResponse(Path('page.html').read_text()))]\n",
    "manage.py": "import sys\nfrom django.core.management import execute_from_command_line\n"
    "execute_from_command_line(sys.argv)\n",
}
# Two users, one of whom comes from Meteor; the argument is what is stored of her password there.
STOCK = """
import sys
import django
django.setup()
from django.contrib.auth.models import Permission, User
from tasks.models import Task
from tasks.moving import move

ada = move({"username": "ada", "services": {"password": {"bcrypt": sys.argv[1]}}})
ada.user_permissions.add(Permission.objects.get(codename="add_task"))
bob = User.objects.create(username="bob")
for owner, text, done in [(ada, "Tea", False), (ada, "Old", True), (bob, "Secret", False)]:
    Task.objects.create(owner=owner, text=text, done=done)
"""
# A page with Meteor's client and the page's own program, in Chromium.
RUN = """
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [interop, program, url] = process.argv.slice(2);
const { resolve } = createRequire(pathToFileURL(`${interop}/package.json`));
const { launch } = await import(pathToFileURL(`${interop}/clients/browser.mjs`));
const PACKAGES = ["meteor-client-side", "accounts-base-client-side", "accounts-password-client-side"];
const { browser } = await launch();
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(String(error)));
  for (const name of PACKAGES) {
    await page.route(`**/scripts/${name}`, (route) => route.fulfill({ path: resolve(name) }));
  }
  await page.route("**/scripts/main", (route) => route.fulfill({ path: program }));
  await page.goto(url);
  const seen = [];
  const until = async (...texts) => {
    await page.waitForFunction(
      (texts) => JSON.stringify(drawn.at(-1)?.map(({ text }) => text)) === texts,
      JSON.stringify(texts),
    );
    seen.push(await page.evaluate(() => drawn.at(-1)));
  };
  await page.evaluate("logIn()");
  await until("Tea");
  const made = await page.evaluate("add('Biscuits')");
  await until("Biscuits", "Tea");
  // Until the server has it, it is the client's own.
  await page.waitForFunction(() => !Object.keys(Meteor.connection._methodInvokers).length);
  await until("Biscuits", "Tea");
  await page.evaluate(`finish(${JSON.stringify(seen[0][0]._id)})`);
  await until("Biscuits");
  const refused = await page.evaluate(
    () => new Promise((done) => Meteor.call("tasks.finish", "none", (error) => done(error.reason))),
  );
  console.log(JSON.stringify({ made, seen, refused }));
} finally {
  await browser.close();
}
"""
# As in a Meteor app: the packages in this order, and then the program.
HTML = """<!doctype html>
<script>
  __meteor_runtime_config__ = { DDP_DEFAULT_CONNECTION_URL: location.origin };
  const drawn = [];
  const draw = (tasks) => drawn.push(tasks);
</script>
<script src="/scripts/meteor-client-side"></script>
<script src="/scripts/accounts-base-client-side"></script>
<script src="/scripts/accounts-password-client-side"></script>
<script src="/scripts/main"></script>
"""
# What the Meteor server of the page would define, in stand-ins that keep the names.
NAMES = """
const names = { publications: [], methods: [], rules: [] };
const Meteor = {
  publish: (name) => names.publications.push(name),
  methods: (methods) => names.methods.push(...Object.keys(methods)),
};
const Mongo = { Collection: class {
  constructor(name) { this.name = name; }
  allow(rules) { names.rules.push(...Object.keys(rules).map((rule) => `/${this.name}/${rule}`)); }
} };
%s
console.log(JSON.stringify(names));
"""
OURS = """
import json
import django
django.setup()
from ddpcore_django.application import from_project
server = from_project().server
print(json.dumps([sorted(filter(None, server.publications)), sorted(server.methods)]))
"""

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The page's files as a project, with a database of its own."""
    if shutil.which("node") is None or not (INTEROP / "node_modules").is_dir():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "no node, or: npm ci --ignore-scripts --prefix tests/interop"
        )
    home = tmp_path_factory.mktemp("from_meteor")
    found = files(PAGE)
    found["mysite/settings.py"] += SETTINGS
    write({**BASE, **found, "run.mjs": RUN, "page.html": HTML}, home)
    run(home, "manage.py", "makemigrations", "tasks", "--verbosity=0")
    run(home, "manage.py", "migrate", "--verbosity=0")
    digest = hashlib.sha256(b"lovelace").hexdigest()
    run(home, "-c", STOCK, bcrypt.hashpw(digest.encode(), bcrypt.gensalt(10)).decode())
    return home


def environ(home: Path) -> dict[str, str]:
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "PYTHONPATH": os.pathsep.join([str(home), str(ROOT)]),
    }


def run(home: Path, *arguments: str) -> str:
    return finished([sys.executable, *arguments], home)


def finished(command: list[str], home: Path) -> str:
    done = subprocess.run(
        command, cwd=home, env=environ(home), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.browser
def test_the_client_is_the_same_before_and_after(project: Path) -> None:
    if not CHROMIUM.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {CHROMIUM}")
    server = subprocess.Popen(
        [sys.executable, "-m", "ddpcore", "serve", "--settings", "mysite.settings",
         "--bind", "127.0.0.1:0"],
        cwd=project, env=environ(project), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        url = re.search(r"http://[^/]+", server.stdout.readline())[0]
        program = str(project / "client" / "main.js")
        told = finished(["node", "run.mjs", str(INTEROP), program, url], project)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
        server.stdout.close()
    told = json.loads(told)
    assert told["refused"] == "There is no such task."
    first, simulated, stored, last = told["seen"]
    assert [sorted(each) for each in first] == [["_id", "text"]]
    assert simulated == stored
    assert last == [{"_id": told["made"], "text": "Biscuits"}]


def test_both_servers_define_the_same(project: Path) -> None:
    names = json.loads(finished(["node", "-e", NAMES % files(PAGE)["server/main.js"]], project))
    publications, methods = json.loads(run(project, "-c", OURS))
    assert set(names["publications"]) <= set(publications)
    assert names["methods"] == ["tasks.finish"]
    assert {*names["methods"], *names["rules"], "/tasks/insert"} <= set(methods)


def test_the_tested_clients_are_named() -> None:
    page = PAGE.read_text()
    needed = set(json.loads((INTEROP / "package.json").read_text())["dependencies"])
    not_clients = {"playwright-core", "react", "ws"}
    parts = {"accounts-base-client-side", "accounts-password-client-side", "simpleddp-plugin-login"}
    missing = [each for each in needed - not_clients - parts if f"`{each}`" not in page]
    assert missing == []


def test_what_it_says_of_ids() -> None:
    from ddpcore_django import AleaIdField

    assert AleaIdField().max_length == 17
