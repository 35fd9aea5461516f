"""What a client may have missed: frames sent that may be lost, and frames it was not there for.

Both sides count frames (Meteor 3.5: the server `sentCount`, the client `receivedCount`), pings and
pongs left out. A client that returns says how many it got; if all it lacks is still here, the
session goes on as if nothing had happened. Meteor 3.5 resumes only if nothing was lost; frames
lost in flight are sent again here.
"""

from __future__ import annotations

from collections import deque

from ddpcore.wire.frame import Frame

__all__ = ["REPLAY_BYTES", "Backlog"]

REPLAY_BYTES = 1024 * 1024
"""Bytes of frames that are kept to be sent again: a megabyte is what a slow network may hold."""


class Backlog:
    """The count, the frames sent last, and those that wait.

    Args:
        most: How many frames are kept of each kind; 0: none, and nothing can be resumed.
    """

    __slots__ = ("_bytes", "_held", "_most", "_sent_last", "sent")

    def __init__(self, most: int) -> None:
        self.sent = 0
        self._most = most
        self._sent_last: deque[Frame] = deque()
        self._bytes = 0
        self._held: deque[Frame] = deque()

    def sending(self, frame: Frame) -> None:
        """`frame` is being sent."""
        self.sent += 1
        if not self._most:
            return
        kept = self._sent_last
        kept.append(frame)
        self._bytes += len(frame.data)
        while len(kept) > self._most or self._bytes > REPLAY_BYTES:
            self._bytes -= len(kept.popleft().data)

    def hold(self, frame: Frame) -> bool:
        """Keep `frame` until the client is back; False if that is one too many."""
        self._held.append(frame)
        return len(self._held) <= self._most

    def covers(self, received: object) -> bool:
        """Whether a client that got `received` frames can be given all the others."""
        if type(received) is not int or received < 0:
            return False
        return 0 <= self.sent - received <= len(self._sent_last)

    def resume(self, received: int) -> list[Frame]:
        """Go on with a client that got `received` frames; what it is to be sent now, in order."""
        lost = list(self._sent_last)[len(self._sent_last) - (self.sent - received) :]
        again = [*(frame for frame in lost if frame.about != CONNECTED), *self._held]
        self.sent = received
        self._sent_last.clear()
        self._bytes = 0
        self._held.clear()
        return again


CONNECTED = ("connected", "")
"""What a `connected` frame is about; an old one is not sent again."""
