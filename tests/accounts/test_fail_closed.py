"""Whatever is not exactly yes means no: answers of hooks, types of arguments."""

from __future__ import annotations

import json

import pytest
from accounts import AMBIGUOUS, USERS, by_password, connect, digest, error, login, unlimited
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.pg

HOOKS = {"HOOKS": ["accountsite.hooks"], "SIGNUP": True}
NO = ["none", "false", "one", "text", "coroutine", "raises"]


@pytest.fixture
def world(shell):
    shell(USERS)
    return shell


@pytest.mark.parametrize("accounts", [HOOKS])
async def test_only_true_lets_in(server, world):
    world(f"for name in {NO} + ['objects']: make(name); make('2fa-' + name)")
    async with unlimited(server.address) as client:
        for name in NO:
            assert await error(client, "login", by_password(name)) == (403, "Login forbidden")
            code = "invalid-2fa-code" if name != "none" else None
            if code is not None:
                refused = await error(client, "login", by_password(f"2fa-{name}", code="1"))
                assert refused == (code, AMBIGUOUS)
                refused = await error(client, "login", by_password(f"2fa-{name}"))
                assert refused == ("no-2fa-code", AMBIGUOUS)
            new = {"username": f"new-{name}", "password": digest("x")}
            refused = await error(client, "createUser", new)
            assert refused == (403, "User validation failed")
        assert await error(client, "login", by_password("objects")) == (403, "Not today")
        assert await error(client, "createUser", {"username": "new-objects"}) == (403, "Not today")
        assert await client.call("test.who") is None
    world("from ddpcore_django.accounts.models import LoginToken")
    world("assert not LoginToken.objects.exists()")
    world("assert not User.objects.filter(username__startswith='new-').exists()")


@pytest.mark.parametrize("accounts", [HOOKS])
async def test_only_a_user_is_a_user(server, world):
    world("make('ann')")
    async with unlimited(server.address) as client:
        for wrong in ("text", "false", "anonymous"):
            assert await error(client, "login", {"wrong": wrong}) == (
                400,
                "A login handler should return a result or undefined",
            )
        for wrong in ("raises", "coroutine"):
            failed = await error(client, "login", {"wrong": wrong})
            assert failed == (500, "Internal server error")
        assert await client.call("test.who") is None


@pytest.mark.parametrize("accounts", [HOOKS])
async def test_who_is_only_told_can_do_no_harm(server, world):
    world("make('unlucky')")
    async with connect(server.address) as client:
        await login(client, "unlucky")
        assert await client.call("test.is_somebody")


# --- types --------------------------------------------------------------------------------------

ejson = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.builds(lambda ms: {"$date": ms}, st.integers(-(2**40), 2**40))
    | st.just({"$binary": "AAAA"})
    | st.just({"$InfNaN": 0})
    | st.sampled_from(["\0", "\ud800", "ann", "' OR 1=1 --", "%", "x" * 5000]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "username",
                    "email",
                    "user",
                    "password",
                    "resume",
                    "digest",
                    "algorithm",
                    "$gt",
                    "$regex",
                    "username__startswith",
                    "pk__in",
                    "profile",
                    "code",
                    "service",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)

GOOD = {
    "login": [by_password("ann", code="1")],
    "createUser": [
        {"username": "new", "email": "new@example.org", "password": digest("x"), "profile": {
            "first_name": "New"}}
    ],
    "changePassword": [digest("secret"), digest("secret")],
    "configureLoginService": [{"service": "github"}],
    "logout": [],
    "getNewToken": [],
    "removeOtherTokens": [],
    "logoutOtherClients": [],
}  # fmt: skip


