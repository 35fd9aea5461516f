"""How to serve, as one value."""

from __future__ import annotations

import argparse
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from ddpcore.errors import DDPError
from ddpcore_tornado import sockjs
from ddpcore_tornado.command_line import DEFAULT_BIND, DRAIN
from ddpcore_tornado.limits import Limits
from ddpcore_tornado.listening import Binding, parse_binding

__all__ = ["Options", "read_options"]


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve.

    Attributes:
        bind: The addresses to listen on.
        monitor: Where to say whether all is well; None: nowhere.
        bus: URL of the bus; None: what the application prefers.
        origins: Origins of web pages that may connect, beside those of the same host.
        forwarded_count: How many proxies stand before the server; None: what the server says.
        certfile: A certificate chain in PEM, to serve TLS.
        keyfile: Its private key, if it is not in `certfile`.
        workers: How many processes serve.
        drain: Seconds over which clients are closed at the end.
        limits: What each process takes on.
        site_threads: How many requests of the site run at once.
        max_upload: Bytes that a request to the site may have.
        sockjs: How SockJS is spoken.
        meteor: The ``star.json`` of a Meteor bundle to serve.
        root_url: Where its pages are seen from outside; None: where each request says.
        given: All that was given on the command line, for plugins that have added to it.
    """

    bind: Sequence[Binding] = (Binding("127.0.0.1", 8000),)
    monitor: Binding | None = None
    bus: str | None = None
    origins: Collection[str] = field(default=())
    forwarded_count: int | None = None
    certfile: str | None = None
    keyfile: str | None = None
    workers: int = 1
    drain: float = DRAIN
    limits: Limits = field(default_factory=Limits)
    site_threads: int = 4
    max_upload: int = 100 * 1024 * 1024
    sockjs: sockjs.Options = field(default_factory=sockjs.Options)
    meteor: str | None = None
    root_url: str | None = None
    given: argparse.Namespace | None = None


def read_options(given: argparse.Namespace) -> Options:
    """What `command_line.add_options` has added, as somebody has given it.

    Raises:
        ddpcore.DDPError: A value cannot be; the text says what can.
    """
    workers = getattr(given, "workers", 1)
    if workers < 1:
        raise DDPError(f"--workers takes a number of processes from 1, not {workers}.")
    if not 0 <= given.drain < math.inf:
        raise DDPError(f"--drain takes a number of seconds from 0, not {given.drain:g}.")
    if given.forwarded_count is not None and given.forwarded_count < 0:
        raise DDPError(
            f"--forwarded-count takes a number of proxies from 0, not {given.forwarded_count}."
        )
    return Options(
        bind=[parse_binding(text) for text in given.bind or [DEFAULT_BIND]],
        bus=given.bus,
        origins=given.origin,
        forwarded_count=given.forwarded_count,
        certfile=given.certfile,
        keyfile=given.keyfile,
        workers=workers,
        drain=given.drain,
        limits=_limits(
            connections=given.max_connections,
            connections_per_address=given.max_connections_per_address,
            header_timeout=given.header_timeout,
        ),
        sockjs=sockjs.read_options(given.sockjs),
        given=given,
    )


def _limits(**given: Any) -> Limits:
    return Limits(**{name: limit for name, limit in given.items() if limit is not None})
