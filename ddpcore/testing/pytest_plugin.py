"""Fixtures of pytest that come with ddpcore: `ddp` and `ddp_clock`.

pytest loads this module in every project where ddpcore is installed, hence it has no hooks, and
what the fixtures need is imported when they are asked for. ``-p no:ddpcore`` keeps it out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ddpcore.testing import FakeClock, Runner

__all__ = ["ddp", "ddp_clock"]


@pytest.fixture
def ddp() -> Iterator[Runner]:
    """A `ddpcore.testing.Runner`: runs servers and clients in a test that is a plain function."""
    from ddpcore.testing import Runner

    with Runner() as runner:
        yield runner


@pytest.fixture
def ddp_clock() -> FakeClock:
    """A `ddpcore.testing.FakeClock`, to give to a server and to move by hand."""
    from ddpcore.testing import FakeClock

    return FakeClock()
