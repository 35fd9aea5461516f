"""What `ddpcore` says to those who mistype: one clear line, exit code 2, no traceback."""

from __future__ import annotations

import re
import signal
import socket

import pytest

import ddpcore
from ddpcore.plugins import plugin_manager


def test_version(shell):
    assert shell.run("--version") == (0, f"ddpcore {ddpcore.__version__}\n", "")


def test_help(shell):
    code, out, err = shell.run("--help")
    assert (code, err) == (0, "")
    for word in ("serve", "demo", "--version", "--log-level"):
        assert word in out


def test_without_a_command_it_says_what_there_is(shell):
    code, out, err = shell.run("--log-level", "INFO")
    assert (code, out) == (2, "")
    assert err == shell.run("--help")[1]
    assert "ddpcore serve --settings mysite.settings" in " ".join(err.split())


def test_help_of_serve(shell):
    code, out, err = shell.run("serve", "--help")
    assert (code, err) == (0, "")
    for word in (
        "package.module:server",
        "--settings",
        "--bind",
        "--bus",
        "--origin",
        "--certfile",
    ):
        assert word in out


MODULES = {
    "broken.py": "import nonsense\n",
    "prefix.py": "import pre\n",
    "unconfigured.py": "DEBUG = True\n",
    "unknown_key.py": "INSTALLED_APPS = ['ddpcore_django']\nSECRET_KEY = 'x'\n"
    "DDPCORE = {'BUSS': 'memory:'}\n"
    "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n",
    "server_key.py": "INSTALLED_APPS = ['ddpcore_django']\nSECRET_KEY = 'x'\n"
    "DDPCORE = {'SERVER': {'connect_timeout': 20, 'threads': 3}}\n"
    "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n",
    "not_installed.py": "INSTALLED_APPS = []\nSECRET_KEY = 'x'\n",
}

