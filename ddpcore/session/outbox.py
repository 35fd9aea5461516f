"""The outbox: what is to go to one client, and what may have been lost on the way.

As long as the client takes what it is sent, frames leave in the order they come, all those of a
turn of the event loop together. When it does not, only answers wait as frames. Of a document
nothing is kept but the step from the version the client has to the one it should have by now, so
what a slow client costs depends on how many documents it has, not on how often they change. Each
of them keeps the place of its first change: what `ready` and `updated` promise still comes before
them, perhaps in a newer version. Of what has come and gone meanwhile nothing is left.

A client that is gone for a while is a client that takes nothing (docs/explanation/architecture.md).

Both sides count frames (Meteor 3.5: the server `sentCount`, the client `receivedCount`), pings and
pongs left out. A client that returns says how many it got; if all it lacks is still here, the
session goes on as if nothing had happened. Meteor 3.5 resumes only if nothing was lost; frames
lost in flight are sent again here.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from ddpcore.live.document import Step
from ddpcore.wire.frame import UNCOUNTED, Frame

__all__ = ["REPLAY_BYTES", "SLICE", "Outbox", "Traffic"]

SLICE = 64 * 1024
"""Bytes that leave in one go: the other clients have their turn between two of them."""

REPLAY_BYTES = 1024 * 1024
"""Bytes of frames that are kept to be sent again: a megabyte is what a slow network may hold."""

LARGE = 256
"""Bytes of what is taken at once from which on they are counted against `REPLAY_BYTES`: what is
smaller is bounded by the number of frames."""

CONNECTED = ("connected", "")
"""What a `connected` frame is about; an old one is not sent again."""

Place = tuple[str, str] | int
"""A document's collection and id; a number for each frame."""


class Traffic:
    """What went out of a server, over all its clients. The numbers only grow, but for `blocked`.

    Attributes:
        frames: Messages sent.
        bytes: Their bytes, without what transports add.
        blocked: Clients that do not take what they are sent, at present.
        slowed: How often a client began not to.
        put_together: Changes that such clients need not be told one by one.
        cut_off: Clients that were given up for it.
        last: What a client was sent last, if it was several frames: the next may be sent the same.
        last_size: Its bytes.
    """

    __slots__ = (
        "blocked",
        "bytes",
        "cut_off",
        "frames",
        "last",
        "last_size",
        "put_together",
        "slowed",
    )

    def __init__(self) -> None:
        self.frames = self.bytes = self.blocked = self.slowed = 0
        self.put_together = self.cut_off = 0
        self.last: list[Frame] = []
        self.last_size = 0


