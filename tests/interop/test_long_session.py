"""What clients do in the course of a long session: many subscriptions, breaks, simulations."""

from __future__ import annotations

import base64
import signal

import pytest

pytestmark = [pytest.mark.node, pytest.mark.pg]

# Subscribers to the same query share an observer, also with sessions of earlier tests that the
# server has not given up yet. It may be a moment behind the database: what clients hold at first
# is waited for.

SIMPLEDDP = pytest.param("simpleddp", id="simpleddp")
DDPJS = pytest.param("ddpjs", id="ddp.js")
METEORRN = pytest.param("meteorrn", id="@meteorrn/core")
METEOR = pytest.param("meteor", id="meteor-client-side", marks=pytest.mark.browser)
EVERY = [SIMPLEDDP, DDPJS, METEORRN, METEOR]
RETURNING = [SIMPLEDDP, METEORRN, METEOR]  # those that subscribe again by themselves

AUTHOR, BOOK, NOTE = "bookstore.author", "bookstore.book", "interop.note"
JANETS = "BooksByAuthorEmail", "janet@evanovich.com"


@pytest.fixture(params=EVERY)
def client(request, wire, launch):
    if request.param == "meteor":
        return request.getfixturevalue("meteor")
    client = launch(request.param, url=wire.url)
    client.do("connect")
    return client


returning = pytest.mark.parametrize("client", RETURNING, indirect=True)
in_meteor = pytest.mark.parametrize("client", [METEOR], indirect=True)


@pytest.fixture
def emma(writer):
    jane = writer("create", "Author", name="Jane Austen", email="jane@example.org")
    return writer("create", "Book", title="Emma", author_id=jane)


@pytest.fixture
def book(writer, janet):
    return writer("create", "Book", title="One for the Money", author_id=janet)


def test_overlapping_subscriptions(client, writer, janet, book, emma):
    client.subscribe("AllBooks")
    client.subscribe(*JANETS)
    everything = writer("documents", "Book")
    client.holds(BOOK, everything)

    # What the other one holds stays, and without a word of it.
    client.do("unsubscribe", "AllBooks")
    client.caught_up()
    assert client.documents(BOOK) == {book: everything[book]}
    assert client.documents(AUTHOR) == {janet: writer("documents", "Author")[janet]}
    assert not client.seen("removed|changed", collection=BOOK, _id=book)
    assert not client.seen("removed|changed", collection=AUTHOR, _id=janet)

    # The one that is left goes on.
    writer("save", "Book", emma, title="Persuasion")
    writer("save", "Book", book, title="Two for the Dough")
    client.until("changed", _id=book, title="Two for the Dough")
    assert list(client.documents(BOOK)) == [book]

    client.do("unsubscribe", JANETS[0])
    client.caught_up()
    assert client.documents(BOOK) == client.documents(AUTHOR) == {}

    # In the other order, all is back.
    client.subscribe(*JANETS)
    client.holds(BOOK, {book: writer("documents", "Book")[book]})
    client.subscribe("AllBooks")
    client.holds(BOOK, writer("documents", "Book"))
    client.holds(AUTHOR, writer("documents", "Author"))
    client.do("unsubscribe", JANETS[0])
    client.caught_up()
    client.holds(BOOK, writer("documents", "Book"))


def test_overlapping_fields(client, writer, janet, book):
    client.subscribe("BookTitles")
    client.holds(BOOK, {book: {"title": "One for the Money"}})

    client.subscribe("AllBooks")
    client.holds(BOOK, writer("documents", "Book"))

    client.do("unsubscribe", "AllBooks")
    client.caught_up()
    left = client.documents(BOOK)[book]
    assert left.pop("author_id", None) is None  # @meteorrn/core sets to null what is cleared
    assert left == {"title": "One for the Money"}
    assert client.documents(AUTHOR) == {}
    assert not client.seen("removed", collection=BOOK)

    client.subscribe("AllBooks")
    client.do("unsubscribe", "BookTitles")
    client.caught_up()
    client.holds(BOOK, writer("documents", "Book"))


