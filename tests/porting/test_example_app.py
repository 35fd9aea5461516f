"""The example of django-ddp, a list of tasks, is ported by the tool and served.

What the tool leaves to a person is `BY_HAND`: mostly what Django itself has changed since 1.9.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import meteor_bundle
import pages
import psycopg2
import pytest
from ddp_client import CallError, Client, connect
from project import Project, Shell
from psycopg2.extensions import parse_dsn

pytestmark = [pytest.mark.index, pytest.mark.pg]

PAGE = "coming-from/django-ddp.md"

TEMPLATES = """TEMPLATES = [
    {
        'BACKEND': 'django.template.backends.django.DjangoTemplates',
        'APP_DIRS': True,
        'OPTIONS': {
            'context_processors': [
                'django.template.context_processors.request',
                'django.contrib.auth.context_processors.auth',
                'django.contrib.messages.context_processors.messages',
            ],
        },
    },
]
"""
BY_HAND = {
    "test_project/settings.py": [
        ("TEMPLATE_DEBUG = True\n", TEMPLATES),
        ("MIDDLEWARE_CLASSES", "MIDDLEWARE"),
        ("    'django.contrib.auth.middleware.SessionAuthenticationMiddleware',\n", ""),
        ("postgresql_psycopg2", "postgresql"),
        ("ALLOWED_HOSTS = []", "ALLOWED_HOSTS = ['127.0.0.1']"),
    ],
    "test_project/urls.py": [
        (
            "from django.conf.urls import patterns, include, url\n",
            "from django.urls import re_path as url\nfrom django.views.static import serve\n",
        ),
        ("patterns(\n    '',\n", "[\n"),
        ("MeteorTodos.as_view()),\n)", "MeteorTodos.as_view()),\n]"),
        ("include(admin.site.urls)", "admin.site.urls"),
        ("'django.views.static.serve'", "serve"),
    ],
    "django_todos/models.py": [
        ("from django.utils.encoding import python_2_unicode_compatible\n", ""),
        ("@python_2_unicode_compatible\n", ""),
    ],
    "django_todos/views.py": [
        ("import tests\n", ""),
        ("os.path.dirname(tests.__file__)", "os.path.dirname(os.path.dirname(__file__))"),
    ],
}


def port(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # As its user has it: no settings, no Django.
    return subprocess.run(
        [sys.executable, "-Werror", "-m", "ddpcore", "port-django-ddp", *options, "."],
        cwd=directory,
        env={name: text for name, text in os.environ.items() if not name.startswith("DJANGO_")}
        | {"PYTHONPATH": str(pages.ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def edit(path: Path, *replacements: tuple[str, str]) -> None:
    text = path.read_text()
    for before, after in replacements:
        assert text.count(before) == 1, (path, before)
        text = text.replace(before, after)
    path.write_text(text)


@pytest.fixture(scope="session")
def ported(predecessor: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its project: by the tool, by hand, and with the page's settings."""
    site = tmp_path_factory.mktemp("ported") / "todos"
    shutil.copytree(
        predecessor / "tests", site, ignore=shutil.ignore_patterns("*.pyc", "__pycache__")
    )
    meteor_bundle.build(site / "build" / "bundle", meteor_bundle.BOTH)
    done = port(site, "--write")
    assert done.stderr.endswith("4 files rewritten, 1 left to you\n"), done.stderr
    assert "settings.py:40: dddp.accounts: set PASSWORD_HASHERS" in done.stderr
    for name, replacements in BY_HAND.items():
        edit(site / name, *replacements)
    with (site / "test_project" / "settings.py").open("a") as settings:
        settings.write(pages.files(PAGE)["mysite/settings.py"])
    again = port(site)
    assert (again.returncode, again.stdout) == (0, ""), again.stderr
    names = [path for path in site.rglob("*.py") if re.search(r"dddp\b", path.read_text())]
    assert names == []
    return site


