"""The rate limiter: how often clients may call and subscribe.

A *rule* has a matcher, which says what it counts, and allows so many calls in each interval. The
calls it counts are kept apart in *buckets*, by the values of the keys that the matcher names. All
buckets of a rule are emptied together when its interval is over (Meteor 3.0.4,
`rate-limit/rate-limit.js`).
"""

from __future__ import annotations

import inspect
import math
import unicodedata
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ddpcore.errors import DDPError, MeteorError
from ddpcore.hookspecs import hookimpl
from ddpcore.wire.alea import random_id

if TYPE_CHECKING:
    from ddpcore.server.server import Server

__all__ = ["Call", "RateLimiter", "RateLimiterPlugin", "Verdict", "add_account_rules"]

ACCOUNT_METHODS = frozenset({"login", "createUser", "resetPassword", "forgotPassword"})


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a method, or a subscription, before its handler runs.

    Attributes:
        type: Which of both.
        name: The method or publication.
        user_id: Who is logged in on the connection.
        connection_id: The session's id.
        client_address: The client's IP address.
        params: The arguments.
    """

    type: Literal["method", "subscription"]
    name: str
    user_id: str | None
    connection_id: str
    client_address: str | None
    params: list[Any]

    @property
    def account(self) -> str | None:
        """The account that a method of the accounts system is about, as the client named it."""
        options = self.params[0] if self.params else None
        if not isinstance(options, dict):
            return None
        selector = options.get("user", options)
        if isinstance(selector, dict):
            for key in ("username", "email", "id"):
                if isinstance(name := selector.get(key), str):
                    return _folded(name)
        return _folded(selector) if isinstance(selector, str) else None

    @property
    def resumes(self) -> bool:
        """Whether this is a log-in by the token of an earlier one."""
        options = self.params[0] if self.params else None
        return self.name == "login" and isinstance(options, dict) and bool(options.get("resume"))


def _folded(name: str) -> str:
    # All that systems of accounts take for one name, so that nobody gets more guesses by another
    # way to write it: compatible characters, and what is alike in lower or in upper case.
    return unicodedata.normalize("NFKC", name).upper().casefold()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of a call.

    Attributes:
        allowed: Whether it may run.
        time_to_reset: Milliseconds until it might, if not.
        rule_id: The last rule that matched, or that forbade it.
    """

    allowed: bool
    time_to_reset: float = 0.0
    rule_id: str | None = None


Message = str | Callable[[Verdict], str]
KEYS = ("type", "name", "user_id", "connection_id", "client_address", "account", "resumes")


@dataclass(slots=True)
class _Rule:
    matcher: Mapping[str, Any]
    count: int
    interval: float
    message: Message | None
    callback: Callable[[Verdict, Call], object] | None
    started: float = -math.inf
    buckets: dict[Hashable, int] = field(default_factory=dict)

    async def bucket(self, call: Call) -> Hashable | None:
        """Where this call is counted; None: the rule does not concern it."""
        values = []
        for key, wanted in self.matcher.items():
            if wanted is None:
                continue
            value = getattr(call, key)
            if callable(wanted):
                matches = wanted(value)
                if inspect.isawaitable(matches):
                    matches = await matches
                # Nothing but a true answer matches: a forgotten await must not pass for one.
                if matches is not True:
                    return None
            elif wanted != value:
                return None
            values.append((key, value))
        return tuple(values)

    def passed(self, now: float) -> None:
        if now - self.started >= self.interval:
            self.started = now
            self.buckets.clear()


