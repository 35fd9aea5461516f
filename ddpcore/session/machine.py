"""The protocol machine of one session: messages, completions and clock ticks in, effects out.

It does no I/O: it never awaits, reads a clock or draws a random number. Whoever drives it (the
runtime, a test, a fuzzer) says what time it is and carries out the `Effects`.

The life of a session is the table in `ddpcore.session.transitions`, which
docs/explanation/architecture.md draws.
A session whose client is gone goes on for a while (`grace_period`): handlers run to their end, and
what they send waits. A client that returns and says how many frames it got is given the others
(Meteor 3.5). What waits, for that client or for one that is slow: `ddpcore.session.outbox`.

Messages of a connected session wait in a queue and are taken one at a time: a method or a
subscription holds the queue until its handler settles or calls `unblock()`. Pings pass by.
Behaviour and texts are those of Meteor 3.0.4 (`ddp-server/livedata_server.js`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Mapping
from typing import Any, Protocol

from ddpcore.errors import MeteorError
from ddpcore.live.document import Document, Step
from ddpcore.session.heartbeat import Beat, Heartbeat
from ddpcore.session.mergebox import LivePart, MergeBox, Part
from ddpcore.session.outbox import Outbox, Traffic
from ddpcore.session.strategy import PublicationStrategy, server_merge
from ddpcore.session.transitions import (
    DEAF,
    REACTIONS,
    Event,
    Reaction,
    State,
    after,
    reaction_to,
)
from ddpcore.transport import HIGH_WATER
from ddpcore.wire import messages
from ddpcore.wire.frame import UNCOUNTED, Frame

__all__ = ["Effects", "Invocation", "Session", "State", "Subscription"]

NORMAL_CLOSURE = (1000, "Normal closure")

TOO_SLOW = 1008
"""With this code a client is left that does not take what it is sent ("policy violation")."""

MAX_QUEUE_SIZE = 64 * 1024
"""Bytes of messages that may wait for one client's turn. Parsed they are up to forty times as much,
which is what a client without a login can make the server hold."""

MOST_WAITING = 64
"""How many times the high-water mark of answers may wait for one client: 4 MB by default."""


class Invocation:
    """One call of a method by the client.

    Attributes:
        id: The client's id of the call.
        name: The method.
        params: Its arguments, decoded.
        random_seed: The client's seed for ids made by this call, if it sent one.
        unblocked: Whether the handler let later messages overtake.
    """

    __slots__ = ("id", "name", "params", "random_seed", "unblocked")

    def __init__(self, id: str, name: str, params: list[Any], random_seed: str | None) -> None:  # noqa: A002
        self.id = id
        self.name = name
        self.params = params
        self.random_seed = random_seed
        self.unblocked = False


class Subscription:
    """One subscription of the client, or a universal one (`id` None), as the machine knows it.

    Attributes:
        handler: What a universal subscription runs; the machine only carries it along.
        active: False once stopped: nothing it publishes counts any more.
        ready: Whether `ready` was said.
        part: What its low-level `added`, `changed` and `removed` contribute.
    """

    __slots__ = ("active", "handler", "id", "name", "params", "part", "parts", "ready")

    def __init__(
        self,
        id: str | None,  # noqa: A002
        name: str | None,
        params: list[Any],
        handler: object = None,
    ) -> None:
        self.id = id
        self.name = name
        self.params = params
        self.handler = handler
        self.active = True
        self.ready = False
        self.part = Part()
        self.parts: list[Part] = [self.part]

    def again(self) -> Subscription:
        """The same subscription, to be run anew for another user."""
        return Subscription(self.id, self.name, self.params, self.handler)


class Effects(Protocol):
    """What a session asks of the world. Calls may come back into the session."""

    def wake(self) -> None:
        """There is something to send: take it from the outbox, soon, and again while it is pending.

        Say `taken` when it is sent, where the outbox did not flow.
        """

    def close(self, code: int, reason: str) -> None:
        """Close the socket."""

    def opened(self) -> None:
        """The session is connected: start the universal publications."""

    def ended(self) -> None:
        """The session is over."""

    def resume(self, session: object, received: object, version: str) -> bool:
        """A client wants to go on with another session: whether that one has taken over."""

    def pause_reading(self) -> None:
        """Bring no more messages of the client for now: too many wait."""

    def resume_reading(self) -> None:
        """Bring messages again."""

    def start_method(self, invocation: Invocation) -> None:
        """Run a method's handler; then call `method_done`."""

    def start_subscription(self, subscription: Subscription) -> None:
        """Run a publication's handler; then call `handler_settled`."""

    def stopped(self, subscription: Subscription) -> None:
        """A subscription ended: run its `on_stop` callbacks, release its live queries."""


