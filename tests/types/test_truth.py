"""What a server sends is what the declarations of its project say, and nothing else would do.

Documents with all kinds of fields are taken off the wire, on both databases. They are assigned to
their collections' types; then again with each field broken in several ways, which must not compile.
"""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ddp_client import connect
from project import Project
from typescript import Assignments, errors

from ddpcore import ejson

pytestmark = pytest.mark.node

SITE = Path(__file__).parent / "site"

ROWS = """
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID
from django.contrib.auth.models import User

x, y = [Tag.objects.create(word=w) for w in 'xy']
everything = Everything.objects.create(
    big=2**40, binary=b'ab', char='c', date=date(2026, 2, 3), decimal='1.5', email='a@example.org',
    duration=timedelta(hours=1), file='a.txt', image='/a.png', address='::1', integer=1, json=[1],
    moment=datetime(2026, 1, 2, 3, tzinfo=UTC), number=1.5, positive=1, positive_big=1,
    positive_small=1, slug='a', small=1, text='t', time=time(1, 2), url='http://a.example/',
    uuid=UUID(int=7), yes=True, genre='poem', genre_or_not='', genre_of_all='any', grouped='book',
    stars=2, tag=x, only_tag=x,
)
everything.tags.add(x, y)
Nothing.objects.create()
Nothing.objects.create(
    big=1, binary=b'', char='', date=date(2026, 2, 3), decimal=1, duration=timedelta(1), file='a',
    address='1.2.3.4', json={'a': None}, moment=datetime.now(UTC), number=1, text='', time=time(1),
    uuid=UUID(int=7), yes=False, genre='novel', stars=1, tag=y,
)
Custom.objects.create(words='a b', typed='c d', label='l', settings={'theme': 'dark'})
Custom.objects.create(words='', typed=None, label='l', settings={'theme': 'light', 'size': 3})
ann, bob = [Author.objects.create(name=n) for n in ('ann', 'bob')]
user = User.objects.create_user('emma', 'emma@example.org', first_name='Emma')
one = Book.objects.create(title='one', author=ann, price='1.50')
two = Book.objects.create(title='two', author=bob, editor=ann, genre='poem', owner=user)
two.tags.add(y)
"""

ARRAYS = """
Arrays.objects.create(
    numbers=[1, 2], moments=[datetime.now(UTC), None], genres=['poem'], matrix=[['a']],
    span=(1, 5), during=(datetime.now(UTC), None),
)
Arrays.objects.create(numbers=[], genres=[], matrix=[], during=(datetime.now(UTC), None))
"""

# Values of each kind that may stand on the wire. What a field takes of them, and what not, is
# asked of what the server sent, not of the declarations.
KINDS: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "number": 987654,
    "string": "no such choice",
    "date": datetime(2020, 1, 1, tzinfo=UTC),
    "binary": b"x",
    "array": [datetime(2020, 1, 1, tzinfo=UTC), {}],
    "object": {"other": {}},
}

# Fields of these names are limited to their choices.
CHOICES = re.compile("genre|genre_or_not|genre_or_old|grouped|stars|own_genre")

# May be anything, so that nothing can be wrong with them.
UNKNOWN = {("everything", "json"), ("nothing", "json")}

NULLABLE = {
    ("nothing", "*"), ("custom", "typed"), ("arrays", "span"),
    ("arrays", "moments"), ("books", "price"), ("books", "editor_id"), ("books", "owner_id"),
    ("shelf", "price"), ("shelf", "editor_id"), ("shelf", "owner_id"), ("shelf", "editor_name"),
    ("shelf", "loud"), ("shelf", "last_tag"), ("paths", "price"), ("paths", "editor__name"),
}  # fmt: skip
NEVER_NULL = {("nothing", "file")}


def kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case datetime():
            return "date"
        case bytes():
            return "binary"
        case list():
            return "array"
    return "object"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.pg)])
def project(request, tmp_path) -> Iterator[Project]:
    if request.param == "sqlite":
        database, drop = str(tmp_path / "site.sqlite3"), lambda: None
    else:
        cluster = request.getfixturevalue("pg_cluster")
        name = f"ddpcore_{secrets.token_hex(6)}"
        database, drop = cluster.createdb(name), lambda: cluster.dropdb(name)
    project = Project(SITE, "typedsite.settings", database)
    project.migrate()
    yield project
    project.end()
    drop()


