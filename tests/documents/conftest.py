"""The project that documents are tested with, on real databases."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import Project, Shell

SITE = Path(__file__).parent / "site"


def site(database: str) -> Project:
    return Project(SITE, "docsite.settings", database)


@pytest.fixture(scope="session")
def documents_template(pg_cluster) -> Iterator[str]:
    """A database with the tables of the site, to be copied."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    site(pg_cluster.createdb(name)).migrate()
    yield name
    pg_cluster.dropdb(name)


@pytest.fixture
def project(pg_cluster, documents_template) -> Iterator[Project]:
    """The site on a PostgreSQL database of its own."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    pg_cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE "{documents_template}"')
    project = site(pg_cluster.dsn(name))
    yield project
    project.end()
    pg_cluster.dropdb(name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("documents") / "site.sqlite3"
    site(str(path)).migrate()
    return path


@pytest.fixture
def sqlite_project(sqlite_template, tmp_path) -> Iterator[Project]:
    """The site on SQLite."""
    path = tmp_path / "site.sqlite3"
    path.write_bytes(sqlite_template.read_bytes())
    project = site(str(path))
    yield project
    project.end()


@pytest.fixture(params=["project", "sqlite_project"], ids=["postgresql", "sqlite"])
def shell(request) -> Shell:
    """A process of the project, on each kind of database."""
    shell = request.getfixturevalue(request.param).shell()
    shell("from django.db.models import *\nfrom django.db.models.functions import *\n"
          "from django.contrib.auth.models import AnonymousUser, User\n"
          "from docsite.made import *\n")  # fmt: skip
    return shell


@pytest.fixture
def books(shell) -> Shell:
    """With two authors, three books and two tags."""
    shell(
        "ann, bob = [Author.objects.create(name=n, email=n + '@example.org')"
        " for n in ('ann', 'bob')]\n"
        "x, y = [Tag.objects.create(word=w) for w in 'xy']\n"
        "one = Book.objects.create(title='one', author=ann, price='1.50')\n"
        "two = Book.objects.create(title='two', author=ann, sequel_to=one)\n"
        "three = Book.objects.create(title='three', author=bob, price='3')\n"
        "one.tags.add(y)\n"
        "one.tags.add(x)\n"
    )
    return shell
