"""`ddpcore port-django-ddp`: what has to change in a project, as a diff; or changes it."""

from __future__ import annotations

import argparse
import difflib
import io
import os
import sys
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ddpcore.errors import DDPError
from ddpcore_django.porting.names import PAGE, Advice
from ddpcore_django.porting.python import Finding, port
from ddpcore_django.porting.texts import is_text, mentions

__all__ = ["Ported", "add_command", "port_file", "run"]

_SKIPPED = {"__pycache__", "node_modules", "site-packages", "venv", "env", "build", "dist"}


class Ported(NamedTuple):
    """What becomes of a file; `before` and `after` are equal if it stays as it is."""

    before: str
    after: str
    encoding: str
    findings: list[Finding]


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "port-django-ddp",
        help="rewrite the sources of a project that used django-ddp",
        description="Shows as a diff how imports, settings and migrations of a project that used "
        "django-ddp would be rewritten, and says on standard error what is left to you. Ends with "
        f"code 0 if nothing is left to do, and else with 1. More in {PAGE}.",
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="a file or a directory")
    parser.add_argument("--write", action="store_true", help="change the files")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """The command."""
    changed = left = 0
    for path in _files(options.paths):
        ported = port_file(path)
        for each in ported.findings:
            line = each.line_after if options.write else each.line
            where = f"{PAGE}#{each.advice.section}"
            print(f"{path}:{line}: {each.what}: {each.advice.text} ({where})", file=sys.stderr)
        left += len(ported.findings)
        if ported.after == ported.before:
            continue
        changed += 1
        if options.write:
            _write(path, ported)
            print(f"rewritten: {path}")
        else:
            print(_diff(path, ported), end="")
    unwritten = 0 if options.write else changed
    files = "1 file" if changed == 1 else f"{changed} files"
    said = f"{files} rewritten" if options.write else f"{files} to rewrite (--write does it)"
    print(f"{said}, {left} left to you", file=sys.stderr)
    return 1 if unwritten or left else 0


def port_file(path: Path) -> Ported:
    """What becomes of a file; it is only read.

    Raises:
        ddpcore.DDPError: It cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise DDPError(f"{path} cannot be read: {problem.strerror}.") from problem
    if path.suffix != ".py":
        text = data.decode(errors="replace")
        return Ported(text, text, "", mentions(text))
    if not any(each in data for each in (b"dddp", b"DDP_", b"ddp", b"AID_MIGRATE_STEP")):
        return Ported("", "", "", [])
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
        after, findings = port(text)
    except (SyntaxError, ValueError, RecursionError) as problem:
        found = mentions(data.decode(errors="replace"))
        line = getattr(problem, "lineno", None) or 1
        what = Finding(line, line, "no Python 3", _NO_PYTHON)
        return Ported("", "", "", [what] if found else [])
    return Ported(text, after, encoding, findings)


def _write(path: Path, ported: Ported) -> None:
    data = ported.after.encode(ported.encoding)
    path = path.resolve()
    try:
        # A program that dies half-way must not leave half a file; its rights stay what they are.
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        new = Path(name)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
            new.chmod(path.stat().st_mode)
            new.replace(path)
        except OSError:
            new.unlink()
            raise
    except OSError as problem:
        raise DDPError(f"{path} cannot be written: {problem.strerror}.") from problem


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for directory, names, files in os.walk(path):
            names[:] = sorted(
                each
                for each in names
                if each not in _SKIPPED
                and (not each.startswith(".") or each == ".meteor")
                and not (Path(directory) / each / "pyvenv.cfg").exists()
            )
            for name in sorted(files):
                file = Path(directory) / name
                if file.suffix == ".py" or (is_text(file) and _is_small(file)):
                    yield file


def _is_small(path: Path) -> bool:
    return path.is_file() and path.stat().st_size < 1 << 20


def _diff(path: Path, ported: Ported) -> str:
    before, after = (text.splitlines(keepends=True) for text in (ported.before, ported.after))
    name = str(path).lstrip("/")
    lines = difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")
    return "".join(
        line if line.endswith(("\n", "\r")) else f"{line}\n\\ No newline at end of file\n"
        for line in lines
    )


_NO_PYTHON = Advice("make it Python 3, with 2to3 say, and run this again", "step-by-step")
