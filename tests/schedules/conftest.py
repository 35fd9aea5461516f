"""The worlds that schedules are lived through in: one a mode, for all examples."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from schedules.world import World


@pytest.fixture(scope="module")
def pg_worlds(pg_cluster) -> Iterator[dict[str, World]]:
    """Worlds on PostgreSQL by mode; they are made when first asked for."""
    worlds = Worlds(pg_cluster)
    yield worlds
    worlds.close()


class Worlds:
    def __init__(self, cluster) -> None:
        self._cluster = cluster
        self._worlds: dict[str, tuple[str, World]] = {}

    def __getitem__(self, mode: str) -> World:
        if mode not in self._worlds:
            name = f"ddpcore_{secrets.token_hex(6)}"
            self._worlds[mode] = name, World(mode, self._cluster.createdb(name))
        return self._worlds[mode][1]

    def close(self) -> None:
        for name, world in self._worlds.values():
            world.close()
            self._cluster.dropdb(name)


@pytest.fixture(scope="module")
def sqlite_world(tmp_path_factory) -> Iterator[World]:
    world = World("sqlite", str(tmp_path_factory.mktemp("schedules") / "site.sqlite3"))
    yield world
    world.close()
