"""The command line: `ddpcore`. Its commands come from plugins."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

import ddpcore
from ddpcore.application import application_for
from ddpcore.errors import DDPError
from ddpcore.plugins import disable, disabled, listed, plugin_manager

__all__ = ["add_plugins_command", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0 fine, 1 the command says so, 2 wrong use."""
    # As `python -m` does: what lies in the current directory can be named.
    if "" not in sys.path:
        sys.path.insert(0, "")
    parser = argparse.ArgumentParser(
        prog="ddpcore",
        description="A live database for every client that speaks DDP.",
        epilog="`ddpcore demo` shows what it is. `ddpcore serve --settings mysite.settings` "
        "serves a Django project, and `ddpcore check` with the same options says what is amiss. "
        "`ddpcore COMMAND --help` tells of a command.",
    )
    parser.set_defaults(run=None)
    parser.add_argument("--version", action="version", version=f"ddpcore {ddpcore.__version__}")
    _add_logging(parser, level="INFO", form="text")
    _add_disable(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    try:
        # First: commands and their options are those of plugins.
        disable(_to_disable(sys.argv[1:] if argv is None else argv))
        plugin_manager().call_all("ddpcore_commands", commands=commands)
        for command in commands.choices.values():  # where most people put them
            _add_logging(command, level=argparse.SUPPRESS, form=argparse.SUPPRESS)
            _add_disable(command)
        options = parser.parse_args(argv)
        if options.run is None:  # somebody looks what there is
            parser.print_help(sys.stderr)
            return 2
        logging.basicConfig(level=options.log_level, handlers=[_log_handler(options.log_format)])
        code: int = options.run(options)
    except DDPError as problem:
        print(f"ddpcore: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _add_logging(parser: argparse.ArgumentParser, *, level: str, form: str) -> None:
    parser.add_argument(
        "--log-level",
        default=level,
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="how much to tell on standard error (default: INFO)",
    )
    parser.add_argument(
        "--log-format",
        default=form,
        choices=["text", "json"],
        help="how to tell it: lines for people, or a JSON object a line (default: text)",
    )


def _add_disable(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--disable",
        action="append",
        default=argparse.SUPPRESS,
        metavar="PLUGIN",
        help="do without this plugin, see `ddpcore plugins`; may be given several times",
    )


def _to_disable(argv: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--disable", action="append", default=[])
    try:
        names: list[str] = parser.parse_known_args(argv)[0].disable
    except argparse.ArgumentError:  # the real parser will say so
        return []
    return names


def add_plugins_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ddpcore plugins`."""
    parser = commands.add_parser(
        "plugins",
        help="list the plugins, and what they are for",
        description="Lists the plugins in the order in which they were registered: name, version, "
        "the distribution they came with, and the hooks they implement. With a server or "
        "--settings, those of that server.",
    )
    parser.add_argument("app", nargs="?", metavar="package.module:server", help="a ddpcore.Server")
    plugin_manager().call_all("ddpcore_serve_options", parser=parser)
    parser.set_defaults(run=_list_plugins)


def _list_plugins(options: argparse.Namespace) -> int:
    manager = plugin_manager()
    application = application_for(manager, options)
    if application is not None:
        manager = application.server.plugins
    rows = [("name", "version", "distribution", "hooks")]
    for each in listed(manager):
        hooks = ", ".join(hook.removeprefix("ddpcore_") for hook in each.hooks)
        rows.append((each.name, each.version or "-", each.distribution or "-", hooks or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[3]]))
    if names := disabled():
        print(f"disabled: {', '.join(sorted(names))}")
    return 0


def _log_handler(form: str) -> logging.Handler:
    handler = logging.StreamHandler()
    if form == "json":
        from ddpcore.exporters.logs import JsonFormatter

        handler.setFormatter(JsonFormatter())
    else:
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
