"""Predicates made of querysets answer as the database does, or are not made."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from project import Project

SITE = Path(__file__).parent / "site"
EXAMPLES = 150
CORNERS = 40  # conditions that always come first
SETUP = """
import django
from django.core.management import call_command
django.setup()
call_command("migrate", run_syncdb=True, verbosity=0)
"""
TIMEOUT = 110.0


def run(database: str, module: str, *arguments: int, **env: str) -> str:
    """Run the main function of a module of the site, on a database having made its tables."""
    project = Project(SITE, "shelves.settings", database, **env)
    done = subprocess.run(
        [sys.executable, "-c", f"{SETUP}import {module}\n{module}.main(*{arguments})"],
        env=project.env,
        cwd=SITE,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def database_in(pg_cluster) -> Iterator:
    """Makes a database with a locale of its own."""
    made = []

    def make(locale: str) -> str:
        name = f"ddpcore_{secrets.token_hex(6)}"
        try:
            pg_cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 {locale}')
        except psycopg2.Error as problem:
            pytest.skip(f"this PostgreSQL knows no {locale}: {problem}")
        made.append(name)
        return pg_cluster.dsn(name)

    yield make
    for name in made:
        pg_cluster.dropdb(name)


ICU = "LOCALE_PROVIDER icu LOCALE 'C' ICU_LOCALE"


# --- against the database -------------------------------------------------------------------------


def test_answers_are_those_of_postgresql(pg_dsn):
    """Random conditions, rows full of corner cases: true, false and unknown are the database's.

    So are the keys of related rows, and what is true has an entry in the index.
    """
    assert f"{EXAMPLES + CORNERS} conditions" in run(pg_dsn, "shelves.compare", EXAMPLES)


@pytest.mark.parametrize("locale", ["LOCALE 'C.UTF-8'", f"{ICU} 'en-US'"])
def test_answers_in_other_locales(database_in, locale):
    run(database_in(locale), "shelves.compare", 40)


def test_answers_are_those_of_sqlite(tmp_path):
    database = str(tmp_path / "shelves.sqlite3")
    assert f"{EXAMPLES + CORNERS} conditions" in run(database, "shelves.compare", EXAMPLES)


# --- what is matched, and as what -----------------------------------------------------------------

ON_POSTGRESQL = {
    "all": "TRUE",
    "none": "FALSE",
    "ordered, related, deferred": "pages IN (1)",
    "ordered by a join": "pages IN (1)",
    "distinct": "pages IN (1)",
    "proxy": "pages IN (1)",
    "alias": "pages IN (1)",
    "id": "id IN (3)",
    "in": "pages IN (1, 3)",
    "in nothing": "FALSE",
    "not in nothing": "TRUE",
    "float for an integer": "pages >= 3",
    "text for an integer": "pages IN (7)",
    "null": "pages IS NULL",
    "exclude": "NOT (pages IN (1) AND NOT pages IS NULL)",
    "exclude what is never null": "NOT sold IN (1)",
    "or": "(pages IN (1) OR (sold IN (2) AND NOT (printed IN (True) AND NOT printed IS NULL)))",
    "xor": "(pages IN (1) XOR sold IN (2))",
    "reference": "author_id IN (4)",
    "reference id": "author_id IN (4, 5)",
    "reference's id": "author_id IN (4)",
    "reference to a text": "country_id IN ('CH')",
    "join": "author_id WITHIN (shelves.author.id WHERE active IN (True))",
    "join twice": "author_id WITHIN (shelves.author.id WHERE (active IN (True) AND age IN (3)))",
    "deep join": "author_id WITHIN (shelves.author.id WHERE country_id WITHIN (shelves.country.code WHERE name IN ('X')))",
    "nullable join": "editor_id WITHIN (shelves.author.id WHERE active IN (True))",
    "exclude over a join": "NOT editor_id WITHIN (shelves.author.id WHERE (active IN (True) AND NOT active IS NULL))",
    "exclude over a join, never null": "NOT author_id WITHIN (shelves.author.id WHERE name IN ('x'))",
    "null over a join": "editor_id WITHIN (shelves.author.id WHERE age IS NULL)",
    "not null over a join": "NOT author_id WITHIN (shelves.author.id WHERE age IS NULL)",
    "inner join alone": "(NOT predecessor WITHIN (shelves.book.id WHERE pages IS NULL) AND NOT (pages IN (1) AND NOT pages IS NULL))",
    "self": "predecessor WITHIN (shelves.book.id WHERE sold IN (1))",
    "or over joins": "(author_id WITHIN (shelves.author.id WHERE (age IN (1) OR age IN (2))) OR editor_id WITHIN (shelves.author.id WHERE age IN (1)))",
    "contains": "title contains '50%'",
    "uuid": "id IN (UUID('00000000-0000-0000-0000-000000000001'))",
    "annotation seen to": "pages IN (1)",
    "slice": "not: it orders and cuts (slice)",
    "union": "not: it is a union of querysets",
    "extra": "not: a condition is extra()",
    "extra select": "not: extra()",
    "values": "not: values(), or rows of another kind than the model's",
    "annotation": "not: the annotation length",
    "aggregate": "not: the annotation n",
    "hidden aggregate": "not: it counts or groups rows",
    "locked": "not: it locks what it finds (select_for_update)",
    "many to many": "not: it joins shelves_book_tags, of which many rows may refer to one",
    "many to many id": "not: it joins shelves_book_tags, of which many rows may refer to one",
    "not many to many": "not: a condition is on a subquery",
    "reverse": "not: it joins shelves_book, of which many rows may refer to one",
    "reverse one to one": "not: it joins shelves_shelf, of which many rows may refer to one",
    "alias over many": "not: it joins shelves_book_tags, of which many rows may refer to one",
    "subquery": "not: author_id is compared with a subquery",
    "pk in subquery": "not: id is compared with a subquery",
    "subquery's value": "not: pages is compared with a subquery",
    "exists": "not: a condition is on a subquery",
    "column": "not: pages is compared with another column",
    "column in a list": "not: pages is compared with an expression (ExpressionList)",
    "expression": "not: pages is compared with an expression (CombinedExpression)",
    "lookup of an expression": "not: a condition is on an expression (Lower)",
    "value": "not: title is compared with an expression (Value)",
    "text order": "not: title: the order of texts depends on the collation",
    "text range": "not: title: the order of texts depends on the collation",
    "custom lookup": "not: the lookup ne (NotEqual)",
    "custom transform": "not: a condition is on an expression (Trimmed)",
    "user": "not: the column is_staff of auth.User does not travel",
    "length": "not: a condition is on an expression (Length)",
    "number as text": "not: pages is searched as text, but holds none",
    "too great": "not: pages is compared with 1099511627776, which it cannot be",
    "too great in": "not: pages is compared with 1099511627776, which it cannot be",
    "nul": "not: title is compared with the str 'a\\x00b'",
    "surrogate": "not: title is searched for '\\ud800'",
    "json": "not: a condition is on an expression (KeyTransform)",
    "json null": "not: shelves.Odd.data is a JSONField",
    "binary": "not: binary: such values are not compared",
    "binary null": "binary IS NULL",
    "address": "not: address: such values are not compared",
    "a field of its own": "not: shelves.Odd.loud is a Loud",
    "dangling": "not: shelves.Odd.stray may refer to rows that are not there",
    "dangling, own column": "stray_id IN (1)",
    "inherits": "not: shelves.Restaurant inherits a table",
    "to what inherits": "not: shelves.Restaurant inherits a table",
    "to what is inherited": "place_id WITHIN (shelves.place.id WHERE name IN ('x'))",
    "filtered relation": "not: a filtered relation",
    "year that is none": "not: there is no year 0",
    "duration": "lasts IN (datetime.timedelta(days=1))",
    "float": "weight > 1.5",
    "decimal": "price IN (Decimal('1.50'))",
    "date": "born <= datetime.date(2020, 2, 29)",
    "month": "born month IN (2)",
    "moment": "moment > datetime.datetime(2020, 2, 29, 12, 0, tzinfo=datetime.timezone.utc)",
    "moment's date": "moment date IN (datetime.date(2020, 2, 29))",
    "moment's year": "moment year IN (2020)",
    "date of a date": "not: a condition is on an expression (ExtractYear)",
    "case": "title contains 'abc' in any case",
    "case of a letter": "not: title: the case of 'ä' depends on the locale",
    "starts": "(slug ends with 'b' AND title starts with 'a' in any case)",
    "regex": "title matches '^ab+[0-9]$'",
    "regex in any case": "not: title: a regular expression in any case depends on the locale",
    "regex class": "not: the regular expression '\\\\d' may mean something else in memory",
    "regex that loops": "not: the regular expression '(a+)+' may mean something else in memory",
    "regex back": "not: the regular expression '(a)\\\\1' may mean something else in memory",
    "regex options": "not: the regular expression '(?i)a' may mean something else in memory",
    "hour in Zurich": "not: moment: the time zone is not UTC",
    "moment in Zurich": "moment IN (datetime.datetime(2020, 2, 29, 12, 0, tzinfo=datetime.timezone.utc))",
    "hour in UTC": "moment hour IN (3)",
    "padded": "not: shelves.Drifted.padded is of the type bpchar in the database",
    "loose": "not: shelves.Drifted.loose has a collation that takes different texts for equal",
    "bytewise": "bytewise IN ('x')",
    "bytewise in any case": "not: bytewise: the case depends on a collation of its own",
    "collated": "collated IN ('x')",
    "short": "not: shelves.Drifted.short is of the type float4 in the database",
    "local": "not: shelves.Drifted.local is of the type timestamp in the database",
    "domain": "not: shelves.Drifted.domain is of the type even in the database",
    "gone": "not: the database has no column gone in shelves_drifted",
    "same": "same IN (2)",
    "generated": "not: shelves.Drifted.generated is a GeneratedField",
}

ON_SQLITE = {
    "user": "is_staff IN (True)",
    "too great": "pages IN (1099511627776)",
    "too great in": "pages IN (1099511627776)",
    "year that is none": "not: born: SQLite has no type of its own for a date",
    "duration": "not: lasts: SQLite has no type of its own for a duration",
    "float": "not: weight: SQLite has no type of its own for a float",
    "decimal": "not: price: SQLite has no type of its own for a decimal",
    "date": "not: born: SQLite has no type of its own for a date",
    "month": "not: born: SQLite has no type of its own for a date",
    "moment": "not: moment: SQLite has no type of its own for a moment",
    "moment's date": "not: moment: SQLite has no type of its own for a moment",
    "moment's year": "not: moment: SQLite has no type of its own for a moment",
    "case of a letter": "title contains 'ä' in any case",
    "regex in any case": "title matches 'a' in any case",
    "hour in Zurich": "not: moment: SQLite has no type of its own for a moment",
    "moment in Zurich": "not: moment: SQLite has no type of its own for a moment",
    "hour in UTC": "not: moment: SQLite has no type of its own for a moment",
    "padded": "padded IN ('x')",
    "loose": "loose IN ('x')",
    "bytewise in any case": "bytewise contains 'x' in any case",
    "collated": "not: shelves.Drifted.collated has a collation of its own, or may have",
    "short": "not: short: SQLite has no type of its own for a float",
    "local": "not: local: SQLite has no type of its own for a moment",
    "domain": "domain IN (2)",
    "gone": "gone IN (2)",
}


def test_what_is_matched_on_postgresql(pg_dsn):
    assert json.loads(run(pg_dsn, "shelves.examples")) == ON_POSTGRESQL


def test_what_is_matched_on_sqlite(tmp_path):
    found = json.loads(run(str(tmp_path / "shelves.sqlite3"), "shelves.examples"))
    assert found == ON_POSTGRESQL | ON_SQLITE


@pytest.mark.parametrize("language", ["tr", "lt"])
def test_locales_with_upper_cases_of_their_own(database_in, language):
    """In Turkish, the upper case of i is not I."""
    found = json.loads(run(database_in(f"{ICU} '{language}'"), "shelves.examples"))
    assert found["case"] == "not: title: this locale has upper cases of its own"
    assert found["contains"] == ON_POSTGRESQL["contains"]


def test_another_encoding(database_in):
    found = json.loads(run(database_in("ENCODING 'LATIN1' LOCALE 'C'"), "shelves.examples"))
    assert found["case"] == "not: title: this locale has upper cases of its own"
    assert found["contains"] == ON_POSTGRESQL["contains"]


def test_local_time(pg_dsn):
    """Without USE_TZ, points in time are in a zone that may have the same hour twice."""
    found = json.loads(
        run(pg_dsn, "shelves.examples", TEST_USE_TZ="no", TEST_TIME_ZONE="Europe/Zurich")
    )
    assert found["moment's date"] == "not: moment: the time zone is not UTC"
    assert found["hour in UTC"] == "not: moment: the time zone is not UTC"
    assert found["date"] == ON_POSTGRESQL["date"]


def test_the_project_is_not_in_utc(pg_dsn):
    """The querysets are evaluated in threads where the project's time zone is in force."""
    found = json.loads(run(pg_dsn, "shelves.examples", TEST_TIME_ZONE="Europe/Zurich"))
    assert found["hour in UTC"] == "not: moment: the time zone is not UTC"
    assert found["moment"] == ON_POSTGRESQL["moment"]
