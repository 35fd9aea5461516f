"""docs/explanation/live-queries.md: what it shows of `ddpcore explain` is what the command prints.

Its module is put in the place of the bookstore's `ddp.py`, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg2.extensions
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "live-queries.md").read_text()
EXAMPLE = ROOT / "examples" / "bookstore"

(MODULE,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHOWN = {
    command: output.rstrip("\n")
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
}
GLANCE = re.findall(
    r"^\| `((?:Book|Author|Group)\..*?)`.*? \| (.*?) \| (.*?) ?\|$", PAGE, re.MULTILINE
)

PREPARE = """
import django
from django.core.management import call_command
django.setup()
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
User.objects.create_user(pk=7, username="jane")
"""

# Each queryset is a publication of its own; what is known of its plan goes out, line by line.
PLANS = """
import sys
import django
django.setup()
from bookstore.models import Author, Book
from django.contrib.auth.models import Group
from django.db.models import Count, F, Q
from ddpcore_django import API, Collection, Publication
from ddpcore_django.explain import explain

class Groups(Collection):
    model = Group

API.register(Groups)
for number, text in enumerate(sys.argv[1:]):
    queries = [eval(text)]
    API.register(type(f"Publication{number}", (Publication,), {"queries": queries}))
    [plan] = explain(f"Publication{number}")
    print(plan.kind, plan.reason if plan.kind == "polled" else "", sep="|")
"""

ASKED = {"its row": "; a change asks for its row alone", "everything": "", "nothing": ""}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.pg)], scope="module")
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., str]:
    """Runs Python with these arguments in the bookstore, whose `ddp.py` is the page's."""
    project = tmp_path_factory.mktemp("live") / "bookstore"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
    (project / "bookstore" / "ddp.py").write_text(MODULE)
    env = {name: text for name, text in os.environ.items() if not name.startswith("BOOKSTORE_")}
    env["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
    env["PYTHONPATH"] = os.pathsep.join([str(project), str(ROOT)])
    if request.param == "postgresql":
        cluster, name = request.getfixturevalue("pg_cluster"), f"ddpcore_{secrets.token_hex(6)}"
        request.addfinalizer(lambda: cluster.dropdb(name))
        given = psycopg2.extensions.parse_dsn(cluster.createdb(name))
        place = f"{given['host']}:{given['port']}/{given['dbname']}"
        account = ":".join(given[each] for each in ("user", "password") if each in given)
        env["BOOKSTORE_DATABASE"] = f"postgres://{account}@{place}"

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=project,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("-c", PREPARE)
    return run


def test_explain_prints_what_is_shown(run: Callable[..., str]) -> None:
    for command, output in SHOWN.items():
        program, *arguments = shlex.split(command)
        assert program == "ddpcore"
        assert run("-m", "ddpcore", *arguments).rstrip("\n") == output, command
    kinds = {output.splitlines()[0].partition(": ")[2] for output in SHOWN.values()}
    assert kinds == {"matched", "matched through joins", "polled"}


def test_the_kinds_at_a_glance(run: Callable[..., str]) -> None:
    plans = run("-c", PLANS, *(text for text, *_ in GLANCE)).splitlines()
    expected = []
    for _, kind, why in GLANCE:
        reason, _, asked = why.partition("`; ") if why else ("", "", "everything")
        expected.append(f"{kind}|{reason.lstrip('`')}{ASKED[asked]}")
    assert plans == expected
    assert len(plans) > 15
