"""JavaScript's `undefined`, which JSON and Python lack."""

from __future__ import annotations

from typing import Final, final

__all__ = ["UNSET", "Unset"]


@final
class Unset:
    """The type of `UNSET`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset()
"""In `changed()`: this field goes away. As a method's result: there is none (None is null)."""
