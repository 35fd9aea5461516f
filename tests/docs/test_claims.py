"""Every fenced block of the how-to pages and the tutorial is run by some test.

A test opens a page with `pages.reading`, and has to take every block of it, or of the languages that
it names; or it follows the page from top to end with `reader.Reader.read`, where a block that nobody
knows what to do with is an error. So all there is to see here is that each page is opened by a test
that runs, under a name in its source or by a constant of its module; that blocks are not taken to
be dropped; and that no code of a page looks like something else.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from pages import DOCS, ROOT, Reading, blocks, reading

PAGES = [
    f"{part}/{page.name}"
    for part in ("how-to", "tutorial")
    for page in sorted((DOCS / part).glob("*.md"))
]

# What opens pages, and the module that it must come from.
OPENING = {"reading": "pages", "read": "reader"}

# Whose tests take the pages apart in ways of their own.
OTHERWISE = {
    "tutorial/*.md": "docs/test_tutorial.py",  # it counts what scripts/tutorial has done
    "how-to/typed-clients.md": "docs/test_typed_clients.py",
}


def running(module: ast.Module) -> Iterator[ast.AST]:
    """Its tests, without those that are always skipped."""
    for each in module.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = " ".join(ast.unparse(mark) for mark in each.decorator_list)
            if each.name.startswith("test_") and not re.search(r"\.(skip|xfail)\b", marks):
                yield each


def called(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return getattr(call.func, "id", "")


def claims(source: str) -> list[tuple[str, set[str]]]:
    """The pages that tests of a module open, each with the languages, if it is not for all."""
    module = ast.parse(source)
    constants = {
        target.id: each.value
        for each in module.body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    imported = {each.module for each in module.body if isinstance(each, ast.ImportFrom)}
    found = []
    for each in (each for test in running(module) for each in ast.walk(test)):
        if not isinstance(each, ast.Call) or OPENING.get(called(each)) not in imported:
            continue
        given = [constants.get(getattr(word, "id", ""), word) for word in each.args]
        words = [
            word.value
            for word in given
            if isinstance(word, ast.Constant) and isinstance(word.value, str)
        ]
        if words:
            found.append((words[0], set(words[1:])))
    return found


def dropped(source: str) -> list[str]:
    """Where blocks are taken, and nothing is done with them."""
    module = ast.parse(source)
    alone = [
        each
        for each in ast.walk(module)
        if isinstance(each, ast.Expr)
        and isinstance(each.value, ast.Call)
        and called(each.value) in ("take", "files")
    ]
    for_nothing = [
        each
        for others in ast.walk(module)
        if isinstance(others, ast.keyword) and others.arg == "others"
        for each in ast.walk(others)
        if isinstance(each, ast.Lambda) and isinstance(each.body, ast.Constant)
    ]
    return [f"line {each.lineno}: {ast.unparse(each)}" for each in alone + for_nothing]


TESTS = [test for test in sorted(ROOT.glob("tests/*/test_*.py")) if test != Path(__file__)]
CLAIMS = [claim for test in TESTS for claim in claims(test.read_text())]


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


@pytest.mark.parametrize("page", PAGES)
def test_each_block_is_seen(page: str) -> None:
    text = (DOCS / page).read_text()
    found = blocks(page)
    # What indices have for Sphinx is no code.
    directives = re.findall(r"^```\{(toctree|eval-rst)\}", text, re.MULTILINE)
    assert len(re.findall(r"```|~~~", text)) == 2 * (len(found) + len(directives))
    assert not re.search(r"<pre\b", text)
    unnamed = [str(each) for each in found if not each.language]
    assert unnamed == []


@pytest.mark.parametrize(
    "test",
    [each for each in TESTS if claims(each.read_text())],
    ids=lambda test: test.name,
)
def test_no_block_is_dropped(test: Path) -> None:
    assert dropped(test.read_text()) == []


def test_claims_are_found() -> None:
    source = (
        'from pages import reading\nfrom reader import Reader\nPAGE = "how-to/a.md"\n'
        "def test_a(reader):\n    reader.read(PAGE)\n"
        'def test_b():\n    with reading("how-to/b.md", "python", "js") as page:\n        pass\n'
        'def test_c(file):\n    file.read(7)\n    Path("how-to/c.md").read_text()\n'
        'def unused(reader):\n    reader.read("how-to/d.md")\n'
        '@pytest.mark.skip\ndef test_e(reader):\n    reader.read("how-to/e.md")\n'
    )
    assert claims(source) == [("how-to/a.md", set()), ("how-to/b.md", {"python", "js"})]
    assert claims(source.replace("from reader", "from others")) == [
        ("how-to/b.md", {"python", "js"})
    ]


def test_dropping_is_found() -> None:
    source = (
        'with reading("a.md") as page:\n    page.take("js")\n    for each in page.take(): pass\n'
        '    page.files()\nreader.read("b.md", others={"js": lambda block: None})\n'
        'reader.read("b.md", others={"js": lambda block: typed.append(block)})\n'
    )
    assert [each.split(":")[0] for each in dropped(source)] == ["line 2", "line 4", "line 5"]


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
