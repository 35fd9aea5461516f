"""Django projects, served for real, and the JavaScript clients that talk to them.

One is the bookstore example; the other is accounts_site, whose users log in. Three kinds of processes take part: the server, a writer that changes the same database from
elsewhere, and one `node` per client, told what to do line by line (see clients/driver.mjs).

    npm ci --ignore-scripts --prefix tests/interop
    pytest tests/interop
"""

from __future__ import annotations

import email
import email.policy
import json
import os
import queue
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from deploying import free_port

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SUPPORT = ROOT / "tests" / "support"
BOOKSTORE = ROOT / "examples" / "bookstore"
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
PATIENCE = 60.0  # seconds that anything may take before a test gives up


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run on this machine; but fail it in CI, where no tier is skipped."""
    if shutil.which("node") is None:
        lack = "no node"
    elif not (HERE / "node_modules").is_dir():
        lack = "no npm packages: npm ci --ignore-scripts --prefix tests/interop"
    elif item.get_closest_marker("browser") and not CHROMIUM.exists():
        lack = f"no {CHROMIUM}; $CHROMIUM may name another"
    else:
        return
    (pytest.fail if os.environ.get("CI") else pytest.skip)(lack)


class Peer:
    """A process that takes commands and reports what happens, as lines of JSON."""

    def __init__(self, *command: str, env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command, cwd=HERE, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def send(self, message: Any) -> None:
        print(json.dumps(message), file=self._process.stdin, flush=True)

    def receive(self, deadline: float) -> Any:
        """The next line.

        Raises:
            TimeoutError: None came in time.
            EOFError: The process has ended.
        """
        try:
            line = self._lines.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        if not line:
            raise EOFError(f"{self._process.args} ended")
        return json.loads(line)

    def close(self) -> None:
        """End the process: by the end of its input, or by force if it does not heed that."""
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()


# --- the server and the writer ----------------------------------------------------------------


class Site:
    """`ddpcore serve` of a project, at a port that stays the same when it is restarted."""

    def __init__(
        self, settings: str, paths: list[Path], log: Path, *options: str, **environ: str
    ) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.settings = settings
        self.options = options
        self.environ = os.environ | {
            "DJANGO_SETTINGS_MODULE": settings,
            "PYTHONPATH": os.pathsep.join(map(str, [ROOT, SUPPORT, *paths])),
            **environ,
        }
        self.log = log

    def run(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *arguments], env=self.environ, stdout=log, stderr=log
            )

    def migrate(self) -> None:
        assert self.run("django", "migrate", "--run-syncdb", "--verbosity=0").wait(PATIENCE) == 0, (
            self.log
        )

    def start(self) -> None:
        self.process = self.run(
            "ddpcore", "serve", "--settings", self.settings, "--bind", self.address, *self.options
        )
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop(signal.SIGKILL)
                pytest.fail(f"The server did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/sockjs/info", timeout=PATIENCE):
                return True
        except OSError:  # nobody listens, or whoever does has hung up
            return False

    def stop(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Wire:
    """A TCP proxy before the site, at an address of its own, so that connections can break.

    To the site, its clients come from `source`.
    """

    def __init__(self, site: Site, source: str = "127.0.0.1") -> None:
        self._source = (source, 0)
        host, port = site.address.split(":")
        self._upstream = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://{}:{}".format(*self._listener.getsockname())
        self._deaf = False
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def swallow(self) -> None:
        """From now on, nothing that the server says arrives, until the connections are cut."""
        self._deaf = True

    def cut(self) -> None:
        """Break all connections; new ones are taken."""
        with self._lock:
            for each in self._sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._sockets.clear()
            self._deaf = False

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                near, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(near,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, near: socket.socket) -> None:
        with near, suppress(OSError), self._connect() as far:
            with self._lock:
                self._sockets |= {near, far}
            up = threading.Thread(target=self._pump, args=(near, far))
            up.start()
            self._pump(far, near)
            up.join()

    def _connect(self) -> socket.socket:
        return socket.create_connection(self._upstream, source_address=self._source)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not (self._deaf and target.getsockname() == self._listener.getsockname()):
                    target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets -= {source, target}


class Writer(Peer):
    """Another Django process on the same database: `writer("save", "Book", "7", title="…")`."""

    def __call__(self, command: str, *arguments: Any, **fields: Any) -> Any:
        self.send([command, arguments, fields])
        return self.receive(time.monotonic() + PATIENCE)


@pytest.fixture(scope="module")
def running_site(pg_cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    name = f"ddpcore_{secrets.token_hex(6)}"
    site = Site(
        "interop_settings",
        [HERE / "site", BOOKSTORE],
        tmp_path_factory.mktemp("interop") / "server.log",
        BOOKSTORE_DATABASE=pg_cluster.createdb(name),
    )
    site.migrate()
    site.start()
    yield site
    site.stop(signal.SIGTERM)
    pg_cluster.dropdb(name)


@contextmanager
def watched(site: Site) -> Iterator[None]:
    """What it logs meanwhile is shown, and a traceback fails the test."""
    before = site.log.stat().st_size
    yield
    if site.process.poll() is not None:
        site.start()
    with site.log.open() as log:
        log.seek(before)
        written = log.read()
    print(written)
    assert "Traceback" not in written


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    """The running server."""
    with watched(running_site):
        yield running_site


@pytest.fixture(scope="module")
def running_workers(running_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same project on the same database, served by two processes."""
    site = Site(
        "interop_settings",
        [HERE / "site", BOOKSTORE],
        tmp_path_factory.mktemp("workers") / "server.log",
        "--workers",
        "2",
        BOOKSTORE_DATABASE=running_site.environ["BOOKSTORE_DATABASE"],
    )
    site.start()
    yield site
    site.stop(signal.SIGTERM)


