"""docs/how-to/deployment.md shows files of examples/deploy, which tests/deploy uses.

What it shows of `ddpcore check` is compared by tests/check/test_django.py.
"""

from pages import ROOT, reading


def test_the_page() -> None:
    texts = [
        file.read_text() for file in (ROOT / "examples" / "deploy").iterdir() if file.is_file()
    ]
    with reading("how-to/deployment.md", "dockerfile", "yaml") as page:
        assert [str(block) for block in page.take() if block.text not in texts] == []
