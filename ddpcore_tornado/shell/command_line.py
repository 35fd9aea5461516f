"""The commands of the shell client and their options; to know them takes no Tornado."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from ddpcore.errors import DDPError

__all__ = ["add_commands"]

URL = "the server: localhost:8000, https://example.org/prefix, or wss://…/websocket"
ARGS = "what is JSON (EJSON) is taken as such, all else as text"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ddpcore call`, `ddpcore sub` and `ddpcore load`."""
    _add_call(commands)
    _add_sub(commands)
    _add_load(commands)


def _add_call(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "call",
        help="call a method of a server and print the result",
        description="Call a method, and print its result as JSON.",
        epilog="Exit codes: 0 fine, 1 the method failed or the server refused, 2 wrong use or no"
        " connection.",
    )
    parser.add_argument("url", metavar="URL", help=URL)
    parser.add_argument("method", metavar="METHOD", help="the method's name")
    parser.add_argument("args", metavar="ARG", nargs="*", help=f"its arguments; {ARGS}")
    _add_connection(parser, "the result")
    parser.add_argument(
        "--retry",
        action="store_true",
        help="if the connection is lost before the answer, connect again and send the call again;"
        " the method may then run twice (default: fail)",
    )
    parser.set_defaults(run=_late("call"))


def _add_sub(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "sub",
        help="subscribe and watch the documents",
        description="Subscribe, and show the documents: on a terminal as a live table, else each"
        " change as a line of JSON. Ctrl-C ends.",
        epilog="Exit codes: 0 fine, 1 the server refused, 2 wrong use or no connection.",
    )
    parser.add_argument("url", metavar="URL", help=URL)
    parser.add_argument("name", metavar="NAME", help="the publication's name")
    parser.add_argument("args", metavar="ARG", nargs="*", help=f"its arguments; {ARGS}")
    _add_connection(parser, "the log-in and, with --ready, for ready")
    parser.add_argument("--lines", action="store_true", help="lines of JSON, also on a terminal")
    parser.add_argument(
        "--ready", action="store_true", help="end when the initial documents are complete"
    )
    parser.add_argument("--count", type=_whole, metavar="N", help="end after N changes")
    parser.set_defaults(run=_late("sub"))


def _add_load(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "load",
        help="put load on a server and measure",
        description="Connect many clients, let them call a method or subscribe, and say how the"
        " server did. All clients are one Python process; it says when that is the limit.",
        epilog="Exit codes: 0 fine, 1 there were errors, 2 wrong use or no connection.",
    )
    parser.add_argument("url", metavar="URL", help=URL)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--calls", nargs="+", metavar=("METHOD", "ARG"), help=f"call this method; {ARGS}"
    )
    what.add_argument(
        "--sub", nargs="+", metavar=("NAME", "ARG"), help="each client subscribes to this once"
    )
    parser.add_argument(
        "--clients", type=_whole, default=10, metavar="N", help="how many (default: 10)"
    )
    parser.add_argument(
        "--in-flight",
        type=_whole,
        default=1,
        metavar="N",
        help="calls that a client has open at the same time at most (default: 1)",
    )
    parser.add_argument(
        "--rate",
        type=_seconds,
        default=0.0,
        metavar="CALLS",
        help="calls a second, of all clients together; 0: as many as are answered (default: 0)",
    )
    parser.add_argument(
        "--duration",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long, once all are connected (default: 10)",
    )
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    _add_connection(parser, "each client to connect, log in and subscribe")
    parser.set_defaults(run=_late("load"))


def _add_connection(parser: argparse.ArgumentParser, waits_for: str) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help=f"wait so long for the connection, {waits_for}; 0: for ever (default: 30)",
    )
    parser.add_argument(
        "--user",
        metavar="NAME",
        help="log in as this user (name or e-mail address); the password is asked for",
    )
    parser.add_argument(
        "--password-stdin",
        action="store_true",
        help="take the password from the first line of standard input",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="log in by the token in this file (default: the variable DDPCORE_TOKEN, if it is set)",
    )
    parser.add_argument(
        "--cafile", metavar="PEM", help="trust these authorities (default: those of the system)"
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="trust any certificate: whoever is in between can read and change everything",
    )
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a further header of the request; may be given several times",
    )


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return number


def _late(command: str) -> Callable[[argparse.Namespace], int]:
    """The function of a command, whose module is imported when it is run."""

    def run(options: argparse.Namespace) -> int:
        try:
            import tornado  # noqa: F401
        except ImportError as problem:
            raise DDPError(
                f"`ddpcore {command}` needs Tornado ({problem}): pip install 'ddpcore[tornado]'."
            ) from problem
        if command == "call":
            from ddpcore_tornado.shell import call as module
        elif command == "sub":
            from ddpcore_tornado.shell import sub as module  # type: ignore[no-redef]
        else:
            from ddpcore_tornado.shell import load as module  # type: ignore[no-redef]
        return module.run(options)

    return run
