"""From options to a client that is connected and logged in, and from its end to an exit code."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddpcore.client.machine import INVOCATION_FAILED
from ddpcore.errors import DDPError, MeteorError
from ddpcore.wire import ejson
from ddpcore_tornado.client import Client, connect
from ddpcore_tornado.shell.output import say, shown_error

__all__ = [
    "Access",
    "connected",
    "dial",
    "limit",
    "log_in",
    "log_out",
    "read_access",
    "read_params",
    "run",
]

TOKEN = "DDPCORE_TOKEN"  # noqa: S105
"""Variable of the environment: the token by which `ddpcore call`, `sub` and `load` log in, where no
option says who."""

FAREWELL = 2.0
"""Seconds that a log-out may take at the end."""


@dataclass(frozen=True)
class Access:
    """Who logs in. Its text shows no secret."""

    user: str | None = None
    password: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"<access of {self.user or ('a token' if self.token else 'nobody')}>"


def read_params(texts: Sequence[str]) -> list[Any]:
    """Arguments as `ddpcore explain` reads them: what is JSON is that, all else is text.

    Raises:
        ddpcore.DDPError: It is JSON, but not EJSON.
    """
    return [_param(text) for text in texts]


def _param(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text  # who writes a@example.org means the string
    except RecursionError:
        raise DDPError("An argument is nested too deep.") from None
    try:
        return ejson.decode(value)
    except (ValueError, TypeError, AttributeError) as problem:
        raise DDPError(f"The argument {text[:100]} is no EJSON: {problem}.") from None


def read_access(options: argparse.Namespace) -> Access:
    """Who logs in, by the options, the environment and perhaps a question.

    Raises:
        ddpcore.DDPError: The options contradict each other, or nobody can be asked.
    """
    if options.user is not None:
        if options.token_file is not None:
            raise DDPError("Log in by --user or by --token-file, not both.")
        return Access(user=options.user, password=_password(options))
    if options.password_stdin:
        raise DDPError("--password-stdin needs --user: whose password is it?")
    if options.token_file is None:
        return Access(token=os.environ.get(TOKEN, "").strip() or None)
    try:
        token = Path(options.token_file).read_text("utf-8").strip()
    except (OSError, ValueError) as problem:
        raise DDPError(f"Cannot read the token in {options.token_file}: {problem}.") from problem
    if not token or len(token.split()) != 1:
        raise DDPError(f"{options.token_file} has no token: one word is wanted, and nothing else.")
    return Access(token=token)


def _password(options: argparse.Namespace) -> str:
    if options.password_stdin:
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise DDPError("--password-stdin: there is no password on standard input.")
        return line
    if not sys.stdin.isatty():
        raise DDPError("There is no terminal to ask for the password at: use --password-stdin.")
    try:
        return getpass.getpass(f"Password of {options.user}: ")
    except EOFError:
        raise DDPError("No password was given.") from None


def _headers(options: argparse.Namespace) -> dict[str, str]:
    headers = {}
    for text in options.header:
        name, colon, value = text.partition(":")
        if not colon or not name.strip() or not text.isprintable():
            raise DDPError("--header wants 'Name: value'.")
        headers[name.strip()] = value.strip()
    return headers


def dial(options: argparse.Namespace, **more: Any) -> AbstractAsyncContextManager[Client]:
    """Connect as the options say; nobody is logged in."""
    return connect(
        options.url,
        headers=_headers(options),
        cafile=options.cafile,
        insecure=options.insecure,
        connect_timeout=options.timeout or 600.0,
        **more,
    )


async def log_in(client: Client, access: Access) -> None:
    """Log in, if anybody is to be."""
    if access.user is not None:
        await client.login(user=access.user, password=access.password)
    elif access.token is not None:
        await client.login(token=access.token)


async def log_out(client: Client, access: Access) -> None:
    """A token that this log-in has made, and that nobody knows, is not left behind."""
    if access.password is not None and client.connected.is_set() and client.user_id is not None:
        with suppress(Exception):
            await asyncio.wait_for(client.logout(), FAREWELL)


@asynccontextmanager
async def connected(
    options: argparse.Namespace, access: Access, **more: Any
) -> AsyncIterator[Client]:
    """A client that is connected and, if wanted, logged in; `--timeout` is for both.

    Raises:
        ddpcore.DDPError: It cannot be reached.
        ddpcore.MeteorError: The server does not let it in.
        TimeoutError: It took too long.
    """
    async with dial(options, **more) as client:
        async with limit(options):
            await log_in(client, access)
        try:
            yield client
        finally:
            await log_out(client, access)


def limit(options: argparse.Namespace) -> asyncio.Timeout:
    """`--timeout`, around something that is awaited."""
    return asyncio.timeout(options.timeout or None)


def run(options: argparse.Namespace, command: Coroutine[Any, Any, int]) -> int:
    """Run a command; the exit code.

    Raises:
        ddpcore.DDPError: For the user to read.
    """
    if options.log_level != "DEBUG":
        # What Tornado logs of a certificate is said again, in words, by the exception.
        logging.getLogger("tornado").setLevel(logging.ERROR)
    try:
        code = asyncio.run(command)
        sys.stdout.flush()
        return code
    except MeteorError as problem:
        if problem.error == INVOCATION_FAILED:
            raise DDPError(
                "The connection was lost before the answer, so the method may have run or not."
                " Look, and call again; --retry does so at once."
            ) from None
        say(shown_error(problem))
        return 1
    except TimeoutError:
        raise DDPError(
            f"No answer within {options.timeout:g} s. With --timeout it gets more time."
        ) from None
    except BrokenPipeError:  # as in `ddpcore sub … | head -1`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except DDPError:
        raise
    except (TypeError, ValueError, ConnectionError) as problem:
        raise DDPError(str(problem)) from problem