def paths(value, path=()):
    """All places in a value, the outermost one first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items if isinstance(value, dict | list) else ():
        yield from paths(inner, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


PLACES = [(method, path) for method, params in GOOD.items() for path in list(paths(params))[1:]] + [
    (method, (len(params),)) for method, params in GOOD.items()
]

calls = st.tuples(st.sampled_from(PLACES), ejson)


@pytest.mark.parametrize("accounts", [{"SIGNUP": True, "SIGNUP_PROFILE": ["first_name"]}])
async def test_wrong_types_in_any_place_are_400(server, world):
    """All examples go to one server, over one connection; hypothesis makes and shrinks them."""
    world("make('ann')")
    import asyncio

    loop = asyncio.get_running_loop()
    async with unlimited(server.address) as client:
        await login(client, "ann")
        await client.call("test.spied")

        async def one(method, params):
            id = client.new_id()
            await client.send(msg="method", id=id, method=method, params=params)
            message = await client.message(msg="result", id=id)
            spied = await client.call("test.spied")
            client.messages.clear()
            return message, spied

        def check(call):
            (method, path), value = call
            params = [*GOOD[method], None][: max(len(GOOD[method]), path[0] + 1)]
            params = replaced(params, path, value)
            asked = asyncio.run_coroutine_threadsafe(one(method, params), loop)
            message, spied = asked.result(30)
            assert spied["structures"] == []
            if "error" in message:
                code = message["error"]["error"]
                assert code != 500, message
                if not isinstance(value, str) and path[-1] not in ("profile", "first_name"):
                    # A wrong type: nothing else was looked at.
                    assert code in (400, 403), message

        examples = settings(
            max_examples=300, deadline=None, suppress_health_check=list(HealthCheck)
        )(given(calls)(check))
        await asyncio.to_thread(examples)
    assert not [line for line in server.errors if "Traceback" in line], "".join(server.errors)


async def test_wrong_types_are_400_each_by_itself(server, world):
    world("make('ann')")
    wrong = [
        ("login", []), ("login", [None]), ("login", [[]]), ("login", ["ann"]), ("login", [{}, {}]),
        ("login", [{"resume": 5}]), ("login", [{"resume": {"$gt": ""}}]),
        ("login", [{"resume": ["x"]}]), ("login", [by_password("ann", more=1)]),
        ("login", [by_password({})]), ("login", [by_password({"id": "1", "username": "ann"})]),
        ("login", [by_password({"username": ""})]), ("login", [by_password({"username": None})]),
        ("login", [by_password({"username": {"$regex": "."}})]),
        ("login", [by_password({"username__startswith": "a"})]),
        ("login", [by_password({"id": 1})]), ("login", [by_password("ann", code=123456)]),
        ("login", [by_password("ann", {"digest": "abc", "algorithm": "sha-256"})]),
        ("login", [by_password("ann", digest("secret") | {"algorithm": "md5"})]),
        ("login", [by_password("ann", digest("secret") | {"more": 1})]),
        ("login", [by_password("ann", {"digest": digest("secret")["digest"].upper(),
                                       "algorithm": "sha-256"})]),
        ("login", [{"user": {"username": "ann"}, "password": {"$date": 5}}]),
        ("login", [{"user": {"username": "ann"}, "password": True}]),
        ("login", [{"user": {"username": "ann"}, "password": "\ud800"}]),
        ("login", [{"user": "ann", "password": "secret"}]),
        ("login", [{"password": "secret"}]),
        ("createUser", []), ("createUser", ["new"]), ("createUser", [{"username": 1}]),
        ("createUser", [{"username": ""}]), ("createUser", [{"email": None}]),
        ("createUser", [{"username": "new", "password": 5}]),
        ("createUser", [{"username": "new", "profile": []}]),
        ("changePassword", []), ("changePassword", [digest("secret")]),
        ("changePassword", [None, digest("x")]), ("changePassword", [digest("secret"), None]),
        ("changePassword", [digest("secret"), ""]),
        ("logout", [1]), ("getNewToken", [1]), ("configureLoginService", [{}]),
    ]  # fmt: skip
    async with unlimited(server.address) as client:
        await login(client, "ann")
        for method, params in wrong:
            refused = await error(client, method, *params)
            assert refused[0] == 400, (method, json.dumps(params), refused)
            assert refused[1] in ("Match failed", "Unrecognized options for login request")
        for text in ("\0", "a\0b", "\ud800"):
            for key in ("username", "email", "id"):
                refused = await error(client, "login", by_password({key: text}))
                assert refused == (403, AMBIGUOUS)
