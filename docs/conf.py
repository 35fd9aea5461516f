"""How Sphinx makes the site: `python3 scripts/docs`."""

import re
import sys
from pathlib import Path

from pygments.lexers import TextLexer
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import ddpcore  # noqa: E402

project = "ddpcore"
author = "The ddpcore maintainers"
copyright = "The ddpcore maintainers. MIT License"  # noqa: A001
version = release = ddpcore.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
suppress_warnings = ["myst.strikethrough"]

# The pages are read on the code's host, too: its anchors are made as it makes them.
myst_heading_anchors = 4
myst_enable_extensions = ["fieldlist"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# The attributes a docstring lists are also members, which would be two descriptions of one.
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"ddpcore {version}"
html_copy_source = False
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"

REPOSITORY = "https://github.com/ddpcore/ddpcore"


def point_to_the_repository(_app: object, page: str, source: list[str]) -> None:
    """Links that leave the documentation lead to the repository, where its files are shown."""
    directory = (ROOT / "docs" / page).parent

    def moved(link: re.Match[str]) -> str:
        target = (directory / link[1]).resolve()
        if not target.exists() or target.is_relative_to(ROOT / "docs"):
            return link[0]
        kind = "tree" if target.is_dir() else "blob"
        return f"]({REPOSITORY}/{kind}/main/{target.relative_to(ROOT)}"

    source[0] = re.sub(r"\]\(((?:\.\./)+[^)#]+)", moved, source[0])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", point_to_the_repository)
