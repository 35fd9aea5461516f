"""What the command says of a server of plain Python, in the good case and in the bad one."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from deploying import free_port
from project import ROOT


@pytest.fixture
def powerless() -> list[str]:
    """Begins the command line of a process without privileges, whoever runs the tests."""
    if os.getuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv to do without privileges")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


# --- the command --------------------------------------------------------------------------------


def test_all_is_well(check):
    report = check()
    assert (report.code, report.err) == (0, "")
    assert [name for name, _, _ in report.lines] == [
        "plugins", "software", "application", "routes", "address", "origins", "proxies", "limits",
        "bus", "workers",
    ]  # fmt: skip
    assert {level for _, level, _ in report.lines} == {"ok"}
    assert report.out.endswith("\n\nAll is well.\n")
    report.says("plugins", "ok", "core, ", "tornado", "pg", "django")
    report.says("software", "ok", "Python 3.", "tornado 6.", "django ", "psycopg2-binary 2.")
    report.says("application", "ok", "shop:server: 1 method, 0 publications".replace("0 p", "no p"))
    report.says("routes", "ok", "DDP and nothing else")
    report.says("bus", "ok", "memory:")
    report.says("workers", "ok", "one process")


def test_the_exit_code_for_warnings(check):
    report = check("--origin", "*")
    assert (report.code, report.out.splitlines()[-1]) == (0, "1 warning: it would serve.")
    assert check("--origin", "*", "--strict").code == 1
    report = check("--origin", "*", "--strict", "--workers", "2")
    assert report.code == 2
    assert report.out.splitlines()[-1] == "1 error, 1 warning: not fit to serve."
    report.says("workers", "FAIL", "memory: stays within one process", "Use PostgreSQL")


def test_json_is_for_programs(check):
    check.write("print('what a project says')")
    report = check("--json", "--origin", "*", "--bus", "unknown://user:secret@host")
    told = json.loads(report.out)
    assert (report.code, told["code"], told["errors"], told["warnings"]) == (2, 2, 1, 1)
    assert set(told["findings"][0]) == {"check", "plugin", "level", "text", "advice"}
    levels = {each["check"]: each["level"] for each in told["findings"]}
    assert (levels["plugins"], levels["origins"], levels["bus"]) == ("ok", "warning", "error")
    assert "what a project says" in report.err
    assert "secret" not in report.out


def on_a_terminal(check, **env: str) -> str:
    master, slave = pty.openpty()
    environ = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"} | env
    process = subprocess.Popen(
        [sys.executable, "-m", "ddpcore", "check", "shop:server", "--bind", "127.0.0.1:0",
         "--origin", "*", "--workers", "2"],
        cwd=check.directory, env=environ, stdin=slave, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    text = b""
    try:
        while more := os.read(master, 4096):
            text += more
    except OSError:  # the other side is closed
        pass
    os.close(master)
    assert process.wait(30) == 2
    return text.decode().replace("\r\n", "\n")


def test_on_a_terminal(check):
    text = on_a_terminal(check, PYTHONIOENCODING="utf-8")
    assert "\x1b[32m\u2713\x1b[0m plugins" in text
    assert "\x1b[33m!\x1b[0m origins" in text
    assert "\x1b[31m\u2717\x1b[0m workers" in text
    plain = on_a_terminal(check, PYTHONIOENCODING="utf-8", NO_COLOR="1")
    assert "\x1b" not in plain
    assert "\u2717 workers      --workers 2" in plain
    assert max(map(len, plain.splitlines())) < 80
    ascii = on_a_terminal(check, PYTHONIOENCODING="ascii", NO_COLOR="1")
    assert ascii.isascii()
    assert "FAIL workers" in ascii


def test_names_that_are_not_ascii(check, tmp_path):
    report = check("--bind", f"unix:{tmp_path}/h\u00f6h\u00e4.sock")
    assert report.out.isascii()
    report.says("address", "ok", "h\\xf6h\\xe4.sock is free")


def test_options_that_cannot_be(check):
    report = check("--workers", "0")
    assert (report.code, len(report.lines)) == (2, 1)
    report.says("options", "FAIL", "--workers takes a number of processes from 1")
    assert check.run("shop:server", "--no-such-thing").code == 2


def test_nothing_to_serve(check):
    report = check.run("--bind", "127.0.0.1:0")
    assert report.code == 2
    report.says("application", "FAIL", "What shall be served?", "ddpcore check --settings")
    report.says("address", "ok")  # the others are looked at all the same


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit('no')", "SystemExit: no"),
        ("import no_such_package", "No module named 'no_such_package'"),
    ],
)
def test_an_application_that_does_not_load(check, code, text):
    check.write(code)
    report = check()
    assert report.code == 2
    report.says("application", "FAIL", text, "shop.py:", "Your code")
    report.says("origins", "ok")
    report.silent("bus")  # nobody knows which


def test_a_plugin_that_does_not_load(check):
    (check.directory / "broken-1.dist-info").mkdir()
    (check.directory / "broken-1.dist-info" / "METADATA").write_text("Name: broken\nVersion: 1\n")
    (check.directory / "broken-1.dist-info" / "entry_points.txt").write_text(
        "[ddpcore]\nbroken = no_such_module\n"
    )
    report = check()
    assert (report.code, report.out) == (2, "")
    assert "The plugin 'broken' (no_such_module) cannot be loaded" in report.err
    report = check("--disable", "broken")
    assert report.code == 0
    report.says("plugins", "ok", "without broken")


def test_routes_that_cannot_be(check):
    check.write(
        "from ddpcore import hookimpl\n"
        "class Routes:\n"
        "    @hookimpl\n"
        "    def ddpcore_routes(self):\n"
        "        raise KeyError('routes')\n"
        "server = Server(plugins=[Routes()])\n"
        "def site(environ, start_response): ...\n"
    )
    report = check()
    report.says("routes", "FAIL", "KeyError: 'routes'")
    check.write("def site(environ, start_response): ...")
    check("--wsgi", "shop:site").says("routes", "ok", "a WSGI site")
    check("--meteor", "star.json").says("routes", "FAIL", "star.json")


def test_checks_of_a_server_s_own_plugins(check):
    check.write(
        "from ddpcore import hookimpl\n"
        "from ddpcore.checks import Check, Finding\n"
        "class Disk:\n"
        "    @hookimpl\n"
        "    def ddpcore_checks(self, server, options):\n"
        "        text = f'{server is not None} {options.bus} {options.workers}'\n"
        "        return [Check('disk', lambda: Finding.warning(text, 'Sweep.'))]\n"
        "server = Server(plugins=[Disk()])\n"
    )
    report = check()
    assert report.lines[-1] == ("disk", "warn", "True memory: 1 Sweep.")


# --- addresses ----------------------------------------------------------------------------------


def test_a_port_that_another_program_has(check):
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer():
            for _ in range(2):  # plain, then by TLS
                connection, _ = other.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")

        answering = threading.Thread(target=answer)
        answering.start()
        report = check("--bind", f"127.0.0.1:{other.getsockname()[1]}")
        answering.join()
    report.says("address", "FAIL", "in use by another program", "another address with --bind")


@pytest.mark.parametrize("what", ["plain", "unix", "monitor", "tls"])
def test_a_port_that_a_ddpcore_has(check, commands, tmp_path, what):
    port = free_port()
    address = f"unix:{tmp_path}/ddp.sock" if what == "unix" else f"127.0.0.1:{port}"
    more = []
    if what == "tls":
        from deploying import Certificate

        own = Certificate(tmp_path, "own")
        more = ["--certfile", str(own.certfile), "--keyfile", str(own.keyfile)]
    option = "--bind"
    if what == "monitor":
        option, more = "--monitor", ["--bind", "127.0.0.1:0"]
    server = commands.serve(option, address, "--workers", "1", "--bus", "memory:", *more)
    while "Ctrl-C stops" not in server.line():
        pass
    report = check(option, address)
    assert report.code == 0
    report.says("address", "warn", f"{option} {address} is in use, it seems by a ddpcore that runs")
    server.end()
    check(option, address).says("address", "ok", f"{option} {address} is free")


def test_the_same_address_twice(check):
    port = free_port()
    report = check("--bind", f"127.0.0.1:{port}", "--monitor", f"127.0.0.1:{port}")
    assert report.code == 2
    report.says("address", "ok", f"--bind 127.0.0.1:{port} is free")
    report.says("address", "FAIL", f"--monitor 127.0.0.1:{port}", "twice")


def test_what_is_told_at_the_monitor(check):
    monitor = ("--monitor", "127.0.0.1:0")
    check("--metrics", "--status", *monitor).says("monitor", "ok", "--metrics and --status at 127")
    check(*monitor).silent("monitor")
    for option in ("--metrics", "--status"):
        report = check(option)
        assert report.code == 2
        report.says("monitor", "FAIL", f"{option} needs an address", "give --monitor")
    report = check("--status", "--monitor", "0.0.0.0:0")
    report.says("address", "FAIL", "Put a token into DDPCORE_STATUS_TOKEN")
    report = check("--status", *monitor, env={"DDPCORE_STATUS_TOKEN": "short"})
    report.says("monitor", "FAIL", "has 5 characters", "openssl rand -hex 16")


def test_a_port_that_needs_a_privilege(check, powerless):
    limit = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if limit < 1024:
        pytest.skip("there are no privileged ports here")
    report = check("--bind", "127.0.0.1:81", before=powerless)
    report.says("address", "FAIL", "a port below 1024 needs a privilege", "systemd")


def test_names_that_mean_nothing(check):
    report = check("--bind", "no-such-host.invalid:8000")
    report.says("address", "FAIL", "Cannot listen on no-such-host.invalid:8000")
    check("--bind", "203.0.113.1:8000").says("address", "FAIL", "Cannot assign requested address")


def test_unix_sockets_leave_nothing(check, tmp_path):
    path = tmp_path / "ddp.sock"
    report = check("--bind", f"unix:{path}")
    report.says("address", "ok", f"unix:{path} is free")
    assert not path.exists()
    path.write_text("a file")
    report = check("--bind", f"unix:{path}")
    report.says("address", "FAIL", "there is a file that is no socket")
    assert path.read_text() == "a file"
    check("--bind", f"unix:{tmp_path}/none/ddp.sock").says("address", "FAIL", "No such file")


def test_unix_sockets_in_a_place_of_others(check, powerless, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    report = check("--bind", f"unix:{closed}/ddp.sock", before=powerless)
    report.says("address", "FAIL", "this user may not make that file", "RuntimeDirectory")


# --- origins, proxies, limits -------------------------------------------------------------------


def test_origins(check):
    check("--origin", "https://app.example.com").says("origins", "ok", "of https://app.example.com")
    for origin, text in (
        ("*", "any web page may connect"),
        ("null", "hide who they are"),
        ("https://app.example.com:443", "matches no page"),
        ("http://app.example.com:80/", "Write http://app.example.com."),
        ("https://app.example.com:x", "no number"),
    ):
        report = check("--origin", origin)
        report.says("origins", "warn", text)
        assert report.code == 0
    for origin in ("app.example.com", "https://app.example.com/path"):
        report = check("--origin", origin)
        report.says("origins", "FAIL", "An origin looks like https://app.example.com")
        assert report.code == 2


def test_proxies(check, tmp_path):
    unix = f"unix:{tmp_path}/ddp.sock"
    for level, text, *arguments in (
        ("ok", "none is believed"),
        ("ok", "nobody comes past", "--forwarded-count", "1"),
        ("ok", "2 proxies say", "--forwarded-count", "2", "--bind", unix),
        ("warn", "can be reached past them", "--forwarded-count", "1", "--bind", "0.0.0.0:0"),
        ("warn", "a Unix socket only", "--bind", unix),
        ("warn", "--root-url is https", "--meteor", "x", "--root-url", "https://example.com"),
    ):
        check(*arguments).says("proxies", level, text)
    check.write("server = Server(forwarded_count=1)")
    check().says("proxies", "ok", "1 proxy says whom it hears")


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))
os.execv(sys.executable, [sys.executable, "-m", "ddpcore", *sys.argv[1:]])
"""


