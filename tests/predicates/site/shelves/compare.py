"""Predicates against the database itself: random conditions on rows full of corner cases.

Each condition is compiled, and for each row the answer of the predicate is compared with that of
the database: which rows it finds, which it finds for the condition's opposite, and so for which
it has no answer at all.
"""

import os
import random
import sys
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import hypothesis
from django.db import connection
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.sql.where import WhereNode
from hypothesis import strategies as st

from ddpcore.live.predicate import Undecided
from ddpcore_django.matching import NotMatched, compile_where
from ddpcore_django.matching.where import _Tree
from shelves.models import Author, Book, Country, Shelf

CI = bool(os.environ.get("CI"))
SEED = 1 if CI else random.randrange(10**6)
POSTGRESQL = connection.vendor == "postgresql"

# --- values that rows have and conditions name ----------------------------------------------------

LETTERS = ["a", "A", "b", "i", "I", "s", "S", "k", "ß", "\u0131", "\u017f", "İ", "ﬁ", "é", "É", "e\u0301",
           "i\u0307", "K", "%", "_", "\\", "\n", ".", "*", "[", "|", "+", "😀", " ", "1"]  # fmt: skip
WORDS = ["", "a", "A", "ab", "Ab", "aB", "is", "IS", "iß", "straße", "STRASSE", "a%b", "a_b", "a\\b", "50%", "é",
         "É", "is é", "i\u0307s", "a\nb", "b\n", "a.b", "abab", "x1"]  # fmt: skip
NUMBERS = [0, 1, 2, 3, -1, 7, 2**31 - 1, -(2**31)]
COUNTS = [0, 1, 2, 3, 7, 2**31 - 1]
FLOATS = [0.0, -0.0, 0.1, 1 / 3, -2.5, 1e300, 5e-324, float("inf"), float("-inf"), float("nan")]
DECIMALS = list(
    map(Decimal, ["0", "1", "1.0000000001", "-1.5", "0.1", "12345678901234567890", "-0"])
)
FINER = [Decimal("1.00000000005"), Decimal("0.10"), Decimal("1E+1"), 0.1, 1]
DATES = [date(1, 1, 1), date(9999, 12, 31), date(2020, 2, 29), date(2020, 12, 31), date(2021, 1, 1),
         date(2021, 1, 3), date(2021, 1, 4), date(2018, 12, 31), date(2019, 7, 14)]  # fmt: skip
TIMES = [time(0), time(23, 59, 59, 999999), time(12, 30), time(12, 30, 0, 1), time(7, 5, 59)]
MOMENTS = [datetime.combine(day, hour, UTC) for day in DATES for hour in TIMES]
SPANS = [timedelta(0), timedelta(1), timedelta(hours=24), timedelta(-1, 5), timedelta(400, 3, 7), timedelta(microseconds=-1)]  # fmt: skip
UUIDS = [uuid.UUID(int=number) for number in (0, 1, 2**127, 2**128 - 1, 0xABCDEF << 64)]
CODES = ["", "a", "A", "é", "%"]


def fill():
    chance = random.Random(SEED)

    def text():
        return (
            chance.choice(WORDS)
            if chance.random() < 0.5
            else "".join(chance.choices(LETTERS, k=chance.randrange(5)))
        )

    def maybe(values):
        return chance.choice([*values, None])

    countries = [Country(code=code, name=maybe([*WORDS, text()])) for code in CODES]
    Country.objects.bulk_create(countries)
    authors = []
    for _ in range(24):
        authors.append(
            Author.objects.create(
                name=text(),
                age=maybe(NUMBERS),
                active=maybe([True, False]),
                country=maybe(countries),
                mentor=maybe(authors),
            )
        )
    shelves = [
        Shelf(id=key, label=maybe(WORDS), keeper=author)
        for key, author in zip(UUIDS, authors, strict=False)
    ]
    Shelf.objects.bulk_create(shelves)
    books = []
    for _ in range(220):
        books.append(
            Book.objects.create(
                title=maybe([*WORDS, text(), text(), text(), text()]),
                slug=text(),
                pages=maybe(NUMBERS),
                sold=chance.choice(COUNTS),
                weight=maybe(FLOATS) if POSTGRESQL else None,
                price=maybe(DECIMALS),
                printed=maybe([True, False]),
                isbn=maybe(UUIDS),
                born=maybe(DATES),
                moment=maybe(MOMENTS),
                opens=maybe(TIMES),
                lasts=maybe(SPANS),
                author=chance.choice(authors),
                editor=maybe(authors),
                shelf=maybe(shelves),
                sequel_to=maybe(books[-8:]),
            )
        )
    if POSTGRESQL:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE shelves_book SET price = 'NaN' WHERE id % 17 = 0")


