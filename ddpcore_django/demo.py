"""`ddpcore demo`: the live bookstore, with nothing to set up."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from io import StringIO
from pathlib import Path

from ddpcore.application import Application
from ddpcore.errors import DDPError

__all__ = ["add_command", "run"]

_HERE = Path(__file__).resolve().parent


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; without Tornado it says what is missing when it is run."""
    from ddpcore_tornado.plugin import add_options

    parser = commands.add_parser(
        "demo",
        help="show the live bookstore in a browser (SQLite, nothing to set up)",
        description="Serves the live bookstore of the documentation until Ctrl-C, with SQLite "
        "and the memory bus. Its data lives in a temporary directory and goes when it stops.",
    )
    add_options(parser, workers=False)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Set the bookstore up in a temporary directory and serve it."""
    from ddpcore_tornado.plugin import serve_application

    sys.path.insert(0, str(_example()))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the directory goes in any case
    with tempfile.TemporaryDirectory(prefix="ddpcore-demo-") as directory:
        # Whatever somebody set for a bookstore of their own is not touched.
        for name in ("BOOKSTORE_DATABASE", "BOOKSTORE_DEBUG"):
            os.environ.pop(name, None)
        os.environ["BOOKSTORE_DB"] = str(Path(directory) / "bookstore.sqlite3")
        application = _bookstore()
        print("The live bookstore: open the address below in a browser.", flush=True)
        return serve_application(lambda: application, options)


def _bookstore() -> Application:
    try:
        from django.core.management import call_command

        from ddpcore_django.application import from_settings
    except ImportError as problem:
        raise DDPError("The demo needs Django: pip install 'ddpcore[all]'.") from problem
    application = from_settings("mysite.settings")
    call_command("migrate", verbosity=0)
    call_command("seed_bookstore", stdout=StringIO())
    application.name = "the live bookstore"
    return application


def _example() -> Path:
    # In a wheel the example lies inside the package, in a checkout beside it.
    for place in (_HERE / "bookstore_example", _HERE.parent / "examples" / "bookstore"):
        if (place / "manage.py").exists():
            return place
    raise DDPError("The bookstore example is not part of this installation.")
