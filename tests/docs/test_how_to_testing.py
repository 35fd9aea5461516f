"""docs/how-to/testing.md: its blocks are one test file, which is run; and one of the bookstore."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

from pages import Block
from reader import Reader, bookstore

from ddpcore import testing


def test_the_page(tmp_path: Path) -> None:
    program: dict[str, Any] = {"__name__": "docs"}

    def collect(block: Block) -> None:
        exec(block.code(), program)

    with Reader(bookstore(tmp_path)) as reader:
        reader.read("how-to/testing.md", others={"python": collect})
    tests = {key: value for key, value in program.items() if key.startswith("test_")}
    assert len(tests) >= 4
    for test in tests.values():
        if inspect.iscoroutinefunction(test):
            asyncio.run(test())
        else:
            run_with_fixtures(test)


def run_with_fixtures(test: Any) -> None:
    with testing.Runner() as runner:
        fixtures = {"ddp": runner, "ddp_clock": testing.FakeClock()}
        test(**{each: fixtures[each] for each in inspect.signature(test).parameters})
