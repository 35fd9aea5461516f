"""Capture by triggers: which tables have them, and how they get there.

With ``DDPCORE = {"CAPTURE": "triggers"}``, or ``capture = "triggers"`` on a collection, PostgreSQL
itself announces every change of the tables concerned (`ddpcore_pg.triggers`), and signals stay
silent about them. `manage.py migrate` installs the triggers and keeps them up to date;
`manage.py ddp_triggers` does so without it, and removes them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, Error, connections, router, transaction
from django.db.models import Model
from django.db.models.signals import post_migrate

from ddpcore.errors import DDPError
from ddpcore_django.conf import conf
from ddpcore_django.registry import API, Registry
from ddpcore_django.rows import source_of
from ddpcore_django.tables import through_of, topic_of

if TYPE_CHECKING:
    from ddpcore_pg.images import Source
    from ddpcore_pg.triggers import Status

__all__ = [
    "captured_by_triggers",
    "connect",
    "install",
    "remove",
    "sources",
    "statuses",
    "triggers_are_chosen",
]


def triggers_are_chosen(model: type[Model], registry: Registry = API) -> bool:
    """Whether the settings ask for triggers on a model's own table.

    The collections that publish rows of the table decide; with multi-table inheritance a child's
    rows are in its parents' tables, too. A many-to-many field's table goes with its model. If
    collections disagree, it is triggers. Where no collection says anything, it is
    ``DDPCORE["CAPTURE"]``.
    """
    said = {
        collection.capture
        for collection in registry.collections.values()
        if collection.capture is not None and _is_table_of(model, collection.model)
    }
    return "triggers" in (said or {conf().capture})


def _is_table_of(table: type[Model], model: type[Model]) -> bool:
    concrete = table._meta.concrete_model
    tables = [model._meta.concrete_model, *model._meta.all_parents]
    return concrete in tables or any(
        concrete is through_of(field) for field in model._meta.many_to_many
    )


def captured_by_triggers(model: type[Model]) -> bool:
    """Whether triggers announce the changes of a model's own table, and signals are not to.

    It is the choice that counts, not whether they have been installed. Where triggers cannot
    work, which is any other database than PostgreSQL and tables whose primary keys the database
    cannot tell (`rows.source_of`), signals go on.
    """
    return _can_have_triggers(DEFAULT_DB_ALIAS) and (
        triggers_are_chosen(model) and _source(model) is not None
    )


def _can_have_triggers(using: str) -> bool:
    # Only the default database is captured.
    if using != DEFAULT_DB_ALIAS:
        return False
    return conf().captures(connections[using].vendor) == "notify"


def _source(model: type[Model]) -> Source | None:
    try:
        return source_of(model)
    except DDPError:
        return None


def sources() -> dict[type[Model], Source]:
    """The tables that triggers announce, each by the model whose own it is."""
    from ddpcore_django.capture import captured_topics  # it asks us about each model

    if not _can_have_triggers(DEFAULT_DB_ALIAS):
        return {}
    topics = captured_topics()
    return {
        model: source
        for model in apps.get_models(include_auto_created=True)
        if not model._meta.proxy
        and topic_of(model) in topics
        and router.allow_migrate_model(DEFAULT_DB_ALIAS, model)
        and triggers_are_chosen(model)
        and (source := _source(model)) is not None
    }


def statuses() -> dict[type[Model], Status]:
    """How things are with the triggers of all tables that should have them.

    Raises:
        django.db.Error: The database cannot be asked.
    """
    from ddpcore_pg.triggers import status

    found = {}
    wanted = sources()
    if wanted:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            for model, source in wanted.items():
                found[model] = status(cursor, source)
    return found


def install(
    wanted: Iterable[Source] | None = None, told: Callable[[str], object] = lambda _: None
) -> None:
    """Install the triggers that are missing or stale. Nothing is locked where nothing is to do.

    Args:
        wanted: On which tables; None: all that should have them.
        told: Is given a sentence for each table that changed or cannot have triggers.

    Raises:
        django.db.Error: The database refused.
    """
    from ddpcore_pg.triggers import install_sql, status

    for source in sources().values() if wanted is None else wanted:
        with transaction.atomic(using=DEFAULT_DB_ALIAS), _cursor() as cursor:
            found = status(cursor, source)
            if found.state in ("missing", "stale"):
                _lock(cursor)
                for statement in install_sql(source):
                    cursor.execute(statement)
                told(f"Installed triggers on {source.table} for {source.topic}.")
            elif found.state != "installed":
                told(f"No triggers for {source.topic}: {found.reason}")


def remove(
    topics: Collection[str] | None = None,
    told: Callable[[str], object] = lambda _: None,
    keep: Collection[str] = (),
) -> None:
    """Remove triggers and their functions, found in the database itself.

    Args:
        topics: Only those that announce these; None: all that ddpcore ever installed there.
        told: Is given a sentence for each table.
        keep: Topics whose triggers stay; of them, only functions that nothing uses are removed.

    Raises:
        django.db.Error: The database refused.
    """
    from ddpcore_pg.triggers import installed

    with transaction.atomic(using=DEFAULT_DB_ALIAS), _cursor() as cursor:
        for each in installed(cursor):
            if topics is not None and each.topic not in topics:
                continue
            if each.topic in keep and each.triggers:
                continue
            _lock(cursor)
            for statement in each.remove_sql():
                cursor.execute(statement)
            tables = ", ".join(sorted({table for table, _ in each.triggers})) or "no table"
            told(f"Removed triggers on {tables} for {each.topic}.")


def _cursor() -> Any:
    return connections[DEFAULT_DB_ALIAS].cursor()


def _lock(cursor: Any) -> None:
    # PostgreSQL fails two processes that replace one function at the same time.
    cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ddpcore triggers'))")


# --- manage.py migrate --------------------------------------------------------------------------


def connect() -> None:
    """Let `manage.py migrate` bring the triggers up to date, once, after all migrations."""
    # Django sends the signal for each app that has models, in this order; we have none.
    last = [config for config in apps.get_app_configs() if config.models_module is not None][-1:]
    for config in last:
        post_migrate.connect(_migrated, sender=config, dispatch_uid="ddpcore_django.triggers")


def _migrated(*, using: str, verbosity: int = 1, stdout: Any = None, **_: object) -> None:
    if not _can_have_triggers(using):
        return

    def tell(sentence: str) -> None:
        if verbosity >= 1:
            print(f"  {sentence}", file=stdout)

    wanted = sources().values()
    # Other projects may share the database: what is not a model of ours is not our business.
    ours = {topic_of(model) for model in apps.get_models(include_auto_created=True)}
    told = tell if verbosity >= 2 else _only_changes(tell)
    tasks = [partial(remove, ours, tell, keep={source.topic for source in wanted})]
    tasks += [partial(install, [source], told) for source in wanted]
    for task in tasks:
        try:
            task()
        except Error as problem:
            # The tables are migrated, and that must not look as if it had failed.
            tell(f"Triggers could not be brought up to date: {problem}".rstrip())
            tell("Run manage.py ddp_triggers install as the owner of the tables.")


def _only_changes(tell: Callable[[str], object]) -> Callable[[str], object]:
    # A table may be missing because its migrations were taken back: nothing to speak of.
    return lambda sentence: tell(sentence) if sentence.startswith("Installed") else None
