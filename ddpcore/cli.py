"""The command line: `ddpcore`. Its commands come from plugins."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

import ddpcore
from ddpcore.errors import DDPError
from ddpcore.plugins import plugin_manager

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0 fine, 1 the command says so, 2 wrong use."""
    # As `python -m` does: what lies in the current directory can be named.
    if "" not in sys.path and os.getcwd() not in sys.path:  # noqa: PTH109
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    parser = argparse.ArgumentParser(
        prog="ddpcore", description="A live database for every client that speaks DDP."
    )
    parser.add_argument("--version", action="version", version=f"ddpcore {ddpcore.__version__}")
    parser.add_argument(
        "--log-level",
        default="INFO",
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="how much to tell on standard error (default: INFO)",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    try:
        plugin_manager().hook.ddpcore_commands(commands=commands)
        options = parser.parse_args(argv)
        logging.basicConfig(
            level=options.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        code: int = options.run(options)
    except DDPError as problem:
        print(f"ddpcore: {problem}", file=sys.stderr)
        return 2
    return code
