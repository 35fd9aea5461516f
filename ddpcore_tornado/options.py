"""How to serve, as one value."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from ddpcore.errors import DDPError
from ddpcore.meteor.options import path_prefix
from ddpcore_tornado import sockjs
from ddpcore_tornado.command_line import DRAIN, MAX_UPLOAD, SITE_THREADS
from ddpcore_tornado.limits import Limits
from ddpcore_tornado.listening import Address, parse_binding

__all__ = ["Options", "read_options"]


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve.

    Attributes:
        bind: The addresses to listen on; empty: the sockets that systemd has handed over, and if
            there are none, 127.0.0.1:8000.
        monitor: Where to say whether all is well; None: nowhere.
        metrics: Whether to tell Prometheus there how it goes.
        status: Whether to show there who is connected and what is watched.
        log_events: Whether to log what clients do.
        opentelemetry: Whether to make spans of what they ask for.
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

    bind: Sequence[Address] = ()
    monitor: Address | None = None
    metrics: bool = False
    status: bool = False
    log_events: bool = False
    opentelemetry: bool = False
    bus: str | None = None
    origins: Collection[str] = field(default=())
    forwarded_count: int | None = None
    certfile: str | None = None
    keyfile: str | None = None
    workers: int = 1
    drain: float = DRAIN
    limits: Limits = field(default_factory=Limits)
    site_threads: int = SITE_THREADS
    max_upload: int = MAX_UPLOAD
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
    mode = None if given.bind_mode is None else _mode(given.bind_mode)
    monitor = given.monitor
    meteor, root_url = getattr(given, "meteor", None), getattr(given, "root_url", None)
    if root_url is not None and meteor is None:
        raise DDPError("--root-url is for the pages of --meteor, and there are none.")
    path_prefix(root_url)
    if given.forwarded_count is not None and given.forwarded_count < 0:
        raise DDPError(
            f"--forwarded-count takes a number of proxies from 0, not {given.forwarded_count}."
        )
    if given.site_threads < 1:
        raise DDPError(f"--site-threads takes a number from 1, not {given.site_threads}.")
    if given.max_upload < 0:
        raise DDPError(f"--max-upload takes a number of bytes from 0, not {given.max_upload}.")
    return Options(
        bind=[parse_binding(text, mode) for text in given.bind or ()],
        monitor=None if monitor is None else parse_binding(monitor, option="--monitor"),
        metrics=given.metrics,
        status=given.status,
        log_events=given.log_events,
        opentelemetry=given.opentelemetry,
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
        site_threads=given.site_threads,
        max_upload=given.max_upload,
        sockjs=sockjs.read_options(given.sockjs),
        given=given,
        meteor=meteor,
        root_url=root_url,
    )


def _mode(text: str) -> int:
    if not re.fullmatch("[0-7]{3,4}", text) or int(text, 8) > 0o777:
        raise DDPError(f"--bind-mode takes an octal number such as 660, not {text!r}.")
    return int(text, 8)


def _limits(**given: Any) -> Limits:
    return Limits(**{name: limit for name, limit in given.items() if limit is not None})
