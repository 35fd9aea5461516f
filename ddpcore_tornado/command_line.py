"""The options of serving on the command line; to know them takes no Tornado."""

from __future__ import annotations

import argparse

__all__ = ["DEFAULT_BIND", "DRAIN", "MAX_UPLOAD", "SITE_THREADS", "add_options"]

DRAIN = 5.0
"""Seconds over which clients are closed at the end. Those of one process come back to others: ten
thousand of them are then two thousand a second. Twice the time would not fit into the ten seconds
that Docker gives a process to stop."""

SITE_THREADS = 4
"""Requests to a WSGI site that run at once. Each may hold a connection to the database, and Python
runs one of them at a time."""

MAX_UPLOAD = 100 * 1024 * 1024
"""Bytes that a request to the site may have. They go to a temporary file, so this is a limit for
the disk, and for what a stranger may send."""

DEFAULT_BIND = "127.0.0.1:8000"


def add_options(parser: argparse.ArgumentParser, *, workers: bool = True) -> None:
    """The options of serving that do not depend on what is served.

    Args:
        parser: Where to add them.
        workers: With ``--workers``; what is served can be made in several processes.
    """
    addresses = parser.add_argument_group("where")
    changes = parser.add_argument_group("changes")
    clients = parser.add_argument_group("clients")
    processes = parser.add_argument_group("processes")
    monitoring = parser.add_argument_group("monitoring")
    site = parser.add_argument_group("pages beside DDP")
    addresses.add_argument(
        "--bind",
        action="append",
        metavar="HOST:PORT",
        help="listen here, or at unix:PATH; may be given several times (default: the sockets that"
        f" systemd hands over, else {DEFAULT_BIND})",
    )
    addresses.add_argument(
        "--bind-mode",
        metavar="MODE",
        help="who may connect to unix:PATH, as an octal number such as 660 (default: whom the"
        " umask lets write)",
    )
    monitoring.add_argument(
        "--monitor",
        metavar="HOST:PORT",
        help="say at /healthz and /readyz of this address, or of unix:PATH, whether all is well"
        " (default: nowhere)",
    )
    monitoring.add_argument(
        "--metrics",
        action="store_true",
        help="tell Prometheus at /metrics of --monitor how it goes; needs prometheus-client",
    )
    monitoring.add_argument(
        "--status",
        action="store_true",
        help="show at /status/ of --monitor who is connected and what is watched. Where others than"
        " this machine can reach that address, DDPCORE_STATUS_TOKEN in the environment says who may"
        " see it",
    )
    monitoring.add_argument(
        "--log-events",
        action="store_true",
        help="log what clients do: sessions, methods, subscriptions; a line each",
    )
    monitoring.add_argument(
        "--opentelemetry",
        action="store_true",
        help="make spans of methods and publications; needs opentelemetry-api. Where they go the"
        " application says, or opentelemetry-instrument",
    )
    changes.add_argument(
        "--bus",
        metavar="URL",
        help="where changes come from: memory: (this process only), postgres://user@host/database,"
        " or postgres: for the database of the Django settings (default: postgres: where the"
        " Django database is PostgreSQL, else memory:)",
    )
    clients.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let web pages of this origin connect, beside those of the same host;"
        " * for all; may be given several times",
    )
    clients.add_argument(
        "--forwarded-count",
        type=int,
        metavar="N",
        help="how many proxies stand before the server and tell whom they heard, in"
        " X-Forwarded-For and X-Forwarded-Proto (default: what the server says, mostly 0)",
    )
    clients.add_argument(
        "--max-connections",
        type=int,
        metavar="N",
        help="connections that each process takes on (default: 20000, or as many as it may open"
        " files)",
    )
    clients.add_argument(
        "--max-connections-per-address",
        type=int,
        metavar="N",
        help="those of one address, per process (default: 1000)",
    )
    clients.add_argument(
        "--header-timeout",
        type=float,
        metavar="SECONDS",
        help="in which the headers of a request must have come; also how long a connection may"
        " lie idle between two requests (default: 20)",
    )
    clients.add_argument(
        "--sockjs",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of SockJS, such as heartbeat_delay=20 (seconds; default: 45) or"
        " websocket=no (default: yes); may be given several times",
    )
    if workers:
        processes.add_argument(
            "--workers",
            type=int,
            default=1,
            metavar="N",
            help="serve with N processes on the same address, one for each processor core; needs"
            " a bus that crosses processes, such as that of PostgreSQL (default: 1)",
        )
    processes.add_argument(
        "--drain",
        type=float,
        default=DRAIN,
        metavar="SECONDS",
        help="when stopping, close clients one after the other over this time, so that they do not"
        f" all come back in one instant; 0: at once (default: {DRAIN:g})",
    )
    if workers:
        site.add_argument(
            "--meteor",
            metavar="STAR.JSON",
            help="serve the client of the Meteor app of this bundle, on all paths that are not"
            " DDP's; METEOR_SETTINGS in the environment has its settings. A Django project names"
            " its bundle in urls.py, with MeteorView (default: none)",
        )
        site.add_argument(
            "--root-url",
            metavar="URL",
            help="where the pages of --meteor are seen from outside, such as"
            " https://www.example.com/app; DDP is then below the same path (default: where each"
            " request says)",
        )
    addresses.add_argument(
        "--certfile",
        metavar="PEM",
        help="serve TLS with this certificate chain; SIGHUP reads it again",
    )
    addresses.add_argument(
        "--keyfile", metavar="PEM", help="its private key, if in a file of its own"
    )
    site.add_argument(
        "--site-threads",
        type=int,
        default=SITE_THREADS,
        metavar="N",
        help="requests to a WSGI site that run at once; further ones wait, and DDP is served all"
        f" the same (default: {SITE_THREADS})",
    )
    site.add_argument(
        "--max-upload",
        type=int,
        default=MAX_UPLOAD,
        metavar="BYTES",
        help="what a request to the site may have; larger ones are refused with 413"
        f" (default: {MAX_UPLOAD}, which is 100 MiB)",
    )