@pytest.fixture
def workers(running_workers: Site) -> Iterator[Site]:
    """Two processes that serve at one address."""
    with watched(running_workers):
        yield running_workers


@pytest.fixture
def wire(site: Site) -> Iterator[Wire]:
    """A way to the server that can break."""
    wire = Wire(site)
    yield wire
    wire.close()


@pytest.fixture(scope="module")
def running_writer(running_site: Site) -> Iterator[Writer]:
    writer = Writer(sys.executable, "-m", "interop.writer", env=running_site.environ)
    yield writer
    writer.close()


@pytest.fixture
def writer(running_writer: Writer) -> Writer:
    """The other process. Each test begins with an empty bookstore."""
    running_writer("clear")
    return running_writer


@pytest.fixture
def janet(writer: Writer) -> str:
    """An author's id."""
    return writer("create", "Author", name="Janet Evanovich", email="janet@evanovich.com")


# --- the project whose users log in -----------------------------------------------------------


class Mails:
    """What the servers have sent: each mail is written to a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def texts(self, address: str | None = None) -> list[str]:
        """The texts of the mails, all or those to an address, as they came."""
        texts = []
        for path in sorted(self.folder.iterdir()):
            for part in path.read_bytes().split(b"\n" + b"-" * 79 + b"\n"):
                mail = email.message_from_bytes(part, policy=email.policy.default)
                if mail["To"] and address in (None, mail["To"]):
                    texts.append(mail.get_body(("plain",)).get_content())
        return texts

    def tokens(self) -> set[str]:
        """Those of all links."""
        return set(re.findall(r"/#/[\w-]+/(\S+)", "\n".join(self.texts())))

    def link(self, kind: str, address: str) -> tuple[str, str]:
        """Wait for a mail with such a link; the newest link, and the token in it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            texts = self.texts(address)
            links = re.findall(rf"(http://\S+/#/{kind}/(\S+))", "\n".join(texts))
            if links:
                return links[-1]
            if time.monotonic() > deadline:
                pytest.fail(f"No {kind} link for {address}; mails: {texts}")
            time.sleep(0.02)


@pytest.fixture(scope="module")
def mails(tmp_path_factory: pytest.TempPathFactory) -> Mails:
    return Mails(tmp_path_factory.mktemp("mails"))


@pytest.fixture(scope="module")
def running_desks(
    pg_cluster: Any, mails: Mails, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Site]]:
    name = f"ddpcore_{secrets.token_hex(6)}"
    database = pg_cluster.createdb(name)
    logs = tmp_path_factory.mktemp("desks")
    desks = [
        Site(
            "accounts_settings",
            [HERE / "accounts_site"],
            logs / f"server-{number}.log",
            SITE_DATABASE=database,
            SITE_MAILS=str(mails.folder),
        )
        for number in (1, 2)
    ]
    for desk in desks:
        desk.environ["SITE_ROOT_URL"] = desks[0].url
    desks[0].migrate()
    for desk in desks:
        desk.start()
    yield desks
    for desk in desks:
        desk.stop(signal.SIGTERM)
    pg_cluster.dropdb(name)


@pytest.fixture
def desks(running_desks: list[Site]) -> Iterator[list[Site]]:
    """Two running servers of one project, over one database."""
    with ExitStack() as watches:
        for desk in running_desks:
            watches.enter_context(watched(desk))
        yield running_desks


@pytest.fixture
def home() -> str:
    """An address that clients come from; each test has its own, as logins are limited for each."""
    return f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"


@pytest.fixture
def ways(desks: list[Site], home: str) -> Iterator[list[Wire]]:
    """A way from there to each of the desks, that can break."""
    wires = [Wire(desk, home) for desk in desks]
    yield wires
    for wire in wires:
        wire.close()


@pytest.fixture(scope="module")
def office(running_desks: list[Site]) -> Iterator[Writer]:
    """A process that is no server, on the same database: `office("hire", "emma", "…")`."""
    office = Writer(sys.executable, "-m", "desk.office", env=running_desks[0].environ)
    yield office
    office.close()


# --- the clients ------------------------------------------------------------------------------