class Session:
    """The machine. See the module's docstring.

    Args:
        id: The session's id, 17 random characters.
        effects: Carries out what the session wants.
        methods: The names of the methods there are.
        publications: The names of the publications there are.
        now: The clock, in seconds.
        heartbeat_interval: Seconds between pings of a silent client; 0: none.
        heartbeat_timeout: Seconds to wait for life after a ping.
        connect_timeout: Seconds a socket may stay without `connect`; 0: for ever.
        grace_period: Seconds that a session waits for a client that is gone; 0: not at all.
        grace_queue: Frames kept for it, of those sent last and of those that wait.
        max_queue: Messages of the client that may wait before no more are read; also how many of
            its methods may go on that let later ones overtake.
        max_queue_size: Bytes of such messages that may wait.
        max_subscriptions: Subscriptions that it may have at once.
        high_water: Bytes of answers that may wait for a client that takes nothing; with more no
            further message of it is dealt with, and with `MOST_WAITING` times as many it is left.
        stuck_timeout: Seconds that a client may take nothing; 0: for ever.
        traffic: Where it is counted what is sent.
        strategy: Gives the publication strategy of a collection.
    """

    __slots__ = (
        "__weakref__",
        "_advancing",
        "_at_work",
        "_blocker",
        "_connect_deadline",
        "_effects",
        "_grace_ends",
        "_grace_period",
        "_grace_queue",
        "_heartbeat",
        "_heartbeat_interval",
        "_heartbeat_timeout",
        "_high_water",
        "_leaving",
        "_max_queue",
        "_max_queue_size",
        "_max_subscriptions",
        "_methods",
        "_publications",
        "_queue",
        "_queue_size",
        "_reactions",
        "_reading",
        "_repeated",
        "_rerun_ready",
        "_rerun_updated",
        "_running",
        "_stuck_deadline",
        "_stuck_timeout",
        "_traffic",
        "id",
        "merge_box",
        "outbox",
        "state",
        "subscriptions",
        "universal",
        "user_id",
        "version",
    )

    def __init__(
        self,
        id: str,  # noqa: A002
        effects: Effects,
        *,
        methods: Container[str],
        publications: Container[str],
        now: float,
        heartbeat_interval: float = 15.0,
        heartbeat_timeout: float = 15.0,
        connect_timeout: float = 45.0,
        grace_period: float = 15.0,
        grace_queue: int = 100,
        max_queue: int = 100,
        max_queue_size: int = MAX_QUEUE_SIZE,
        max_subscriptions: int = 1_000,
        high_water: int = HIGH_WATER,
        stuck_timeout: float = 60.0,
        traffic: Traffic | None = None,
        strategy: Callable[[str], PublicationStrategy] = server_merge,
    ) -> None:
        self.id = id
        self.state = State.NEW
        self._reactions = REACTIONS[State.NEW]
        self.version: str | None = None
        self.user_id: str | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.universal: list[Subscription] = []
        self._traffic = traffic or Traffic()
        replay = grace_queue if grace_period else 0
        self.outbox = Outbox(effects.wake, self._limit, replay, self._traffic)
        self.merge_box = MergeBox(self.outbox, strategy)
        self._effects = effects
        self._methods = methods
        self._publications = publications
        # Messages, and how large they were.
        self._queue: deque[tuple[dict[str, Any], int]] = deque()
        self._queue_size = 0
        self._blocker: Invocation | Subscription | None = None
        self._advancing = False
        self._max_queue = max_queue
        self._max_queue_size = max_queue_size
        self._max_subscriptions = max_subscriptions
        self._reading = True
        # Calls that have not been answered whole, by the client's id.
        self._running: dict[str, Invocation] = {}
        self._at_work = 0  # handlers of methods
        self._grace_period = grace_period
        self._grace_queue = grace_queue
        self._grace_ends: float | None = None
        self._leaving = False
        # What a returned client may ask again, though it is being answered already.
        self._repeated: set[tuple[str, str] | None] = set()
        # Not None while subscriptions are run again for another user: those ready meanwhile.
        self._rerun_ready: list[str] | None = None
        self._rerun_updated: list[Invocation] = []  # and methods whose data waits for the end of it
        self._heartbeat_interval = heartbeat_interval
        self._heartbeat_timeout = heartbeat_timeout
        self._heartbeat: Heartbeat | None = None
        self._connect_deadline = now + connect_timeout if connect_timeout else None
        self._high_water = high_water
        self._stuck_timeout = stuck_timeout
        self._stuck_deadline: float | None = None

    @property
    def queued(self) -> int:
        """How many messages of the client wait for their turn."""
        return len(self._queue)

    @property
    def open(self) -> bool:
        """Whether the session goes on, its client present or expected back."""
        return self.state is State.CONNECTED or self.state is State.DETACHED

    # Out

    def taken(self) -> None:
        """The client has been sent what `outbox.take` gave: fewer answers wait than did."""
        self._advance()

    def _send(self, frame: Frame) -> None:
        if self.state is State.NEW:
            # The client starts to count with `connected`.
            frame.about = UNCOUNTED
            self.outbox.send_uncounted(frame)
        else:
            self.outbox.send(frame)

    def _limit(self) -> None:
        """One frame more waits for the client."""
        outbox = self.outbox
        if self.state is State.DETACHED and outbox.held > self._grace_queue:
            self._end(Event.OVERFLOW)
        elif outbox.blocked and outbox.waiting > MOST_WAITING * self._high_water:
            self._traffic.cut_off += 1
            self.close(TOO_SLOW, "Too slow: too many answers wait to be taken")

    # In: messages

    def receive(self, text: str | bytes, now: float) -> str | None:
        """Take one message of the client; its ``msg``, None if it could not be read."""
        reactions = self._reactions
        if reactions is DEAF:  # not even read
            return None
        if self._heartbeat is not None:
            self._heartbeat.seen()
        try:
            message = messages.parse(text)
        except messages.Malformed as problem:
            self._send(problem.frame)
            return None
        kind: str = message["msg"]
        match reaction_to(reactions, kind, self.version):
            case Reaction.QUEUE:
                self._enqueue(message, len(text))
            case Reaction.ECHO:
                self.outbox.send_uncounted(messages.pong(message))
            case Reaction.NEGOTIATE:
                self._connect(message, now)
            case Reaction.NOT_YET:
                self._send(messages.error("Must connect first", message))
            case Reaction.NOT_AGAIN:
                self._send(messages.error("Already connected", message))
            case Reaction.NOTE_LEAVING:
                self._leaving = True
        return kind

    def _enqueue(self, message: dict[str, Any], size: int) -> None:
        if self._repeated and self._repeats(message):
            return
        self._queue.append((message, size))
        self._queue_size += size
        self._advance()
        if self._reading and (
            len(self._queue) >= self._max_queue or self._queue_size >= self._max_queue_size
        ):
            self._reading = False
            self._effects.pause_reading()

    def _connect(self, message: dict[str, Any], now: float) -> None:
        version, support = message.get("version"), message.get("support")
        chosen = messages.VERSIONS[0]
        offered = (
            isinstance(version, str)
            and isinstance(support, list)
            and all(isinstance(item, str) for item in support)
            and version in support
        )
        if offered and isinstance(support, list):
            chosen = next((item for item in support if item in messages.VERSIONS), chosen)
        if not offered or chosen != version:
            self._send(messages.failed(chosen))
            self._effects.close(*NORMAL_CLOSURE)
            self._end(Event.REFUSE)
            return
        if self._effects.resume(message.get("session"), message.get("receivedCount"), chosen):
            self._end(Event.HAND_OVER)  # the client has gone over, with its socket
            return
        self.version = chosen
        self._start(Event.CONNECT, now)
        self._send(messages.connected(self.id))
        self._effects.opened()

    def _start(self, event: Event, now: float) -> None:
        self._move(event)
        self._connect_deadline = self._grace_ends = None
        if self.version != "pre1":
            self._heartbeat = Heartbeat(self._heartbeat_interval, self._heartbeat_timeout, now)

    def _advance(self) -> None:
        # A handler may settle inside its start: the loop below then simply goes on.
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._queue and self._blocker is None and self.open and not self._clogged:
                message, size = self._queue.popleft()
                self._queue_size -= size
                self._dispatch(message)
                if not self._reading:
                    self._read_on()
        finally:
            self._advancing = False

    def _read_on(self) -> None:
        # It may have been this message that ended the session.
        if (
            self.open
            and len(self._queue) <= self._max_queue // 2
            and self._queue_size <= self._max_queue_size // 2
        ):
            self._reading = True
            self._effects.resume_reading()

    @property
    def _clogged(self) -> bool:
        # What is asked now could not be answered; or enough is being answered.
        return self.outbox.waiting > self._high_water or self._at_work > self._max_queue

    def _dispatch(self, message: dict[str, Any]) -> None:
        match message["msg"]:
            case "method":
                self._method(message)
            case "sub":
                self._sub(message)
            case "unsub":
                self._unsub(message)
            case _:
                self._send(messages.error("Bad request", message))

    def _method(self, message: dict[str, Any]) -> None:
        id, name = message.get("id"), message.get("method")  # noqa: A001
        params, seed = message.get("params", []), message.get("randomSeed", "")
        if not (
            isinstance(id, str)
            and isinstance(name, str)
            and isinstance(params, list)
            and isinstance(seed, str)
        ):
            self._send(messages.error("Malformed method invocation", message))
            return
        if name not in self._methods:
            problem = MeteorError(404, f"Method '{name}' not found")
            self._send(messages.result_error(id, problem))
            self._send(messages.updated(id))
            return
        self._blocker = invocation = Invocation(id, name, params, seed or None)
        self._running[id] = invocation
        self._at_work += 1
        self._effects.start_method(invocation)

    def _sub(self, message: dict[str, Any]) -> None:
        id, name, params = message.get("id"), message.get("name"), message.get("params", [])  # noqa: A001
        if not (isinstance(id, str) and isinstance(name, str) and isinstance(params, list)):
            self._send(messages.error("Malformed subscription", message))
            return
        if name not in self._publications:
            problem = MeteorError(404, f"Subscription '{name}' not found")
            self._send(messages.nosub(id, problem))
            return
        if id in self.subscriptions:
            return
        if len(self.subscriptions) >= self._max_subscriptions:
            problem = MeteorError(429, "Too many subscriptions")
            self._send(messages.nosub(id, problem))
            return
        self._blocker = self.subscriptions[id] = subscription = Subscription(id, name, params)
        self._effects.start_subscription(subscription)

    def _repeats(self, message: dict[str, Any]) -> bool:
        if (asked := _about(message)) not in self._repeated:
            return False
        # Once: a client asks again but one time after it has returned, and not for what it ended.
        self._repeated.discard(asked)
        return bool(message["msg"] != "unsub")

    def _unsub(self, message: dict[str, Any]) -> None:
        if "id" not in message:
            self._send(messages.nosub())
            return
        id = message["id"]  # noqa: A001
        if not isinstance(id, str):
            self._send(messages.error("Malformed unsubscription", message))
        elif id in self.subscriptions:
            self.stop(self.subscriptions[id])
        else:
            self._send(messages.nosub(id))

    # In: completions

    def unblock(self, item: Invocation | Subscription) -> None:
        """Let later messages overtake `item`. Idempotent."""
        if isinstance(item, Invocation):
            item.unblocked = True
        if self._blocker is item:
            self._blocker = None
            self._advance()

    def method_done(self, invocation: Invocation, outcome: Frame, *, outstanding: bool) -> None:
        """A method's handler settled.

        Args:
            invocation: The call.
            outcome: Its `result` message.
            outstanding: Whether data it caused is still on its way: then `updated` follows by
                `method_updated`. Otherwise it goes out first, as in Meteor.
        """
        if not outstanding:
            self._running.pop(invocation.id, None)
            self._send(messages.updated(invocation.id))
        self._send(outcome)
        self._at_work -= 1
        self.unblock(invocation)
        self._advance()

    def method_updated(self, invocation: Invocation) -> None:
        """All data the method caused has been sent, or will be with that of a rerun."""
        if self._rerun_ready is not None:
            self._rerun_updated.append(invocation)
            return
        self._running.pop(invocation.id, None)
        self._send(messages.updated(invocation.id))

    def handler_settled(self, subscription: Subscription) -> None:
        """A publication's handler returned or failed, and its first data has been sent."""
        self.unblock(subscription)

    def ready(self, subscription: Subscription) -> None:
        """A subscription says that its initial data is complete. Only the first time counts."""
        if not subscription.active or subscription.ready:
            return
        subscription.ready = True
        if subscription.id is None:
            return
        if self._rerun_ready is not None:
            self._rerun_ready.append(subscription.id)
        else:
            self._send(messages.ready([subscription.id]))

    def stop(self, subscription: Subscription, problem: MeteorError | None = None) -> None:
        """End a subscription: its documents go, then its callbacks run, then `nosub`."""
        if not subscription.active:
            return
        for part in subscription.parts:
            self.merge_box.drop(part)
        if not subscription.active:  # what was said of its documents was too much: all has ended
            return
        if subscription.id is None:
            self.universal.remove(subscription)
        else:
            del self.subscriptions[subscription.id]
        self._deactivate(subscription)
        # One of its callbacks may have closed the connection.
        if subscription.id is not None:
            self._send(messages.nosub(subscription.id, problem))

    def start_universal(self, handler: object) -> Subscription:
        """Open a universal subscription; the caller runs its handler."""
        subscription = Subscription(None, None, [], handler)
        self.universal.append(subscription)
        return subscription

    # In: published data

    def live_part(self, subscription: Subscription) -> LivePart:
        """A further contribution of a subscription, for one live query that it publishes."""
        part = self.merge_box.live_part()
        subscription.parts.append(part)
        return part

    def added(self, subscription: Subscription, document: Document) -> None:
        """A low-level publication adds a document; fields it published before stay."""
        if subscription.active:
            self.merge_box.say(subscription.part, Step(None, document))

    def changed(
        self,
        subscription: Subscription,
        collection: str,
        id: str,  # noqa: A002
        fields: Mapping[str, Any],
    ) -> None:
        """A low-level publication changes fields; `UNSET` clears one.

        Raises:
            ddpcore.DDPError: This subscription never added the document, and must have.
        """
        if subscription.active:
            self.merge_box.say(subscription.part, Step.change(collection, id, fields))

    def removed(self, subscription: Subscription, collection: str, id: str) -> None:  # noqa: A002
        """A low-level publication removes a document.

        Raises:
            ddpcore.DDPError: This subscription never added it, and must have.
        """
        if subscription.active:
            gone = Step(Document(collection, id, {}), None)
            self.merge_box.say(subscription.part, gone)

    # In: another user

    def begin_rerun(self, user_id: str | None) -> list[Subscription]:
        """Become `user_id`: end all subscriptions without a word and open them again.

        Returns:
            The new subscriptions, whose handlers are to be run. Until `finish_rerun`, data is
            collected and not sent. One rerun at a time.
        """
        assert self._rerun_ready is None, "a rerun begins before the last one has finished"
        again = []
        for old in [*self.subscriptions.values(), *self.universal]:
            if old.active:  # callbacks of one subscription may stop another,
                # Before the query that it follows is left; also if it has begun to just now.
                self.merge_box.hold()
                self._deactivate(old)
                again.append(old.again())
        if not self.open:  # or close the connection
            return []
        self.user_id = user_id
        self.merge_box.begin_rerun()
        self._rerun_ready = []
        self.subscriptions = {each.id: each for each in again if each.id is not None}
        self.universal = [each for each in again if each.id is None]
        return again

    def finish_rerun(self) -> None:
        """Every handler has settled: send the difference, and one `ready` for all."""
        ready, self._rerun_ready = self._rerun_ready, None
        updated, self._rerun_updated = self._rerun_updated, []
        if not self.open:
            return
        self.merge_box.finish_rerun()
        if ready := [id for id in ready or () if id in self.subscriptions]:  # noqa: A001
            self._send(messages.ready(ready))
        for invocation in updated:
            self.method_updated(invocation)

    # In: the clock, the socket's end and the client's return

    @property
    def deadline(self) -> float | None:
        """When `tick` must be called next, in seconds of the clock; None: never."""
        match self.state:
            case State.NEW:
                return self._connect_deadline
            case State.DETACHED:
                return self._grace_ends
            case State.CONNECTED if self.outbox.blocked:
                return self._stuck_deadline
        return self._heartbeat.deadline if self._heartbeat is not None else None

    def tick(self, now: float) -> None:
        """Look at the clock: ping a silent client, leave a dead one, give up an absent one."""
        match self.state:
            case State.NEW if _is_past(self._connect_deadline, now):
                self._effects.close(1000, "No connect message in time")
                self._end(Event.TIMEOUT)
            case State.DETACHED if _is_past(self._grace_ends, now):
                self._end(Event.EXPIRE)
            case State.CONNECTED if self.outbox.blocked:
                # It may well live, and its pongs be behind what it does not read.
                if _is_past(self._stuck_deadline, now):
                    self._give_up(now)
            case State.CONNECTED if self._heartbeat is not None:
                self._beat(self._heartbeat, now)

    def _give_up(self, now: float) -> None:
        self._traffic.cut_off += 1
        reason = f"Too slow: nothing was taken for {self._stuck_timeout:g} s"
        self._effects.close(TOO_SLOW, reason)
        self.lost(now)

    def _beat(self, heartbeat: Heartbeat, now: float) -> None:
        if not self._reading:  # a client that nobody listens to is not silent
            heartbeat.seen()
        beat = heartbeat.tick(now)
        if beat is Beat.PING:
            self.outbox.send_uncounted(messages.PING)
        elif beat is Beat.DEAD:
            self._effects.close(*NORMAL_CLOSURE)
            self.lost(now)

    def close(self, code: int = 1000, reason: str = "Normal closure") -> None:
        """End the session from this side, for good. Idempotent."""
        if self.state is not State.CLOSED:
            self._effects.close(code, reason)
            self._end(Event.CLOSE)

    def blocked(self, now: float) -> None:
        """The client does not take what it is sent. Idempotent."""
        if self._stuck_deadline is None and self._stuck_timeout:
            self._stuck_deadline = now + self._stuck_timeout
        self.outbox.block()

    def drained(self) -> None:
        """The client has taken what it was sent, or most of it. Idempotent."""
        if self.state is not State.DETACHED:  # else it is its former socket that says so late
            self._stuck_deadline = None
            if self._heartbeat is not None:
                self._heartbeat.seen()
            self.outbox.drain()

    def lost(self, now: float) -> None:
        """The socket is gone: wait for the client's return, if it may. Idempotent."""
        if self.state is State.CONNECTED and self._grace_period and not self._leaving:
            self._move(Event.LOSE)
            self._heartbeat = self._stuck_deadline = None
            self._grace_ends = now + self._grace_period
            self.outbox.detach()
        elif self.state is not State.DETACHED:
            self._end(Event.LEAVE)

    def can_resume(self, received: object, version: str) -> bool:
        """Whether a client that got so many frames can go on with this session."""
        return (
            self.open
            and not self._leaving
            and self._grace_period > 0
            and self.version == version
            and self.outbox.covers(received)
        )

    def resume(self, received: int, now: float) -> None:
        """The client is back, at a new socket: go on. `can_resume` has said that it may.

        Methods and subscriptions that it asks again, not knowing better, are not run again.
        """
        self._start(Event.RESUME, now)
        self._stuck_deadline = None
        again = self.outbox.resume(received, messages.connected(self.id))
        self._repeated = {
            *(frame.about for frame in again),
            *(("method", id) for id in self._running),  # noqa: A001
            *(("sub", id) for id in self.subscriptions),  # noqa: A001
            *(_about(message) for message, _ in self._queue),
        }
        self._repeated.discard(None)  # about nothing that is asked again
        if not self._reading:
            self._effects.pause_reading()

    def expire(self) -> None:
        """Its client is gone for good: end, if it was waited for."""
        if self.state is State.DETACHED:
            self._end(Event.EXPIRE)

    def _move(self, event: Event) -> None:
        self.state = after(self.state, event)
        self._reactions = REACTIONS[self.state]

    def _end(self, event: Event) -> None:
        if self.state is State.CLOSED:
            return
        self._move(event)
        self._queue.clear()
        self._queue_size = 0
        self._heartbeat = None
        self.outbox.end()
        for subscription in [*self.subscriptions.values(), *self.universal]:
            self._deactivate(subscription)
        self.subscriptions = {}
        self.universal = []
        self._effects.ended()
        del self._effects  # nothing is asked any more, and it need not be held

    def _deactivate(self, subscription: Subscription) -> None:
        if subscription.active:
            subscription.active = False
            for part in subscription.parts:
                part.retire()
            self._effects.stopped(subscription)


def _about(message: dict[str, Any]) -> tuple[str, str] | None:
    """Which method or subscription a message is about; compare `Frame.about`."""
    match message:
        case {"msg": "method", "id": str(id)}:
            return "method", id
        case {"msg": "sub" | "unsub", "id": str(id)}:
            return "sub", id
    return None


def _is_past(deadline: float | None, now: float) -> bool:
    return deadline is not None and now >= deadline