def test_many_quick_subscriptions_end_as_a_fresh_one(client, writer, janet, book, emma):
    client.do("churn", "AllBooks", [], 25)
    writer("save", "Book", book, title="Three to Get Deadly")
    client.do("churn", JANETS[0], [JANETS[1]], 25)
    writer("delete", "Book", emma)
    other = writer("create", "Book", title="Four to Score", author_id=janet)
    client.do("churn", "AllBooks", [], 25)
    client.caught_up()
    assert client.documents(BOOK) == client.documents(AUTHOR) == {}

    client.subscribe("AllBooks")
    client.holds(BOOK, writer("documents", "Book"))
    client.holds(AUTHOR, writer("documents", "Author"))
    client.do("churn", JANETS[0], [JANETS[1]], 25)
    client.caught_up()
    client.holds(BOOK, writer("documents", "Book"))
    writer("save", "Book", other, title="High Five")
    client.holds(BOOK, writer("documents", "Book"))


def test_a_subscription_is_stopped_while_it_starts(client, writer, book):
    writer("shut_gate")
    client.start("slow", "subscribe", "slow", "SlowBooks", [])
    writer("at_gate")
    client.start("stop", "unsubscribe", "slow")
    writer("save", "Book", book, title="Hot Six")
    writer("open_gate")
    client.caught_up()
    assert client.documents(BOOK) == client.documents(AUTHOR) == {}

    client.subscribe("SlowBooks")
    client.holds(BOOK, writer("documents", "Book"))


def test_many_documents_and_any_text(client, writer, janet):
    texts = [
        "Ünïcödé",
        "日本語",
        "😀🏳️‍🌈",
        "\u2028\u2029",
        '"\\/\b\t',
        "$date",
        "\x7f\ufeff",
        "e\u0301",
    ]
    rows = [{"title": f"{i} {texts[i % len(texts)]}", "author_id": janet} for i in range(200)]
    books = writer("create_many", "Book", rows)
    expected = writer("documents", "Book")
    assert {pk: row["title"] for pk, row in expected.items()} == {
        pk: row["title"] for pk, row in zip(books, rows, strict=True)
    }
    client.subscribe("AllBooks")
    client.holds(BOOK, expected)

    writer("save_all", "Book", title="😀 one and all")
    client.holds(BOOK, writer("documents", "Book"))
    client.do("unsubscribe", "AllBooks")
    client.caught_up()
    assert client.documents(BOOK) == {}


VALUES = [
    "\u2028 😀 \x00 \ufeff e\u0301",
    "\ud83d",  # half of a character, as JavaScript has it
    [0, -1, 0.1, 1e21, 5e-324, 2**53, -(2**53)],
    {"number": "NaN"},
    [{"number": "Infinity"}, {"number": "-Infinity"}],
    {"binary": ""},
    {"deep": [{"binary": base64.b64encode(bytes(range(256))).decode()}]},
    {"date": "1969-12-31T23:59:59.999Z"},
    {"$date": "no date"},
    {"$binary": "no binary", "more": 1},
    {"$type": "none", "$value": {"$escape": {"$InfNaN": 1}}},
    {"": [], "a.b": {}, "$set": None, "__proto__x": False},
]


@returning
def test_values_come_back_as_they_went(client):
    for value in VALUES:
        assert client.do("call", "interop.echo", [value]) == value


def test_calls_wait_in_line_and_are_all_answered(client, writer):
    writer("shut_gate")
    client.start("slow", "call", "interop.slow", ["slow"])
    for i in range(150):  # more than the server reads ahead
        client.start(f"call {i}", "call", "interop.echo", [i])
    writer("at_gate")
    client.start("subscribe", "subscribe", "notes", "Notes", [])
    writer("open_gate")

    client.until("done", tag="slow", value="slow")
    for i in range(150):
        client.until("done", tag=f"call {i}", value=i)
    client.until("done", tag="subscribe")


# --- breaks -----------------------------------------------------------------------------------


