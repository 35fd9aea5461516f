"""Passwords are forgotten and reset, addresses verified, by links that were mailed."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager

import pytest
import websockets
from accounts import AMBIGUOUS, connect, digest, error
from ddp_client import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_links import (
    EXPIRED,
    NEW,
    OLD,
    RESET,
    VERIFY,
    VERIFY_EXPIRED,
    People,
    forgot,
    logs_in,
    mails,
    opened,
    tokens,
)


@pytest.fixture
def people(shell):
    people = People(shell)
    people.add()
    return people


@pytest.mark.parametrize("users", ["django", "custom"])
@pytest.mark.parametrize("new", [NEW, digest(NEW)], ids=["plain", "digest"])
async def test_a_forgotten_password_is_reset_by_the_link_of_a_mail(server, people, users, new):
    async with connect(server.address) as client, connect(server.address) as elsewhere:
        await elsewhere.call("login", {"user": {"email": "ann@example.org"}, "password": OLD})
        token = await forgot(client)
        (mail,) = await mails(client)
        assert mail == {
            "to": ["ann@example.org"],
            "from": "site@example.org",
            "subject": "How to reset your password on localhost:3000",
            "body": "Hello,\n\nTo reset your password, simply click the link below.\n\n"
            f"http://localhost:3000/#/reset-password/{token}\n\nThank you.\n",
            "headers": {"Auto-Submitted": "auto-generated"},
        }
        assert people.verified() == []
        assert await logs_in(server.address, OLD)
        result = await client.call("resetPassword", token, new)
        assert list(result) == ["id", "token", "tokenExpires", "type"]
        assert result["type"] == "password"
        assert result["id"] == people.ask("str(ann.pk)") == await client.call("test.who")
        assert people.verified() == ["ann@example.org"]
        await elsewhere._reader  # it is closed
        assert not await logs_in(server.address, OLD)
        assert await logs_in(server.address, digest(NEW))
        assert await logs_in(server.address, NEW)
        assert await error(client, "resetPassword", token, new) == (403, "Token expired")
        async with connect(server.address) as later:
            resumed = await later.call("login", {"resume": result["token"]})
            assert resumed["token"] == result["token"]


@pytest.mark.parametrize("accounts", [{"HOOKS": ["accountsite.mailbox.factor"]}], ids=["asked"])
async def test_who_is_logged_in_may_reset_and_stays_connected(server, people):
    people.add("bob")
    async with connect(server.address) as client:
        for name in ("ann", "bob"):
            login = {"user": {"email": "ann@example.org"}, "password": OLD}
            await client.call("login", login)
            result = await client.call(
                "resetPassword", people.token("reset-password", name), digest(OLD)
            )
            # Meanwhile it rested on no login that could have been taken from under it.
            assert await client.call("test.bound_to") == [None]
            assert await client.call("test.who") == result["id"]
            assert await client.call("test.bound") is not None
        # The reset of another's password has taken nothing from the user who was logged in.
        assert people.ask("[ann.ddp_login_tokens.count(), bob.ddp_login_tokens.count()]") == [2, 1]


async def test_strangers_and_friends_get_one_answer(server, people):
    people.add("gone", is_active=False)
    people.add("remote", password=None)
    people.add("twin", email="twin@example.org")
    people.add("twin2", email="Twin@example.org")
    addresses = ["nobody@example.org", "gone@example.org", "remote@example.org", "TWIN@example.org"]
    async with connect(server.address) as client:
        for address in addresses:
            assert await client.call("forgotPassword", {"email": address}) is None
        assert await mails(client) == []
    odd = ["", "ann", "ann@example.org\nBcc: eve@example.org", "ann@example.org, eve@x.org", "\0@\0",
           "\ud800@example.org", "a" * 400 + "@example.org", "%@%", "ann%40example.org"]  # fmt: skip
    for some in (odd[:5], odd[5:]):
        async with connect(server.address) as client:
            for address in some:
                assert await client.call("forgotPassword", {"email": address}) is None
            assert await mails(client) == []


async def test_the_case_does_not_matter_and_mail_goes_where_it_is_stored(server, people):
    async with connect(server.address) as client:
        await forgot(client, "ANN@Example.ORG")
        assert [each["to"] for each in await mails(client)] == [["ann@example.org"]]


@pytest.mark.parametrize("accounts", [{"AMBIGUOUS_ERRORS": False}], ids=["frank"])
async def test_a_project_may_say_that_nobody_was_found(server, people):
    people.add("gone", is_active=False)
    async with connect(server.address) as client:
        for name in ("nobody", "gone"):
            said = await error(client, "forgotPassword", {"email": f"{name}@example.org"})
            assert said == (403, "User not found")
        await forgot(client)


async def test_nobody_waits_for_a_mail_server(server, people):
    async with connect(server.address) as client, connect(server.address) as other:
        await other.call("test.post_office", "shut")
        for address in ("ann@example.org", "nobody@example.org", "ann@example.org"):
            assert await client.call("forgotPassword", {"email": address}) is None
        await other.call("test.post_office", "open")
        assert len(await mails(client)) == 2


async def test_a_mail_server_that_hangs_does_not_keep_a_server(project, people):
    server = project.serve()
    async with connect(server.address) as client:
        await client.call("test.post_office", "shut")
        for _ in range(4):
            assert await client.call("forgotPassword", {"email": "ann@example.org"}) is None
    assert server.end() == 0
    assert "4 handlers do not end" in "".join(server.errors)


async def test_a_broken_mail_server_says_nothing_and_the_log_names_no_address(project, people):
    server = project.serve()
    async with connect(server.address) as client:
        await client.call("test.post_office", "broken")
        for name in ("ann", "nobody"):
            assert await client.call("forgotPassword", {"email": f"{name}@example.org"}) is None
        assert await mails(client) == []
    assert server.end() == 0
    log = "".join(server.errors)
    number = people.ask("ann.pk")
    assert (
        f"A mail to reset a password failed: SMTPRecipientsRefused. It was for user {number}."
        in log
    )
    assert "example.org" not in log
    assert "reset-password/" not in log


@pytest.mark.parametrize("accounts", [{"ROOT_URL": None}], ids=["nowhere"])
async def test_without_a_root_url_nobody_is_told_who_is_there(project, people):
    server = project.serve()
    async with connect(server.address) as client:
        for name in ("ann", "nobody"):
            said = await error(client, "forgotPassword", {"email": f"{name}@example.org"})
            assert said == (500, "Internal server error")
    assert server.end() == 0
    assert "DDPCORE_ACCOUNTS['ROOT_URL']" in "".join(server.errors)
    for send in ("send_reset_password_email", "send_enrollment_email", "send_verification_email"):
        assert "ROOT_URL" in failure(people, f"mails.{send}(ann)")


@asynccontextmanager
async def connect_with(address, **headers):
    url = f"ws://{address}/websocket"
    async with websockets.connect(url, additional_headers=headers) as socket:
        client = Client(socket)
        await client.send(msg="connect", version="1", support=["1"])
        await client.message(msg="connected")
        yield client
        await socket.close()
        await client._reader


async def test_links_know_nothing_of_what_a_request_says(server, people):
    headers = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example",
               "X-Forwarded-Server": "evil.example", "X-Original-URL": "http://evil.example/"}  # fmt: skip
    async with connect_with(server.address, **headers) as client:
        await forgot(client)
        assert "evil" not in json.dumps(await mails(client))


# --- what kills a link ---------------------------------------------------------------------------


async def test_each_link_is_for_its_own_purpose_and_works_once(server, people):
    async with connect(server.address) as client:
        verifies = people.token("verify-email")
        assert await opened(client, RESET, verifies) == EXPIRED
        for purpose in ("reset-password", "enroll-account"):
            assert await opened(client, VERIFY, people.token(purpose)) == VERIFY_EXPIRED
        assert await opened(client, VERIFY, verifies) is None
        assert await opened(client, VERIFY, verifies) == VERIFY_EXPIRED
    async with connect(server.address) as client:
        resets, enrolls = people.token("reset-password"), people.token("enroll-account")
        assert await opened(client, RESET, enrolls) is None
        assert await opened(client, RESET, enrolls) == EXPIRED
        assert await opened(client, RESET, resets) == EXPIRED


async def test_a_change_of_password_or_address_kills_links(server, people):
    purposes = {"reset-password": RESET, "enroll-account": RESET, "verify-email": VERIFY}
    dead = [(people.token(purpose), how) for purpose, how in purposes.items()]
    people.shell("ann.set_password('another'); ann.save()")
    async with connect(server.address) as client:
        for token, how in dead:
            expected = EXPIRED if how is RESET else VERIFY_EXPIRED
            assert await opened(client, how, token) == expected
    moved = [(people.token(purpose), how) for purpose, how in purposes.items()]
    people.change(email="other@example.org")
    async with connect(server.address) as client:
        for token, how in moved:
            assert await opened(client, how, token) == (
                (403, "Token has invalid email address")
                if how is RESET
                else (403, "Verify email link is for unknown address")
            )
    assert people.verified() == []


async def test_users_who_are_not_active_have_no_links(server, people):
    links = {people.token("reset-password"): RESET, people.token("verify-email"): VERIFY}
    people.change(is_active=False)
    async with connect(server.address) as client:
        for token, how in links.items():
            assert (await opened(client, how, token))[1].endswith("expired")
    assert people.verified() == []
    assert people.ask("User.objects.get(pk=ann.pk).check_password('an old password')")


async def test_links_expire(server, people):
    ages = {"reset-password": 3, "enroll-account": 30, "verify-email": 30}
    async with connect(server.address) as client:
        for purpose, days in ages.items():
            how = VERIFY if purpose == "verify-email" else RESET
            late = people.token(purpose, days_ago=days + 0.01)
            assert (await opened(client, how, late))[1].endswith("expired")
            assert await opened(client, how, people.token(purpose, days_ago=days - 0.01)) is None
            people.shell("ann.ddp_verified_addresses.all().delete()")


async def test_a_token_that_was_made_up_is_none(server, people):
    good = people.token("verify-email")
    people.shell(
        "with override_settings(SECRET_KEY='theirs'):\n"
        "    token = links.token_for('verify-email', ann, ann.email)"
    )
    foreign = people.ask("token")
    loop = asyncio.get_running_loop()
    async with connect(server.address) as client:
        assert await opened(client, VERIFY, foreign) == VERIFY_EXPIRED

        def refuses(token):
            task = asyncio.run_coroutine_threadsafe(opened(client, VERIFY, token), loop)
            assert task.result() == VERIFY_EXPIRED

        @settings(max_examples=150)
        @given(st.text() | st.from_regex(r"\A[\w-]*\.[\w-]*\.[\w-]*\Z"))
        def anything(token):
            refuses(token)

        @settings(max_examples=150)
        @given(st.integers(0, len(good) - 1), st.characters(codec="utf-8"))
        def bent(at, character):
            if good[at] != character:
                refuses(good[:at] + character + good[at + 1 :])

        for each in (anything, bent):
            await asyncio.to_thread(each)
        assert people.verified() == []
        assert await opened(client, VERIFY, good) is None


@pytest.mark.parametrize(
    "payload",
    ["[]", "[1]", '["1"]', '[1, "a@b"]', '[["1"], "a@b"]', '[{"pk": 1}, "a@b"]', '["1", null]',
     '["9999999999999999999999", "a@b"]', '["\\u0000", "a@b"]', '["1__gt", "a"]', "[" * 2000, "nul"],
)  # fmt: skip
@pytest.mark.parametrize("users", ["django", "custom"])
async def test_what_nobody_signed_finds_nobody(people, users, payload):
    people.shell(
        f"""
