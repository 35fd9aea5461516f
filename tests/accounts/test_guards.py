"""Who may call, and who gets anything of a publication."""

from __future__ import annotations

import contextlib

import pytest
from ddp_client import CallError, connect
from tasks_site import tasks_site

from ddpcore import MeteorError

BOTH = {"1": "ann", "2": "other"}


@pytest.fixture(scope="module")
def site(pg_cluster):
    with tasks_site(pg_cluster) as site:
        site.shell(
            "for pk, title in (1, 'ann'), (2, 'other'): Card.objects.create(pk=pk, title=title)"
        )
        yield site


@contextlib.asynccontextmanager
async def client_of(site, name):
    async with connect(site.address) as client:
        await client.call("tasks.become", name)
        yield client


async def refused(client, method, *params):
    with pytest.raises(CallError) as caught:
        await client.call(method, *params)
    return caught.value.error["error"], caught.value.error["reason"]


def titles(client):
    return {id: document["title"] for id, document in client.docs("cards").items()}


ENDPOINTS = ["tasks.below", "tasks.above", "tasks.below_async", "tasks.above_async"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_who_is_logged_in_may_call(site, endpoint):
    async with client_of(site, "nobody") as client:
        assert await client.call(endpoint, "hello") == ["hello", "nobody"]
        assert await refused(client, endpoint, 5) == (400, "Match failed")  # annotations count


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("name", [None, "gone"])
async def test_others_may_not(site, endpoint, name):
    async with client_of(site, name) as client:
        assert await refused(client, endpoint, "hello") == (403, "Must be logged in")


@pytest.mark.parametrize("endpoint", ["tasks.by_permission", "tasks.by_permission_async"])
async def test_all_permissions_are_needed(site, endpoint):
    async with client_of(site, "ann") as client:
        assert await client.call(endpoint) == "yes"
        await client.call("tasks.become", "bob")
        assert await refused(client, endpoint) == (403, "Access denied")
        await client.call("tasks.become", None)
        assert await refused(client, endpoint) == (403, "Must be logged in")


async def test_staff(site):
    async with client_of(site, "bob") as client:
        assert await client.call("tasks.by_staff") == "yes"
        await client.sub("CardsOfStaff")
        assert titles(client) == BOTH
        await client.call("tasks.become", "ann")
        assert await refused(client, "tasks.by_staff") == (403, "Access denied")
        assert titles(client) == {}


@pytest.mark.parametrize("publication", ["GuardedCards", "MoreGuardedCards"])
async def test_a_publication_gives_nobody_nothing_and_runs_again_at_login(site, publication):
    async with client_of(site, None) as client:
        await client.sub(publication)  # it is ready
        assert titles(client) == {}
        await client.call("tasks.become", "nobody")
        assert titles(client) == BOTH
        mark = len(client.messages)
        await client.call("tasks.become", "ann")
        # Both see the same, so nothing is sent.
        assert not [each for each in client.since(mark) if each.get("collection") == "cards"]
        await client.call("tasks.become", "gone")
        assert titles(client) == {}
        await client.call("tasks.become", "ann")
        await client.call("tasks.become", None)
        assert titles(client) == {}


async def test_guarded_queries(site):
    async with client_of(site, "nobody") as client:
        await client.sub("CardsByPermission", "ann")
        assert titles(client) == {}
        await client.call("tasks.become", "ann")
        assert titles(client) == {"1": "ann"}


async def test_a_publication_that_asks_for_the_user_runs_again(site):
    async with client_of(site, None) as client:
        await client.sub("Mine")
        assert titles(client) == {}
        await client.call("tasks.become", "ann")
        assert titles(client) == {"1": "ann"}
        await client.call("tasks.become", "bob")
        assert titles(client) == {}


async def test_the_user_on_the_loop(site):
    async with client_of(site, "ann") as client:
        assert await client.call("tasks.auser") == ["ann", True]
        # Not before it has been read: it would hold up everybody.
        error = await refused(client, "tasks.user_on_the_loop")
        assert error == (500, "Internal server error")
    await site.server.logs("write `await this.auser()`")


async def test_the_user_is_read_once_and_anew_after_a_login(site):
    async with client_of(site, "ann") as client:
        assert await client.call("tasks.user_twice") is True
        assert await client.call("tasks.user_of_the_moment", "bob") == ["ann", "bob"]


# --- without a database -----------------------------------------------------------------------


class User:
    is_active = True
    is_authenticated = True

    def __init__(self, answer):
        self.answer = answer

    @property
    def is_staff(self):
        return self.has_perm("")

    def has_perm(self, _):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer


async def later():
    return True


@pytest.mark.parametrize(
    "answer",
    [None, 1, "yes", [True], later, ZeroDivisionError(), AttributeError()],
    ids=["None", "1", "text", "list", "coroutine", "exception", "attribute"],
)
def test_only_true_is_a_yes(answer, log_watch):
    from ddpcore_django.guards import Refused, permission_required, staff_only

    log_watch.expect("ddpcore_django.guards", "counts as no", required=False)
    with pytest.raises(Refused):
        staff_only.check(User(answer))
    if answer is not later:
        with pytest.raises(Refused):
            permission_required("a.b").check(User(answer))
    permission_required("a.b").check(User(True))


def test_a_guard_of_ones_own_may_say_why():
    from ddpcore_django.guards import staff_only

    with pytest.raises(MeteorError, match="Come tomorrow"):
        staff_only.check(User(MeteorError("not-today", "Come tomorrow")))


def test_wrong_uses_are_told_at_once():
    from ddpcore_django import APIMixin, login_required, permission_required

    def endpoint(self):
        pass

    for wrong in ((), (endpoint,), ("add_book",), (None,)):
        with pytest.raises(TypeError, match="Name the permissions"):
            permission_required(*wrong)
    with pytest.raises(TypeError, match="Put it on each endpoint of Methods"):

        @login_required
        class Methods(APIMixin):
            pass

    with pytest.raises(TypeError, match="guards functions"):
        login_required(5)


@pytest.mark.parametrize("endpoint", ["tasks.this_after_a_call", "tasks.this_after_a_call_async"])
async def test_this_is_the_callers_again_after_a_call_within(site, endpoint):
    async with client_of(site, "ann") as client:
        assert await client.call(endpoint) is True
