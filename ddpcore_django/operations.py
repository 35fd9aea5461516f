"""Operations for migrations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS
from django.db.migrations.operations.base import Operation

from ddpcore_django import triggers

if TYPE_CHECKING:
    from ddpcore_pg.images import Source

__all__ = ["InstallTriggers"]


class InstallTriggers(Operation):
    """Installs the triggers that announce changes; its reverse removes them.

    `manage.py migrate` installs triggers by itself. This operation is for projects that want
    them at a certain point of their migrations, say before one that writes data, or in the
    output of `sqlmigrate`.

    The project as it is now says which models are captured by triggers and which of their columns
    may travel; the migration's state says which columns there are. It does nothing where triggers
    are not chosen or the database is not PostgreSQL, and it is no part of the state of models.

    Args:
        labels: Labels of the models, e.g. ``"shop.Book"``; none: all of the migration's app.
    """

    reversible = True
    reduces_to_sql = True

    def __init__(self, *labels: str) -> None:
        self.labels = labels

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Models do not change."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: Any,
        from_state: Any,  # noqa: ARG002
        to_state: Any,
    ) -> None:
        """Install them."""
        from ddpcore_pg.triggers import install_sql

        for source in self._sources(app_label, schema_editor, to_state):
            for statement in install_sql(source):
                schema_editor.execute(statement, params=None)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: Any,
        from_state: Any,
        to_state: Any,  # noqa: ARG002
    ) -> None:
        """Remove them."""
        from ddpcore_pg.triggers import remove_sql

        # When going back, `from_state` is the one with what the operation had at hand.
        for source in self._sources(app_label, schema_editor, from_state):
            for statement in remove_sql(source):
                schema_editor.execute(statement, params=None)

    def describe(self) -> str:
        """For `migrate --plan`."""
        return f"Install the triggers of {', '.join(self.labels) or 'all models of the app'}"

    def _sources(self, app_label: str, schema_editor: Any, state: Any) -> Iterator[Source]:
        if schema_editor.connection.alias != DEFAULT_DB_ALIAS:
            return
        labels = {label.lower() for label in self.labels}
        for model, source in triggers.sources().items():
            options = model._meta
            if labels and options.label_lower not in labels:
                continue
            if not labels and options.app_label != app_label:
                continue
            try:
                then = state.apps.get_model(options.app_label, options.model_name)
            except LookupError:
                continue  # it is made by a later migration
            columns = {str(field.column) for field in then._meta.local_concrete_fields}
            if source.key in columns:
                yield replace(
                    source,
                    table=then._meta.db_table,
                    columns=tuple(each for each in source.columns if each.name in columns),
                )