def project_of(site: Path, dsn: str) -> Project:
    parts = parse_dsn(dsn)
    names = {"PGDATABASE": "dbname", "PGUSER": "user", "PGHOST": "host", "PGPORT": "port"}
    env = {name: str(parts.get(key, "")) for name, key in names.items()}
    env["PGPASSWORD"] = parts.get("password", "")
    return Project(site, "test_project.settings", dsn, LOGNAME="somebody", **env)


@pytest.fixture(scope="session")
def migrated(pg_cluster: Any, ported: Path) -> Iterator[str]:
    """A database with its tables, to be copied."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    project_of(ported, pg_cluster.createdb(name)).migrate()
    yield name
    pg_cluster.dropdb(name)


@pytest.fixture
def project(pg_cluster: Any, ported: Path, migrated: str, tmp_path: Path) -> Iterator[Project]:
    name = f"ddpcore_{secrets.token_hex(6)}"
    pg_cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated}"')
    shutil.copytree(ported, tmp_path / "todos")
    project = project_of(tmp_path / "todos", pg_cluster.dsn(name))
    yield project
    project.end()
    pg_cluster.dropdb(name)


def shell_of(project: Project) -> Shell:
    shell = project.shell()
    shell("from django_todos.models import Task")
    return shell


def shown(client: Client) -> set[str]:
    return {each["text"] for each in client.docs("django_todos.task").values()}


async def test_its_page_its_documents_and_its_methods(project: Project) -> None:
    project.manage("makemigrations", "--check", "--dry-run")
    shell = shell_of(project)
    shell(
        "from django.contrib.auth import get_user_model as users\n"
        "from django.contrib.auth.hashers import PBKDF2PasswordHasher as Hasher\n"
        "Task.objects.create(text='eggs')\n"
        # As django-ddp left it: of the plain password.
        "ada = users().objects.create(username='ada', email='ada@example.org')\n"
        "ada.password = Hasher().encode('lovelace', 'salt'); ada.save()\n"
    )
    server = project.serve()

    def page(path: str) -> str:
        with urllib.request.urlopen(f"http://{server.address}{path}", timeout=60) as response:
            return response.read().decode()

    assert "<main id=app></main>" in page("/")
    assert "__meteor_runtime_config__" in page("/any/page")
    assert "Django administration" in page("/admin/login/")

    async with connect(server.address) as client:
        await client.sub("Tasks")
        assert shown(client) == {"eggs"}
        shell("Task.objects.create(text='milk')")
        await client.until(lambda: shown(client) == {"eggs", "milk"})
        shell("task = Task.objects.get(text='milk'); task.text = 'tea'; task.save()")
        await client.until(lambda: shown(client) == {"eggs", "tea"})
        shell("task.delete()")
        await client.until(lambda: shown(client) == {"eggs"})

        schema: Any = await client.call("/django_todos.task/schema")
        assert set(schema) == {"text", "created_at"}
        # What differs, as the page tells it.
        for refused, code in (
            ({"resume": "WyJhZGEiLCAiMDEyMzQ1Njc4OWFiY2RlZiJd"}, "403"),
            ({"user": "ada", "password": "lovelace"}, "400"),
        ):
            with pytest.raises(CallError, match=code):
                await client.call("login", refused)
        await client.send(msg="sub", id="old", name="LoggedInUser", params=[])
        assert (await client.message(msg="nosub", id="old"))["error"]["error"] == 404
        await client.send(msg="sub", id="more", name="Tasks", params=[1])
        error = (await client.message(msg="nosub", id="more"))["error"]
        assert (error["error"], error["reason"]) == (400, "Match failed")

        login = await client.call("login", {"user": {"username": "ada"}, "password": "lovelace"})
        assert set(login) == {"id", "token", "tokenExpires", "type"}
        await client.until(lambda: client.docs("users"))
        (own,) = client.docs("users").values()
        assert own == {
            "username": "ada",
            "emails": [{"address": "ada@example.org", "verified": False}],
        }
        assert await client.call(
            "changePassword", "lovelace", {"digest": "0" * 64, "algorithm": "sha-256"}
        ) == {"passwordChanged": True}
    assert server.end() == 0, server.errors


# As users of django-ddp had it.
INSERT = """
    @api_endpoint
    def insert(self, document):
        models.Task.objects.create(text=document['text'])
