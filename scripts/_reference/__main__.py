"""The command."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import django
from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Write, or only compare; the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/reference")
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="the pages (docs/)")
    given = parser.parse_args()

    # Enough of a project for the modules of the adapter to be imported.
    settings.configure(
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "ddpcore_django",
            "ddpcore_django.accounts",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        PASSWORD_HASHERS=["ddpcore_django.accounts.hashers.PBKDF2DigestHasher"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()

    from _reference import checks, commands, logs, metrics, regions, states, tables

    makers = checks.REGIONS | commands.REGIONS | logs.REGIONS | metrics.REGIONS
    makers |= states.REGIONS | tables.REGIONS
    stale = regions.update(given.docs, makers, states.FILES, write=not given.check)
    for page, names in stale.items():
        print(f"{page}: {', '.join(names)}")
    if not given.check:
        return 0
    if stale:
        print("These are not what the code says now: run python3 scripts/reference.")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
