"""Clients that log in, unmodified, against two real servers over one PostgreSQL.

Mails are written to files: the servers are processes of their own, so Django's `locmem` would keep
them where no test can look.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from typing import NamedTuple

import pytest
from websockets.sync.client import connect

pytestmark = [pytest.mark.node, pytest.mark.pg]

SIMPLEDDP = pytest.param("simpleddp", id="simpleddp")
METEORRN = pytest.param("meteorrn", id="@meteorrn/core")
METEOR = pytest.param("meteor", id="meteor-client-side", marks=pytest.mark.browser)

PASSWORD = "nine weeks of rain"
OTHER = "ten months of snow"
AMBIGUOUS = {"error": 403, "reason": "Something went wrong. Please check your credentials."}
# Some may have a password that only Django knows: nobody learns who, as all are told.
WRONG = AMBIGUOUS | {"details": '{"format":"plain"}'}
LOGGED_OUT = {
    "error": 403,
    "reason": "You've been logged out by the server. Please log in again.",
}


class Person(NamedTuple):
    username: str
    email: str
    id: str = ""


@pytest.fixture
def emma():
    """Somebody who has no account."""
    name = f"Emma-{secrets.token_hex(4)}"
    return Person(name, f"{name}@example.org")


@pytest.fixture
def jane(office):
    """Somebody whose account was made by Django."""
    name = f"Jane-{secrets.token_hex(4)}"
    email = f"{name}@example.org"
    return Person(name, email, office("hire", name, PASSWORD, email=email, first_name="Jane"))


@pytest.fixture(params=[SIMPLEDDP, METEORRN, METEOR])
def kind(request):
    """Which client."""
    return request.param


only_meteor = pytest.mark.parametrize("kind", [METEOR], indirect=True)
only_simpleddp = pytest.mark.parametrize("kind", [SIMPLEDDP], indirect=True)
with_codes = pytest.mark.parametrize("kind", [SIMPLEDDP, METEORRN], indirect=True)
own_digest = pytest.mark.parametrize("kind", [METEORRN, METEOR], indirect=True)


@pytest.fixture
def join(start, kind, ways):
    """`join(1)`: a client that is connected to the second server, like nobody or as it was."""

    clients = []

    def join(desk=0, *kept):
        clients.append(start(f"accounts_{kind}", ways[desk].url, *kept))
        clients[-1].do("connect")
        return clients[-1]

    yield join
    for client in clients:
        assert not client.seen("pageerror")


@pytest.fixture(autouse=True)
def nothing_is_told(desks, mails):
    """No log shows a password, a digest or a token."""
    yield
    hidden = {PASSWORD, OTHER, *mails.tokens()}
    hidden |= {hashlib.sha256(each.encode()).hexdigest() for each in (PASSWORD, OTHER)}
    for desk in desks:
        written = desk.log.read_text()
        assert not [each for each in hidden if each in written]
        # Nor what looks like the token of a login.
        assert not re.search(r"(?<![\w-])[\w-]{43}(?![\w-])", written)


def who(client):
    """Who the server holds the client for."""
    return client.do("call", "desk.who", [])


def document(person, verified=False, first_name="Jane"):
    """What somebody sees of their own account."""
    return {
        "_id": person.id,
        "username": person.username,
        "emails": [{"address": person.email, "verified": verified}],
        "profile": {"first_name": first_name},
    }


def say(way, message):
    """What a server answers to a message on a connection of its own: result, error."""
    with connect(f"{way.url.replace('http', 'ws')}/websocket") as socket:
        socket.send(json.dumps({"msg": "connect", "version": "1", "support": ["1"]}))
        socket.send(json.dumps(message))
        for text in socket:
            answer = json.loads(text)
            if answer.get("msg") == "result":
                error = answer.get("error")
                return answer.get("result"), error and {
                    name: error[name] for name in ("error", "reason") if name in error
                }
    raise AssertionError("It was closed before it answered.")


def is_logged_out(client, kind):
    """Wait until a client has lost its login."""
    client.until("disconnected")
    client.answers(None, "user")
    client.answers(None, "call", "desk.who", [])
    if kind != "simpleddp":  # its plugin keeps what it could not resume
        client.answers(None, "kept")


# --- in and out -------------------------------------------------------------------------------


def test_sign_up(join, office, emma):
    client = join()
    options = {"username": emma.username, "email": emma.email, "password": PASSWORD}
    client.do("signUp", options | {"profile": {"first_name": "Emma", "is_staff": True}})

    emma = emma._replace(id=who(client))
    assert emma.id is not None
    client.answers(document(emma, first_name="Emma"), "user")
    assert client.do("call", "desk.name", []) == emma.username
    assert office("logins", emma.username) == 1
    assert office("knows", emma.username, PASSWORD)  # so does Django

    client.do("logOut")
    assert who(client) is None
    client.answers(None, "user")
    assert client.do("kept") is None
    assert office("logins", emma.username) == 0

    assert client.fail("signUp", options | {"username": emma.username.lower()}) == AMBIGUOUS
    client.do("logIn", emma.username, PASSWORD)
    assert who(client) == emma.id


def test_log_in(join, jane):
    client = join()
    assert client.fail("logIn", jane.username, OTHER) == WRONG
    assert client.fail("logIn", f"not-{jane.username}", PASSWORD) == WRONG
    assert who(client) is None
    assert client.do("user") is None

    client.do("logIn", jane.username, PASSWORD)
    client.answers(document(jane), "user")
    assert who(client) == jane.id
    client.do("logOut")
    assert who(client) is None

    client.do("logIn", jane.email.upper(), PASSWORD)
    assert who(client) == jane.id


@with_codes
def test_a_second_factor(join, office, jane):
    office("change", jane.username, last_name="Rex")
    client = join()
    code = AMBIGUOUS | {"error": "no-2fa-code"}
    assert client.fail("logIn", jane.username, PASSWORD) == code
    wrong = AMBIGUOUS | {"error": "invalid-2fa-code"}
    assert client.fail("logInWithCode", jane.username, PASSWORD, "Fido") == wrong
    assert client.fail("logInWithCode", jane.username, OTHER, "Rex") == WRONG
    assert who(client) is None

    client.do("logInWithCode", jane.username, PASSWORD, "Rex")
    assert who(client) == jane.id


def test_what_is_published_follows_the_login(join, office, jane, emma):
    first = office("note", jane.username, "Buy ink.")
    office("hire", emma.username, PASSWORD)
    office("note", emma.username, "None of Jane's business.")
    client = join()
    client.subscribe("MyNotes")
    assert client.documents("desk.note") == {}

    client.do("logIn", jane.username, PASSWORD)
    notes = {first: {"owner_id": jane.id, "text": "Buy ink."}}
    client.holds("desk.note", notes)
    second = office("note", jane.username, "And paper.")
    client.holds("desk.note", notes | {second: {"owner_id": jane.id, "text": "And paper."}})

    client.do("logOut")
    client.holds("desk.note", {})


def test_the_own_account_is_live(join, office, jane):
    client = join()
    client.do("logIn", jane.username, PASSWORD)
    client.answers(document(jane), "user")

    office("change", jane.username, first_name="Janet")
    client.answers(document(jane, first_name="Janet"), "user")


# --- logins that last -------------------------------------------------------------------------


def test_a_login_survives_a_break(join, ways, jane):
    client = join()
    client.do("logIn", jane.username, PASSWORD)

    ways[0].cut()
    client.until("disconnected")
    client.until("connected")
    client.answers(jane.id, "call", "desk.who", [])
    client.answers(document(jane), "user")


def test_an_office_returns_at_once(join, ways, jane):
    client = join()
    client.do("logIn", jane.username, PASSWORD)
    login = {"msg": "method", "id": "1", "method": "login"}
    for _ in range(40):  # others there
        result, _ = say(ways[0], login | {"params": [{"resume": client.do("kept")}]})
        assert result["id"] == jane.id

    ways[0].cut()
    client.until("disconnected")
    client.until("connected")
    client.answers(document(jane), "user")
    assert client.do("kept")
    assert who(client) == jane.id


def test_a_login_is_kept(join, kind, office, jane):
    client = join()
    client.do("logIn", jane.username, PASSWORD)
    token = client.do("kept")
    assert re.fullmatch(r"[\w-]{43}", token)

    if kind == "meteor":
        client.do("reload")
        assert client.do("resumed")
        returned = client
    else:
        returned = join(1, token)  # any server takes it
    assert who(returned) == jane.id
    returned.answers(document(jane), "user")
    assert returned.do("kept") == token
    assert office("logins", jane.username) == 1


def test_a_captured_login_is_worth_nothing_after_the_logout(join, kind, ways, jane):
    client = join()
    client.do("logIn", jane.username, PASSWORD)
    if kind == "meteor":
        client.do("reload")
        assert client.do("resumed")
        returned = client
    else:
        returned = join(0, client.do("kept"))
    assert who(returned) == jane.id
    # Not that which was sent with the password: that remains good, as long as the password is.
    captured = returned.seen("sent", method="login")[-1]["message"]
    assert "resume" in captured["params"][0]
    for way in ways:
        result, error = say(way, captured)
        assert error is None
        assert result["id"] == jane.id

    returned.do("logOut")
    for way in ways:
        assert say(way, captured) == (None, LOGGED_OUT)


# --- logins that are taken back, on another server --------------------------------------------


def test_change_the_password(join, kind, office, jane):
    near, far = join(0), join(1)
    for client in near, far:
        client.do("logIn", jane.username, PASSWORD)

    assert near.fail("changePassword", OTHER, PASSWORD) == WRONG
    near.do("changePassword", PASSWORD, OTHER)
    is_logged_out(far, kind)
    assert who(near) == jane.id
    near.answers(document(jane), "user")
    assert not near.seen("disconnected")
    assert office("knows", jane.username, OTHER)
    assert not office("knows", jane.username, PASSWORD)

    assert far.fail("logIn", jane.username, PASSWORD) == WRONG
    far.do("logIn", jane.username, OTHER)
    assert who(far) == jane.id


def test_log_out_other_clients(join, kind, ways, office, jane):
    near, far = join(0), join(1)
    for client in near, far:
        client.do("logIn", jane.username, PASSWORD)
    assert office("logins", jane.username) == 2
    old = near.do("kept")

    near.do("logOutOthers")
    is_logged_out(far, kind)
    assert who(near) == jane.id
    assert not near.seen("disconnected")
    assert office("logins", jane.username) == 1

    new = near.do("kept")
    assert new != old
    login = {"msg": "method", "id": "1", "method": "login"}
    assert say(ways[1], login | {"params": [{"resume": old}]}) == (None, LOGGED_OUT)
    assert say(ways[1], login | {"params": [{"resume": new}]})[0]["id"] == jane.id


@pytest.mark.parametrize("how", ["revoked", "deactivated"])
def test_logins_end_that_the_office_ends(join, kind, office, jane, how):
    near, far = join(0), join(1)
    for client in near, far:
        client.do("logIn", jane.username, PASSWORD)

    if how == "revoked":
        office("revoke", jane.username)
    else:
        office("change", jane.username, is_active=False)
    for client in near, far:
        is_logged_out(client, kind)

    if how == "revoked":
        near.do("logIn", jane.username, PASSWORD)
    else:
        assert near.fail("logIn", jane.username, PASSWORD) == WRONG


# --- by the links of mails --------------------------------------------------------------------


def test_reset_the_password_by_a_link(join, kind, office, mails, jane):
    near, far = join(0), join(1)
    far.do("logIn", jane.username, PASSWORD)
    near.do("forgotPassword", jane.email)
    _, token = mails.link("reset-password", jane.email)

    near.do("resetPassword", token, OTHER)
    is_logged_out(far, kind)
    near.answers(document(jane, verified=True), "user")
    assert who(near) == jane.id
    assert not near.seen("disconnected")
    assert office("knows", jane.username, OTHER)
    assert not office("knows", jane.username, PASSWORD)

    assert far.fail("resetPassword", token, PASSWORD) == {"error": 403, "reason": "Token expired"}
    assert far.fail("logIn", jane.username, PASSWORD) == WRONG
    far.do("logIn", jane.username, OTHER)


def test_verify_an_address_by_a_link(join, mails, emma):
    near, far = join(0), join(1)
    options = {"username": emma.username, "email": emma.email, "password": PASSWORD}
    near.do("signUp", options)
    emma = emma._replace(id=who(near))
    near.answers(document(emma, first_name=""), "user")
    _, token = mails.link("verify-email", emma.email)

    far.do("verifyEmail", token)
    assert who(far) == emma.id
    for client in near, far:
        client.answers(document(emma, verified=True, first_name=""), "user")

    expired = {"error": 403, "reason": "Verify email link expired"}
    assert far.fail("verifyEmail", token) == expired


@only_meteor
def test_a_link_that_resets_is_clicked(join, ways, desks, mails, jane):
    browser = join()
    browser.do("forgotPassword", jane.email)
    link, token = mails.link("reset-password", jane.email)

    browser.do("open", "second", link.replace(desks[0].url, ways[0].url))
    assert browser.until("resetLink", tab="second")["token"] == token
    browser.do("resetPassword", token, OTHER)
    browser.answers(document(jane, verified=True), "user")
    browser.until("news", tab="first", id=jane.id)  # of the other tab, by what is kept


@only_meteor
def test_a_link_that_enrolls_is_clicked(join, ways, desks, office, mails, emma):
    emma = emma._replace(id=office("enroll", emma.username, emma.email))
    link, token = mails.link("enroll-account", emma.email)
    browser = join()
    assert browser.fail("logIn", emma.username, PASSWORD) == WRONG

    browser.do("open", "first", link.replace(desks[0].url, ways[0].url))
    assert browser.until("enrollLink")["token"] == token
    browser.do("resetPassword", token, PASSWORD)
    browser.answers(document(emma, verified=True, first_name=""), "user")
    assert office("knows", emma.username, PASSWORD)


@only_meteor
def test_a_link_that_verifies_is_clicked(join, ways, desks, mails, emma):
    browser = join()
    options = {"username": emma.username, "email": emma.email, "password": PASSWORD}
    browser.do("signUp", options)
    emma = emma._replace(id=who(browser))
    link, token = mails.link("verify-email", emma.email)

    browser.do("open", "second", link.replace(desks[0].url, ways[0].url))
    assert browser.until("verifyLink", tab="second")["token"] == token
    browser.do("verifyEmail", token)
    browser.answers(document(emma, verified=True, first_name=""), "user")
    browser.do("use", "first")
    browser.answers(document(emma, verified=True, first_name=""), "user")


@only_meteor
def test_two_tabs_are_one(join, office, jane):
    browser = join()
    browser.do("open", "second")
    browser.do("use", "first")
    browser.do("logIn", jane.username, PASSWORD)
    browser.until("news", tab="second", id=jane.id)
    browser.do("use", "second")
    browser.answers(document(jane), "user")
    assert office("logins", jane.username) == 1

    browser.do("logOut")
    browser.until("news", tab="first", id=None)
    browser.do("use", "first")
    browser.answers(None, "user")
    assert who(browser) is None
    assert browser.do("kept") is None


# --- passwords of many kinds ------------------------------------------------------------------


@only_simpleddp
def test_a_plain_password_from_the_same_machine(join, jane):
    client = join()
    assert client.fail("logInPlainly", jane.username, OTHER) == AMBIGUOUS
    client.do("logInPlainly", jane.username, PASSWORD)
    assert who(client) == jane.id


@own_digest
def test_a_password_outside_the_basic_plane(join, office, jane):
    office("set_password", jane.username, "rain 🌧 and snow 🌨")
    client = join()
    client.do("logIn", jane.username, "rain 🌧 and snow 🌨")
    assert who(client) == jane.id


def test_a_password_that_django_has_kept(join, office, jane):
    office("keep_plainly", jane.username, PASSWORD)
    client = join()
    assert client.fail("logIn", jane.username, PASSWORD) == WRONG

    # Once it was sent in plain, it is kept so that its digest is enough.
    assert client.do("call", "login", [{"user": {"username": jane.username}, "password": PASSWORD}])
    client.do("call", "logout", [])
    client.do("logIn", jane.username, PASSWORD)
    assert who(client) == jane.id
    assert office("knows", jane.username, PASSWORD)


def test_too_many_logins(join, emma):
    client = join()
    for _ in range(5):
        assert client.fail("logIn", emma.username, PASSWORD) == WRONG

    error = client.fail("logIn", emma.username, PASSWORD)
    assert error["error"] == "too-many-requests"
    assert error["reason"].startswith("Error, too many requests. Please slow down. You must wait ")
    assert 0 < error["details"]["timeToReset"] <= 10_000
