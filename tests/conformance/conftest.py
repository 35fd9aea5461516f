"""Each test of what can be seen on a socket is run in memory and over two kinds of sockets."""

from __future__ import annotations

import pytest
from drivers import DRIVERS, Driver


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.name)
def ddp(request: pytest.FixtureRequest) -> Driver:
    """A way to a server, in each of three kinds."""
    driver: Driver = request.param
    return driver
