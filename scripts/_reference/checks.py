"""Django's system checks of ddpcore, by the docstrings of those who make them."""

from __future__ import annotations

from types import ModuleType

from _reference import texts
from ddpcore_django import checks
from ddpcore_django.accounts import checks as accounts_checks

__all__ = ["REGIONS"]


def system_checks(module: ModuleType) -> str:
    """The ids of a module, what they mean, and what to do."""
    rows: dict[str, list[str]] = {}
    for name, function in vars(module).items():
        if name.startswith("check_") and function.__module__ == module.__name__:
            for id_, text in texts.section(function, "Ids").items():
                meaning, _, advice = text.partition(" What to do: ")
                rows[id_] = [f"`{id_}`", meaning, advice]
    order = sorted(rows, key=lambda each: (each[-3] == "9", "W" in each, each))
    return texts.table(["id", "meaning", "what to do"], [rows[each] for each in order])


REGIONS = {
    "system-checks": lambda: system_checks(checks),
    "system-checks-accounts": lambda: system_checks(accounts_checks),
}
