"""What the command says of Django projects on real databases."""

from __future__ import annotations

import json
import re
import socket
import threading

import pytest
from deploying import free_port
from pages import reading
from project import ROOT, Project

TESTS = ROOT / "tests"


@pytest.fixture
def bookstore(check, pg_dsn):
    """Check the example, on a database of its own that is not migrated yet."""

    def run(*arguments, **env):
        bind = () if "--bind" in arguments else ("--bind", "127.0.0.1:0")
        env = {"BOOKSTORE_DATABASE": pg_dsn, "BOOKSTORE_DEBUG": "0"} | env
        return check.run(
            "--settings", "mysite.settings", *bind, *arguments,
            cwd=ROOT / "examples" / "bookstore", env=env,
        )  # fmt: skip

    run.database = pg_dsn.rpartition("/")[2].partition("?")[0]
    run.migrate = lambda: migrate(pg_dsn)
    return run


def migrate(dsn: str) -> None:
    project = Project(ROOT / "examples" / "bookstore", "mysite.settings", "")
    project.env["BOOKSTORE_DATABASE"] = dsn
    project.migrate()


def test_all_is_well(bookstore):
    bookstore.migrate()
    report = bookstore("--workers", "2")
    assert (report.code, report.err) == (0, "")
    assert {level for _, level, _ in report.lines} == {"ok"}
    assert [name for name, _, _ in report.lines] == [
        "plugins", "software", "application", "routes", "settings", "address", "origins", "proxies",
        "limits", "database", "clock", "connections", "bus", "queue", "workers",
    ]  # fmt: skip
    report.says("connections", "ok", "2 processes take up to 28 connections")
    report.says("database", "ok", f"PostgreSQL {bookstore.database} answers", "is migrated")


def test_migrations_that_are_missing(bookstore):
    report = bookstore()
    report.says("database", "warn", "migrations are not applied", "Run manage.py migrate.")
    assert report.code == 0


def test_a_database_that_is_away(bookstore):
    report = bookstore(BOOKSTORE_DATABASE=f"postgres://me:secret@127.0.0.1:{free_port()}/none")
    assert report.code == 2
    report.says("database", "FAIL", "PostgreSQL none does not answer", "Connection refused")
    report.says("bus", "FAIL", "cannot be used by the bus")
    for name in ("clock", "connections", "triggers", "queue"):
        report.silent(name)
    assert "secret" not in report.out + report.err


