"""The rate limiter: rules, buckets, and what clients are told."""

from __future__ import annotations

import pytest
from memory_client import Client, running

from ddpcore import DDPError, MeteorError, Server
from ddpcore.server.rate_limiter import Call, RateLimiter, add_account_rules
from ddpcore.testing import FakeClock


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limiter(clock):
    return RateLimiter(clock)


def call(type="method", name="m", user=None, connection="c", address="1.1.1.1", params=()):
    return Call(type, name, user, connection, address, list(params))


async def allowed(limiter, *calls):
    count = 0
    for each in calls:
        try:
            await limiter.check(each)
        except MeteorError as problem:
            assert problem.error == "too-many-requests"
            return count
        count += 1
    return count


async def test_119_one_too_many_is_told_when_to_come_again(limiter, clock):
    limiter.add_rule({"type": "method", "name": "m"}, 2, 10)
    assert await allowed(limiter, call(), call(), call(name="other")) == 3
    clock.now += 3.5
    with pytest.raises(MeteorError) as caught:
        await limiter.check(call())
    assert caught.value.details == {"timeToReset": 6500}
    assert caught.value.reason == (
        "Error, too many requests. Please slow down. You must wait 7 seconds before trying again."
    )


async def test_120_calls_are_counted_apart_by_the_keys_of_the_rule(limiter):
    limiter.add_rule({"name": "m", "connection_id": lambda _: True}, 1, 10)
    assert await allowed(limiter, call(connection="a"), call(connection="b")) == 2
    assert await allowed(limiter, call(connection="a")) == 0
    limiter.add_rule({"name": "n", "connection_id": None}, 1, 10)
    assert await allowed(limiter, call(name="n", connection="a"), call(name="n")) == 1


async def test_123_the_window_resets_as_a_whole(limiter, clock):
    limiter.add_rule({"name": "m"}, 1, 10)
    assert await allowed(limiter, call(), call()) == 1
    clock.now += 9.9
    assert await allowed(limiter, call()) == 0  # and refused calls keep counting
    clock.now += 0.1
    assert await allowed(limiter, call(), call()) == 1


async def test_defaults_are_ten_in_a_second(limiter):
    limiter.add_rule({"name": "m"})
    assert await allowed(limiter, *[call()] * 20) == 10


async def test_predicates_may_be_async_and_must_say_true(limiter):
    async def is_m(name):
        return name == "m"

    limiter.add_rule({"name": is_m}, 0, 10)
    limiter.add_rule({"name": lambda name: "truthy" if name == "n" else 1}, 0, 10)
    assert await allowed(limiter, call(name="n"), call(name="o"), call(name="m")) == 2


async def test_messages_and_callbacks(limiter):
    heard = []
    rule = limiter.add_rule(
        {"name": "m"}, 1, 10, message="Not so fast", callback=lambda *told: heard.append(told)
    )
    other = limiter.add_rule({"name": "n"}, 0, 10)
    await limiter.check(call())
    with pytest.raises(MeteorError, match="Not so fast"):
        await limiter.check(call())
    assert [(verdict.allowed, verdict.rule_id) for verdict, _ in heard] == [
        (True, rule),
        (False, rule),
    ]
    limiter.set_error_message("Slower")
    with pytest.raises(MeteorError, match="Slower"):
        await limiter.check(call(name="n"))
    limiter.set_error_message(lambda verdict: f"{verdict.time_to_reset:.0f} ms", other)
    with pytest.raises(MeteorError, match="10000 ms"):
        await limiter.check(call(name="n"))
    with pytest.raises(KeyError):
        limiter.set_error_message("x", "no such rule")


async def test_of_several_rules_the_longest_wait_is_told(limiter):
    limiter.add_rule({"name": "m"}, 0, 5)
    limiter.add_rule({"type": "method"}, 0, 50)
    limiter.add_rule({"name": lambda name: True}, 0, 20)
    with pytest.raises(MeteorError) as caught:
        await limiter.check(call())
    assert caught.value.details == {"timeToReset": 50000}


async def test_rules_can_be_removed_and_must_be_sound(limiter):
    assert not limiter
    rule = limiter.add_rule({"name": "m"}, 0)
    assert limiter
    assert limiter.remove_rule(rule)
    assert not limiter.remove_rule(rule)
    assert await allowed(limiter, call()) == 1
    with pytest.raises(DDPError, match="cannot match userId; it can match"):
        limiter.add_rule({"userId": None})


