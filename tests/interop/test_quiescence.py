"""Meteor's own client comes back: it shows nothing new until every subscription is answered."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.pg]

BOOK = "bookstore.book"
SUBSCRIPTIONS = 40


def test_a_client_with_many_subscriptions_reaches_quiescence(meteor, wire, writer):
    emails = [f"author{number}@example.org" for number in range(SUBSCRIPTIONS)]
    books = {}
    for email in emails:
        author = writer("create", "Author", name=email, email=email)
        books[email] = writer("create", "Book", title=email, author_id=author)
        meteor.do("subscribe", email, "BooksByAuthorEmail", [email])
    meteor.holds(BOOK, writer("documents", "Book"))
    for _ in range(2):
        wire.cut()
        meteor.until("disconnected")
        writer("delete", "Book", books.pop(emails.pop()))
        meteor.until("connected")
        # What is gone leaves only when the client has all answers, of all subscriptions.
        meteor.holds(BOOK, writer("documents", "Book"))
    meteor.caught_up()
    subscribed = {each["message"]["id"] for each in meteor.seen("sent", msg="sub")}
    answered = {
        id for each in meteor.seen("received", msg="ready") for id in each["message"]["subs"]
    }
    assert len(subscribed) == SUBSCRIPTIONS
    assert answered == subscribed
    assert meteor.seen("received", msg="nosub") == []
    # And it goes on as any client.
    writer("save", "Book", books[emails[0]], title="Later")
    meteor.holds(BOOK, writer("documents", "Book"))
