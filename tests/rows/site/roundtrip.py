"""Written by anybody, carried as an image, and made into a row again: what the ORM reads."""

import asyncio
import datetime as dt
import json
import uuid

import ujson
from django.db import connection, connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rowsite.models import Kinds, Shout, Target

from ddpcore.live.predicate import Undecided
from ddpcore_django.rows import ModelTable, source_of
from ddpcore_django.threads import DatabaseThreads
from ddpcore_pg.images import image_sql, quote

TARGETS = [Target.objects.get_or_create(code=code)[0] for code in ("a", "b-c")]
FIELDS = {field.column: field for field in Kinds._meta.concrete_fields}


THREADS = DatabaseThreads(2)


async def in_thread(function, *args):
    return await asyncio.wrap_future(THREADS.submit(function, *args))


TABLE = ModelTable(Kinds, in_thread)


def image(model, pk, using="foreign"):
    source = source_of(model)
    with connections[using].cursor() as cursor:
        cursor.execute("SET TimeZone = 'Asia/Tokyo'")
        cursor.execute(
            f"SELECT {image_sql(source)} FROM {quote(source.table)} AS t"
            f" WHERE t.{quote(source.key)} = {pk}"
        )
        return ujson.loads(cursor.fetchone()[0])


def shape(value):
    """The value so that equal means the same: type, zone, and NaN too."""
    kind = type(value)
    if isinstance(value, memoryview):
        return kind, value.format, bytes(value)
    if isinstance(value, dt.datetime):
        return kind, value.isoformat(), value.tzinfo
    if isinstance(value, dict):
        return kind, [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return kind, [shape(item) for item in value]
    return kind, repr(value)


def what_the_orm_reads(pk, column):
    return Kinds.objects.values_list(FIELDS[column].attname, flat=True).get(pk=pk)


def check(pk, *, undecided=()):
    row = TABLE.row(image(Kinds, pk))
    assert set(row) == set(FIELDS) - {"caseless"}
    for column in FIELDS:
        try:
            value = row[column]
        except Undecided:
            assert column == "caseless" or column in undecided, column
            continue
        assert column not in undecided, (column, value)
        assert shape(value) == shape(what_the_orm_reads(pk, column)), column
        assert row[column] is value


# --- by the ORM --------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
SHORT = st.text("abcdefghijklmnopqrstuvwxyz-_", max_size=20)
UTC = st.just(dt.UTC)
# Not the hour that comes twice in the project's zone: it may be undecided.
MOMENTS = st.datetimes(dt.datetime(1, 1, 3), dt.datetime(9999, 12, 29), timezones=UTC).filter(
    lambda moment: moment.month != 10 and moment.year not in range(1891, 1997)
)
FLOATS = st.sampled_from([-0.0, 1e-310]) | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
VALUES = {
    "small": st.integers(-(2**14), 2**14 - 1),  # doubled it must fit
    "integer": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "positive_small": st.integers(0, 2**15 - 1),
    "positive": st.integers(0, 2**31 - 1),
    "positive_big": st.integers(0, 2**63 - 1),
    "boolean": st.booleans(),
    "char": TEXT,
    "text": TEXT,
    "slug": SHORT,
    "email": TEXT,
    "url": TEXT,
    "path": TEXT,
    "file": TEXT,
    "uuid": st.uuids(),
    "decimal": st.decimals(-(10**19), 10**19, places=10),
    "float": FLOATS,
    "date": st.dates(),
    "moment": MOMENTS if connection.timezone else MOMENTS.map(lambda m: m.replace(tzinfo=None)),
    "time": st.times(),
    "duration": st.timedeltas(dt.timedelta(-(10**6)), dt.timedelta(10**6)),
    "json": JSON,
    "exact": JSON,
    "binary": st.binary(max_size=100),
    "address": st.ip_addresses().map(str),
    "shout": TEXT.map(Shout),
    "money": st.decimals(-(10**20), 10**20, places=4).map(lambda amount: ("EUR", amount)),
    "target": st.sampled_from(TARGETS),
    "by_code": st.sampled_from(TARGETS),
}
ROWS = st.fixed_dictionaries(
    {name: st.none() | strategy for name, strategy in VALUES.items()}
)  # fmt: skip
EXAMPLES = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@EXAMPLES
@given(ROWS)
def written_by_the_orm(values):
    row = Kinds(**values)
    row.save(using="foreign")
    check(row.pk)


# --- by SQL ------------------------------------------------------------------------------------

SQL = {
    "decimal": st.sampled_from(["'0'", "1e-10", "'NaN'", "12345678901234567890.0000000001"]),
    "float": FLOATS.map(lambda number: f"'{number!r}'"),
    "date": st.integers(-700_000, 2_900_000).map(lambda days: f"'2000-01-01'::date + {days}"),
    "moment": st.integers(-(10**15), 10**15).map(
        lambda micros: f"'0900-01-01 12:00+00'::timestamptz + interval '{micros} microseconds'"
    ),
    "time": st.integers(0, 86_399_999_999).map(
        lambda micros: f"'00:00'::time + interval '{micros} microseconds'"
    ),
    "duration": st.tuples(*[st.integers(-(10**6), 10**6)] * 4).map(
        lambda n: f"make_interval(days => {n[0]}, hours => {n[1]}, mins => {n[2]}, secs => {n[3]})"
    ),
    "json": st.sampled_from(["'null'", "'1.10'", "'\"\"'", '\'[1, {"b": 1, "a": 1e400}]\'']),
    "binary": st.binary(max_size=20).map(lambda data: f"'\\x{data.hex()}'"),
    "address": st.sampled_from(["'10.0.0.0/8'", "'::1'", "'::ffff:1.2.3.4'", "'1.2.3.4/32'"]),
    "text": TEXT.map(lambda text: "'{}'".format(text.replace("'", "''"))),
    "uuid": st.just(f"'{{{uuid.UUID(int=7)}}}'"),
    "boolean": st.sampled_from(["'yes'", "'off'"]),
}
NEVER = {
    "date": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'10000-01-01'::date"],
    "moment": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'12000-01-01 00:00+00'"],
    "time": ["'24:00'"],
    "duration": ["'1 month'", "'-1 year'", "'1 year -12 days'", "'170000000 years'"],
}


def insert(values):
    names = ", ".join(quote(Kinds._meta.get_field(name).column) for name in values)
    with connections["foreign"].cursor() as cursor:
        cursor.execute("SET TimeZone = 'Asia/Tokyo'")
        cursor.execute("SET DateStyle = 'ISO, YMD'")  # to be understood
        cursor.execute(
            f"INSERT INTO rowsite_kinds ({names}) VALUES ({', '.join(values.values())})"
            " RETURNING id"
        )
        (pk,) = cursor.fetchone()
        cursor.execute("SET DateStyle = 'SQL, DMY'")
    return pk


@EXAMPLES
@given(st.fixed_dictionaries({}, optional=SQL).filter(bool))
def written_by_sql(values):
    check(insert(values))


def never_guessed():
    for name, values in NEVER.items():
        for value in values:
            check(insert({name: value}), undecided=[name])


def twice_the_same_local_time():
    """02:30 on the day summer time ended in Paris."""
    for moment in ("'2020-10-25 00:30+00'", "'2020-10-25 01:30+00'"):
        pk = insert({"moment": moment})
        check(pk, undecided=[] if connection.timezone else ["moment"])


def read_by_key():
    first, second = (
        Kinds.objects.create(small=1),
        Kinds.objects.create(text="x", by_code=TARGETS[1]),
    )
    keys = [str(first.pk), str(second.pk), "0", "9" * 30, "x", "", "1.5", "\0", "None"]
    found = asyncio.run(TABLE.read(keys))
    assert set(found) == {str(first.pk), str(second.pk)}
    for pk in (first.pk, second.pk):
        row = found[str(pk)]
        assert set(row) == set(FIELDS)
        assert {column: shape(value) for column, value in row.items()} == {
            column: shape(what_the_orm_reads(pk, column)) for column in FIELDS
        }
    many = Kinds.objects.bulk_create([Kinds(small=n) for n in range(1201)])
    found = asyncio.run(TABLE.read([str(row.pk) for row in many]))
    assert [row["small"] for row in found.values()] == list(range(1201)) or sorted(
        row["small"] for row in found.values()
    ) == list(range(1201))


def nonsense_is_undecided():
    """Who may connect may NOTIFY what he likes."""
    sense = {name for name in FIELDS if name != "caseless"}
    for nonsense in ({}, [], {"a": 1}, True, "x\0", -1.5, 10**400, "9" * 5000, "1e999999999"):
        row = TABLE.row(dict.fromkeys([*FIELDS, "other"], nonsense))
        assert set(row) == sense and "other" not in row and len(row) == len(sense)
        for column in [*FIELDS, "other"]:
            try:
                row[column]
            except Undecided:
                continue
            assert json.dumps(nonsense)  # some column has such values