def test_a_database_that_says_nothing(check):
    """It accepts, and that is all: each check comes to an end by itself."""
    check.write(
        "import ddpcore_pg.connection, ddpcore.checks\n"
        "ddpcore_pg.connection.CONNECT_TIMEOUT = 0.2\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        report = check("--bus", f"postgres://me@127.0.0.1:{port}/x", env={"PGCONNECT_TIMEOUT": "2"})
    assert report.code == 2
    report.says("bus", "FAIL", "cannot be used by the bus: TimeoutError")
    report.says("workers", "ok")


def test_sqlite(bookstore, tmp_path):
    path = tmp_path / "none.sqlite3"
    there = {"BOOKSTORE_DATABASE": "", "BOOKSTORE_DB": str(path)}
    bookstore(**there).says("database", "warn", "is not there yet", "Run manage.py migrate.")
    assert not path.exists()
    report = bookstore("--workers", "2", **there)
    report.says("workers", "FAIL", "memory: stays within one process")


def test_settings_that_do_not_load(check, bookstore):
    report = check.run("--settings", "no.such.settings", "--bind", "127.0.0.1:0")
    report.says("application", "FAIL", "There are no settings 'no.such.settings' here")
    report.silent("settings")
    report = check.run("shop:server", "--settings", "mysite.settings")
    report.says("application", "FAIL", "either a server or --settings, not both")


def test_debug(bookstore):
    bookstore(BOOKSTORE_DEBUG="1").says("settings", "ok", "DEBUG is on, for this machine only")
    report = bookstore("--bind", "0.0.0.0:0", BOOKSTORE_DEBUG="1")
    report.says("settings", "warn", "DEBUG is on, and others", "Set DEBUG = False")
    bookstore("--bind", "0.0.0.0:0").says("settings", "ok", "DEBUG is off")


def test_a_memory_bus_beside_postgresql(bookstore):
    bookstore("--bus", "memory:").says("bus", "warn", "what other processes write", "is not seen")


def test_more_than_the_database_gives(bookstore, pg_cluster):
    bookstore.migrate()
    report = bookstore("--workers", "8")
    report.says("connections", "FAIL", "8 processes take up to 112 connections", "THREADS")
    assert report.code == 2
    pg_cluster.execute(f'ALTER DATABASE "{bookstore.database}" CONNECTION LIMIT 20')
    # A superuser may exceed it, but whoever serves should be none.
    bookstore("--workers", "2").says("connections", "FAIL", "gives 20 (the limit of the database)")
    pg_cluster.execute(f'ALTER DATABASE "{bookstore.database}" CONNECTION LIMIT -1')


# --- triggers -----------------------------------------------------------------------------------


@pytest.fixture
def triggers(check, pg_dsn):
    """The site that is captured by triggers, on a database of its own."""
    site = TESTS / "triggers" / "site"

    def run(**ddpcore):
        env = {
            "TEST_DATABASE": pg_dsn,
            "TEST_DDPCORE": json.dumps(ddpcore or {"CAPTURE": "triggers"}),
        }
        return check.run(
            "--settings", "triggersite.settings", "--bind", "127.0.0.1:0", cwd=site, env=env
        )

    run.project = Project(
        site, "triggersite.settings", pg_dsn, TEST_DDPCORE=json.dumps({"CAPTURE": "triggers"})
    )
    run.project.migrate()
    run.database = pg_dsn.rpartition("/")[2].partition("?")[0]
    return run


def test_triggers(triggers, pg_cluster):
    report = triggers()
    report.says("triggers", "ok", "installed and current on", "tables")
    assert report.code == 0

    left = triggers(CAPTURE="signals")
    left.says("triggers", "warn", "Triggers are left over", "manage.py migrate")

    table, function, comment = pg_cluster.execute(
        "SELECT tgrelid::regclass::text, tgfoid::regproc::text, obj_description(tgfoid, 'pg_proc')"
        " FROM pg_trigger WHERE tgname = 'ddpcore_update' LIMIT 1",
        triggers.database,
    )[0]
    stale = comment.rpartition(" (")[0] + " (of another version)"
    pg_cluster.execute(f"COMMENT ON FUNCTION {function}() IS '{stale}'", triggers.database)
    triggers().says("triggers", "warn", "are stale", "manage.py ddp_triggers install")

    pg_cluster.execute(f"DROP TRIGGER ddpcore_update ON {table}", triggers.database)
    report = triggers()
    report.says("triggers", "FAIL", "are lost", "manage.py ddp_triggers install")
    report.says("application", "FAIL", "ddpcore.W002")
    assert report.code == 2


# --- accounts -----------------------------------------------------------------------------------


@pytest.fixture
def accounts(check, pg_dsn):
    """The site with accounts."""
    site = TESTS / "accounts" / "site"

    def run(*arguments, settings="", **env):
        (check.directory / "own_settings.py").write_text(
            f"from accountsite.settings import *\n{settings}\n"
        )
        bind = () if "--bind" in arguments else ("--bind", "127.0.0.1:0")
        return check.run(
            "--settings", "own_settings", *bind, *arguments,
            env={"TEST_DATABASE": pg_dsn, "PYTHONPATH": f"{site}:{ROOT / 'tests' / 'support'}:{ROOT}"}
            | env,
        )  # fmt: skip

    Project(site, "accountsite.settings", pg_dsn).migrate()
    return run


def test_accounts(accounts, tmp_path):
    report = accounts()
    report.says("accounts", "ok", "new passwords are hashed by")
    first = '["django.contrib.auth.hashers.PBKDF2PasswordHasher", "accountsite.hashers.FastMeteorHasher"]'
    accounts(TEST_HASHERS=first).says("accounts", "warn", "ddpcore.W101", "PASSWORD_HASHERS")
    report = accounts(TEST_HASHERS='["django.contrib.auth.hashers.PBKDF2PasswordHasher"]')
    report.says("accounts", "FAIL", "ddpcore.E103")
    report.says("application", "FAIL", "ddpcore.E103")


def test_a_warning_that_the_project_has_silenced(accounts):
    nowhere = "DDPCORE_ACCOUNTS = {}"
    accounts(settings=nowhere).says("accounts", "warn", "ddpcore.W102")
    silenced = 'SILENCED_SYSTEM_CHECKS = ["ddpcore.W102"]'
    report = accounts(settings=f"{nowhere}\n{silenced}")
    report.says("accounts", "ok", "new passwords are hashed by")


def test_passwords_that_others_may_read(accounts):
    outside = "--bind", "0.0.0.0:0"
    accounts(*outside).says("accounts", "warn", "without TLS", "--certfile")
    accounts(*outside, "--forwarded-count", "1").says("accounts", "ok", "hashed")


def test_settings_that_speak_of_a_proxy(accounts):
    header = json.dumps(["HTTP_X_FORWARDED_PROTO", "https"])
    report = accounts(TEST_PROXY_HEADER=header)
    report.says("settings", "warn", "speak of a proxy", "--forwarded-count 1")
    report = accounts("--forwarded-count", "1", TEST_PROXY_HEADER=header)
    report.says("settings", "ok", "DEBUG is off")


class MailServer:
    """As much of SMTP as to be greeted."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.heard: list[str] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self.listening.accept()
        with connection, connection.makefile("rw", newline="\r\n") as file:
            file.write("220 here\r\n")
            file.flush()
            for line in file:
                self.heard.append(line.split()[0].upper())
                file.write("221 bye\r\n" if self.heard[-1] == "QUIT" else "250 fine\r\n")
                file.flush()
                if self.heard[-1] == "QUIT":
                    return

    def close(self) -> None:
        self.listening.close()
        self._thread.join()


def test_mails(accounts):
    smtp = (
        "EMAIL_BACKEND = 'django.core.mail.backends.smtp.EmailBackend'\nEMAIL_HOST = '127.0.0.1'\n"
    )
    server = MailServer()
    report = accounts(settings=f"{smtp}EMAIL_PORT = {server.port}")
    report.says("mails", "ok", f"127.0.0.1:{server.port} takes mails", "http://localhost:3000/")
    server.close()
    assert server.heard == ["QUIT"]  # nobody is sent anything
    report = accounts(settings=f"{smtp}EMAIL_PORT = {server.port}")
    report.says("mails", "warn", "cannot be used: ConnectionRefusedError 111", "sendtestemail")
    console = "EMAIL_BACKEND = 'django.core.mail.backends.console.EmailBackend'"
    accounts(settings=console).says("mails", "warn", "no mail reaches a user", "EMAIL_HOST")
    accounts(settings="DDPCORE_ACCOUNTS = {}").silent("mails")


# --- the page -----------------------------------------------------------------------------------


def stable(text: str) -> list[str]:
    """A report without what differs from machine to machine."""
    text = re.sub(r"load: .*", "load: NAMES", text)
    text = re.sub(r"dbname=.* port=\d+", "DSN", text)
    text = re.sub(r"PostgreSQL \w+ (answers|does)", r"PostgreSQL NAME \1", text)
    text = re.sub(r"(127\.0\.0\.1:?\d*)(/\w+)?", "HOST", text)
    text = re.sub(r"(, )?[\w-]+ \d+\.\d[\w.]*(?=,|$)", "", text, flags=re.MULTILINE)  # versions
    return re.sub(r"\d+(\.\d+)?", "N", text).splitlines()


def test_the_page_shows_what_is_told(bookstore, commands):
    with reading("how-to/deployment.md", "console") as page:
        [(_, away)], [(_, well)] = (block.commands for block in page.take())
    port = free_port()
    arguments = (
        "--workers",
        "2",
        "--origin",
        "https://app.example.com",
        "--bind",
        f"127.0.0.1:{port}",
    )
    server = commands.serve("--bind", f"127.0.0.1:{port}", "--workers", "1", "--bus", "memory:")
    while "Ctrl-C stops" not in server.line():
        pass
    dsn = f"postgres://mysite@127.0.0.1:{free_port()}/mysite"
    report = bookstore(*arguments, BOOKSTORE_DATABASE=dsn)
    server.end()
    assert stable(report.out) == stable(away)
    bookstore.migrate()
    assert stable(bookstore(*arguments).out) == stable(well)


# --- a bus by somebody else ---------------------------------------------------------------------

OTHER_BUS = """
import ddpcore
from ddpcore import MemoryBus

class Other(MemoryBus):
    crosses_processes = True

@ddpcore.hookimpl
def ddpcore_bus(url):
    return Other() if url == "other:" else None
"""


def test_writers_that_do_not_tell_the_bus(check, bookstore):
    (check.directory / "other_bus.py").write_text(OTHER_BUS)
    (check.directory / "own_settings.py").write_text(
        "from mysite.settings import *\nDDPCORE = {'BUS': 'other:'}\n"
    )
    info = check.directory / "other-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: other\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[ddpcore]\nother = other_bus\n")
    env = {"PYTHONPATH": f"{check.directory}:{ROOT}"}
    report = bookstore("--bus", "other:", **env)
    report.says("bus", "warn", "Nobody but servers tells this bus", "Name it in DDPCORE['BUS']")
    report.says("bus", "ok", "a change sent by other: came back")
    report = bookstore("--settings", "own_settings", "--workers", "2", **env)
    assert report.of("bus")[0][0] == "ok" and len(report.of("bus")) == 1
    report.says("workers", "ok", "2 processes")
    report.says("connections", "ok", "take up to 24 connections")  # none of them the bus's