from django.db import transaction
from django.utils.http import urlsafe_base64_encode
with transaction.atomic():
    found = links.prove(urlsafe_base64_encode({payload!r}.encode()) + ".x.y", "verify-email")
"""
    )
    assert people.ask("found") is None


@pytest.mark.parametrize("how", [RESET, VERIFY], ids=["reset", "verify"])
async def test_of_two_who_open_a_link_at_once_one_is_let_in(server, other, people, how):
    token = people.token("reset-password" if how is RESET else "verify-email")
    async with connect(server.address) as one, connect(other.address) as two:
        for _ in range(2):
            outcomes = await asyncio.gather(*(opened(each, how, token) for each in (one, two)))
            assert outcomes.count(None) == (_ == 0), outcomes


async def test_a_database_holds_nothing_that_opens_a_door(server, people, pg_cluster, pg_name):
    async with connect(server.address) as client:
        token = await forgot(client)
        *_, signature = token.split(".")
        tables = pg_cluster.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", pg_name
        )
        assert tables
        for (table,) in tables:
            rows = pg_cluster.execute(f'SELECT * FROM "{table}"', pg_name)
            assert signature not in str(rows)
            if "verified" in table:
                assert rows == []


VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"}]


@pytest.mark.parametrize("env", [{"TEST_VALIDATORS": json.dumps(VALIDATORS)}], ids=["strict"])
async def test_a_password_that_is_refused_leaves_the_link(server, people):
    token = people.token("reset-password")
    async with connect(server.address) as client:
        await client.call("login", {"user": {"email": "ann@example.org"}, "password": OLD})
        code, reason = await opened(client, ("resetPassword", "short"), token)
        assert code == 403
        assert "too short" in reason
        assert people.verified() == []
        assert await client.call("test.bound") is not None
        assert await opened(client, RESET, token) is None


@pytest.mark.parametrize("accounts", [{"HOOKS": ["accountsite.mailbox.factor"]}], ids=["careful"])
async def test_a_link_is_no_second_factor(server, people):
    people.add("careful")
    async with connect(server.address) as client:
        token = people.token("verify-email", "careful")
        assert await opened(client, VERIFY, token) == ("2fa-enabled", AMBIGUOUS)
        assert people.verified("careful") == ["careful@example.org"]
        token = people.token("reset-password", "careful")
        assert await opened(client, RESET, token) == ("2fa-enabled", AMBIGUOUS)
        assert await opened(client, RESET, token) == EXPIRED
        assert await client.call("test.who") is None
        login = {"user": {"email": "careful@example.org"}, "password": NEW, "code": "123"}
        await client.call("login", login)
        # Who was logged in is so no longer: that login went with the old password.
        token = people.token("reset-password", "careful")
        assert await opened(client, RESET, token) == ("2fa-enabled", AMBIGUOUS)
        assert await client.call("test.who") is None
        assert people.ask("careful.ddp_login_tokens.count()") == 0
        # And who was logged in as somebody else goes on so, by the same login.
        ann = await client.call("login", {"user": {"email": "ann@example.org"}, "password": OLD})
        row = await client.call("test.bound")
        token = people.token("reset-password", "careful")
        assert await opened(client, RESET, token) == ("2fa-enabled", AMBIGUOUS)
        assert await client.call("test.who") == ann["id"]
        assert await client.call("test.bound") == row


WRONG = [None, 1, True, [], {}, [""], {"$ne": 1}, {"$gt": ""}]


@pytest.mark.parametrize("wrong", WRONG, ids=json.dumps)
async def test_wrong_types_are_400(server, people, wrong):
    token = people.token("reset-password")
    async with connect(server.address) as client:
        mismatch = (400, "Match failed")
        for params in (
            [wrong], [{"email": wrong}], [{"email": "ann@example.org", "more": wrong}], [],
        ):  # fmt: skip
            assert await error(client, "forgotPassword", *params) == mismatch
        for params in (
            [wrong, NEW], [token, wrong], [token, {**digest(NEW), "digest": wrong}],
            [token, {**digest(NEW), "more": wrong}], [token],
        ):  # fmt: skip
            assert await error(client, "resetPassword", *params) == mismatch
        for params in ([wrong], [], [token, wrong]):
            assert await error(client, "verifyEmail", *params) == mismatch
        assert await mails(client) == []


# --- mails that the project sends ----------------------------------------------------------------


def sent(people, code):
    """What code has made a process send that is no server."""
    people.shell(f"mail.outbox = []\n{code}")
    return people.ask("[[m.to, m.subject, m.body] for m in mail.outbox]")


def failure(people, code):
    people.shell(
        f"try:\n    {code}\nexcept Exception as p:\n    said = repr(p)\nelse:\n    said = ''"
    )
    return people.ask("said")


async def test_who_was_invited_sets_a_first_password(server, people):
    people.add("eve", password=None, email="Eve@example.org")
    people.shell("eve.first_name, eve.last_name = 'Eve', 'Lee'; eve.save()")
    ((to, subject, body),) = sent(people, "mails.send_enrollment_email(eve)")
    assert to == ["Eve@example.org"]
    assert subject == "An account has been created for you on localhost:3000"
    words, token = re.fullmatch(
        r"(.*)http://localhost:3000/#/enroll-account/(\S+)\n\nThank you.\n", body, re.DOTALL
    ).groups()
    assert words == "Hello Eve Lee,\n\nTo start using the service, simply click the link below.\n\n"
    async with connect(server.address) as client:
        result = await client.call("resetPassword", token, digest(NEW))
        assert result["id"] == people.ask("str(eve.pk)")
    assert await logs_in(server.address, digest(NEW), "Eve@example.org")
    assert people.verified("eve") == ["Eve@example.org"]


async def test_an_address_is_verified_by_the_link_of_a_mail(server, people):
    ((to, subject, body),) = sent(people, "mails.send_verification_email(ann, 'ANN@example.org')")
    assert to == ["ann@example.org"]
    assert subject == "How to verify email address on localhost:3000"
    assert "Hello,\n\nTo verify your account email, simply click the link below.\n\n" in body
    token = re.search(r"#/verify-email/(\S+)", body)[1]
    async with connect(server.address) as client:
        result = await client.call("verifyEmail", token)
        assert list(result) == ["id", "token", "tokenExpires", "type"]
        assert result["type"] == "password"
        assert await client.call("test.who") == result["id"] == people.ask("str(ann.pk)")
    assert people.verified() == ["ann@example.org"]
    assert "no unverified" in failure(people, "mails.send_verification_email(ann)")
    assert "No such email" in failure(people, "mails.send_verification_email(ann, 'x@example.org')")


@pytest.mark.parametrize("capture", ["triggers", "signals"])
async def test_ones_own_document_says_at_once_what_is_verified(server, other, people):
    document = {"username": "ann", "emails": [{"address": "ann@example.org", "verified": False}]}
    proven = {**document, "emails": [{"address": "ann@example.org", "verified": True}]}
    async with connect(server.address) as client, connect(other.address) as elsewhere:
        login = {"user": {"email": "ann@example.org"}, "password": digest(OLD)}
        id = (await client.call("login", login))["id"]
        await client.shows("users", {id: document})
        assert await opened(elsewhere, VERIFY, people.token("verify-email")) is None
        await client.shows("users", {id: proven})
        people.shell("ann.ddp_verified_addresses.get().delete()")
        await client.shows("users", {id: document})


async def test_who_has_no_address_gets_no_mail(people):
    people.shell("ann.email = ''; ann.save()")
    for send in ("send_reset_password_email", "send_enrollment_email", "send_verification_email"):
        assert "has no e-mail address" in failure(people, f"mails.{send}(ann)")


async def test_a_mail_follows_a_commit_and_rests_on_what_was_committed(server, people):
    code = """