MISTAKES = {
    "unknown command": (["sevre"], r"sevre"),
    "nothing to serve": (["serve"], r"package\.module:server.*--settings mysite\.settings"),
    "both": (["serve", "shop.server:server", "--settings", "shop"], r"not both"),
    "no colon": (
        ["serve", "mysite.settings"],
        r"package\.module:server.*not 'mysite\.settings'.*named by --settings mysite\.settings",
    ),
    "no attribute": (["serve", "shop.server:"], r"package\.module:server"),
    "no module": (["serve", ":server"], r"package\.module:server"),
    "relative": (["serve", ".shop:server"], r"package\.module:server"),
    "a file": (["serve", "shop/server.py:server"], r"package\.module:server"),
    "unknown package": (["serve", "shoop.server:server"], r"no module 'shoop' here.*PYTHONPATH"),
    "unknown module": (["serve", "shop.sever:server"], r"no module 'shop\.sever' here"),
    "unknown name": (["serve", "shop.server:serv"], r"'shop\.server' has no 'serv'"),
    "no server": (["serve", "shop.server:number"], r"shop\.server:number is no .*Server.* int"),
    "unknown settings": (
        ["serve", "--settings", "mysite.settings"],
        r"no settings 'mysite\.settings' here.*manage\.py.*PYTHONPATH",
    ),
    "empty settings": (["serve", "--settings", "unconfigured"], r"INSTALLED_APPS"),
    "not installed": (["serve", "--settings", "not_installed"], r"\"ddpcore_django\".*INSTALLED"),
    "unknown key": (["serve", "--settings", "unknown_key"], r"no setting BUSS.*There are: .*BUS"),
    "unknown key of the server": (
        ["serve", "--settings", "server_key"],
        r'DDPCORE\["SERVER"\] has no threads\. There are: connect_timeout, .*stuck_timeout',
    ),
    "unknown bus": (["serve", "shop.server:server", "--bus", "nonsense:"], r"No bus for 'nonsense:'"),
    "unknown scheme": (
        ["serve", "shop.server:server", "--bus", "mysql://me:secret@host/base"],
        r"No bus for 'mysql:'(?!.*secret)",
    ),
    "postgres of nobody": (
        ["serve", "shop.server:server", "--bus", "postgres:"],
        r"postgres: means .*Django settings.*shop\.server:server",
    ),
    "no database": (
        ["serve", "shop.server:server", "--bus", "postgres://nobody@127.0.0.1:1/none"],
        r"127\.0\.0\.1",
    ),
    "no port": (["serve", "shop.server:server", "--bind", "localhost"], r"HOST:PORT.*'localhost'"),
    "high port": (["serve", "shop.server:server", "--bind", ":65536"], r"HOST:PORT"),
    "long port": (["serve", "shop.server:server", "--bind", f":{'9' * 5000}"], r"HOST:PORT"),
    "unknown host": (["serve", "shop.server:server", "--bind", "no.invalid:80"], r"no\.invalid:80"),
    "odd host": (["serve", "shop.server:server", "--bind", "a..b:80"], r"Cannot listen on a\.\.b:80"),
    "odd origin": (["serve", "shop.server:server", "--origin", "example.com"], r"https://app"),
    "no certificate": (
        ["serve", "shop.server:server", "--certfile", "none.pem"],
        r"certificate none\.pem: .*No such file",
    ),
    "odd certificate": (["serve", "shop.server:server", "--certfile", "broken.py"], r"broken\.py"),
    "odd number of proxies": (
        ["serve", "shop.server:server", "--forwarded-count", "-1"],
        r"--forwarded-count takes a number of proxies from 0, not -1",
    ),
    "no connections": (
        ["serve", "shop.server:server", "--max-connections", "0"],
        r"The limit connections is a positive number, not 0",
    ),
    "no connections of one": (
        ["serve", "shop.server:server", "--max-connections-per-address", "-5"],
        r"The limit connections_per_address is a positive number, not -5",
    ),
    "no time for headers": (
        ["serve", "shop.server:server", "--header-timeout", "nan"],
        r"The limit header_timeout is a positive number, not nan",
    ),
    "key alone": (["serve", "shop.server:server", "--keyfile", "key.pem"], r"needs --certfile"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(shell, arguments, expected):
    for name, text in MODULES.items():
        shell.write(name, text)
    code, out, err = shell.run(*arguments)
    assert (code, out) == (2, "")
    assert re.search(expected, err, re.DOTALL), err
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("ddpcore: ")
    assert err == f"{last}\n" or err.startswith("usage: ")


@pytest.mark.parametrize("module", ["broken", "prefix"])
def test_an_import_that_fails_inside_the_module_is_shown(shell, module):
    shell.write(f"{module}.py", MODULES[f"{module}.py"])
    code, _, err = shell.run("serve", f"{module}:server")
    assert code == 1
    assert f'{module}.py", line 1' in err
    assert "here. Run" not in err


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_log_level_stands_before_or_after_the_command(shell, place):
    option = ["--log-level", "DEBUG"]
    command = ["serve", "shop.server:server", "--bind", "127.0.0.1:0"]
    process = shell.start(*(option + command if place == "before" else command + option))
    process.address()
    code, _, err = process.end(signal.SIGTERM)
    assert code == 0
    assert "DEBUG asyncio: " in err


def test_an_address_in_use(shell):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        code, out, err = shell.run("serve", "shop.server:server", "--bind", address)
    assert (code, out) == (2, "")
    assert err == (
        f"ddpcore: Cannot listen on {address}: Address already in use. "
        "Choose another address with --bind HOST:PORT.\n"
    )


def test_a_plugin_that_does_not_fit():
    class Odd:
        @ddpcore.hookimpl
        def ddpcore_no_such_hook(self):
            pass

    class Greedy:
        @ddpcore.hookimpl
        def ddpcore_bus(self, url, more):
            pass

    for plugin in (Odd(), Greedy()):
        with pytest.raises(ddpcore.DDPError, match="A plugin does not fit"):
            plugin_manager([plugin])
    twice = Odd.__base__()
    with pytest.raises(ddpcore.DDPError, match="A plugin does not fit"):
        plugin_manager([twice, twice])


def test_plugins_are_listed(shell):
    code, out, err = shell.run("plugins")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["name", "version", "distribution", "hooks"]
    hooks = ["application,", "checks,", "commands,", "types"]
    assert ["core", ddpcore.__version__, "ddpcore", *hooks] in rows
    assert {"memory-bus", "rate-limiter", "tornado", "pg", "django"} <= {row[0] for row in rows}


def test_plugins_of_a_server_are_listed(shell):
    shell.write(
        "plugged.py",
        "import ddpcore\n"
        "class Own:\n"
        "    @ddpcore.hookimpl\n"
        "    def ddpcore_session_opened(self): pass\n"
        "server = ddpcore.Server(plugins=[Own()])\n",
    )
    code, out, _ = shell.run("plugins", "plugged:server")
    assert code == 0
    assert ["Own", "-", "-", "session_opened"] in [line.split() for line in out.splitlines()]


def test_plugins_can_be_disabled(shell):
    for arguments in (
        ("--disable", "pg", "plugins", "--disable", "tornado"),
        ("plugins", "--disable=pg", "--disable", "tornado"),
    ):
        code, out, _ = shell.run(*arguments)
        names = [line.split()[0] for line in out.splitlines()]
        assert (code, "pg" in names, "django" in names) == (0, False, True)
        assert out.endswith("\ndisabled: pg, tornado\n")
    code, _, err = shell.run(
        "--disable", "pg", "serve", "shop.server:server", "--bus", "postgres://x/y"
    )
    assert (code, err[:41]) == (2, "ddpcore: No bus for 'postgres:'. Known ar")
    assert err.endswith(" Disabled are: pg.\n")


@pytest.mark.parametrize(
    ("name", "why"), [("none", "There is no plugin 'none'"), ("core", "cannot be disabled")]
)
def test_what_cannot_be_disabled(shell, name, why):
    code, out, err = shell.run("plugins", "--disable", name)
    assert (code, out, why in err) == (2, "", True)


def test_nor_can_the_core_by_the_environment(shell):
    code, _, err = shell.run("plugins", DDPCORE_DISABLE="pg,core")
    assert (code, err[:44]) == (2, "ddpcore: The plugin 'core' cannot be disable")