def rows_change(writer, book):
    """Something of each kind."""
    author = writer("documents", "Book")[book]["author_id"]
    gone = writer("create", "Book", title="Gone", author_id=author)
    writer("save", "Book", book, title="Seven Up")
    writer("create", "Book", title="Hard Eight", author_id=author)
    writer("delete", "Book", gone)


@pytest.mark.parametrize(
    ("client", "how"),
    [
        pytest.param(*client.values, how, id=f"{client.id}-{how}", marks=client.marks)
        for client, how in [(SIMPLEDDP, "kill"), (METEORRN, "cut"), (METEOR, "cut")]
    ],
    indirect=["client"],
)
def test_a_break_in_the_middle(client, site, wire, writer, book, emma, how):
    client.subscribe("AllBooks")
    client.subscribe(*JANETS)
    writer("shut_gate")
    client.start("slow", "call", "interop.addNoteSlowly", ["before the break"])
    writer("at_gate")
    rows_change(writer, book)

    if how == "kill":
        site.stop(signal.SIGKILL)
    wire.cut()
    client.until("disconnected")
    writer("delete", "Book", emma)
    rows_change(writer, book)
    writer("open_gate")
    if how == "kill":
        site.start()
    rows_change(writer, book)

    client.until("connected")
    rows_change(writer, book)
    client.holds(BOOK, writer("documents", "Book"))
    client.holds(AUTHOR, writer("documents", "Author"))
    client.do("unsubscribe", JANETS[0])
    client.caught_up()
    client.holds(BOOK, writer("documents", "Book"))


@returning
def test_leaving_and_coming_back(client, writer, book, emma):
    client.subscribe("AllBooks")

    client.do("disconnect")
    client.until("disconnected")
    writer("delete", "Book", emma)
    rows_change(writer, book)
    client.start("offline", "call", "interop.echo", ["said when offline"])
    client.do("reconnect")

    client.until("connected")
    client.until("done", tag="offline", value="said when offline")
    client.holds(BOOK, writer("documents", "Book"))
    rows_change(writer, book)
    client.holds(BOOK, writer("documents", "Book"))


# --- what Meteor's client alone can do --------------------------------------------------------


def assert_no_flicker(client, note):
    client.caught_up()
    seen = client.seen("added|changed|removed", collection=NOTE, _id=note)
    assert [each["event"] for each in seen] == ["added"]


@in_meteor
def test_a_simulated_insert_has_the_servers_id(client, writer):
    client.subscribe("Notes")
    writer("shut_gate")
    client.start("slow", "call", "interop.addNoteSlowly", ["quick as light"])

    # It is there before the server has said anything.
    note = client.until("added", text="quick as light")["document"]["_id"]
    client.until("simulated", value=note)
    writer("at_gate")
    assert writer("documents", "Note") == {}
    assert client.seen("sent", msg="method")[-1]["message"]["randomSeed"]

    writer("open_gate")
    client.until("done", tag="slow", value=note)
    assert writer("documents", "Note") == {note: {"text": "quick as light", "stars": 0}}
    client.holds(NOTE, writer("documents", "Note"))
    assert_no_flicker(client, note)

    writer("save", "Note", note, stars=3)
    client.until("changed", _id=note, stars=3)


@in_meteor
def test_several_simulated_inserts_in_one_call(client, writer):
    client.subscribe("Notes")
    notes = client.do("call", "interop.addNotes", [["one", "two", "three"]])

    assert client.until("simulated")["value"] == notes
    assert {pk: row["text"] for pk, row in writer("documents", "Note").items()} == dict(
        zip(notes, ["one", "two", "three"], strict=True)
    )
    client.holds(NOTE, writer("documents", "Note"))
    for note in notes:
        assert_no_flicker(client, note)


@in_meteor
def test_a_simulated_insert_goes_if_it_is_not_published(client, writer):
    note = client.do("call", "interop.addNote", ["nobody sees it"])

    client.until("added", _id=note, text="nobody sees it")
    client.until("removed", _id=note)
    assert list(writer("documents", "Note")) == [note]
    client.caught_up()
    assert client.documents(NOTE) == {}