def test_limits(check):
    check("--max-connections", "300").says("limits", "ok", "300 connections, and files")
    report = check("--max-connections", "1000", program=("-c", LIMITED))
    report.says("limits", "warn", "may open 500 files", "400 connections", "LimitNOFILE=2048",
                "--max-connections 400")  # fmt: skip
    report = check("--max-connections", "450", program=("-c", LIMITED))
    report.says("limits", "ok", "400 connections")


# --- buses --------------------------------------------------------------------------------------


def test_a_bus_that_nobody_knows(check):
    report = check("--bus", "unknown:")
    report.says("bus", "FAIL", "No bus for 'unknown:'")
    check("--bus", "postgres:").says("bus", "FAIL", "Name one: --bus postgres://user@host/database")


def test_postgres_as_the_bus(check, pg_dsn):
    report = check("--bus", pg_dsn, "--workers", "2")
    assert report.code == 0
    report.says("bus", "ok", "came back after")
    report.says("clock", "ok", "s apart")  # by how much depends on how long the question took
    report.says("queue", "ok", "0% full")
    report.silent("connections")  # it has room for four
    assert "password=" not in report.out or "***" in report.out


def test_a_database_that_is_away(check):
    dsn = f"postgres://nobody:secret@127.0.0.1:{free_port()}/none"
    report = check("--bus", dsn)
    report.says("bus", "FAIL", "cannot be used by the bus", "Connection refused")
    for name in ("clock", "queue", "connections"):
        report.silent(name)
    assert "secret" not in report.out + report.err


