"""`manage.py ddp_triggers`: installs, removes and examines the triggers that announce changes."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, Error, connections

from ddpcore_django import triggers
from ddpcore_django.conf import conf

__all__ = ["Command"]


class Command(BaseCommand):
    """Install, remove or examine the triggers that announce changes."""

    help = (
        "The triggers by which PostgreSQL announces changes: install them or bring them up to "
        "date, remove them all, tell their status (and exit with 1 if any is missing or stale), "
        "or print the SQL of the installation."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do, and where."""
        parser.add_argument("action", choices=["install", "remove", "status", "sql"])
        parser.add_argument(
            "--database",
            default=DEFAULT_DB_ALIAS,
            help="Only the default database is captured; any other is refused.",
        )

    def handle(self, *_args: Any, action: str, database: str, **_options: Any) -> None:
        """Do it."""
        if database != DEFAULT_DB_ALIAS:
            raise CommandError("ddpcore captures changes of the default database only.")
        if connections[database].vendor != "postgresql":
            raise CommandError("Triggers announce changes on PostgreSQL only.")
        if action != "remove" and not triggers.sources():
            self.stdout.write(
                "No model is captured by triggers. Choose them with DDPCORE = "
                '{"CAPTURE": "triggers"}, or capture = "triggers" on a collection.'
                if conf().bus != "memory:"
                else 'No model is captured by triggers: DDPCORE["BUS"] is "memory:".'
            )
            return
        try:
            getattr(self, f"_{action}")()
        except Error as problem:
            raise CommandError(f"The database refused: {problem}") from problem

    def _install(self) -> None:
        said: list[str] = []
        triggers.install(told=said.append)
        self.stdout.write("\n".join(said or ["All triggers are up to date."]))

    def _remove(self) -> None:
        said: list[str] = []
        triggers.remove(told=said.append)
        self.stdout.write("\n".join(said or ["There are no triggers."]))

    def _status(self) -> None:
        found = triggers.statuses()
        width = max(len(model._meta.label) for model in found)
        for model, each in found.items():
            line = f"{model._meta.label:<{width}}  {each.state:<10}  {each.reason}"
            self.stdout.write(line.rstrip())
        if any(each.state != "installed" for each in found.values()):
            sys.exit(1)

    def _sql(self) -> None:
        from ddpcore_pg.triggers import install_sql

        self.stdout.write("BEGIN;")
        for source in triggers.sources().values():
            self.stdout.write(f"\n-- {source.topic}\n")
            for statement in install_sql(source):
                self.stdout.write(f"{statement};")
        self.stdout.write("\nCOMMIT;")
