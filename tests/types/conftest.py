"""Types of clients, as the real compiler sees them."""

from __future__ import annotations

import pytest
from typescript import need_typescript


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("node"):
        need_typescript()
