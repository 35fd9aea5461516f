"""A site that is ill-treated, captured by signals or by triggers."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import Project, Shell

SITE = Path(__file__).parent / "site"

sys.path.insert(0, str(Path(__file__).parent))


def site(database: str, capture: str) -> Project:
    settings = json.dumps({"CAPTURE": capture})
    return Project(SITE, "faultsite.settings", database, TEST_DDPCORE=settings)


@pytest.fixture(scope="module")
def pg_templates(pg_cluster) -> Iterator[dict[str, str]]:
    """Databases with the tables of the site, to be copied, by capture; made when asked for."""

    class Templates(dict[str, str]):
        def __missing__(self, capture: str) -> str:
            name = self[capture] = f"ddpcore_{secrets.token_hex(6)}"
            site(pg_cluster.createdb(name), capture).migrate()
            return name

    templates = Templates()
    yield templates
    for name in templates.values():
        pg_cluster.dropdb(name)


@pytest.fixture
def capture() -> str:
    """How changes are noticed; tests may parametrize it."""
    return "triggers"


@pytest.fixture
def pg_name(pg_cluster, pg_templates, capture) -> Iterator[str]:
    """The name of a database of the test's own."""
    name = f"ddpcore_{secrets.token_hex(6)}"
    pg_cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE "{pg_templates[capture]}"')
    yield name
    pg_cluster.start()
    pg_cluster.dropdb(name)


@pytest.fixture
def project(pg_cluster, pg_name, capture) -> Iterator[Project]:
    """The site on that database."""
    project = site(pg_cluster.dsn(pg_name), capture)
    yield project
    project.end()


@pytest.fixture
def server(project):
    """A server that has to live until the end, whatever happens to it."""
    server = project.serve()
    yield server
    assert server.end() == 0, server.errors


@pytest.fixture
def writer(project) -> Shell:
    return project.shell()


@pytest.fixture
def truth(project):
    """Says what a user ought to see: a process of its own, and naive."""
    shell = project.shell()
    shell("from faultsite import naive")

    def ask(username: str | None, *wanted: list) -> dict:
        shell.start(f"naive.answer({username!r}, {list(wanted)!r})")
        answer = json.loads(shell.line())
        shell.finished()
        return answer

    ask.shell = shell
    return ask


def differences(shown: dict, true: dict) -> list[str]:
    return [
        f"{name} {key}: {mine}, not {yours}"
        for name in sorted(shown.keys() | true.keys())
        for key in sorted(shown.get(name, {}).keys() | true.get(name, {}).keys())
        if (mine := shown.get(name, {}).get(key)) != (yours := true.get(name, {}).get(key))
    ]


async def updated(client, method: str) -> None:
    """Call a method; among many messages this looks at each but once."""
    id, looked_at, is_updated = client.new_id(), len(client.messages), False
    await client.send(msg="method", id=id, method=method, params=[])

    def came() -> bool:
        nonlocal looked_at, is_updated
        news = client.messages[looked_at:]
        looked_at += len(news)
        is_updated |= any(each["msg"] == "updated" and id in each["methods"] for each in news)
        return is_updated

    await client.until(came, f"updated of {method}")


@pytest.fixture
def agree(truth):
    """Asserts that a client has what it ought to have, now that a method of its is `updated`."""

    async def check(client, username: str | None, *wanted: list) -> None:
        await updated(client, "mark")
        assert differences(client.collections, truth(username, *wanted)) == []

    return check


@pytest.fixture
def come_to_agree(truth):
    """Asserts the same of some time from now on."""

    async def check(client, username: str | None, *wanted: list) -> None:
        true = truth(username, *wanted)
        try:
            await client.until(lambda: not differences(client.collections, true))
        except AssertionError:
            raise AssertionError(differences(client.collections, true)) from None

    return check
