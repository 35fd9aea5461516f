"""The project's server: what `API` has registered, as methods and publications of the core."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, cast

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from ddpcore.errors import DDPError
from ddpcore.hookspecs import hookimpl
from ddpcore.live.query import LiveQuery, MergedQueries
from ddpcore.meteor.autoupdate import autoupdate
from ddpcore.server import Context, Server
from ddpcore_django.capture import captured_topics, told_buses
from ddpcore_django.conf import conf
from ddpcore_django.current import current_context
from ddpcore_django.guards import Refused
from ddpcore_django.livequery import live_query, plan_of
from ddpcore_django.mutators import define_mutators
from ddpcore_django.publication import Publication
from ddpcore_django.publishing import publisher_of
from ddpcore_django.registry import API, Registry
from ddpcore_django.threads import DatabaseThreads
from ddpcore_django.users import lazy_user
from ddpcore_django.views import apps_in_urls

__all__ = ["DjangoServer", "live_queries", "make_server", "postgres_dsn"]

logger = logging.getLogger(__name__)

Endpoint = Callable[..., Any]

LEFT_FOR_HANDLERS = 2
"""Threads that queries never take, so that methods run though all queries hang."""


class DjangoServer(Server):
    """A server whose threads may use the ORM, and whose bus hears of its commits.

    Args:
        **options: As of `ddpcore.Server`, but for `executor`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(executor=self._database_threads, **options)
        self.plugins.register(_Announcing())
        self.on_gap.append(self._renew)

    def _database_threads(self) -> DatabaseThreads:
        threads = conf().threads
        self._pool = DatabaseThreads(threads)
        self._askers = asyncio.Semaphore(max(1, threads - LEFT_FOR_HANDLERS))
        return self._pool

    async def ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function that asks the database for observers: some threads are left for others.

        Queries may hang, behind a lock for one. Those who do not wait any longer for a thread do
        not have it back before it is done.
        """
        await self._askers.acquire()
        asking = asyncio.ensure_future(self.in_thread(function, *args))
        asking.add_done_callback(self._asked)
        return await asyncio.shield(asking)

    def _asked(self, asking: asyncio.Future[Any]) -> None:
        self._askers.release()
        if not asking.cancelled():
            asking.exception()  # whoever waited may be gone: no complaint

    def _renew(self) -> None:
        # What cut the bus off from the database may have cut off the threads, too.
        self._pool.renew()


class _Announcing:
    """Commits are told to the bus of a server while it runs."""

    @hookimpl(tryfirst=True)
    def ddpcore_server_started(self, server: Server) -> None:
        if server.bus.publisher() is None:
            return
        told_buses.add(server.bus)
        if server.bus.crosses_processes and publisher_of(conf().bus) is None:
            logger.warning(
                "Nobody but servers tells this bus of changes: name it in DDPCORE['BUS'], so that "
                "manage.py and all other programs of the project do, too."
            )

    @hookimpl(trylast=True)  # what others write until then is told
    def ddpcore_server_stopping(self, server: Server) -> None:
        told_buses.discard(server.bus)


def make_server(registry: Registry = API, **options: Any) -> DjangoServer:
    """A server with everything that is registered.

    Args:
        registry: The collections, publications and endpoints.
        options: Passed to `ddpcore.Server`, before what `DDPCORE["SERVER"]` says. `plugins` come
            behind those of `DDPCORE["PLUGINS"]`.

    Raises:
        django.core.exceptions.ImproperlyConfigured: A plugin of `DDPCORE["PLUGINS"]` cannot be
            had.
    """
    plugins = [*map(_plugin, conf().plugins), *options.pop("plugins", ())]
    server = DjangoServer(**{**conf().server, **options, "plugins": plugins})
    autoupdate(server).sources.append(apps_in_urls)
    for name, function in registry.methods.items():
        server.method(name)(_method(function))
    for name, publication in registry.publications.items():
        server.publish(name)(_publication(server, registry, publication))
    define_mutators(server, registry)  # last: what others define goes before
    return server


def _plugin(name: str) -> object:
    try:
        try:
            found = import_string(name)
        except ImportError:
            found = import_module(name)
    except ImportError as problem:
        raise ImproperlyConfigured(
            f'DDPCORE["PLUGINS"] names {name!r}, which cannot be imported: {problem}.'
        ) from problem
    return found() if isinstance(found, type) else found


def _signature_with_context(function: Endpoint) -> inspect.Signature:
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_ONLY)
    try:
        # The annotations are read here, where they were written; they are enforced.
        own = inspect.signature(function, eval_str=True)
    except NameError as problem:
        raise DDPError(
            f"{function.__qualname__} cannot be called by clients: {problem}"
        ) from problem
    return own.replace(parameters=[context, *own.parameters.values()])


def _method(function: Endpoint) -> Endpoint:
    def run(context: Context, /, *params: Any) -> Any:
        current_context.set(context)
        if not conf().atomic_methods:
            return function(*params)
        with transaction.atomic():
            return function(*params)

    async def run_async(context: Context, /, *params: Any) -> Any:
        before = current_context.set(context)
        try:
            return await function(*params)
        finally:
            current_context.reset(before)  # to that of the method that called this one

    handler: Any = run_async if inspect.iscoroutinefunction(function) else run
    handler.__signature__ = _signature_with_context(function)
    handler.__doc__ = function.__doc__
    return cast("Endpoint", handler)


def _publication(server: DjangoServer, registry: Registry, publication: Publication) -> Endpoint:
    def handler(context: Context, /, *params: Any) -> MergedQueries:
        current_context.set(context)
        user = lazy_user(context.user_id)
        # Merged: several querysets of one model are fine, as ever.
        return MergedQueries(live_queries(server, registry, publication, params, user))

    handler.__signature__ = _signature_with_context(publication.get_queries)  # type: ignore[attr-defined]
    return handler


def live_queries(
    server: DjangoServer,
    registry: Registry,
    publication: Publication,
    params: Sequence[Any],
    user: Any,
) -> list[LiveQuery]:
    """What a publication gives a user for these parameters. Call it in a thread.

    Whom a guard refuses it gives nothing.

    Args:
        server: The project's server, which will ask the queries.
        registry: Where the collections of the querysets are looked up.
        publication: The publication.
        params: What a client would subscribe with.
        user: A user, or Django's `AnonymousUser`.

    Raises:
        TypeError: It gives something else than querysets, or none that can be published.
        ddpcore.DDPError: A model is published by no collection, or is in another database.
    """
    queries = []
    try:
        for guard in publication.all_guards():
            guard.check(user)
        for item in publication.get_queries(*params):
            queryset, name = item if isinstance(item, tuple) else (item, None)
            queries.append(_live(server, registry, queryset, name, user))
    except Refused:
        return []
    return queries


def _live(
    server: DjangoServer, registry: Registry, queryset: object, name: str | None, user: Any
) -> LiveQuery:
    if isinstance(queryset, LiveQuery):
        return queryset
    if not isinstance(queryset, QuerySet):
        raise TypeError(
            f"A publication's queries are querysets or (queryset, 'collection') pairs, not "
            f"{type(queryset).__name__}."
        )
    collection = registry.collection_for(queryset.model, name)
    visible = collection.objects_for_user(user, queryset)
    assert collection.name is not None
    live = live_query(collection, name or collection.name, visible, server.ask)
    _warn_of_blind_spots(live)
    return live


_warned: set[str] = set()


def _warn_of_blind_spots(query: LiveQuery) -> None:
    plan = plan_of(query)
    for topic in sorted(set(plan.topics if plan else ()) - captured_topics() - _warned):
        _warned.add(topic)
        logger.warning(
            "%s reads %s, whose changes nobody announces: publish it with a Collection, or add "
            "it to DDPCORE['WATCH'].",
            query.collection,
            topic,
        )


def postgres_dsn() -> str | None:
    """The DSN of the project's default database, if that is a PostgreSQL."""
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor != "postgresql":
        return None
    from psycopg2.extensions import make_dsn

    params = connection.get_connection_params()
    # libpq's own parameters only: the rest is for psycopg2.
    for name in ("cursor_factory", "connection_factory", "client_encoding", "isolation_level"):
        params.pop(name, None)
    return str(make_dsn(**{name: value for name, value in params.items() if value is not None}))