class Outbox:
    """What is to go to one client.

    Args:
        wake: Called when there is something to `take` and nothing was before.
        crowd: Called when one more frame waits that cannot be put together.
        replay: How many frames are kept to be sent again; 0: none, nothing can be resumed.
        traffic: Where it is counted.

    Attributes:
        wake: See above.
        flowing: Whether all that came before is in `log` or has left: then a frame is sent by
            being put there, as the last of the `fresh` ones, and `wake` called if it is the first
            of them. Otherwise call `send`.
        log: The last frames that were sent, and behind them those that leave next.
        fresh: How many leave next.
        blocked: Whether the client takes nothing at present.
        held: How many frames wait that cannot be put together.
        waiting: Their bytes.
    """

    __slots__ = (
        "_absent",
        "_crowd",
        "_forgotten",
        "_half",
        "_large",
        "_order",
        "_over",
        "_places",
        "_replay",
        "_rest",
        "_traffic",
        "_uncounted",
        "blocked",
        "flowing",
        "fresh",
        "held",
        "log",
        "waiting",
        "wake",
    )

    def __init__(
        self,
        wake: Callable[[], object],
        crowd: Callable[[], object] = lambda: None,
        replay: int = 0,
        traffic: Traffic | None = None,
    ) -> None:
        self.wake = wake
        self._crowd = crowd
        self.flowing = True
        self.blocked = False
        self.log: list[Frame] = []
        self.fresh = 0
        self.held = 0
        self.waiting = 0
        self._traffic = traffic or Traffic()
        self._over = self._absent = False
        self._uncounted = False  # whether there may be such among the frames
        # Of a burst too large for one slice: what is left. Then, in their order, frames and steps
        # of documents.
        self._rest: deque[Frame] | None = None
        self._order: OrderedDict[Place, Frame | Step] | None = None
        self._places = 0
        self._replay = replay
        # Of what was sent, the last `_replay` frames are in the log, unless they are too large, and
        # perhaps as many before. How many were there and are not, where the second half begins,
        # and how many bytes its large frames have.
        self._forgotten = 0
        self._half = 0
        self._large = 0

    # In

    def send(self, frame: Frame) -> None:
        """Send `frame` after all that came before."""
        if self.flowing:
            self.log.append(frame)
            self.fresh += 1
            if self.fresh == 1:
                self.wake()
        elif not self._over:
            self._hold(frame)
            self._crowd()

    def _hold(self, frame: Frame) -> None:
        self._places += 1
        self._waiting_order()[self._places] = frame
        self.held += 1
        self.waiting += len(frame.data)

    def send_uncounted(self, frame: Frame) -> None:
        """Send a frame that is about `UNCOUNTED`."""
        self._uncounted = True
        self.send(frame)

    def step(self, step: Step) -> None:
        """Tell the client of a document's step from the version that it has."""
        if self.flowing:
            frame = step.frame
            if frame is not None:
                self.send(frame)
        elif not self._over:
            self._put_off(step)

    def _put_off(self, step: Step) -> None:
        document = step.document
        place = (document.collection, document.id)
        order = self._waiting_order()
        earlier = order.get(place)
        if not isinstance(earlier, Step):  # frames are in places of their own
            order[place] = step
            return
        self._traffic.put_together += 1
        before, after = earlier.before, step.after
        if before is None and after is None:
            del order[place]
        else:
            order[place] = Step(before, after)

    def _waiting_order(self) -> OrderedDict[Place, Frame | Step]:
        order = self._order
        if order is None:
            order = self._order = OrderedDict()
        return order

    # Out

    @property
    def documents_waiting(self) -> int:
        """How many documents, and frames, wait to be told to a client that takes nothing."""
        return 0 if self._order is None else len(self._order)

    @property
    def pending(self) -> bool:
        """Whether there is anything for `take` to give."""
        return not self.blocked and bool(self.fresh or self._rest or self._order)

    @property
    def sent(self) -> int:
        """How many frames have left, as the client counts them."""
        return self._forgotten + len(self.log) - self.fresh

    def take(self) -> list[Frame]:
        """What leaves now: a slice, or a single frame that is larger. It counts as sent.

        Its bytes are `Traffic.last_size`.
        """
        traffic = self._traffic
        log = self.log
        if not self.flowing:
            if self.blocked:
                return []
            frames, size = self._slice()
            log += self._counted(frames)
        elif self._uncounted:
            frames, size = self._cut()
            log += self._counted(frames)
        elif self.fresh == 1 == len(traffic.last) and log[-1] is traffic.last[0]:
            # One list for all who get the same: those who send it need not look into it.
            frames, size = traffic.last, traffic.last_size
        elif (frames := log[len(log) - self.fresh :]) == traffic.last:
            frames, size = traffic.last, traffic.last_size
        else:
            size = sum([len(frame.data) for frame in frames])
            if size > SLICE:
                frames, size = self._cut()
                log += frames
        self.fresh = 0
        traffic.last, traffic.last_size = frames, size
        if size > LARGE:
            self._large += size
        if len(log) - self._half >= self._replay or self._large > REPLAY_BYTES // 2:
            self._forget()
        return frames

    def _cut(self) -> tuple[list[Frame], int]:
        self._stop()
        return self._slice()

    def _slice(self) -> tuple[list[Frame], int]:
        frames: list[Frame] = []
        size = 0
        rest, order = self._rest, self._order
        while size < SLICE:
            if rest:
                frame: Frame | None = rest.popleft()
            elif order:
                frame = self._next(order)
            else:
                break
            if frame is not None:
                frames.append(frame)
                size += len(frame.data)
        if not rest and not order:
            self._flow()
        return frames, size

    def _next(self, order: OrderedDict[Place, Frame | Step]) -> Frame | None:
        _, item = order.popitem(last=False)
        if isinstance(item, Step):
            return item.frame
        self.held -= 1
        self.waiting -= len(item.data)
        return item

    def _flow(self) -> None:
        self._rest = self._order = None  # a deque of nothing is half a kilobyte
        self.flowing = True

    def _counted(self, frames: list[Frame]) -> list[Frame]:
        self._uncounted = not self.flowing
        return [frame for frame in frames if frame.about is not UNCOUNTED]

    # The client

    def block(self) -> None:
        """The client takes nothing for now."""
        if not self.blocked:
            self.blocked = True
            self._traffic.blocked += 1
            self._traffic.slowed += 1
            self._stop()

    def _stop(self) -> None:
        if self.flowing:
            self.flowing = False
            if self.fresh:
                first = len(self.log) - self.fresh
                self._rest = deque(self.log[first:])
                del self.log[first:]
                self.fresh = 0

    def drain(self) -> None:
        """The client takes what it is sent again."""
        if not self.blocked or self._over:
            return
        self._unblock()
        if self._rest or self._order:
            self.wake()
        else:
            self._flow()

    def _unblock(self) -> None:
        if self.blocked and not self._absent:
            self._traffic.blocked -= 1
        self.blocked = self._absent = False

    def end(self) -> None:
        """Nothing more will be sent."""
        self._unblock()
        self._over = self.blocked = self._absent = True
        self.flowing = False
        self._forgotten = self.sent
        self.log = []
        self.fresh = self._half = 0
        self._rest = self._order = None
        self.held = self.waiting = 0
        self.wake = self._crowd = _nothing  # it holds on to nobody

    # A client that is gone, and comes back

    def detach(self) -> None:
        """The client is not there. It is owed no heartbeat."""
        self._unblock()
        self.blocked = self._absent = True
        self._stop()
        if self._uncounted:
            self._rest = deque(self._counted(list(self._rest or ())))
            order = self._waiting_order()
            for place, item in list(order.items()):
                if isinstance(item, Frame) and item.about is UNCOUNTED:
                    del order[place]
                    self.held -= 1
                    self.waiting -= len(item.data)
            self._uncounted = False

    def covers(self, received: object) -> bool:
        """Whether a client that got `received` frames can be given all the others."""
        if type(received) is not int or received < 0:
            return False
        return 0 <= self.sent - received <= min(len(self.log) - self.fresh, self._replay)

    def resume(self, received: int, connected: Frame) -> list[Frame]:
        """Go on with a client that got `received` frames: `connected` first, then what it lacks.

        Returns:
            All frames that it gets before those that are made from now on.
        """
        self.detach()
        lost = self.log[received - self._forgotten :]
        again = [frame for frame in (*lost, *(self._rest or ())) if frame.about != CONNECTED]
        rest = [connected, *again]
        self._rest = deque(rest)
        self._forgotten = received
        self.log = []
        self._half = self._large = 0
        order = self._waiting_order()
        waiting = [each for each in order.values() if isinstance(each, Frame)]
        self.drain()
        return rest + waiting

    def _forget(self) -> None:
        # Half of what is kept, at once: to forget them one by one would cost each of them.
        count = len(self.log) if self._large > REPLAY_BYTES or not self._replay else self._half
        del self.log[:count]
        self._forgotten += count
        self._half = len(self.log)
        self._large = 0


def _nothing() -> None:
    pass