# --- conditions -----------------------------------------------------------------------------------

texts = st.sampled_from(WORDS) | st.lists(st.sampled_from(LETTERS), max_size=3).map("".join)
ascii_texts = texts.filter(str.isascii)
atoms = st.sampled_from(
    [
        "a",
        "b",
        "s",
        "i",
        ".",
        r"\.",
        r"\*",
        r"\[",
        "[ab]",
        "[a-z]",
        "[A-Z1]",
        "é",
        "%",
        " ",
        "[0-9]",
        "\n",
        "😀",
    ]
)
quantified = st.builds(
    str.__add__, atoms, st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{0,2}", "{1,}"])
)
branches = st.lists(quantified, min_size=1, max_size=3).map("".join)
groups = st.builds("({}|{}){}".format, branches, branches, st.sampled_from(["", "?"]))
patterns = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "^"]),
    branches | groups,
    st.just("") | branches | branches.map("|{}".format),
    st.sampled_from(["", "$"]),
)


def lookups_of(name, values, *, ordered=True, reference=False, extra=()):
    one = st.sampled_from([*values, *extra])
    several = st.lists(st.none() | one, max_size=4)
    choices = [
        st.tuples(st.just(name), one),
        st.tuples(st.just(f"{name}__in"), several),
        st.tuples(st.just(f"{name}__isnull"), st.booleans()),
    ]
    if ordered:
        choices.append(
            st.tuples(
                st.sampled_from([f"{name}__{sign}" for sign in ("gt", "gte", "lt", "lte")]), one
            )
        )
        if not reference:
            choices.append(st.tuples(st.just(f"{name}__range"), st.tuples(one, one)))
    return st.one_of(choices)


def lookups_of_text(name):
    any_case = ascii_texts if POSTGRESQL else texts
    choices = [
        st.tuples(st.just(name), texts | st.none()),
        st.tuples(st.just(f"{name}__in"), st.lists(st.none() | texts, max_size=4)),
        st.tuples(st.just(f"{name}__isnull"), st.booleans()),
        st.tuples(
            st.sampled_from([f"{name}__{how}" for how in ("contains", "startswith", "endswith")]),
            texts,
        ),
        st.tuples(
            st.sampled_from(
                [f"{name}__{how}" for how in ("iexact", "icontains", "istartswith", "iendswith")]
            ),
            any_case,
        ),
        st.tuples(st.just(f"{name}__regex"), patterns),
    ]
    if not POSTGRESQL:
        choices.append(st.tuples(st.just(f"{name}__iregex"), patterns))
    return st.one_of(choices)


def parts_of(name, parts):
    years = [1, 2018, 2019, 2020, 2021, 9998]
    numbers = [*range(14), 23, 29, 30, 31, 52, 53, 59]
    return st.one_of(
        lookups_of(f"{name}__{part}", years if "year" in part else numbers) for part in parts
    )


OF_DAYS = ["year", "iso_year", "month", "day", "quarter", "week", "week_day", "iso_week_day"]
OF_HOURS = ["hour", "minute", "second"]

of_book = [
    lookups_of_text("title"),
    lookups_of_text("slug"),
    lookups_of("pages", NUMBERS, extra=[2.5]),
    lookups_of("sold", COUNTS),
    lookups_of("printed", [True, False], ordered=POSTGRESQL),
    lookups_of("isbn", UUIDS, ordered=POSTGRESQL),
]
if POSTGRESQL:
    of_book += [
        lookups_of("weight", FLOATS, extra=[1]),
        lookups_of("price", DECIMALS, extra=FINER),
        lookups_of("born", DATES),
        parts_of("born", OF_DAYS),
        lookups_of("moment", MOMENTS),
        parts_of("moment", OF_DAYS + OF_HOURS),
        lookups_of("moment__date", DATES),
        lookups_of("moment__time", TIMES),
        lookups_of("opens", TIMES),
        parts_of("opens", OF_HOURS),
        lookups_of("lasts", SPANS),
    ]
