"""Every fenced block of the how-to pages and the tutorial is run by some test.

A test opens a page with `pages.reading`, and has to take every block of it, or of the languages that
it names; or it follows the page from top to end, `something.follow(page)` or `something.read(page)`,
where a block that nobody knows what to do with is an error. So all there is to see here is that each
page is opened: by a name in the test's source, or by a constant of the module that holds it.
"""

from __future__ import annotations

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest
from pages import DOCS, ROOT, Reading, blocks, reading

PAGES = [
    f"{part}/{page.name}"
    for part in ("how-to", "tutorial")
    for page in sorted((DOCS / part).glob("*.md"))
    if blocks(page)
]

OPENING = ("reading", "follow", "read")

# Whose tests take the pages apart in ways of their own.
OTHERWISE = {
    "tutorial/*.md": "docs/test_tutorial.py",  # it counts what scripts/tutorial has done
    "how-to/typed-clients.md": "docs/test_typed_clients.py",
    "how-to/bus.md": "plugins/test_how_to_bus.py",
    "how-to/client.md": "docs/test_client.py",
    "how-to/meteor-app.md": "meteor/test_transcript.py",
    "how-to/monitoring.md": "status/test_metrics.py",
}


def claims(source: str) -> list[tuple[str, set[str]]]:
    """The pages that a module opens, each with the languages, if it is not for all."""
    module = ast.parse(source)
    constants = {
        target.id: each.value
        for each in module.body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for each in ast.walk(module):
        if not isinstance(each, ast.Call):
            continue
        called = each.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        given = [constants.get(getattr(word, "id", ""), word) for word in each.args]
        words = [
            word.value
            for word in given
            if isinstance(word, ast.Constant) and isinstance(word.value, str)
        ]
        if name in OPENING and words:
            found.append((words[0], set(words[1:])))
    return found


CLAIMS = [
    claim
    for test in sorted(ROOT.glob("tests/*/test_*.py"))
    if test != Path(__file__)
    for claim in claims(test.read_text())
]


def test_there_are_pages() -> None:
    assert len(PAGES) > 10


@pytest.mark.parametrize("page", PAGES)
def test_some_test_runs_each_block(page: str) -> None:
    languages = {each.language for each in blocks(page)}
    for name, some in CLAIMS:
        if name == page:
            languages -= some or languages
    tests = [ROOT / "tests" / test for name, test in OTHERWISE.items() if fnmatch(page, name)]
    if not any(test.exists() for test in tests):
        advice = f'`with reading("{page}") as page:` (tests/support/pages.py)'
        assert not languages, f"No test has {advice}"


def test_claims_are_found() -> None:
    source = (
        'PAGE = "how-to/a.md"\n'
        "def test_a(reader):\n    reader.read(PAGE)\n"
        'def test_b():\n    with reading("how-to/b.md", "python", "js") as page:\n        pass\n'
        'def test_c(file):\n    file.read(7)\n    Path("how-to/c.md").read_text()\n'
    )
    assert claims(source) == [("how-to/a.md", set()), ("how-to/b.md", {"python", "js"})]


def test_a_block_that_nobody_takes_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\n# a.py\n1\n```\n\n```console\n$ true\n```\n\n```\nbare\n```\n")
    assert [each.language for each in Reading(page).blocks] == ["python", "console", ""]
    with reading(page) as it:
        assert it.files() == {"a.py": "1\n"}
        assert [each.commands for each in it.take("console")] == [[("true", "")]]
        assert len(it.left) == 1
        it.take("")
    with pytest.raises(AssertionError, match="Blocks that no test runs"), reading(page) as it:
        it.files()