async def test_who_reconnects_is_counted_by_address_and_by_account(limiter, clock):
    add_account_rules(limiter)

    def login(n, address="1.1.1.1", name="ann"):
        return call(
            name="login",
            connection=str(n),
            address=address,
            params=[{"user": {"username": name}, "password": "x"}],
        )

    assert await allowed(limiter, *(login("same") for _ in range(9))) == 5
    clock.now += 60
    assert await allowed(limiter, *(login(n, name=str(n)) for n in range(99))) == 30
    clock.now += 60
    assert await allowed(limiter, *(login(n, address=str(n)) for n in range(99))) == 20
    clock.now += 60
    assert await allowed(limiter, *(login(n, None, str(n)) for n in range(99))) == 99


async def test_an_office_may_resume_at_once(limiter):
    add_account_rules(limiter)

    def resume(n, **more):
        return call(name="login", connection=str(n), params=[{"resume": "t"} | more])

    assert await allowed(limiter, *(resume(n) for n in range(99))) == 99
    assert await allowed(limiter, *(resume("same") for _ in range(9))) == 5

    def other(n, token):
        options = {"resume": token, "user": {"username": str(n)}, "password": "x"}
        return call(name="login", connection=f"{token}{n}", params=[options])

    # What is no token does not make a password one.
    for token in None, "", 0:
        limiter = RateLimiter(Clock())
        add_account_rules(limiter)
        assert await allowed(limiter, *(other(n, token) for n in range(99))) == 30


@pytest.mark.parametrize(
    ("params", "account"),
    [
        ([{"user": {"username": "Ann"}}], "ann"),
        ([{"user": {"email": "A@x.org"}}], "a@x.org"),
        ([{"user": "Ann"}], "ann"),
        ([{"email": "a@x.org"}], "a@x.org"),
        ([{"username": "ann", "password": 1}], "ann"),
        ([{"resume": "token"}], None),
        ([{"user": 5}], None),
        ([{"user": {"username": "\uff21nn"}}], "ann"),  # as `normalize_username` has it
        ([{"user": {"email": "adm\u0131n@x.org"}}], "admin@x.org"),  # as `UPPER` has it
        (["token", "password"], None),
        ([], None),
    ],
)
def test_the_account_that_a_call_is_about(params, account):
    assert call(params=params).account == account


async def test_121_122_over_a_connection():
    server, ran = Server(), []
    server.rate_limiter.add_rule({"connection_id": lambda _: True}, 2, 1000)

    @server.method
    async def m(ctx):
        ran.append("m")

    @server.publish("p")
    async def p(ctx):
        ran.append("p")
        ctx.ready()

    @server.method
    async def log_in(ctx):
        await ctx.set_user_id("ann")

    async with running(server):
        client, other = Client(server), Client(server)
        client.connect()
        other.connect()
        # Neither what does not exist nor what is there already counts.
        await client.answer(client.method("unknown"))
        await client.nosub(client.sub("unknown"))
        await client.ready(client.sub("p", id="s"))
        client.sub("p", id="s")
        await client.outcome("m")
        client.forget()
        id = client.method("m")
        refused = await client.answer(id)
        assert client.story == ["updated", "result"]
        assert refused["error"]["error"] == "too-many-requests"
        assert refused["error"]["details"]["timeToReset"] > 0
        assert (await client.nosub(client.sub("p")))["error"]["error"] == "too-many-requests"
        assert ran == ["p", "m"]
        assert "error" not in await other.outcome("m")
        # A rerun is no new subscription.
        server.rate_limiter._rules.clear()
        server.rate_limiter.add_rule({"type": "subscription"}, 0)
        client.forget()
        await client.outcome("log_in")
        assert client.story == ["ready", "updated", "result"]


async def test_the_rules_for_accounts_come_with_the_first_account_method():
    server = Server(clock=FakeClock())  # all are of one moment
    assert not server.rate_limiter

    @server.method
    async def login(ctx, options):
        return "in"

    @server.method
    async def logout(ctx):
        return "out"

    async with running(server):
        client = Client(server)
        client.connect()
        answers = [await client.outcome("login", {}) for _ in range(6)]
        assert ["error" in each for each in answers] == [False] * 5 + [True]
        assert "error" not in await client.outcome("logout")