CLOCK = "clock_timestamp() RETURNS timestamptz LANGUAGE sql AS"


def faked(pg_cluster, dsn: str, function: str) -> str:
    """The DSN of a database in which a function of PostgreSQL's own says something else."""
    name = dsn.rpartition("/")[2].partition("?")[0]
    pg_cluster.execute("CREATE SCHEMA fake", name)
    pg_cluster.execute(f"CREATE FUNCTION fake.{function}", name)
    pg_cluster.execute(f'ALTER DATABASE "{name}" SET search_path = fake, pg_catalog, public', name)
    return dsn


@pytest.mark.parametrize(
    ("function", "check_name", "level", "text"),
    [
        (
            f"{CLOCK} $$ SELECT pg_catalog.clock_timestamp() - interval '1 minute' $$",
            "clock", "warn", "s behind that of this machine",
        ),
        (
            f"{CLOCK} $$ SELECT pg_catalog.clock_timestamp() + interval '1 hour' $$",
            "clock", "warn", "s ahead of that of this machine",
        ),
        (
            "pg_notification_queue_usage() RETURNS float8 LANGUAGE sql AS $$ SELECT 0.6 $$",
            "queue", "warn", "is 60% full",
        ),
        # What is sent does not come back: as with a pooler in transaction mode.
        (
            "pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$",
            "bus", "FAIL", "a pooler in transaction mode (PgBouncer, Odyssey, Supavisor)",
        ),
    ],
)  # fmt: skip
def test_what_a_database_may_say(check, pg_cluster, pg_dsn, function, check_name, level, text):
    report = check("--bus", faked(pg_cluster, pg_dsn, function))
    report.says(check_name, level, text)
    if text.startswith("s behind"):
        [(_, said)] = report.of("clock")
        # The question itself may take a while.
        assert abs(int(re.search(r"is (\d+) s", said)[1]) - 60) < 10


