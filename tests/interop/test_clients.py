"""Clients that real people use, unmodified, against the real server and PostgreSQL."""

from __future__ import annotations

import signal

import pytest

pytestmark = [pytest.mark.node, pytest.mark.pg]

SIMPLEDDP = pytest.param("simpleddp", id="simpleddp")
DDPJS = pytest.param("ddpjs", id="ddp.js")
METEORRN = pytest.param("meteorrn", id="@meteorrn/core")
METEOR = pytest.param("meteor", id="meteor-client-side", marks=pytest.mark.browser)


@pytest.fixture(params=[SIMPLEDDP, DDPJS, METEORRN, METEOR])
def client(request, launch):
    client = launch(request.param)
    client.do("connect")
    return client


@pytest.fixture
def book(writer, janet):
    return writer("create", "Book", title="One for the Money", author_id=janet)


def by_id(documents):
    return {document.pop("_id"): document for document in documents}


def test_a_subscription_is_ready_when_its_documents_are_there(client, janet, book):
    client.subscribe("AllBooks")

    assert by_id(client.do("documents", "bookstore.author")) == {
        janet: {"name": "Janet Evanovich", "email": "janet@evanovich.com"}
    }
    assert by_id(client.do("documents", "bookstore.book")) == {
        book: {"title": "One for the Money", "author_id": janet}
    }


def test_another_process_adds_changes_and_removes(client, writer, janet, book):
    client.subscribe("AllBooks")

    writer("save", "Book", book, title="Two for the Dough")
    changed = client.until("changed", collection="bookstore.book", _id=book)
    assert changed["document"] == {"_id": book, "title": "Two for the Dough", "author_id": janet}

    other = writer("create", "Book", title="Three to Get Deadly", author_id=janet)
    client.until("added", collection="bookstore.book", _id=other, title="Three to Get Deadly")

    writer("delete", "Book", book)
    client.until("removed", collection="bookstore.book", _id=book)
    assert list(by_id(client.do("documents", "bookstore.book"))) == [other]


def test_a_subscription_with_parameters_follows_the_join(client, writer, janet, book):
    jane = writer("create", "Author", name="Jane Austen", email="jane@example.org")
    emma = writer("create", "Book", title="Emma", author_id=jane)
    client.subscribe("BooksByAuthorEmail", "janet@evanovich.com")
    assert list(by_id(client.do("documents", "bookstore.book"))) == [book]

    writer("save", "Author", janet, email="elsewhere@evanovich.com")
    client.until("removed", collection="bookstore.book", _id=book)

    writer("save", "Author", jane, email="janet@evanovich.com")
    client.until("added", collection="bookstore.book", _id=emma)
    assert list(by_id(client.do("documents", "bookstore.book"))) == [emma]


def test_a_method_is_updated_once_its_document_is_there(client, janet):
    client.subscribe("AllBooks")

    book = client.do("call", "bookstore.addBook", ["Four to Score", janet])

    client.until("added", collection="bookstore.book", _id=book, title="Four to Score")
    client.until("updated")


def test_errors_arrive_with_code_and_reason(client):
    error = client.fail("call", "nope", [])
    assert error == {"error": 404, "reason": "Method 'nope' not found"}

    error = client.fail("subscribe", "key", "nope", [])
    assert error == {"error": 404, "reason": "Subscription 'nope' not found"}


def test_wrong_arguments_are_refused(client, janet):
    for params in [], ["Emma"], ["Emma", janet, "?"], [{"$ne": ""}, janet], ["Emma", int(janet)]:
        error = client.fail("call", "bookstore.addBook", params)
        assert error == {"error": 400, "reason": "Match failed"}, params


@pytest.mark.parametrize("client", [SIMPLEDDP, METEORRN, METEOR], indirect=True)
def test_a_date_stays_a_date(client):
    value = {"at": {"date": "2026-11-20T12:34:56.789Z"}, "not": {"$date": 1}}

    assert client.do("call", "interop.echo", [value]) == value


def test_unsubscribing_takes_the_documents_away(client, janet, book):
    client.subscribe("AllBooks")
    client.subscribe("BooksByAuthorEmail", "janet@evanovich.com")

    client.do("unsubscribe", "AllBooks")
    assert client.do("call", "interop.echo", ["all said"]) == "all said"
    assert list(by_id(client.do("documents", "bookstore.book"))) == [book]

    client.do("unsubscribe", "BooksByAuthorEmail")
    client.until("removed", collection="bookstore.book", _id=book)
    assert client.do("call", "interop.echo", ["all said"]) == "all said"
    assert client.do("documents", "bookstore.author") == []


@pytest.mark.parametrize("client", [SIMPLEDDP, METEORRN, METEOR], indirect=True)
def test_a_client_finds_back_after_the_server_was_killed(client, site, writer, book):
    client.subscribe("AllBooks")

    site.stop(signal.SIGKILL)
    client.until("disconnected")
    writer("save", "Book", book, title="Seven Up")
    site.start()

    client.until("connected")
    client.until("added|changed", _id=book, title="Seven Up")
    writer("save", "Book", book, title="Hard Eight")
    client.until("changed", _id=book, title="Hard Eight")
