"""The PostgreSQL bus keeps the contract of buses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ddpcore.bus import Bus
from ddpcore.testing.bus_contract import ConnectedBusContract
from ddpcore_pg import PgBus

from .conftest import PgWriter, Place


class TestContract(ConnectedBusContract):
    @pytest.fixture(autouse=True)
    def _place(self, place: Place, expect_log: Callable[..., None]) -> None:
        self.place = place
        expect_log("ddpcore_pg", "LISTEN connection", required=False)

    def bus(self) -> PgBus:
        return PgBus(self.place.dsn)

    def writer(self) -> PgWriter:
        return PgWriter(self.place.dsn)

    async def disturb(self, bus: Bus) -> None:
        self.place.terminate("ddpcore listen")