from django.db import transaction
with transaction.atomic():
    mails.send_reset_password_email(User.objects.get(pk=ann.pk))
    ann.set_password("yet another"); ann.save()
    assert mail.outbox == []
try:
    with transaction.atomic():
        mails.send_enrollment_email(ann)
        raise KeyError
except KeyError:
    pass
"""
    ((_, _, body),) = sent(people, code)
    async with connect(server.address) as client:
        assert await opened(client, RESET, re.search(r"reset-password/(\S+)", body)[1]) is None


@pytest.mark.parametrize("accounts", [{}, {"SEND_VERIFICATION": True}], ids=["silent", "verifying"])
async def test_who_signs_up_is_asked_to_verify_if_the_settings_want_it(server, people, accounts):
    name = "ann"
    async with connect(server.address) as client:
        await client.call("test.signed_up", name)
        found = await tokens(client, "verify-email")
        assert len(found) == len(accounts)
        for token in found:
            assert await opened(client, VERIFY, token) is None


@pytest.mark.parametrize(
    "accounts", [{"SIGNUP": True, "SEND_VERIFICATION": True, "SIGNUP_PROFILE": ["first_name"]}]
)
async def test_a_new_user_verifies_the_address(server, people):
    async with connect(server.address) as client:
        new = {"username": "zoe", "email": "zoe@example.org", "password": digest(NEW)}
        zoe = await client.call("createUser", {**new, "profile": {"first_name": "go to evil.org"}})
        (mail,) = await mails(client)
        assert mail["to"] == ["zoe@example.org"]
        assert mail["body"].startswith("Hello,\n")
        (token,) = await tokens(client, "verify-email")
        assert client.docs("users")[zoe["id"]]["emails"][0]["verified"] is False
        assert await opened(client, VERIFY, token) is None
        assert client.docs("users")[zoe["id"]]["emails"][0]["verified"] is True


@pytest.mark.parametrize(
    "address",
    ["ann@example.org\nBcc: eve@example.org", "ann@example.org\r\n\r\nHello", "a@b, c@d", "a@b;c@d",
     "Ann <a@b>", "a b@c", "a@b@c", "@", "ann"],
)  # fmt: skip
async def test_what_is_no_single_address_gets_no_mail(people, address):
    people.change(email=address)
    people.shell("ann = User.objects.get(pk=ann.pk)")
    assert "not the address" in failure(people, "mails.send_reset_password_email(ann)")
    assert people.ask("len(getattr(mail, 'outbox', []))") == 0


@pytest.mark.parametrize(
    ("first", "greeting"),
    [
        ("Ann", "Hello Ann,"),
        ("Ann\r\nBcc: eve@example.org", "Hello,"),
        ("Ann\n\nYou have won", "Hello Ann You have won,"),
        ("http://evil.example/", "Hello,"),
        ("evil.example", "Hello,"),
        ("<b>Ann</b>", "Hello,"),
        ("O'Neil & Sons", "Hello O'Neil & Sons,"),
        ("{{ url }}", "Hello {{ url }},"),
    ],
)
async def test_a_name_is_one_line_and_no_link(people, first, greeting):
    people.shell(f"ann.first_name = {first!r}; ann.save()")
    ((to, _, body),) = sent(people, "mails.send_enrollment_email(ann)")
    assert to == ["ann@example.org"]
    assert body.startswith(f"{greeting}\n\nTo start using")


async def test_a_project_has_templates_of_its_own(people):
    templates = {
        "ddpcore_accounts/reset_password_subject.txt": "{{ user.email }}:\nhurry\r\n up\n",
        "ddpcore_accounts/reset_password_email.txt": "{{ site_name }} {{ days }} {{ address }}",
        "ddpcore_accounts/reset_password_email.html": "<a href='{{ url }}'>{{ name }}</a>",
    }
    people.shell(
        f"""