of_author = [
    lookups_of_text("name"),
    lookups_of("age", NUMBERS),
    lookups_of("active", [True, False], ordered=False),
    lookups_of("country", CODES, ordered=False),
    lookups_of("country_id", CODES, ordered=False),
    lookups_of("mentor_id", range(1, 20), reference=True),
    lookups_of("mentor__id", range(1, 20)),
]
of_country = [
    lookups_of_text("name"),
    lookups_of_text("code"),
    lookups_of("code", CODES, ordered=False),
]
of_shelf = [
    lookups_of("id", UUIDS, ordered=POSTGRESQL),
    lookups_of_text("label"),
    lookups_of("keeper", range(1, 20), reference=True),
]
references = [
    lookups_of("author", range(1, 25), reference=True),
    lookups_of("author__pk", range(1, 25)),
    lookups_of("editor", range(1, 25), reference=True),
    lookups_of("shelf", UUIDS, ordered=False),
    lookups_of("sequel_to", range(1, 220), reference=True),
    lookups_of("pk", range(1, 220)),
]


def over(path, choices):
    return st.one_of(choices).map(lambda pair: (path + pair[0], pair[1]))


TO_AUTHORS = ["author__", "editor__", "editor__mentor__", "author__mentor__", "sequel_to__author__",
              "sequel_to__editor__", "shelf__keeper__", "sequel_to__sequel_to__editor__"]  # fmt: skip
LEAVES = [
    *of_book,
    *of_book,
    *references,
    *references,
    *(over(path, of_author) for path in TO_AUTHORS),
    *(over(f"{path}country__", of_country) for path in TO_AUTHORS),
    *(over(path, [*of_book, *references]) for path in ("sequel_to__", "sequel_to__sequel_to__")),
    over("shelf__", of_shelf),
    over("sequel_to__shelf__", of_shelf),
]


@st.composite
def leaves(draw):
    return Q(draw(draw(st.sampled_from(LEAVES))))


@st.composite
def nodes(draw, inner):
    how = draw(st.sampled_from("&|^~x"))
    one = draw(inner)
    if how == "~":
        return ~one
    other = draw(inner)
    if how == "x":
        return one ^ other ^ draw(inner)
    return {"&": one & other, "|": one | other, "^": one ^ other}[how]


@st.composite
def querysets(draw):
    trees = st.recursive(leaves(), nodes, max_leaves=7)
    queryset = Book.objects.all()
    for _ in range(draw(st.integers(1, 3))):
        method = draw(st.sampled_from(["filter", "filter", "exclude"]))
        queryset = getattr(queryset, method)(draw(trees))
    return queryset


# --- the comparison -------------------------------------------------------------------------------


async def in_thread(function, *arguments):
    return function(*arguments)