def types(project: Project, file: Path, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ddpcore", "types", "--settings", "typedsite.settings",
         "--output", str(file), *options],
        env=project.env, cwd=SITE, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return file.read_text()


async def test_documents_off_the_wire(project, tmp_path):
    writer = project.shell()
    writer(ROWS)
    if project.database.startswith("postgres"):
        writer(ARRAYS)
    server = project.serve()
    file = Assignments(
        'import type { Collections, Methods, Publications } from "./types";\n'
        "type Shown<P extends keyof Publications> = ReturnType<Publications[P]>;\n"
    )
    seen: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for publication in ("All", "Customs", "Books", "Shelf", "Paths", "Ranked", "Lists"):
        # A client for each, so that documents do not merge.
        async with connect(server.address) as client:
            await client.sub(publication, *(["poem"] if publication == "Ranked" else []))
            for collection, documents in client.collections.items():
                for document in documents.values():
                    fields = ejson.decode(document)
                    file.fits(f'Collections["{collection}"]', fields)
                    if publication != "Ranked":
                        shown = f'Shown<"{publication}">["{collection}"]'
                        file.fits(shown, fields)
                        seen.setdefault(collection, []).append((shown, fields))
    async with connect(server.address) as client:
        result = ejson.decode(await client.call("typed.analyse", "a b"))
        file.fits('ReturnType<Methods["typed.analyse"]>', result)
        file.fails('ReturnType<Methods["typed.analyse"]>', result | {"at": "now"})
        await client.call("typed.log_in", "1")
        await client.until(lambda: client.docs("users"))
        file.fits('Collections["users"]', ejson.decode(client.docs("users")["1"]))
    assert server.end() == 0, server.errors
    expected = {"typedsite.tag", "everything", "nothing", "custom", "books", "shout", "mystery",
                "shelf", "authors", "paths"}  # fmt: skip
    if project.database.startswith("postgres"):
        expected.add("arrays")
    assert set(seen) == expected
    broken = 0
    for collection, documents in seen.items():
        names = {name for _, fields in documents for name in fields}
        for name in sorted(names):
            broken += break_field(file, collection, name, documents)
    assert broken > 200
    types(project, tmp_path / "types.d.ts")
    file.write(tmp_path / "documents.ts")
    assert errors(tmp_path, "documents.ts") == ""


def break_field(
    file: Assignments, collection: str, name: str, documents: list[tuple[str, dict[str, Any]]]
) -> int:
    """Say of each kind of value whether a field takes it; how many it does not."""
    if (collection, name) in UNKNOWN or (collection == "mystery" and name != "known"):
        return 0
    shown, fields = documents[0]
    kinds = {kind(each[name]) for _, each in documents if name in each}
    limited = bool(CHOICES.fullmatch(name)) and collection != "arrays"
    nullable = {(collection, name), (collection, "*")} & NULLABLE
    if nullable and (collection, name) not in NEVER_NULL:
        kinds.add("null")
    fails = 0
    for each, value in KINDS.items():
        right = each in kinds and each not in ("array", "object") and not (
            limited and each in ("number", "string")
        )  # fmt: skip
        (file.fits if right else file.fails)(shown, fields | {name: value})
        fails += not right
    without = {key: value for key, value in fields.items() if key != name}
    file.fails(shown, without)
    misspelt = fields | {f"{name}_misspelt": fields.get(name)}
    # Of some documents nobody knows what else is in them.
    (file.fits if collection == "mystery" else file.fails)(shown, misspelt)
    return fails + 2


def test_no_database_is_needed(tmp_path):
    """Also where there is none, as in CI; and always the same comes out."""
    project = Project(SITE, "typedsite.settings", "")
    text = types(project, tmp_path / "types.d.ts")
    assert types(project, tmp_path / "again.d.ts") == text
    assert text == (Path(__file__).parent / "typedsite.d.ts").read_text()
    assert errors(tmp_path, "types.d.ts") == ""
    assert not re.search(r"\bany\b", re.sub("/\\*.*?\\*/", "", text, flags=re.DOTALL))
