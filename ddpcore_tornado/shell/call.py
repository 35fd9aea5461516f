"""`ddpcore call`: one call, one result."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ddpcore.wire import ejson
from ddpcore_tornado.shell import session
from ddpcore_tornado.shell.output import compact, pretty

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """The command."""
    params = session.read_params(options.args)
    access = session.read_access(options)
    return session.run(options, _call(options, access, params))


async def _call(options: argparse.Namespace, access: session.Access, params: list[Any]) -> int:
    async with session.connected(options, access, reconnect=options.retry) as client:
        async with session.limit(options):
            result = await client.call(options.method, *params, retry=options.retry)
        value = ejson.encode(result)
        sys.stdout.write((pretty if sys.stdout.isatty() else compact)(value) + "\n")
    return 0
