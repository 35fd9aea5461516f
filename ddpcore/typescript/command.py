"""`ddpcore types`: the declaration file, made or compared."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path

from ddpcore.application import application_for
from ddpcore.errors import DDPError
from ddpcore.plugins import plugin_manager
from ddpcore.typescript.declaration import declaration
from ddpcore.typescript.interface import Interface

__all__ = ["add_command", "interface_of_server", "run"]


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ddpcore types`."""
    parser = commands.add_parser(
        "types",
        help="write TypeScript declarations of collections, methods and publications",
        description="Writes a TypeScript declaration file of what clients may use: collections "
        "with their fields, methods and publications with their parameters. It is made from models "
        "and annotations; no database is asked.",
    )
    parser.add_argument("app", nargs="?", metavar="package.module:server", help="a ddpcore.Server")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="where to (default: standard output)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; end with code 1 and show the difference if the file is stale",
    )
    plugin_manager().call_all("ddpcore_serve_options", parser=parser)
    parser.set_defaults(run=run)


def interface_of_server(options: argparse.Namespace) -> Interface | None:
    """That of the server which is named as ``package.module:server``, or made by a plugin."""
    application = application_for(plugin_manager(), options)
    if application is None:
        return None
    return Interface.of(application.server, f"ddpcore types {options.app or '…'}")


def run(options: argparse.Namespace) -> int:
    """Do it; the exit code.

    Raises:
        ddpcore.DDPError: Nothing is named that has types, or the file cannot be used.
    """
    file: Path | None = options.output
    if options.check and file is None:
        raise DDPError("Name the file that is to be checked: --check --output FILE.")
    answers = plugin_manager().answers("ddpcore_types", Interface, options=options)
    interface = next((each for each in answers if each is not None), None)
    if interface is None:
        raise DDPError(
            "Of what? Name a server, as in `ddpcore types package.module:server`, or a Django "
            "project, as in `ddpcore types --settings mysite.settings`."
        )
    text = declaration(interface)
    if file is None:
        print(text, end="")
        return 0
    there = _read(file)
    if options.check:
        return _compare(file, there, text, interface.command)
    if there != text:
        try:
            file.write_text(text, encoding="utf-8", newline="\n")
        except OSError as problem:
            raise DDPError(f"{file} cannot be written: {problem}.") from problem
    return 0


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as problem:
        raise DDPError(f"{file} cannot be read: {problem}.") from problem


def _compare(file: Path, there: str | None, text: str, command: str) -> int:
    if there == text:
        return 0
    lines = difflib.unified_diff(
        (there or "").splitlines(keepends=True),
        text.splitlines(keepends=True),
        f"{file}",
        f"{file} as it should be",
    )
    print("".join(lines), end="")
    print(f"{file} is {'missing' if there is None else 'stale'}: {command} --output {file}")
    return 1
