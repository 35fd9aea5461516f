"""docs/coming-from/channels.md: both of its versions are run, and do what the page says of them.

Each is a project of the page's own files on a PostgreSQL database of its own. Channels and Daphne
come from the package index, into an environment of their own. The pages are node programs: the
page's JavaScript, and a `show` that prints.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
from pages import DOCS, ROOT, blocks, files, write

PAGE = DOCS / "coming-from" / "channels.md"
NODE_MODULES = ROOT / "tests" / "interop" / "node_modules"
PATIENCE = 30.0
TEXT = PAGE.read_text()
CHANNELS_LINE, DDPCORE_LINE, END = (
    TEXT[: TEXT.index(f"\n## {heading}")].count("\n")
    for heading in ("With Channels", "With ddpcore", "Counted")
)

# What every project has, and what lets the test do things in the process that serves.
BASE = {
    "shop/__init__.py": "",
    "mysite/__init__.py": "",
    "manage.py": "import sys\nfrom django.core.management import execute_from_command_line\n"
    "execute_from_command_line(sys.argv)\n",
    "mysite/urls.py": inspect.cleandoc(
        """
        from django.contrib.auth import login
        from django.contrib.auth.models import User
        from django.db import transaction
        from django.db.backends.signals import connection_created
        from django.http import HttpResponse
        from django.urls import path
        from django.views.decorators.csrf import csrf_exempt
        from shop.models import Book

        statements = []

        def count(execute, sql, params, many, context):
            done = execute(sql, params, many, context)
            if sql.startswith("SELECT") and "shop_book" in sql:
                statements.append(sql)
            return done

        def counted(connection, **kwargs):
            if count not in connection.execute_wrappers:
                connection.execute_wrappers.append(count)

        connection_created.connect(counted)

        def enter(request, name):
            login(request, User.objects.get(username=name))
            return HttpResponse()

        @csrf_exempt
        def do(request):
            scope = dict(globals())
            exec(request.body, scope)
            return HttpResponse(str(scope.get("result", "")))

        urlpatterns = [path("enter/<name>", enter), path("do", do)]
        """
    ),
}
SETTINGS = inspect.cleandoc(
    """
    import os

    SECRET_KEY = "a test's"
    ALLOWED_HOSTS = ["127.0.0.1"]
    ROOT_URLCONF = "mysite.urls"
    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    INSTALLED_APPS = [
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    ]
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    DATABASES = {"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["DB_NAME"],
        "USER": os.environ["DB_USER"], "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": os.environ["DB_HOST"], "PORT": os.environ["DB_PORT"],
    }}
    """
)
# The page's program in node: it prints the titles each time they are shown, and takes calls.
RUN = """
import { createInterface } from "node:readline";
import { webcrypto } from "node:crypto";
import Socket from "ws";

