"""Work that a client is not to wait for: mails are sent in threads of their own.

How long it takes, and whether it goes well, would tell strangers who has an account here. And a
mail server that hangs must not take the threads that methods run in.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from django.db import connections

__all__ = ["Postman", "postman"]

logger = logging.getLogger(__name__)

SENDERS = 2
"""Threads that send, while there is something to send."""

LIMIT = 1000
"""Jobs that may wait; further ones are dropped, with a word in the log."""

Job = Callable[[], object]


class Postman:
    """Does jobs soon, in daemon threads that last while there are any."""

    def __init__(self) -> None:
        self._jobs: deque[tuple[Job, str, Future[None]]] = deque()
        self._lock = threading.Lock()
        self._senders = 0

    def post(self, job: Job, what: str) -> Future[None]:
        """Do a job; its failure is logged, without its text.

        Args:
            job: May use the ORM.
            what: It is called so in the log.

        Returns:
            Is done when the job is, well or not.
        """
        done: Future[None] = Future()
        with self._lock:
            if len(self._jobs) >= LIMIT:
                logger.error("%s is dropped: %d mails wait already", what, LIMIT)
                done.set_result(None)
                return done
            self._jobs.append((job, what, done))
            if self._senders < SENDERS:
                threading.Thread(target=self._send, name="ddpcore-mails", daemon=True).start()
                self._senders += 1  # not if there are no threads to be had
        return done

    def _send(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._senders -= 1
                    return
                job, what, done = self._jobs.popleft()
            if done.set_running_or_notify_cancel():
                self._do(job, what)
                done.set_result(None)

    def _do(self, job: Job, what: str) -> None:
        try:
            job()
        except BaseException as problem:
            # Texts of mail servers and of templates quote addresses and tokens: none is logged.
            code = getattr(problem, "smtp_code", None) or getattr(problem, "errno", None)
            logger.error(  # noqa: TRY400
                "%s failed: %s%s. %s\n%s",
                what,
                type(problem).__name__,
                f" {code}" if code else "",
                " ".join(getattr(problem, "__notes__", ())),
                "".join(traceback.format_tb(problem.__traceback__)),
            )
        finally:
            connections.close_all()


postman = Postman()
"""This process's."""