class Client(Peer):
    """One of clients/*.mjs in a `node` of its own."""

    def __init__(self, script: str, *options: str) -> None:
        super().__init__("node", f"clients/{script}.mjs", *options)
        self._events: deque[dict[str, Any]] = deque()
        self._seen: list[dict[str, Any]] = []  # all that came, to explain a failure
        self.stuck = False

    def _next(self, deadline: float, what: str) -> dict[str, Any]:
        try:
            message: dict[str, Any] = self.receive(deadline)
        except (TimeoutError, EOFError) as error:
            self.stuck = True
            pytest.fail(f"{error!r}, waiting for {what}; so far: {self._seen}")
        self._seen.append(message)
        return message

    def _answer(self, command: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
        self.send([command, arguments])
        deadline = time.monotonic() + PATIENCE
        while True:
            message = self._next(deadline, f"the answer to {command}{arguments}")
            if "answer" in message:
                return message
            self._events.append(message)

    def do(self, command: str, *arguments: Any) -> Any:
        """Have the client run a command; what it answers."""
        answer = self._answer(command, arguments)
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    def fail(self, command: str, *arguments: Any) -> dict[str, Any]:
        """Have the client run a command that is refused; the DDP error."""
        return self._answer(command, arguments)["error"]

    def subscribe(self, name: str, *params: Any) -> None:
        """Subscribe, until it is ready; `unsubscribe` knows it by its name."""
        self.do("subscribe", name, name, params)

    def forget(self) -> None:
        """Begin anew: nothing has been seen yet."""
        self._events.clear()
        self._seen.clear()

    def start(self, tag: str, command: str, *arguments: Any) -> None:
        """Have the client begin a command; `until("done", tag=tag)` waits for its end."""
        self.do("start", tag, command, *arguments)

    def caught_up(self) -> None:
        """Return once all that the server has sent by now has arrived."""
        assert self.do("call", "interop.echo", ["all said"]) == "all said"

    def documents(self, collection: str) -> dict[str, dict[str, Any]]:
        """The documents that the client holds: id → fields."""
        return {each.pop("_id"): each for each in self.do("documents", collection)}

    def answers(self, expected: Any, command: str, *arguments: Any) -> None:
        """Wait until the client answers a command so."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.do(command, *arguments)) != expected:
            self._pass_time(deadline, f"{expected}, not {found}")

    def holds(self, collection: str, expected: dict[str, dict[str, Any]]) -> None:
        """Wait until the client holds these documents and no other."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.documents(collection)) != expected:
            self._pass_time(deadline, f"{expected}, not {found}")

    def _pass_time(self, deadline: float, what: str) -> None:
        """Wait for something to come, but not for long: a client may change without an event."""
        ends = time.monotonic() + 0.1
        while self._lines.empty() and time.monotonic() < ends:
            time.sleep(0.005)
        if not self._lines.empty() or time.monotonic() > deadline:
            self._events.append(self._next(deadline, what))

    def seen(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """All such events that have ever come, in order."""
        return [each for each in self._seen if _matches(each, event, fields)]

    def until(self, event: str, **fields: Any) -> dict[str, Any]:
        """Wait for an event, passing over others: each is seen once, in the order they came.

        `event` is a regular expression. `fields` are those of the event or of its document.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            if self._events:
                message = self._events.popleft()
            else:
                message = self._next(deadline, f"{event} {fields}")
            if _matches(message, event, fields):
                return message


def _matches(message: dict[str, Any], event: str, fields: dict[str, Any]) -> bool:
    # Only what is asked for is compared: values of other fields may be anything.
    found = message | message.get("message", {}) | message.get("document", {})
    return re.fullmatch(event, found.get("event", "")) is not None and all(
        name in found and found[name] == value for name, value in fields.items()
    )


@pytest.fixture
def start() -> Iterator[Callable[..., Client]]:
    """`start("simpleddp", url)` starts that client; it ends with the test."""
    clients: list[Client] = []

    def start(script: str, url: str, *options: str) -> Client:
        clients.append(Client(script, url, *options))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def launch(site: Site, start: Callable[..., Client]) -> Callable[..., Client]:
    """`launch("simpleddp")` starts that client for the site. `url` may be a wire's."""

    def launch(script: str, *options: str, url: str = site.url) -> Client:
        return start(script, url, *options)

    return launch


@pytest.fixture(scope="module")
def browsers(running_site: Site) -> Iterator[list[Client]]:
    """Browsers with Meteor's client. The last one is in use."""
    browsers: list[Client] = []
    yield browsers
    for browser in browsers:
        browser.close()


@pytest.fixture
def meteor(browsers: list[Client], wire: Wire, site: Site) -> Iterator[Client]:
    """Meteor's client, connected by wire: a page of its own in a browser that lasts."""
    if not browsers or browsers[-1].stuck:
        browsers.append(Client("meteor", site.url))
    browser = browsers[-1]
    browser.do("connect", wire.url)
    browser.forget()
    yield browser
    if not browser.stuck:
        browser.do("leave")