"""
MAPPING = """
CREATE TABLE dddp_objectmapping (
    id serial PRIMARY KEY,
    meteor_id varchar(17) NOT NULL,
    object_id varchar(255) NOT NULL,
    content_type_id integer NOT NULL REFERENCES django_content_type (id),
    UNIQUE (content_type_id, meteor_id)
);
INSERT INTO dddp_objectmapping (meteor_id, object_id, content_type_id)
    SELECT 'meteor_id_of_eggs', '1', id FROM django_content_type WHERE model = 'task';
"""


def as_it_was(project: Project) -> None:
    """A database with tasks, one of which has been published by django-ddp."""
    shell_of(project)("for text in ('eggs', 'milk'): Task.objects.create(text=text)")
    connection = psycopg2.connect(project.database)
    with connection, connection.cursor() as cursor:
        cursor.execute(MAPPING)
    connection.close()


async def test_documents_can_keep_their_ids(project: Project) -> None:
    as_it_was(project)
    files = pages.files(PAGE)
    edit(
        project.site / "django_todos" / "models.py",
        (
            "    text = models.TextField()\n",
            "    id = AleaIdField()\n    text = models.TextField()\n",
        ),
        (
            "from django.db import models\n",
            "from ddpcore_django import AleaIdField\nfrom django.db import models\n",
        ),
    )
    names = ("django_todos/migrations/0002_keep_ids.py", "django_todos/ddp.py")
    pages.write({name: files[name] for name in names}, project.site)
    project.migrate()
    project.manage("makemigrations", "--check", "--dry-run")
    server = project.serve()
    async with connect(server.address) as client:
        await client.sub("Tasks")
        ids = {each["text"]: key for key, each in client.docs("django_todos.task").items()}
        assert ids["eggs"] == "meteor_id_of_eggs"
        assert re.fullmatch(r"\w{17}", ids["milk"])
        assert client.docs("django_todos.task")[ids["eggs"]]["words"] == 1
        shell_of(project)("Task.objects.create(text='tea')")
        await client.until(lambda: shown(client) == {"eggs", "milk", "tea"})
    assert server.end() == 0, server.errors


def test_a_new_database_takes_the_migration_too(project: Project) -> None:
    files = pages.files(PAGE)
    pages.write({name: text for name, text in files.items() if "0002" in name}, project.site)
    project.migrate()


async def test_old_ids_can_be_looked_up(project: Project) -> None:
    as_it_was(project)
    pages.write(
        {name: text for name, text in pages.files(PAGE).items() if "old_ids" in name}, project.site
    )
    with (project.site / "django_todos" / "ddp.py").open("a") as ddp:
        ddp.write("\nfrom django_todos import old_ids\n")
    edit(
        project.site / "django_todos" / "ddp.py",
        ("    model = models.Task\n", f"    model = models.Task\n{INSERT}"),
        ("import API,", "import API, api_endpoint,"),
    )
    server = project.serve()
    async with connect(server.address) as client:
        await client.sub("Tasks")
        await client.call("/django_todos.task/insert", {"text": "tea"})
        assert shown(client) == {"eggs", "milk", "tea"}
        with pytest.raises(CallError, match="403"):
            await client.call("/django_todos.task/insertAsync", {"text": "no"})
        new = await client.call("newId", "django_todos.task", "meteor_id_of_eggs")
        assert client.docs("django_todos.task")[new]["text"] == "eggs"
        with pytest.raises(CallError, match="404"):
            await client.call("newId", "django_todos.task", "meteor_id_of_milk")
    assert server.end() == 0, server.errors