def run(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("It waits.")


def read(model):
    fields = model._meta.concrete_fields
    return {
        str(instance.pk): {field.column: getattr(instance, field.attname) for field in fields}
        for instance in model.objects.all()
    }


TABLES = {}
decided = undecided = matched = by_index = 0


def keys_of(query):
    """What the database says, after a look at what the predicate says of the same rows."""
    found = run(query.fetch())
    predicate = query.predicate.bound(keys_of)
    for key, row in TABLES[query.table.model].items():
        try:
            truth = predicate(row)
        except Undecided:
            continue
        assert (truth is True) == (key in found), f"{query!r} of {row}: {truth}"
        if truth:
            assert found[key] == query.item(key, row), f"{query!r} of {row}"
    return frozenset(found.values())


def answers(predicate):
    global decided, undecided, by_index
    predicate = predicate.bound(keys_of)
    entries = predicate.entries()
    by_index += entries is not None
    for key, row in TABLES[Book].items():
        try:
            truth = predicate(row)
        except Undecided:
            undecided += 1
            continue
        decided += 1
        if truth and entries is not None:
            assert any((column, row[column]) in entries for column, _ in entries), (
                f"{predicate!r} of {row}"
            )
        yield int(key), row, truth


def opposite(queryset):
    queryset = queryset.all()
    queryset.query.where = WhereNode([WhereNode([queryset.query.where])], negated=True)
    return queryset


def ids(queryset):
    return set(queryset.order_by().values_list("pk", flat=True))


def compare(queryset):
    global matched
    for each in (queryset, opposite(queryset)):
        try:
            predicate = compile_where(each, in_thread).predicate
        except NotMatched as reason:
            assert "takes too long" in str(reason), reason
            hypothesis.reject()
        found = ids(each)
        for key, row, truth in answers(predicate):
            assert (truth is True) == (key in found), f"{predicate!r}\nof {row}\nis {truth}"
    # With LEFT JOINs alone every row has an answer, be it unknown.
    outer = queryset.all()
    outer.query.promote_joins(set(outer.query.alias_map))
    predicate = _Tree(outer.query, outer.db, in_thread).predicate(exact=True)
    yes, no = ids(outer), ids(opposite(outer))
    for key, row, truth in answers(predicate):
        says = True if key in yes else False if key in no else None
        assert truth is says, f"{predicate!r}\nof {row}\nis {truth}, but {says}"
    matched += 1


# --- each lookup by itself --------------------------------------------------------------------------

PATTERNS = ["a", "^a", "b$", "a.b", r"a\.b", "^.$", "[ab]", "[a-z]+$", "[A-Z]", "^[0-9]*a", "s{2}", "^(a|i).?$",
            "a?b", "^a*b?$", "%", "_", "é", "^.{2,3}$", "b.*", "x1|a b", r"\\", r"50\%", "\n", "[.%]", "[|]"]  # fmt: skip


def singles():
    """Every lookup with every value there is, on the books' own columns."""

    def ordered(name, values):
        for value in values:
            for sign in ("exact", "gt", "gte", "lt", "lte"):
                yield {f"{name}__{sign}": value}

    for name in ("title", "slug"):
        for word in WORDS + LETTERS:
            for how in ("exact", "contains", "startswith", "endswith"):
                yield {f"{name}__{how}": word}
            if word.isascii() or not POSTGRESQL:
                for how in ("iexact", "icontains", "istartswith", "iendswith"):
                    yield {f"{name}__{how}": word}
        for pattern in PATTERNS:
            yield {f"{name}__regex": pattern}
    yield from ordered("pages", NUMBERS)
    yield from ordered("sold", COUNTS)
    if not POSTGRESQL:
        return
    yield from ordered("weight", FLOATS)
    yield from ordered("price", [*DECIMALS, *FINER])
    yield from ordered("isbn", UUIDS)
    yield from ordered("born", DATES)
    yield from ordered("moment", MOMENTS[::2])
    yield from ordered("moment__date", DATES)
    yield from ordered("moment__time", TIMES)
    yield from ordered("opens", TIMES)
    yield from ordered("lasts", SPANS)
    for name, parts in (("born", OF_DAYS), ("moment", OF_DAYS + OF_HOURS), ("opens", OF_HOURS)):
        for part in parts:
            values = (
                (1, 2018, 2020, 2021, 9998)
                if "year" in part
                else (0, 1, 3, 5, 7, 12, 30, 52, 53, 59)
            )
            yield from ordered(f"{name}__{part}", values)


def compare_singles():
    conditions = list(singles())
    for start in range(0, len(conditions), 100):
        batch = conditions[start : start + 100]
        says = {
            f"c{number}": ExpressionWrapper(Q(**condition), BooleanField())
            for number, condition in enumerate(batch)
        }
        found = {row["pk"]: row for row in Book.objects.order_by().values("pk", **says)}
        for name, condition in zip(says, batch, strict=True):
            predicate = compile_where(Book.objects.filter(**condition), in_thread).predicate
            for key, row, truth in answers(predicate):
                assert truth is found[key][name], f"{predicate!r}\nof {row}\nis {truth}"
    return len(conditions)


CORNERS = [
    Q(editor__age__isnull=True) & Q(editor__age__gt=1),
    Q(editor__age__isnull=False) & Q(editor__age__gt=1),
    Q(editor__age__isnull=True) | Q(editor__age__gt=1),
    Q(editor__age__isnull=False) | Q(editor__age__gt=1),
    Q(editor__age__gt=1) | Q(editor__name="a"),
    Q(editor__age__gt=1) ^ Q(editor__active=True),
    Q(editor__country__name__contains="a") & Q(editor__mentor__active=True),
    Q(sequel_to__sequel_to__editor__country__isnull=True),
    Q(sequel_to__editor__age__in=[]) | Q(sequel_to__pages=1),
    Q(sequel_to__editor__age=None),
]


def main(examples):
    print(f"seed {SEED}", file=sys.stderr)
    fill()
    TABLES.update({model: read(model) for model in (Book, Author, Country, Shelf)})
    count = compare_singles()
    for corner in CORNERS:
        for method in ("filter", "exclude"):
            compare(getattr(Book.objects, method)(corner))
            compare(getattr(Book.objects, method)(~corner, pages__gt=0))
    hypothesis.settings(
        max_examples=examples,
        deadline=None,
        derandomize=CI,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )(hypothesis.given(querysets())(compare))()
    assert undecided < decided / 20, (undecided, decided)
    print(
        f"{count} lookups, {matched} conditions, {decided} answers, {undecided} left open, {by_index} indexed"
    )
