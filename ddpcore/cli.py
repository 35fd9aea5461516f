"""The command line: `ddpcore`. Its commands come from plugins."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

import ddpcore
from ddpcore.errors import DDPError
from ddpcore.plugins import plugin_manager

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0 fine, 1 the command says so, 2 wrong use."""
    # As `python -m` does: what lies in the current directory can be named.
    if "" not in sys.path:
        sys.path.insert(0, "")
    parser = argparse.ArgumentParser(
        prog="ddpcore", description="A live database for every client that speaks DDP."
    )
    parser.add_argument("--version", action="version", version=f"ddpcore {ddpcore.__version__}")
    _add_log_level(parser, default="INFO")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    try:
        plugin_manager().hook.ddpcore_commands(commands=commands)
        for command in commands.choices.values():  # where most people put it
            _add_log_level(command, default=argparse.SUPPRESS)
        options = parser.parse_args(argv)
        logging.basicConfig(level=options.log_level, handlers=[_log_handler()])
        code: int = options.run(options)
    except DDPError as problem:
        print(f"ddpcore: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _add_log_level(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--log-level",
        default=default,
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="how much to tell on standard error (default: INFO)",
    )


def _log_handler() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_is_news)
    return handler


def _is_news(record: logging.LogRecord) -> bool:
    """Whether no other handler writes `record` to standard error, as Django's does in DEBUG."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None and logger is not logging.root:
        for handler in logger.handlers:
            if (
                isinstance(handler, logging.StreamHandler)
                and handler.stream is sys.stderr
                and record.levelno >= handler.level
                and handler.filter(record)
            ):
                return False
        logger = logger.parent
    return True