@pytest.mark.parametrize(
    ("theirs", "said"),
    [(101.0, "0.0 s apart"), (99.0, "1.0 s apart"), (40.0, "60 s behind"), (190.0, "60 s ahead")],
)
def test_a_slow_answer_is_no_wrong_clock(monkeypatch, theirs, said):
    from ddpcore_pg import checking

    ours = iter([100.0, 130.0])  # before it is asked, and after
    monkeypatch.setattr(checking, "time", SimpleNamespace(time=lambda: next(ours)))
    cursor = SimpleNamespace(execute=lambda _: None, fetchall=lambda: [(theirs,)])
    assert said in checking.clock(cursor).text


def test_a_bus_without_room(check, pg_cluster, pg_dsn):
    name = pg_dsn.rpartition("/")[2].partition("?")[0]
    pg_cluster.execute("DROP ROLE IF EXISTS few")
    pg_cluster.execute("CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 3")
    few = pg_dsn.replace(pg_dsn.split("//")[1].split("@")[0], "few:few") if "@" in pg_dsn else None
    if few is None:
        pytest.skip("the server of DDPCORE_TEST_DSN is not ours to add users to")
    try:
        report = check("--bus", few, "--workers", "2")
        report.says("connections", "FAIL", "The bus of 2 processes takes up to 4 connections",
                    "gives 3 (the limit of the role)")  # fmt: skip
        check("--bus", few).silent("connections")
    finally:
        pg_cluster.dropdb(name)
        pg_cluster.execute("DROP ROLE few")


# --- versions -----------------------------------------------------------------------------------


def distribution(directory: Path, name: str, version: str) -> None:
    """Have it look as if this were installed."""
    info = directory / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_versions_that_are_not_supported(check):
    distribution(check.directory, "tornado", "99.0")
    report = check()
    assert report.code == 2
    report.says("software", "FAIL", "tornado 99.0 is installed", "pip install 'tornado>=6.5,<7'")
    assert len(report.of("software")) == 1


def test_a_python_that_is_not_tested_with(monkeypatch):
    from ddpcore import core_checks

    monkeypatch.setattr(core_checks.sys, "version_info", (3, 99, 1))
    first, second = core_checks._software()
    assert first.text == "Python 3.99.1 is none of those that ddpcore is tested with."
    assert "Use one of 3.11" in first.advice
    assert second.level.value == "ok"


def test_a_ddpcore_that_is_not_installed(monkeypatch):
    from ddpcore import core_checks

    def missing(name):
        raise core_checks.PackageNotFoundError(name)

    monkeypatch.setattr(core_checks, "metadata", missing)
    (finding,) = core_checks._software()
    assert (finding.level.value, finding.advice) == ("warning", "Install it: pip install ddpcore.")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("def ddpcore_routes(): raise KeyError('x')", "KeyError: 'x'"),
        ("def ddpcore_routes(): return 42", "42 is no list"),
        ("async def ddpcore_routes(): return []", "not awaited"),
    ],
)
def test_routes_that_are_none_are_told_with_their_plugin(check, body, why):
    check.write(
        "import types\nfrom ddpcore import hookimpl\nBad = types.ModuleType('Bad')\n"
        f"{body}\nBad.ddpcore_routes = hookimpl(ddpcore_routes)\nserver = Server(plugins=[Bad])\n"
    )
    report = check()
    assert "never awaited" not in report.err
    report.says("routes", "FAIL", why, "In ddpcore_routes of the plugin 'Bad'.")