class RateLimiter:
    """All the rules of a server.

    Args:
        clock: The time, in seconds.

    Attributes:
        changed: Called when rules were added or removed.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rules: dict[str, _Rule] = {}
        self._message: Message = _default_message
        self.changed: Callable[[], None] = _nobody

    def __bool__(self) -> bool:
        return bool(self._rules)

    def add_rule(
        self,
        matcher: Mapping[str, Any],
        count: int = 10,
        interval: float = 1.0,
        *,
        message: Message | None = None,
        callback: Callable[[Verdict, Call], object] | None = None,
    ) -> str:
        """Allow `count` calls per `interval` of each kind that `matcher` tells apart.

        Args:
            matcher: Keys `type` ("method" or "subscription"), `name`, `user_id`,
                `connection_id`, `client_address`, `account` and `resumes`. A value must be
                equal; a predicate, sync or async, must return True; None ignores the key. Calls
                are counted apart by the values of all keys that are not ignored.
            count: Calls allowed in an interval (Meteor's default, 10).
            interval: Its length in seconds (Meteor's default, 1).
            message: The reason that clients get, or a function of the verdict that makes it.
            callback: Called with the verdict and the call at each check of this rule.

        Returns:
            The rule's id, for `remove_rule`.

        Raises:
            ddpcore.DDPError: The matcher has an unknown key.
        """
        unknown = sorted(set(matcher) - set(KEYS))
        if unknown:
            raise DDPError(
                f"A rule cannot match {', '.join(unknown)}; it can match {', '.join(KEYS)}."
            )
        id = random_id()  # noqa: A001
        self._rules[id] = _Rule(dict(matcher), count, interval, message, callback)
        self.changed()
        return id

    def remove_rule(self, id: str) -> bool:  # noqa: A002
        """Forget the rule `id`; whether there was one."""
        removed = self._rules.pop(id, None) is not None
        self.changed()
        return removed

    def set_error_message(self, message: Message, rule_id: str | None = None) -> None:
        """Set the reason that clients get.

        Args:
            message: The text, or a function of the `Verdict` that makes it.
            rule_id: Of which rule; None: wherever a rule has none of its own.

        Raises:
            KeyError: There is no such rule.
        """
        if rule_id is None:
            self._message = message
        else:
            self._rules[rule_id].message = message

    async def check(self, call: Call) -> None:
        """Count `call`, and refuse it if a rule says so. Refused calls count, too.

        Raises:
            ddpcore.MeteorError: ``too-many-requests``, with the milliseconds to wait.
        """
        matching = [
            (id, rule, bucket)
            for id, rule in list(self._rules.items())  # noqa: A001
            if (bucket := await rule.bucket(call)) is not None
        ]
        now = self._clock()
        refused: Verdict | None = None
        for id, rule, bucket in matching:  # noqa: A001
            rule.passed(now)
            used = rule.buckets[bucket] = rule.buckets.get(bucket, 0) + 1
            verdict = Verdict(allowed=used <= rule.count, rule_id=id)
            if not verdict.allowed:
                wait = max(0.0, (rule.started + rule.interval - now) * 1000)
                longest = max(wait, refused.time_to_reset if refused else 0.0)
                refused = verdict = Verdict(allowed=False, time_to_reset=longest, rule_id=id)
            if rule.callback is not None:
                rule.callback(verdict, call)
        if refused is not None:
            raise self._error(refused)

    def _error(self, verdict: Verdict) -> MeteorError:
        rule = self._rules.get(verdict.rule_id or "")
        message = rule.message if rule is not None and rule.message is not None else self._message
        reason = message(verdict) if callable(message) else message
        milliseconds = math.ceil(verdict.time_to_reset)
        return MeteorError("too-many-requests", reason, {"timeToReset": milliseconds})


class RateLimiterPlugin:
    """Has a server's calls checked, as long as there are rules: nobody pays for none."""

    @hookimpl
    def ddpcore_register(self, server: Server) -> None:
        """Watch the rules of a server."""
        checks = _Checks(server.rate_limiter)

        def changed() -> None:
            registered = server.plugins.is_registered(checks)
            if server.rate_limiter and not registered:
                server.plugins.register(checks, "rate-limiter rules")
            elif registered and not server.rate_limiter:
                server.plugins.unregister(checks)

        server.rate_limiter.changed = changed
        changed()


class _Checks:
    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    @hookimpl
    async def ddpcore_admit(self, call: Call) -> None:
        """Count the call, and refuse it if a rule says so."""
        await self._limiter.check(call)


def _nobody() -> None:
    pass


def _default_message(verdict: Verdict) -> str:
    seconds = math.ceil(verdict.time_to_reset / 1000)
    return (
        "Error, too many requests. Please slow down. You must wait "
        f"{seconds} seconds before trying again."
    )


def add_account_rules(limiter: RateLimiter) -> list[str]:
    """Add the rules for log-ins and their like; the ids of the rules.

    The first is Meteor's (`accounts-base`): 5 in 10 seconds for each method and connection. But
    whoever guesses passwords reconnects, so there are two more: 30 a minute from one address,
    which an office behind one address does not reach, and 20 a minute about one account, from
    wherever they come.

    Log-ins by token are not counted by address. Nobody guesses a token; but all the clients of an
    office bring theirs at once when a server comes back, and Meteor's client throws away a token
    that was refused, for whatever reason (Meteor 3.0.4, accounts_client.js).
    """
    methods = {"type": "method", "name": ACCOUNT_METHODS.__contains__}
    return [
        limiter.add_rule({**methods, "connection_id": _any}, 5, 10.0),
        limiter.add_rule({"client_address": _known, "resumes": False} | methods, 30, 60.0),
        limiter.add_rule({"account": _known} | methods, 20, 60.0),
    ]


def _any(_value: object) -> bool:
    return True


def _known(value: object) -> bool:
    return value is not None
