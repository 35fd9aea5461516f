"""docs/reference/transport.md shows the code that is tested, and the contract as the module has it."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

import pytest

from ddpcore import transport
from ddpcore.testing.transport_contract import TransportContract

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "transport.md").read_text()
EXAMPLE = ROOT / "examples" / "plugins" / "asgi"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def sentences(text: str) -> list[str]:
    """The numbered ones, each on one line."""
    found = re.findall(r"^(\d+\. .*?)(?=\n\d+\. |\n\n)", text, re.MULTILINE | re.DOTALL)
    return [" ".join(each.split()) for each in found]


def test_there_are_blocks() -> None:
    assert len(BLOCKS) == 7


def lines(text: str) -> str:
    """Without empty lines, which mean nothing, and without what indents the whole."""
    return "\n".join(line for line in textwrap.dedent(text).splitlines() if line.strip())


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.partition("\n")[0])
def test_a_block_is_of_the_example(block: str) -> None:
    texts = [lines(path.read_text()) for path in EXAMPLE.rglob("*.py")]
    shown = lines(block)
    assert any(shown in text or textwrap.indent(shown, "    ") in text for text in texts)


def test_the_contract_is_that_of_the_module() -> None:
    assert len(sentences(PAGE)) == 11
    assert sentences(PAGE) == sentences(inspect.getdoc(transport) or "")


def test_each_sentence_has_tests() -> None:
    source = inspect.getsource(TransportContract)
    headings = [int(number) for number in re.findall(r"^    # (\d+)\. ", source, re.MULTILINE)]
    assert headings == list(range(1, 12))


def test_each_attribute_of_the_suite_is_told_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", PAGE, re.MULTILINE))
    defaults = {
        name: repr(value).replace("'", '"')
        for name, value in vars(TransportContract).items()
        if not name.startswith("_") and not callable(value)
    }
    assert rows == defaults