// simpleddp has promises that nobody can get hold of; a browser would just log their rejection.
process.on("unhandledRejection", () => {});
const [program, host, cookie] = process.argv.slice(2);
globalThis.location = { host };
globalThis.crypto ??= webcrypto;
globalThis.WebSocket = class extends Socket {
  constructor(url) {
    super(url, { headers: { Cookie: cookie, Origin: `http://${host}` } });
    this.on("error", () => {});
  }
};
const tell = (what) => console.log(JSON.stringify(what));
globalThis.show = (books) => tell({ shown: books.map(({ title }) => title).sort() });
const { markRead } = await import(program);
for await (const line of createInterface({ input: process.stdin })) {
  try {
    await markRead(JSON.parse(line));
    tell({ answer: "done" });
  } catch (error) {
    tell({ answer: error.reason ?? error.message });
  }
}
process.exit();
"""


class Lines:
    """A process, and what it has printed so far."""

    def __init__(self, *command: object, **options) -> None:
        self.process = subprocess.Popen(
            [str(each) for each in command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            **options,
        )  # fmt: skip
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self.lines.append("")
            self._news.notify_all()

    def until(self, true: Callable[[list[str]], object], what: object) -> None:
        """Wait until what was printed is as wanted, or until it can print no more."""
        with self._news:
            self._news.wait_for(lambda: true(self.lines) or self.lines[-1:] == [""], PATIENCE)
            assert true(self.lines), f"{what}; so far: {''.join(self.lines)}"

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        self.process.stdin.close()
        self.process.stdout.close()


class Page(Lines):
    """The list that somebody has before them."""

    @property
    def shown(self) -> list[list[str]]:
        told = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [each["shown"] for each in told if "shown" in each]

    def shows(self, *titles: str) -> None:
        self.until(lambda _: self.shown and self.shown[-1] == sorted(titles), titles)

    def mark_read(self, book: object) -> str:
        def answers() -> list[str]:
            return [line for line in self.lines if '"answer"' in line]

        before = len(answers())
        print(json.dumps(book), file=self.process.stdin, flush=True)
        self.until(lambda _: len(answers()) > before, f"mark {book} as read")
        return json.loads(answers()[-1])["answer"]


class Site:
    """One of the two projects, served."""

    def __init__(
        self, home: Path, program: str, python: object, serve: list[str], dsn: str, path: str
    ) -> None:
        self.home, self.program, self.python = home, program, python
        self.dsn = dsn
        place = psycopg2.extensions.parse_dsn(dsn)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DJANGO"))}
        self.env |= {
            "PYTHONPATH": path, "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            **{
                f"DB_{key.upper()}": place.get("dbname" if key == "name" else key, "")
                for key in ("name", "user", "password", "host", "port")
            },
        }  # fmt: skip
        with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('shop_book')")
            there = cursor.fetchone()[0]
        connection.close()
        if not there:
            self.manage("makemigrations", "shop", "--verbosity=0")
            self.manage("migrate", "--verbosity=0")
        self.server = Lines(python, "-m", *serve, cwd=home, env=self.env)
        address = re.compile(r"127\.0\.0\.1:([1-9]\d*)")
        self.server.until(lambda lines: address.search("".join(lines)), "an address")
        self.address = address.search("".join(self.server.lines))[0]
        self.pages: list[Page] = []

    def manage(self, *arguments: str) -> None:
        done = subprocess.run(
            [self.python, "manage.py", *arguments], cwd=self.home, env=self.env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def do(self, code: str) -> str:
        """Have the serving process, in an ordinary view, do this."""
        body = inspect.cleandoc(code).encode()
        with urllib.request.urlopen(f"http://{self.address}/do", body, PATIENCE) as answer:
            return answer.read().decode()

    def open(self, name: str) -> Page:
        """The page as somebody sees it who is logged in on the site."""
        url = f"http://{self.address}/enter/{name}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
        program = self.home / self.program
        self.pages.append(Page("node", self.home / "run.mjs", program, self.address, cookie))
        return self.pages[-1]

    def stock(self) -> None:
        """Two users, and books that are new to every test."""
        self.do(
            """
            Book.objects.all().delete()
            ann, _ = User.objects.get_or_create(pk=1, username="ann")
            bob, _ = User.objects.get_or_create(pk=2, username="bob")
            for pk, owner, title, read in [
                (1, ann, "Emma", False), (2, ann, "Ulysses", False),
                (3, bob, "Dracula", False), (4, ann, "Walden", True),
            ]:
                Book(pk=pk, owner=owner, title=title, read=read).save(force_insert=True)
            """
        )

    def close_pages(self) -> None:
        while self.pages:
            self.pages.pop().end()


def version(first: int, last: int) -> dict[str, str]:
    """The files of one version: those between two headings, and the model."""
    found = {
        each.path: each.body for each in blocks(PAGE) if each.path and first <= each.line < last
    }
    return {**found, "shop/models.py": files(PAGE)["shop/models.py"]}


def project(first: int, last: int, home: Path) -> None:
    found = version(first, last)
    found["mysite/settings.py"] = SETTINGS + "\n" + found["mysite/settings.py"]
    write({**BASE, **found, "run.mjs": RUN}, home)
    (home / "node_modules").symlink_to(NODE_MODULES)


@pytest.fixture(scope="module", autouse=True)
def node() -> None:
    if shutil.which("node") is None or not NODE_MODULES.is_dir():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "no node, or: npm ci --ignore-scripts --prefix tests/interop"
        )


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """The interpreter of an environment with Channels."""
    home = tmp_path_factory.mktemp("channels")
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-compile", "channels>=4.3,<4.4",
         "channels_redis", "daphne", "psycopg2-binary"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if done.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(done.stderr)
    return python


@contextmanager
def database(pg_cluster) -> Iterator[str]:
    name = f"ddpcore_{secrets.token_hex(6)}"
    yield pg_cluster.createdb(name)
    pg_cluster.dropdb(name)


@contextmanager
def channels_site(home: Path, python: Path, dsn: str) -> Iterator[Site]:
    serve = ["daphne", "-b", "127.0.0.1", "-p", "0", "mysite.asgi:application"]
    site = Site(home, "books/channels.mjs", python, serve, dsn, str(home))
    yield site
    site.close_pages()
    site.server.end(signal.SIGKILL)  # a database with connections cannot be dropped


@pytest.fixture(scope="module")
def with_channels(tmp_path_factory, environment, pg_cluster) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("with_channels")
    project(CHANNELS_LINE, DDPCORE_LINE, home)
    with database(pg_cluster) as dsn, channels_site(home, environment, dsn) as site:
        yield site


@pytest.fixture(scope="module")
def with_ddpcore(tmp_path_factory, pg_cluster) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("with_ddpcore")
    project(DDPCORE_LINE, END, home)
    serve = ["ddpcore", "serve", "--settings", "mysite.settings", "--bind", "127.0.0.1:0"]
    with database(pg_cluster) as dsn:
        path = os.pathsep.join([str(home), str(ROOT)])
        site = Site(home, "books/ddpcore.mjs", sys.executable, serve, dsn, path)
        yield site
        site.close_pages()
        site.server.end()
        assert "Traceback" not in "".join(site.server.lines)


@pytest.fixture(params=["channels", "ddpcore"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    site = request.getfixturevalue(f"with_{request.param}")
    site.stock()
    yield site
    site.close_pages()


pytestmark = [
    pytest.mark.pg, pytest.mark.node, pytest.mark.index, pytest.mark.timeout(400),
]  # fmt: skip


def rename(site: Site, pk: int, title: str) -> None:
    site.do(f"book = Book.objects.get(pk={pk}); book.title = {title!r}; book.save()")


def write_elsewhere(site: Site) -> None:
    code = (
        "from shop.models import Book; b = Book.objects.get(pk=1); b.title = 'Persuasion'; b.save()"
    )
    site.manage("shell", "-c", code)


def test_both_deliver_the_same_changes(site):
    ann, bob = site.open("ann"), site.open("bob")
    ann.shows("Emma", "Ulysses")
    bob.shows("Dracula")
    rename(site, 1, "Persuasion")
    ann.shows("Persuasion", "Ulysses")
    site.do("Book.objects.create(pk=5, owner_id=1, title='Sanditon')")
    ann.shows("Persuasion", "Sanditon", "Ulysses")
    assert ann.mark_read(2) == "done"
    ann.shows("Persuasion", "Sanditon")
    assert ann.mark_read(3) == "There is no such book."
    assert ann.mark_read("x") == "There is no such book."
    site.do("Book.objects.get(pk=5).delete()")
    ann.shows("Persuasion")
    site.do(
        """
        with transaction.atomic():
            Book.objects.create(pk=6, owner_id=1, title="Never")
            transaction.set_rollback(True)
        """
    )
    rename(site, 1, "Lady Susan")
    ann.shows("Lady Susan")
    assert all("Never" not in titles for titles in ann.shown)
    assert bob.shown[-1] == ["Dracula"]


def test_an_update_of_the_queryset(site):
    ann = site.open("ann")
    ann.shows("Emma", "Ulysses")
    site.do("Book.objects.filter(pk=1).update(title='Persuasion')")
    rename(site, 2, "Dubliners")
    ann.shows("Emma" if "channels" in site.program else "Persuasion", "Dubliners")


def test_a_book_is_given_to_another(site):
    ann, bob = site.open("ann"), site.open("bob")
    ann.shows("Emma", "Ulysses")
    bob.shows("Dracula")
    site.do("book = Book.objects.get(pk=1); book.owner_id = 2; book.save()")
    bob.shows("Dracula", "Emma")
    rename(site, 2, "Dubliners")
    ann.shows(*["Emma"] * ("channels" in site.program), "Dubliners")


def test_another_process_writes(site):
    ann = site.open("ann")
    ann.shows("Emma", "Ulysses")
    write_elsewhere(site)
    rename(site, 2, "Dubliners")
    ann.shows("Emma" if "channels" in site.program else "Persuasion", "Dubliners")


def test_another_process_writes_and_there_is_redis(environment, with_channels, tmp_path):
    if shutil.which("redis-server") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no redis-server")
    project(CHANNELS_LINE, DDPCORE_LINE, tmp_path)
    redis = tmp_path / "redis.sock"
    layer = {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [f"unix://{redis}"]},
    }
    with (tmp_path / "mysite" / "settings.py").open("a") as settings:
        settings.write(f"CHANNEL_LAYERS = {{'default': {layer!r}}}\n")
    command = [
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        redis,
        "--save",
        "",
        "--dir",
        tmp_path,
    ]
    server = Lines(*command)
    try:
        server.until(lambda lines: "eady to accept connections" in "".join(lines), "redis")
        with channels_site(tmp_path, environment, with_channels.dsn) as site:
            site.stock()
            ann = site.open("ann")
            ann.shows("Emma", "Ulysses")
            write_elsewhere(site)
            ann.shows("Persuasion", "Ulysses")
    finally:
        server.end()


def test_both_serve_one_project(environment, with_ddpcore, tmp_path):
    project(CHANNELS_LINE, DDPCORE_LINE, tmp_path)
    with channels_site(tmp_path, environment, with_ddpcore.dsn) as with_channels:
        with_ddpcore.stock()
        by_ddp, by_channels = with_ddpcore.open("ann"), with_channels.open("ann")
        for page in (by_ddp, by_channels):
            page.shows("Emma", "Ulysses")
        assert by_channels.mark_read(2) == "done"
        for page in (by_ddp, by_channels):
            page.shows("Emma")
        with_ddpcore.close_pages()


def test_what_a_change_costs(site):
    pages = [site.open("ann") for _ in range(5)]
    for page in pages:
        page.shows("Emma", "Ulysses")
    site.do(
        "statements.clear(); Book(pk=1, owner_id=1, title='Persuasion').save(force_update=True)"
    )
    for page in pages:
        page.shows("Persuasion", "Ulysses")
    assert site.do("result = len(statements)") == ("5" if "channels" in site.program else "0")


def test_more_messages_than_a_channel_holds(with_channels):
    site = with_channels
    site.stock()
    ann = site.open("ann")
    ann.shows("Emma", "Ulysses")
    lock = psycopg2.connect(site.dsn)
    lock.cursor().execute("LOCK TABLE shop_book IN ACCESS EXCLUSIVE MODE")
    site.do(
        """
        from asgiref.sync import async_to_sync
        from channels.layers import get_channel_layer

        for number in range(150):
            event = {"type": "book.changed", "id": 1000 + number}
            async_to_sync(get_channel_layer().group_send)("books.1", event)
        """
    )
    # One or two of them were on their way already when the channel began to fill.
    before = len(ann.shown)
    lock.rollback()
    lock.close()
    ann.until(lambda _: len(ann.shown) >= before + 100, "100 messages")
    rename(site, 1, "Persuasion")
    ann.shows("Persuasion", "Ulysses")
    assert len(ann.shown) <= before + 100 + 3
    site.close_pages()


@pytest.mark.parametrize("careful", [True, False])
def test_the_group_before_the_query(careful, environment, with_channels, tmp_path):
    project(CHANNELS_LINE, DDPCORE_LINE, tmp_path)
    consumers = tmp_path / "shop" / "consumers.py"
    text = consumers.read_text()
    join = re.search(r"^ +async_to_sync\(self.channel_layer.group_add\).*\n", text, re.MULTILINE)[0]
    query = re.search(r"^ +self.send_json\(\{\"books\".*\n", text, re.MULTILINE)[0]
    write_ = " " * 8 + 'book = Book.objects.get(pk=1); book.title = "Persuasion"; book.save()\n'
    between = join + write_ + query if careful else query + write_ + join
    joined = " " * 8 + 'print("joined", flush=True)\n'
    text = text.replace(join, "").replace(query, between + joined)
    consumers.write_text(text)
    with channels_site(tmp_path, environment, with_channels.dsn) as site:
        site.stock()
        ann = site.open("ann")
        ann.shows("Persuasion" if careful else "Emma", "Ulysses")
        # What the page shows was sent before, where the query is first.
        site.server.until(lambda lines: "joined\n" in lines, "joined")
        rename(site, 2, "Dubliners")
        ann.shows("Persuasion" if careful else "Emma", "Dubliners")


LESS_CARE = {
    "on_commit": (
        "shop/signals.py",
        "transaction.on_commit(lambda: send(group, event))",
        "send(group, event)",
    ),
    "read again": (
        "shop/consumers.py",
        'self.books().filter(pk=event["id"]).first()',
        'Book.objects.filter(pk=event["id"]).values("id", "title").first()',
    ),
}


@pytest.fixture
def careless(request, environment, with_channels, tmp_path) -> Iterator[Site]:
    project(CHANNELS_LINE, DDPCORE_LINE, tmp_path)
    file, line, instead = LESS_CARE[request.param]
    text = (tmp_path / file).read_text()
    assert line in text
    (tmp_path / file).write_text(text.replace(line, instead))
    with channels_site(tmp_path, environment, with_channels.dsn) as site:
        site.stock()
        yield site


@pytest.mark.parametrize("careless", ["on_commit"], indirect=True)
def test_a_signal_that_does_not_wait_for_the_commit(careless):
    ann = careless.open("ann")
    ann.shows("Emma", "Ulysses")
    careless.do(
        """
        with transaction.atomic():
            book = Book.objects.get(pk=1)
            statements.clear()
            book.title = "Persuasion"
            book.save()
            while not statements:  # until the consumer has asked
                pass
        """
    )
    rename(careless, 2, "Dubliners")
    ann.shows("Emma", "Dubliners")


@pytest.mark.parametrize("careless", ["read again"], indirect=True)
def test_a_consumer_that_does_not_ask_again(careless):
    ann = careless.open("ann")
    ann.shows("Emma", "Ulysses")
    assert ann.mark_read(2) == "done"
    rename(careless, 1, "Persuasion")
    ann.shows("Persuasion", "Ulysses")


def test_the_lines_are_counted() -> None:
    def lines(first: int, last: int, language: str) -> int:
        code = [
            each.body
            for each in blocks(PAGE, language)
            if first <= each.line < last and each.path != "shop/models.py"
        ]
        return sum(bool(line.strip()) for text in code for line in text.splitlines())

    counted = [
        f"| {name} | {lines(CHANNELS_LINE, DDPCORE_LINE, language)} "
        f"| {lines(DDPCORE_LINE, END, language)} |"
        for name, language in (("Python", "python"), ("JavaScript", "js"))
    ]
    assert re.findall(r"^\| (?:Python|JavaScript) .*", TEXT, re.MULTILINE) == counted
