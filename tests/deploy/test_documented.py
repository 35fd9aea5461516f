"""docs/serving.md shows the very files that are tested."""

from __future__ import annotations

import re

import pytest
from project import ROOT

# The dashboard is for machines to read; tests/status looks at it.
FILES = sorted(
    file for file in (ROOT / "examples" / "deploy").iterdir() if file.name != "grafana.json"
)
BLOCKS = re.findall(
    r"^```\w+\n(.*?)^```$", (ROOT / "docs" / "serving.md").read_text(), re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("file", FILES, ids=lambda it: it.name)
def test_it_is_shown_whole(file):
    assert file.read_text() in BLOCKS
