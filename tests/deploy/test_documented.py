"""docs/how-to/nginx.md, deployment.md and docs/reference/serving.md show the very files that are tested."""

from __future__ import annotations

import re

import pytest
from project import ROOT

# A dashboard is for Grafana to read, and not for people.
FILES = sorted(each for each in (ROOT / "examples" / "deploy").iterdir() if each.suffix != ".json")
BLOCKS = [
    block
    for page in ("how-to/nginx.md", "how-to/deployment.md", "reference/serving.md")
    for block in re.findall(
        r"^```\w+\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL
    )
]


@pytest.mark.parametrize("file", FILES, ids=lambda it: it.name)
def test_it_is_shown_whole(file):
    assert file.read_text() in BLOCKS
