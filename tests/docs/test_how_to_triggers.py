"""docs/how-to/triggers.md, followed step by step, on PostgreSQL."""

import os
import shutil
from pathlib import Path

import psycopg2.extensions
import pytest
from reader import Reader, bookstore

SHOWN = "postgres://user:password@localhost:5432/bookstore"


@pytest.mark.pg
def test_the_page(tmp_path: Path, pg_dsn: str) -> None:
    if shutil.which("psql") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no psql")
    given = psycopg2.extensions.parse_dsn(pg_dsn)
    account = ":".join(given[each] for each in ("user", "password") if each in given)
    url = f"postgres://{account}@{given['host']}:{given['port']}/{given['dbname']}"
    with Reader(bookstore(tmp_path), {SHOWN: url}) as reader:
        reader.read("how-to/triggers.md")
