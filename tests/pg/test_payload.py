"""Payloads: there and back, within PostgreSQL's limits, whatever is in them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpcore.bus import Change, Gap, Op
from ddpcore_pg import channel, encode, notify, notify_sql
from ddpcore_pg.payload import MAX_CHANGE, MAX_PAYLOAD, Assembler

from .conftest import Place

TOPIC = "shop.book"
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
images = st.none() | st.dictionaries(st.text(), json_values, max_size=4)
changes = st.builds(
    Change,
    topic=st.just(TOPIC),
    op=st.sampled_from([Op.INSERT, Op.UPDATE, Op.DELETE]),
    key=st.text(),
    before=images,
    after=images,
    xid=st.none() | st.integers(0, 2**64 - 1),
) | st.builds(Change, topic=st.just(TOPIC), op=st.just(Op.RESET))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def decode(payloads: list[str]) -> list[Change | Gap]:
    assembler = Assembler()
    events = [event for payload in payloads for event in assembler.put(TOPIC, payload)]
    assert len(assembler) == 0
    return events


# --- there and back ---------------------------------------------------------------------------


@given(changes)
def test_round_trip(change: Change) -> None:
    payloads = encode(change)
    assert all(each.isascii() and len(each) <= MAX_PAYLOAD for each in payloads)
    assert decode(payloads) == [change]


@given(
    letter=st.characters() | st.sampled_from('é日😀\ud800\x00"\\/\x7f'),
    offset=st.integers(0, 30),
    pieces=st.integers(1, 4),
    xid=st.sampled_from([None, 2**64 - 1]),
)
def test_any_letter_across_any_border(
    letter: str, offset: int, pieces: int, xid: int | None
) -> None:
    filler = "x" * (pieces * 7900 - 60 + offset)
    change = Change(TOPIC, Op.INSERT, "7", None, {"text": filler + letter * 40}, xid)
    payloads = encode(change)
    assert all(len(each.encode()) <= MAX_PAYLOAD for each in payloads)
    assert decode(payloads) == [change]


@settings(max_examples=30)
@given(text=st.text(alphabet="aé日😀", min_size=1), size=st.integers(1, 9))
def test_pieces_split_by_a_trigger_at_character_borders(text: str, size: int) -> None:
    body = f'{{"n":"x","rows":[["u","7",null,{{"t":"{text}"}}]]}}'
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    payloads = [f"771#set/{n}/{len(pieces)}/{piece}" for n, piece in enumerate(pieces)]
    assert decode(payloads) == [Change(TOPIC, Op.UPDATE, "7", None, {"t": text}, 771)]


def test_the_longest_payload_is_used_before_pieces_are() -> None:
    def size(length: int) -> list[int]:
        change = Change(TOPIC, Op.INSERT, "x" * length, xid=2**64 - 1)
        return [len(payload) for payload in encode(change, unique=lambda: "n" * 12)]

    sizes = [size(length) for length in range(7900, 8000)]
    assert [MAX_PAYLOAD] in sizes
    assert {len(each) for each in sizes} == {1, 2}
    assert max(map(max, sizes)) == MAX_PAYLOAD


def test_many_rows_in_one_payload() -> None:
    assert decode(['9{"rows":[["i","1"],["u","2",null,{"a":1}],["r"]],"later":1}']) == [
        Change(TOPIC, Op.INSERT, "1", xid=9),
        Change(TOPIC, Op.UPDATE, "2", None, {"a": 1}, 9),
        Change(TOPIC, Op.RESET, xid=9),
    ]


def test_many_keys_in_one_payload() -> None:
    keys = '[7,-1,"a",123456789012345678901234567890,1.50,"007",true]'
    assert decode([f'9{{"n":"x","op":"u","keys":{keys},"later":1}}']) == [
        Change(TOPIC, Op.UPDATE, key, xid=9)
        for key in ("7", "-1", "a", "123456789012345678901234567890", "1.50", "007", "True")
    ]
    assert decode(['{"op":"d","keys":[]}']) == []


def test_numbers_are_exact() -> None:
    image = {"big": 2**200 + 1, "small": 5e-324, "float": 0.1 + 0.2, "bigint": -(2**63)}
    assert decode(encode(Change(TOPIC, Op.INSERT, "1", None, image))) == [
        Change(TOPIC, Op.INSERT, "1", None, image)
    ]


def test_equal_changes_make_different_payloads() -> None:
    for change in (Change(TOPIC, Op.INSERT, "1"), Change(TOPIC, Op.INSERT, "x" * 9000)):
        assert not set(encode(change)) & set(encode(change))


def test_what_is_too_large_goes_without_images() -> None:
    large = {"text": "x" * MAX_CHANGE}
    assert decode(encode(Change(TOPIC, Op.UPDATE, "7", large, {"a": 1}, 3))) == [
        Change(TOPIC, Op.UPDATE, "7", xid=3)
    ]
    assert decode(encode(Change(TOPIC, Op.UPDATE, "x" * MAX_CHANGE))) == [Change(TOPIC, Op.RESET)]


def test_what_is_no_json_goes_without_images(expect_log: Callable[..., None]) -> None:
    expect_log("ddpcore_pg.payload", "no JSON")
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    values = (object(), b"bytes", deep, Decimal("1.5"), float("nan"), float("inf"), 10**5000)
    for image in ({"a": value} for value in values):
        change = Change(TOPIC, Op.UPDATE, "7", None, image)
        assert decode(encode(change)) == [Change(TOPIC, Op.UPDATE, "7")]


# --- pieces -----------------------------------------------------------------------------------

LONG = Change(TOPIC, Op.INSERT, "7", None, {"text": "x" * 20_000})


def test_sets_may_interleave_and_pieces_may_swap() -> None:
    one, two = encode(LONG), encode(LONG)
    mixed = [*itertools.chain.from_iterable(zip(reversed(one), two, strict=True))]
    assert decode(mixed) == [LONG, LONG]


def test_incomplete_sets_are_given_up_in_time(expect_log: Callable[..., None]) -> None:
    expect_log("ddpcore_pg.payload", "never came")
    clock = Clock()
    assembler = Assembler(timeout=10.0, clock=clock)
    assert assembler.put(TOPIC, encode(LONG)[0]) == []
    clock.now = 5.0
    late = encode(LONG)
    assert assembler.put("shop.author", late[0]) == []
    clock.now = 9.9
    assert assembler.expire() == []
    clock.now = 10.0
    assert assembler.expire() == [Gap(TOPIC)]
    assert assembler.expire() == []
    assert [assembler.put("shop.author", piece) for piece in late[1:]][-1] != []
    assert len(assembler) == 0


def test_the_oldest_sets_make_room(expect_log: Callable[..., None]) -> None:
    expect_log("ddpcore_pg.payload", "never came")
    assembler = Assembler(max_bytes=20_000)
    events = [assembler.put(f"t{n}", encode(LONG)[0]) for n in range(4)]
    assert events == [[], [], [Gap("t0")], [Gap("t1")]]
    assembler.clear()
    assert len(assembler) == 0
    assert [event for payload in encode(LONG) for event in assembler.put(TOPIC, payload)] == [LONG]


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "hello",
        "é",
        "{",
        "{}",
        "[]",
        "null",
        "12",
        "123456789012345678901{}",
        "-1{}",
        '{"rows":{}}',
        '{"rows":[[]]}',
        '{"rows":[["u"]]}',
        '{"rows":[["u",7]]}',
        '{"rows":[["u",null]]}',
        '{"rows":[["r","7"]]}',
        '{"rows":[["x","7"]]}',
        '{"rows":[[[],"7"]]}',
        '{"rows":[["u","7",[]]]}',
        '{"rows":[["u","7",null,"x"]]}',
        '{"rows":[["u","7",null,null,null]]}',
        '{"rows":"u"}',
        "{" + "[" * 5000,
        '{"rows":' + "[" * 3000 + "]" * 3000 + "}",
        '{"rows":[["u","7",null,{"a":NaN}]]}',
        '{"rows":[["u","7",null,{"a":-Infinity}]]}',
        '{"rows":[["u","7",null,{"a":1e999}]]}',
        '{"rows":[["u","7",null,{"a":' + "1" * 5000 + "}]]}",
        '{"keys":[1]}',
        '{"op":"u","keys":{}}',
        '{"op":"u","keys":"abc"}',
        '{"op":"u","keys":[null]}',
        '{"op":"u","keys":[[1]]}',
        '{"op":"u","keys":[1.5,[]]}',
        '{"op":"r","keys":[1]}',
        '{"op":"x","keys":[1]}',
        '{"op":[],"keys":[1]}',
        "#",
        "#a/0/1",
        "#a/1/1/x",
        "#a/0/0/x",
        "#a/-1/2/x",
        "#a/٣/9/x",
        "#a/0/9999/x",
        "#a/0/1/not json",
        "#/0/2/x",
        "#" + "a" * 65 + "/0/2/x",
    ],
)
def test_nonsense_is_a_gap(payload: str, expect_log: Callable[..., None]) -> None:
    expect_log("ddpcore_pg.payload", "makes no sense")
    assert decode([payload]) == [Gap(TOPIC)]


@given(st.text() | st.text(alphabet='0123456789#/{}[]",:nrowsuidxkey.'))
def test_any_text_is_survived(payload: str) -> None:
    import logging

    logging.disable()
    try:
        Assembler().put(TOPIC, payload)
    finally:
        logging.disable(logging.NOTSET)


def test_pieces_that_contradict_each_other(expect_log: Callable[..., None]) -> None:
    expect_log("ddpcore_pg.payload", "do not belong together")
    assert decode(["#a/0/3/x", "#a/0/3/x"]) == [Gap(TOPIC)]
    assert decode(["#a/0/3/x", "#a/1/2/x"]) == [Gap(TOPIC)]


# --- channels ---------------------------------------------------------------------------------


def test_plain_channels() -> None:
    assert channel("shop.book") == "ddp:shop.book"
    assert channel("x" * 59) == "ddp:" + "x" * 59


@given(st.text())
def test_channels_fit(topic: str) -> None:
    name = channel(topic)
    assert name.isascii()
    assert name.isprintable()
    assert len(name) <= 63
    assert name == channel(topic)


def test_hashed_channels_are_their_own() -> None:
    topics = [
        "x" * 60,
        "x" * 60 + "y",
        "shop.büch",
        "shop.buch",
        "shop.bch",
        "",
        "\ud800",
        "a\x00b",
    ]
    topics += [channel(topic).removeprefix("ddp#") for topic in topics]
    assert len({channel(topic) for topic in topics}) == len(set(topics))
    assert channel("shop.modell" + "x" * 60).startswith("ddp#shop.modell")


# --- in the database --------------------------------------------------------------------------


def test_the_database_adds_its_transaction_number(place: Place) -> None:
    import psycopg2

    connection = psycopg2.connect(place.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(f'LISTEN "{channel(TOPIC)}"')
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        ((xid,),) = cursor.fetchall()
        cursor.execute("SAVEPOINT inner_one")
        notify(cursor, Change(TOPIC, Op.INSERT, "1", xid=5))
        cursor.execute("RELEASE inner_one")
        cursor.execute(*notify_sql(LONG))
        notify(cursor)
    connection.poll()
    received = decode([each.payload for each in connection.notifies])
    connection.close()
    assert [event.xid for event in received if isinstance(event, Change)] == [xid, xid]


def test_thousands_in_one_statement_keep_their_order(place: Place) -> None:
    import psycopg2

    connection = psycopg2.connect(place.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(f'LISTEN "{channel(TOPIC)}"')
    with connection, connection.cursor() as cursor:
        # A planner that would like to do it otherwise does not get its way.
        cursor.execute("SET LOCAL work_mem = '64kB'")
        notify(cursor, *(Change(TOPIC, Op.UPDATE, str(n)) for n in range(5000)))
    connection.poll()
    received = decode([each.payload for each in connection.notifies])
    connection.close()
    assert [event.key for event in received if isinstance(event, Change)] == [
        str(n) for n in range(5000)
    ]
