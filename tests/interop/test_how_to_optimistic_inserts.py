"""docs/how-to/optimistic-inserts.md, followed step by step, its page in Chromium.

`npm install` finds what it asks for in node_modules of this directory.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
from reader import Reader, bookstore

pytestmark = [pytest.mark.node, pytest.mark.browser]

HERE = Path(__file__).parent

NPM = """import json, os, sys
os.mkdir("node_modules")
for wanted in sys.argv[3:]:
    name, version = wanted.split("@")
    there = os.path.join({directory!r}, name)
    assert json.load(open(os.path.join(there, "package.json")))["version"] == version
    os.symlink(there, os.path.join("node_modules", name))
"""


def look(reader: Reader, typed: list[str]) -> None:
    done = subprocess.run(
        ["node", "clients/reviews.mjs", reader.url(), *typed],
        cwd=HERE, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    story = json.loads(done.stdout.splitlines()[-1])
    id, by_hand = story.pop("id"), story.pop("byHand")
    assert re.fullmatch(r"\w{17}", id)
    assert re.fullmatch(r"\w{17}", by_hand)
    assert story == {
        "written": ["Witty. …"],
        "told": [["added", id], ["changed", id]],
        "empty": ["Witty. ✓", " …"],
        "refused": ["Witty. ✓"],
        "clicked": [],
        "again": [],
        "typed": ["Handsome, clever, and rich. …"],
        "end": ["Handsome, clever, and rich. ✓"],
        "problems": [],
    }
    known = reader.type("ddpcore sub localhost:8000 ReviewsOf '\"2\"' --ready")
    assert f'"id":"{by_hand}"' in known
    assert f'"id":"{id}"' not in known


def test_the_page(tmp_path: Path) -> None:
    typed: list[str] = []
    with Reader(bookstore(tmp_path)) as reader:
        npm = NPM.format(directory=str(HERE / "node_modules"))
        reader.program("npm", npm, of="/usr/bin/env python3")
        reader.read(
            "how-to/optimistic-inserts.md",
            others={"js": lambda block: typed.append(block.text)},
        )
        look(reader, typed)