ann.first_name = "O'Neil"; ann.save()
loaders = [("django.template.loaders.locmem.Loader", {templates!r})]
engine = {{"BACKEND": "django.template.backends.django.DjangoTemplates",
           "OPTIONS": {{"loaders": loaders}}}}
with override_settings(TEMPLATES=[engine]):
    mail.outbox = []
    mails.send_reset_password_email(ann)
    mails.send_enrollment_email(ann)  # it has none for that
own, default = mail.outbox
"""
    )
    assert people.ask("own.subject") == "ann@example.org: hurry up"
    assert people.ask("own.body") == "localhost:3000 3.0 ann@example.org"
    ((page, kind),) = people.ask("own.alternatives")
    assert kind == "text/html"
    assert re.fullmatch(
        r"<a href='http://localhost:3000/#/reset-password/\S+'>O&#x27;Neil</a>", page
    )
    assert people.ask("default.body").startswith("Hello O'Neil,")


@pytest.mark.parametrize(
    ("accounts", "start", "site"),
    [
        ({"ROOT_URL": "https://x.example"}, "https://x.example/#/", "x.example"),
        ({"ROOT_URL": "https://x.example/app/"}, "https://x.example/app/#/", "x.example"),
        ({"ROOT_URL": "https://x.example/", "SITE_NAME": "X & Y"}, "https://x.example/#/", "X & Y"),
    ],
)
async def test_links_begin_with_the_root_url(people, start, site):
    ((_, subject, body),) = sent(people, "mails.send_reset_password_email(ann)")
    assert subject == f"How to reset your password on {site}"
    assert f"\n{start}reset-password/" in body


async def test_migrations_are_complete(project):
    project.manage("makemigrations", "--check", "--dry-run", "ddpcore_accounts")


@pytest.mark.parametrize("method", ["resetPassword", "verifyEmail"])
async def test_half_a_character_does_not_tell_who_there_is(server, people, method):
    made_up = "links.urlsafe_base64_encode(json.dumps([{}, 'a@b']).encode())"
    new = [NEW] if method == "resetPassword" else []
    async with connect(server.address) as client:
        told = [
            await error(client, method, people.ask(made_up.format(id)) + ".x.\ud800", *new)
            for id in ("str(ann.pk)", "'0'")
        ]
    assert told[0] == told[1]
    assert told[0][0] == 403
