"""Many-to-many fields as links: which table tells of them, and by which columns."""

from __future__ import annotations

from typing import Any

from django.db.models import ForeignKey, ManyToManyField

from ddpcore.live.query import Link
from ddpcore_django.tables import through_of, topic_of

__all__ = ["link_of"]


def link_of(field: ManyToManyField[Any, Any]) -> Link | None:
    """How the ids that a field lists follow from the rows of its through table.

    None if they do not: its columns hold something else than primary keys, or its rows may be
    there before or after those that they link.
    """
    through = through_of(field)
    near: Any = through._meta.get_field(field.m2m_field_name())
    far: Any = through._meta.get_field(field.m2m_reverse_field_name())
    if not all(_refers_to_a_key(each) for each in (near, far)) or through._meta.all_parents:
        return None
    return Link(topic_of(through), str(near.column), str(far.column), f"{field.name}_ids")


def _refers_to_a_key(reference: Any) -> bool:
    if not isinstance(reference, ForeignKey):
        return False
    constrained: bool = reference.db_constraint  # type: ignore[attr-defined]
    return constrained and reference.target_field.primary_key
