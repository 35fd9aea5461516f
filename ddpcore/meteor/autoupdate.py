"""`meteor_autoupdate_clientVersions`: pages learn from it that there is a newer one.

Every server has this publication, since every page of Meteor subscribes to it. Where no app is
served, or another one, it is empty and ready. A publication of the same name of your own takes
its place (behaviour: Meteor 3.0.4, `autoupdate/autoupdate_server.js`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ddpcore.meteor.app import MeteorApp
from ddpcore.meteor.bundle import BundleError
from ddpcore.server.context import PublicationContext
from ddpcore.wire.unset import UNSET

if TYPE_CHECKING:
    from ddpcore.clock import Timer
    from ddpcore.server.server import Server

__all__ = ["INTERVAL", "NAME", "Autoupdate", "autoupdate", "publish_versions"]

logger = logging.getLogger(__name__)

NAME = "meteor_autoupdate_clientVersions"

INTERVAL = 2.0
"""Seconds between two looks at whether a bundle was replaced, while somebody wants to know. A look
is a few calls of `stat`; and nobody waits for a new version with a stopwatch."""


def autoupdate(server: Server) -> Autoupdate:
    """The versions that a server tells its clients."""
    found = _of.get(server)
    if found is None:
        found = _of[server] = Autoupdate()
    return found


async def publish_versions(context: PublicationContext, app_id: str | None = None) -> None:
    """The publication itself."""
    await autoupdate(context.server).publish(context, app_id)


class Autoupdate:
    """The apps of a server, and who wants to know their versions.

    Attributes:
        sources: Functions that give the apps served. They are called in threads, with each
            subscription.
    """

    def __init__(self) -> None:
        self.sources: list[Callable[[], Iterable[MeteorApp]]] = []
        self._watches: dict[MeteorApp, _Watch] = {}

    def add(self, app: MeteorApp) -> None:
        """Tell clients of an app."""
        self.sources.append(lambda: (app,))

    async def publish(self, context: PublicationContext, app_id: str | None) -> None:
        """Tell a client of the app that it is a page of, until it unsubscribes."""
        app = None
        if self.sources:
            app = await asyncio.get_running_loop().run_in_executor(None, self._find, app_id)
        if app is not None:
            watch = self._watches.get(app)
            if watch is None:
                watch = self._watches[app] = _Watch(app, context.server, self._watches)
            watch.add(context)
        context.ready()

    def _find(self, app_id: str | None) -> MeteorApp | None:
        fitting, certain = [], []
        for source in self.sources:
            for app in source():
                try:
                    own = app.refresh().bundle.app_id
                except BundleError as problem:
                    logger.error("A Meteor app has no versions: %s", problem)  # noqa: TRY400
                    continue
                if not own or not app_id or own == app_id:
                    fitting.append(app)
                if own and own == app_id:
                    certain.append(app)
        # Of several apps, one that does not say which it is gets nothing, rather than a version
        # that has it reload for ever.
        found = certain or fitting
        # An app may be served at several addresses; its versions are the same.
        same = all(each.edition.versions == found[0].edition.versions for each in found)
        return found[0] if found and same else None


_of: WeakKeyDictionary[Server, Autoupdate] = WeakKeyDictionary()


class _Watch:
    """Looks after one app for as long as somebody wants to know of it."""

    def __init__(self, app: MeteorApp, server: Server, watches: dict[MeteorApp, _Watch]) -> None:
        self._app = app
        self._server = server
        self._watches = watches
        self._told: dict[PublicationContext, dict[str, dict[str, Any]]] = {}
        self._timer: Timer | None = None
        self._loop = asyncio.get_running_loop()
        app.listeners.add(self._noticed)

    def add(self, context: PublicationContext) -> None:
        documents = self._app.edition.documents()
        for key, fields in documents.items():
            context.added(NAME, key, fields)
        self._told[context] = documents
        context.on_stop(lambda: self._remove(context))
        if self._timer is None and self._told:
            self._wait()

    def _remove(self, context: PublicationContext) -> None:
        self._told.pop(context, None)
        if not self._told:
            self._app.listeners.discard(self._noticed)
            if self._watches.get(self._app) is self:
                del self._watches[self._app]
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _wait(self) -> None:
        clock = self._server.clock
        self._timer = clock.call_at(clock.time() + INTERVAL, self._look)

    def _look(self) -> None:
        self._timer = None
        self._server.spawn(self._refresh())

    async def _refresh(self) -> None:
        await self._loop.run_in_executor(None, self._app.refresh)
        if self._told and self._timer is None:
            self._wait()

    def _noticed(self) -> None:
        # In whichever thread: a request for a page may have noticed first.
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        documents = self._app.edition.documents()
        for context, told in self._told.items():
            for key in told.keys() - documents.keys():
                context.removed(NAME, key)
            for key, fields in documents.items():
                if key not in told:
                    context.added(NAME, key, fields)
                    continue
                before = told[key]
                changed = {
                    name: fields.get(name, UNSET)
                    for name in before.keys() | fields.keys()
                    if fields.get(name, UNSET) != before.get(name, UNSET)
                }
                if changed:
                    context.changed(NAME, key, changed)
            self._told[context] = documents
