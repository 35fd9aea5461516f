"""A Meteor app that is served: its bundle as it is now."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ddpcore.meteor import responder
from ddpcore.meteor.bundle import BundleError, load, signature
from ddpcore.meteor.edition import Edition
from ddpcore.meteor.options import Options
from ddpcore.meteor.responder import Request, Response

__all__ = ["MeteorApp"]

logger = logging.getLogger(__name__)

RETRY = 2.0
"""Seconds after which a bundle that could not be loaded is tried again: it may still be copied."""


class MeteorApp:
    """A Meteor app, served from a bundle that may be replaced at any time.

    All of it may be called from any thread; it reads files.

    Args:
        path: The bundle's ``star.json``, or the directory with it. It may be reached by a symbolic
            link that is exchanged for another.
        options: How it is served.
        clock: The time in seconds.

    Attributes:
        listeners: Called in whichever thread has noticed that there is another edition.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        options: Options | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(path)
        self.options = options or Options()
        self.listeners: set[Callable[[], None]] = set()
        self._clock = clock
        self._lock = threading.Lock()
        self._edition: Edition | None = None
        self._former: Edition | None = None
        self._complaint: str | None = None
        self._retry = -float("inf")

    @property
    def edition(self) -> Edition:
        """What is served; loaded when it is first asked for.

        Raises:
            BundleError: It cannot be loaded, and never could be.
        """
        if self._edition is None:
            with self._lock:
                if self._edition is None:
                    self._edition = Edition(load(self.path), self.options)
        return self._edition

    @property
    def former(self) -> Edition | None:
        """What was served before: its pages may still be loading their scripts."""
        return self._former

    def refresh(self) -> Edition:
        """Notice whether the bundle was replaced; what is served now.

        A bundle that cannot be served takes nobody's place. This is logged, once.

        Raises:
            BundleError: None could ever be loaded.
        """
        edition = self.edition
        files = edition.bundle.files
        if all(signature(file) == seen for file, seen in files.items()):
            return edition
        with self._lock:
            if edition is not self._edition or self._clock() < self._retry:
                return self._edition or edition
            try:
                new = Edition(load(self.path), self.options)
            except BundleError as problem:
                self._retry = self._clock() + RETRY
                if str(problem) != self._complaint:
                    self._complaint = str(problem)
                    logger.error(  # noqa: TRY400, the text says all
                        "The new Meteor bundle cannot be served, so the old one is: %s", problem
                    )
                return edition
            self._former, self._edition = edition, new
            self._complaint = None
            logger.info("The Meteor bundle %s has changed", self.path)
        for listener in list(self.listeners):
            listener()
        return new

    def respond(self, request: Request) -> Response:
        """The response to a `request`.

        Raises:
            BundleError: There is no bundle, and never was.
        """
        return responder.respond(self, request)
