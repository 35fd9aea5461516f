"""`manage.py ddp`: the same as `ddpcore serve --settings …`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ddpcore.errors import DDPError
from ddpcore_django.application import from_project
from ddpcore_tornado.plugin import add_options, serve_application

__all__ = ["Command"]


class Command(BaseCommand):
    """Serve DDP, and the site on the same port."""

    help = "Serves DDP, and the site on the same port."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options of `ddpcore serve`."""
        add_options(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Serve until SIGINT or SIGTERM."""
        try:
            code = serve_application(from_project, Namespace(**options))
        except DDPError as problem:
            raise CommandError(str(problem)) from problem
        if code:
            sys.exit(code)