@pytest.mark.parametrize("client", [METEORRN, METEOR], indirect=True)
def test_insert_of_a_collection(client, writer):
    client.subscribe("Notes")
    note = client.do("insert", NOTE, {"text": "made here", "stars": 0})

    client.caught_up()
    assert writer("documents", "Note") == {note: {"text": "made here", "stars": 0}}
    client.holds(NOTE, writer("documents", "Note"))
    assert not client.seen("changed|removed", collection=NOTE, _id=note)


@in_meteor
@pytest.mark.parametrize("how", ["cut", "kill", "leave"])
def test_a_call_in_flight_is_sent_again_with_the_same_id(client, site, wire, writer, how):
    client.subscribe("Notes")
    writer("shut_gate")
    client.start("slow", "call", "interop.addNoteSlowly", ["once"])
    note = client.until("simulated")["value"]
    writer("at_gate")

    if how == "leave":
        client.do("disconnect")
    else:
        if how == "kill":
            site.stop(signal.SIGKILL)
        wire.cut()
    client.until("disconnected")
    if how == "kill":
        site.start()
    writer("open_gate")
    if how == "leave":
        client.do("reconnect")

    client.until("done", tag="slow", value=note)
    assert writer("documents", "Note") == {note: {"text": "once", "stars": 0}}
    client.holds(NOTE, writer("documents", "Note"))
    assert_no_flicker(client, note)


@in_meteor
def test_a_call_whose_answer_was_lost(client, wire, writer, book):
    client.subscribe("Notes")
    client.subscribe("AllBooks")
    wire.swallow()
    client.start("add", "call", "interop.addNote", ["lost"])
    note = client.until("simulated")["value"]
    writer("exists", "Note", pk=note)
    writer("save", "Book", book, title="Lost, too")
    wire.cut()

    client.until("done", tag="add", value=note)
    client.holds(NOTE, writer("documents", "Note"))
    client.holds(BOOK, writer("documents", "Book"))
    assert_no_flicker(client, note)


@in_meteor
def test_a_wait_method_lets_nothing_pass(client, writer, book):
    client.subscribe("AllBooks")
    before = writer("documents", "Book")
    client.holds(BOOK, before)
    client.start("early", "call", "interop.echo", ["early"])
    writer("shut_gate")
    client.start("wait", "call", "interop.slow", ["waited for"], {"wait": True})
    client.start("late", "call", "interop.echo", ["late"])
    client.until("done", tag="early")
    writer("at_gate")

    # Data comes in while it runs; Meteor keeps it back.
    writer("save", "Book", book, title="To the Nines")
    client.until("received", msg="changed", id=book)
    assert client.documents(BOOK) == before
    assert not client.seen("sent", msg="method", method="interop.echo", params=["late"])

    writer("open_gate")
    client.until("changed", _id=book, title="To the Nines")
    client.until("sent", msg="method", params=["late"])
    client.until("done", tag="wait", value="waited for")
    client.until("done", tag="late", value="late")


@in_meteor
def test_a_wait_method_in_flight_when_the_connection_breaks(client, wire, writer, book):
    client.subscribe("AllBooks")
    writer("shut_gate")
    client.start("wait", "call", "interop.slow", ["waited for"], {"wait": True})
    client.start("late", "call", "interop.echo", ["late"])
    writer("at_gate")
    rows_change(writer, book)
    wire.cut()
    client.until("disconnected")
    writer("at_gate", 2)  # that of the session that is over, and the one sent again
    rows_change(writer, book)
    writer("open_gate")

    client.until("done", tag="wait", value="waited for")
    client.until("done", tag="late", value="late")
    client.holds(BOOK, writer("documents", "Book"))


@in_meteor
def test_two_connections_of_one_page(client, writer, book, emma):
    client.subscribe(*JANETS)
    client.holds(BOOK, {book: writer("documents", "Book")[book]})
    other = client.do("beside", BOOK, [book, emma], "AllBooks", [])

    assert other != client.do("session")
    assert list(client.documents(BOOK)) == [book]
    writer("save", "Book", book, title="Ten Big Ones")
    client.until("changed", _id=book, title="Ten Big Ones")
