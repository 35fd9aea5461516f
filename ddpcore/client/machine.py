"""The client's end of DDP as a machine: texts and clock ticks in, what to do out.

It does no I/O: it never awaits, reads a clock or draws a random number. Whoever drives it opens
sockets and carries out the `Effects`. The life of a connection:

- `opened`: a socket stands. The machine says `connect`, and no more until it is answered: only
  then is it known whether the old session goes on, and what has to be said again.
- `connected` with the old session (Meteor 3.5): everything stands. What may not have arrived is
  said again: calls without a result, subscriptions that are not ready, `unsub` without `nosub`.
- `connected` with another one: a log-in by token first, then calls without a result, then all
  subscriptions, by their old ids. The documents stay as they are until all of these are answered;
  then the new ones take their place in one step, and only the difference is told. (Meteor calls
  that quiescence.)
- `lost`: the socket is gone, and there may be another one.

Behaviour is that of Meteor's client, 3.0.4 and 3.5 (`ddp-client/common/livedata_connection.js`).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, Protocol

from ddpcore.client.documents import DATA, Change, Documents
from ddpcore.errors import MeteorError
from ddpcore.session.heartbeat import Beat, Heartbeat
from ddpcore.wire import ejson
from ddpcore.wire.messages import VERSIONS
from ddpcore.wire.unset import UNSET

__all__ = ["Call", "Effects", "Machine", "Sub"]

logger = logging.getLogger(__name__)

INVOCATION_FAILED = "invocation-failed"
"""The code of a call that is not to be repeated, and whose connection was lost (Meteor's)."""


class Call:
    """A call of a method; `Machine.call` makes one.

    Attributes:
        id: What messages call it.
        name: The method.
        params: Its arguments, encoded.
        random_seed: The seed for ids that the method makes, if there is one.
        retry: Whether it is sent again when the connection was lost before the result.
        login: Whether its result says who the client is.
        resume: Whether the machine made it by itself, to log in again after a reconnect.
        sent: Whether it has ever been sent.
        answered: Whether the result or the error is known.
        updated: Whether all that the method wrote has arrived.
        result: What the method returned, decoded; `UNSET`: nothing.
        error: Why there is no result.
    """

    __slots__ = (
        "answered",
        "error",
        "id",
        "login",
        "name",
        "params",
        "random_seed",
        "result",
        "resume",
        "retry",
        "sent",
        "updated",
    )

    def __init__(
        self,
        id: str,  # noqa: A002
        name: str,
        params: list[Any],
        *,
        random_seed: str | None = None,
        retry: bool = True,
        login: bool = False,
        resume: bool = False,
    ) -> None:
        self.id = id
        self.name = name
        self.params = params
        self.random_seed = random_seed
        self.retry = retry
        self.login = login
        self.resume = resume
        self.sent = self.answered = self.updated = False
        self.result: Any = UNSET
        self.error: Exception | None = None

    def as_message(self) -> dict[str, Any]:
        """The message that makes the call."""
        message = {"msg": "method", "id": self.id, "method": self.name, "params": self.params}
        return message if self.random_seed is None else {**message, "randomSeed": self.random_seed}


class Sub:
    """A subscription; `Machine.subscribe` makes one.

    Attributes:
        id: What messages call it.
        name: The publication.
        params: Its arguments, encoded.
        sent: Whether it has ever been sent.
        ready: Whether its initial documents were complete once.
        stopped: Whether it is over, and its documents are gone.
        error: Why the server ended it, if it said so.
    """

    __slots__ = ("error", "id", "name", "params", "ready", "sent", "stopped")

    def __init__(self, id: str, name: str, params: list[Any]) -> None:  # noqa: A002
        self.id = id
        self.name = name
        self.params = params
        self.sent = self.ready = self.stopped = False
        self.error: MeteorError | None = None

    def as_message(self) -> dict[str, Any]:
        """The message that subscribes."""
        return {"msg": "sub", "id": self.id, "name": self.name, "params": self.params}


class Effects(Protocol):
    """What a client's machine asks of the world. Calls may come back into the machine."""

    def send(self, text: str) -> None:
        """Send the message `text`."""

    def close(self, reason: str, *, at_once: bool = False) -> None:
        """Close the socket; then call `Machine.lost`, and connect again.

        Args:
            reason: Why, for people.
            at_once: Whether to connect without waiting: nothing has failed, and it will be
                welcome.
        """

    def connected(self, resumed: bool) -> None:
        """The session begins, or goes on where it was if it was `resumed`."""

    def refused(self, reason: str) -> None:
        """The server will never want this client: close, and do not come back.

        Args:
            reason: Why, for people.
        """

    def done(self, call: Call) -> None:
        """The `call` is over: it has a result or an error."""

    def ready(self, sub: Sub) -> None:
        """The initial documents of `sub` are complete."""

    def stopped(self, sub: Sub) -> None:
        """The subscription `sub` is over, and its documents are gone."""

    def changed(self, change: Change) -> None:
        """A document was added, changed or removed, as `change` says."""

    def logged_out(self, error: Exception) -> None:
        """The server does not take the token any more, after a reconnect; `error` says why."""


class _State(Enum):
    DOWN = auto()  # no socket
    GREETING = auto()  # `connect` is not answered yet
    UP = auto()
    OVER = auto()  # refused, or left


class Machine:
    """The machine. See the module's docstring.

    Args:
        effects: Carries out what the machine wants.
        heartbeat_interval: Seconds between pings of a silent server; 0: none.
        heartbeat_timeout: Seconds to wait for life after a ping.
        connect_timeout: Seconds that `connected` may take.

    Attributes:
        documents: What the client holds.
        session: The session's id; None before the first `connected`.
        received: How many messages of this session came, without pings and pongs.
        token: The login token, said again after a reconnect; None: not logged in by one.
        user_id: Who the client is logged in as.
    """

    def __init__(
        self,
        effects: Effects,
        *,
        heartbeat_interval: float = 17.5,
        heartbeat_timeout: float = 15.0,
        connect_timeout: float = 10.0,
    ) -> None:
        self._effects = effects
        self._heartbeat_interval = heartbeat_interval
        self._heartbeat_timeout = heartbeat_timeout
        self._connect_timeout = connect_timeout
        self.documents = Documents()
        self.session: str | None = None
        self.received = 0
        self.token: str | None = None
        self.user_id: str | None = None
        self._version = VERSIONS[0]
        self._state = _State.DOWN
        self._numbers = itertools.count(1)
        self._calls: dict[str, Call] = {}
        self._subs: dict[str, Sub] = {}
        self._stopping: dict[str, Sub] = {}  # `unsub` waits for `nosub`
        self._heartbeat: Heartbeat | None = None
        self._greeting_ends: float | None = None
        # In a new session, until everything that was said again is answered:
        self._reviving = False
        self._awaited_subs: set[str] = set()
        self._awaited_calls: set[str] = set()
        self._held: list[dict[str, Any]] = []  # what came meanwhile, in order
        self._ended: list[Sub] = []  # stopped by us while there was no connection

    @property
    def up(self) -> bool:
        """Whether the session stands."""
        return self._state is _State.UP

    @property
    def reviving(self) -> bool:
        """Whether the documents are still those of the session before."""
        return self._reviving

    # What users do

    def call(
        self,
        name: str,
        params: Sequence[Any] = (),
        *,
        random_seed: str | None = None,
        retry: bool = True,
        login: bool = False,
    ) -> Call:
        """Call a method, now or as soon as the session stands.

        Args:
            name: The method.
            params: Its arguments, EJSON values.
            random_seed: The seed for ids that the method makes.
            retry: Send it again when the connection is lost before the result; it may then run
                twice. Else it fails with the code ``invocation-failed``.
            login: The result says who the client is, with a token to come back with.

        Returns:
            The call. `Effects.done` is given it when it is over.

        Raises:
            TypeError: An argument is nothing EJSON can carry.
            ValueError: An argument is too deep for EJSON.
        """
        call = Call(
            self._number(),
            name,
            _encoded(params),
            random_seed=random_seed,
            retry=retry,
            login=login,
        )
        self._calls[call.id] = call
        if self.up:
            self._send_call(call)
        return call

    def forget(self, call: Call) -> None:
        """Nobody waits for `call` any more: send it no more than it is sent already."""
        call.retry = False
        if not call.sent:
            self._calls.pop(call.id, None)

    def subscribe(self, name: str, params: Sequence[Any] = ()) -> Sub:
        """Subscribe, now or as soon as the session stands.

        Args:
            name: The publication.
            params: Its arguments, EJSON values.

        Returns:
            The subscription, as `Effects.ready` and `Effects.stopped` will be given it.

        Raises:
            TypeError: An argument is nothing EJSON can carry.
            ValueError: An argument is too deep for EJSON.
        """
        sub = Sub(self._number(), name, _encoded(params))
        self._subs[sub.id] = sub
        if self.up:
            self._send_sub(sub)
        return sub

    def unsubscribe(self, sub: Sub) -> None:
        """End `sub`; `Effects.stopped` tells when its documents are gone. Idempotent."""
        if self._subs.pop(sub.id, None) is None:
            return
        if not sub.sent:
            self._stopped(sub)
            return
        self._stopping[sub.id] = sub
        if self.up:
            self._send({"msg": "unsub", "id": sub.id})

    def leave(self) -> None:
        """Say goodbye: the session ends with the socket, and what is open has failed."""
        if self.up:
            self._send({"msg": "disconnect"})
        self._over(ConnectionError("The client was closed."))

    # In: the socket

    def opened(self, now: float) -> None:
        """A socket stands.

        Args:
            now: The time in seconds, of a clock that never goes back.
        """
        self._state = _State.GREETING
        self._greeting_ends = now + self._connect_timeout
        message: dict[str, Any] = {"msg": "connect"}
        if self.session is not None:
            message |= {"session": self.session, "receivedCount": self.received}
        self._send({**message, "version": self._version, "support": list(VERSIONS)})

    def lost(self) -> None:
        """The socket is gone. Idempotent."""
        if self._state in (_State.DOWN, _State.OVER):
            return
        self._state = _State.DOWN
        self._heartbeat = None
        self._greeting_ends = None
        for call in list(self._calls.values()):
            if call.sent and not call.answered and not call.retry:
                call.error = MeteorError(
                    INVOCATION_FAILED,
                    "The connection was lost before the answer, so it is not known whether the"
                    " method ran",
                )
                self._done(call)

    def receive(self, text: str | bytes, now: float) -> None:
        """Take one message of the server. What is none is told to the log, and passed by.

        Args:
            text: The message.
            now: The time in seconds, of the same clock.
        """
        if self._state not in (_State.GREETING, _State.UP):
            return
        if self._heartbeat is not None:
            self._heartbeat.seen()
        try:
            message = ejson.parse(text)
            kind = message.get("msg") if isinstance(message, dict) else None
            if not kind:
                return  # old servers say {"server_id": "0"} at first
            if kind == "ping":
                self._send(
                    {**{key: message[key] for key in ("id",) if key in message}, "msg": "pong"}
                )
                return
            if kind == "pong":
                return
            self.received += 1
            if kind in ("connected", "failed") and self._state is _State.GREETING:
                self._greeted(message, now)
            elif kind == "error":
                logger.warning("The server complains: %s", str(message.get("reason"))[:500])
            elif self.up:
                self._take(message)
        except (ValueError, TypeError, AttributeError, KeyError) as problem:
            logger.warning("The server sent what is no message of DDP: %s", str(problem)[:500])

    # In: the clock

    @property
    def deadline(self) -> float | None:
        """When `tick` must be called next; None: never."""
        if self._greeting_ends is not None:
            return self._greeting_ends
        return None if self._heartbeat is None else self._heartbeat.deadline

    def tick(self, now: float) -> None:
        """Look at the clock; early calls do no harm.

        Args:
            now: The time in seconds, of the same clock.
        """
        if self._greeting_ends is not None:
            if now >= self._greeting_ends:
                self._effects.close("The server did not answer `connect`.")
            return
        if self._heartbeat is None:
            return
        match self._heartbeat.tick(now):
            case Beat.PING:
                self._send({"msg": "ping"})
            case Beat.DEAD:
                self._effects.close("The server is silent.")
            case Beat.NOTHING:
                pass

    # A session begins, or goes on

    def _greeted(self, message: dict[str, Any], now: float) -> None:
        self._greeting_ends = None
        if message["msg"] == "failed":
            self._failed(message.get("version"))
            return
        session = message["session"]
        if not isinstance(session, str):
            raise TypeError("the session's id is no text")
        self._state = _State.UP
        # In the first version of the protocol there were no pings.
        interval = 0 if self._version == "pre1" else self._heartbeat_interval
        self._heartbeat = Heartbeat(interval, self._heartbeat_timeout, now)
        resumed = session == self.session
        if resumed:
            self._go_on()
        else:
            self._begin(session)
        self._effects.connected(resumed)
        self._look_whether_revived()

    def _failed(self, version: object) -> None:
        if version in VERSIONS and version != self._version:
            self._version = str(version)
            self._effects.close(f"The server wants version {version} of DDP.", at_once=True)
            return
        reason = f"The server speaks another version of DDP: {str(version)[:20]!r}."
        self._over(ConnectionError(reason))
        self._effects.refused(reason)

    def _go_on(self) -> None:
        for key in self._stopping:
            self._send({"msg": "unsub", "id": key})
        # As in a new session a log-in comes before what is to be done by that user.
        for call in sorted(self._calls.values(), key=lambda call: not call.resume):
            if not call.answered:
                self._send_call(call)
        for sub in list(self._subs.values()):
            if not sub.ready or sub.id in self._awaited_subs:
                self._send_sub(sub)

    def _begin(self, session: str) -> None:
        self._reviving = self.session is not None
        self.session = session
        self.received = 1
        # What an earlier attempt left is of a session that is no more.
        self._held.clear()
        self._awaited_calls.clear()
        self._ended += self._stopping.values()
        self._stopping.clear()
        for call in [call for call in self._calls.values() if call.resume]:
            del self._calls[call.id]
        waiting = list(self._calls.values())
        if self.token is not None:
            params = _encoded([{"resume": self.token}])
            resume = Call(self._number(), "login", params, login=True, resume=True)
            self._calls[resume.id] = resume
            waiting.insert(0, resume)
        for call in waiting:
            if not call.answered:
                call.updated = False
                self._send_call(call)
                if self._reviving:
                    self._awaited_calls.add(call.id)
        self._awaited_subs = {key for key, sub in self._subs.items() if sub.ready}
        for sub in list(self._subs.values()):
            self._send_sub(sub)

    def _look_whether_revived(self) -> None:
        """Once everything is answered, let the new documents take the place of the old."""
        if not self._reviving or self._awaited_subs or self._awaited_calls:
            return
        self._reviving = False
        fresh = Documents()
        others = []
        held, self._held = self._held, []
        for message in held:
            if message["msg"] in DATA:
                _quietly_take(fresh, message)
            else:
                others.append(message)
        for change in self.documents.become(fresh):
            self._effects.changed(change)
        for message in others:
            self._promise(message)
        # Their `updated` was said in a session that is no more; their data is here now.
        for call in [call for call in self._calls.values() if call.answered]:
            self._done(call)
        ended, self._ended = self._ended, []
        for sub in ended:
            self._stopped(sub)

    # What comes

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["msg"]
        if kind == "result":
            self._result(message)
        elif kind not in DATA and kind not in ("ready", "nosub", "updated"):
            logger.debug("A message of an unknown kind: %.100s", kind)
        elif self._reviving:
            self._held.append(message)
            if kind == "ready":
                self._awaited_subs.difference_update(_names(message, "subs"))
            elif kind == "updated":
                self._awaited_calls.difference_update(_names(message, "methods"))
            elif kind == "nosub":
                self._awaited_subs.discard(message.get("id", ""))
            self._look_whether_revived()
        elif kind in DATA:
            change = self.documents.take(message)
            if change is not None:
                self._effects.changed(change)
        else:
            self._promise(message)

    def _promise(self, message: dict[str, Any]) -> None:
        """Take a message that says that all data of something has come, or gone."""
        match message["msg"]:
            case "ready":
                for key in _names(message, "subs"):
                    sub = self._subs.get(key)
                    if sub is not None and not sub.ready:
                        sub.ready = True
                        self._effects.ready(sub)
            case "updated":
                for key in _names(message, "methods"):
                    call = self._calls.get(key)
                    if call is not None:
                        call.updated = True
                        if call.answered:
                            self._done(call)
            case "nosub":
                key = message.get("id", "")
                sub = self._subs.pop(key, None) or self._stopping.pop(key, None)
                if sub is not None:
                    if "error" in message:
                        sub.error = _meteor_error(message["error"])
                    self._stopped(sub)

    def _result(self, message: dict[str, Any]) -> None:
        call = self._calls.get(message["id"])
        if call is None or call.answered:
            return  # a server that does not know calls apart has run it twice
        call.answered = True
        if "error" in message:
            call.error = _meteor_error(message["error"])
        elif "result" in message:
            try:
                call.result = ejson.decode(message["result"])
            except (ValueError, TypeError, AttributeError) as problem:
                call.error = ValueError(f"The result cannot be read: {problem}")
        if call.login:
            self._logged_in(call)
        if call.updated:
            self._done(call)

    def _logged_in(self, call: Call) -> None:
        # At once: who loses the connection before `updated` comes back as this user.
        if isinstance(call.result, dict):
            token, user_id = call.result.get("token"), call.result.get("id")
            self.token = token if isinstance(token, str) else None
            self.user_id = user_id if isinstance(user_id, str) else None
        elif call.resume and call.error is not None:
            self.user_id = None
            if isinstance(call.error, MeteorError) and call.error.error == 403:
                self.token = None  # any other error may be over with the next connection
            self._effects.logged_out(call.error)

    def _done(self, call: Call) -> None:
        self._calls.pop(call.id, None)
        self._awaited_calls.discard(call.id)  # one that was lost is not answered any more
        call.answered = True
        self._effects.done(call)

    def _stopped(self, sub: Sub) -> None:
        sub.stopped = True
        self._effects.stopped(sub)

    def _over(self, error: Exception) -> None:
        self._state = _State.OVER
        self._heartbeat = None
        self._greeting_ends = None
        for call in list(self._calls.values()):
            if not call.answered:
                call.error = error
            self._done(call)
        subs = [*self._subs.values(), *self._stopping.values(), *self._ended]
        self._subs.clear()
        self._stopping.clear()
        self._ended.clear()
        for sub in subs:
            self._stopped(sub)

    # Out

    def _number(self) -> str:
        return str(next(self._numbers))

    def _send(self, message: dict[str, Any]) -> None:
        self._effects.send(ejson.dump_plain(message))

    def _send_call(self, call: Call) -> None:
        call.sent = True
        self._send(call.as_message())

    def _send_sub(self, sub: Sub) -> None:
        sub.sent = True
        self._send(sub.as_message())


def _encoded(params: Sequence[Any]) -> list[Any]:
    return [ejson.encode(each) for each in params]


def _names(message: dict[str, Any], member: str) -> list[str]:
    names = message[member]
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise TypeError(f"{member} is no list of texts")
    return names


def _quietly_take(documents: Documents, message: dict[str, Any]) -> None:
    try:
        documents.take(message)
    except (ValueError, TypeError, AttributeError) as problem:
        logger.warning("The server sent what is no message of DDP: %s", str(problem)[:500])


def _meteor_error(wire: Any) -> MeteorError:
    if not isinstance(wire, dict):
        return MeteorError(500, str(wire))
    return MeteorError(wire.get("error", 500), wire.get("reason"), wire.get("details"))
