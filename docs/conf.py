"""How Sphinx makes the site: `python3 scripts/docs`."""

import inspect
import re
import sys
from enum import EnumType
from pathlib import Path

from docutils.nodes import Element, Node, Text
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.environment import BuildEnvironment

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import public_api  # noqa: E402
from docstrings import is_no_member  # noqa: E402
from public_api import is_made_by_others  # noqa: E402

import ddpcore  # noqa: E402

public_api.set_django_up()
public_api.import_for_types()

project = "ddpcore"
author = "The ddpcore maintainers"
copyright = "The ddpcore maintainers. MIT License"  # noqa: A001
version = release = ddpcore.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.linkcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
suppress_warnings = ["myst.strikethrough"]

# The pages are read on the code's host, too: its anchors are made as it makes them.
myst_heading_anchors = 4
myst_enable_extensions = ["fieldlist"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 150

# What docstrings have in backticks is a link if it is the name of something public.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [
    # Types of others, who have documentation of their own.
    (r"py:\w+", r"(?!ddpcore)[\w.]+"),
    # Variables of types, and protocols for what others have.
    ("py:class", r"ddpcore.*\.(?:_?[A-Z]|_\w+)"),
    # What may be looked at and is not public.
    ("py:class", r"ddpcore\.live\.crossbar\.Crossbar"),
]

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


def linkcode_resolve(_domain: str, info: dict[str, str]) -> str | None:
    """Where the source of something public is shown; called by Sphinx."""
    thing: object = sys.modules.get(info["module"])
    try:
        for name in info["fullname"].split("."):
            thing = getattr(thing, name)
        thing = inspect.unwrap(getattr(thing, "fget", thing))  # type: ignore[arg-type]
        file, line = inspect.getsourcefile(thing), inspect.getsourcelines(thing)[1]  # type: ignore[arg-type]
    except (AttributeError, TypeError, OSError):  # a value, or made by others
        return None
    if file is None or not Path(file).is_relative_to(ROOT):
        return None
    return f"{REPOSITORY}/blob/main/{Path(file).relative_to(ROOT)}#L{line}"


# --- the API: what is public, and what it is called, is in tests/support/public_api.py -----------


def find_by_its_end(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element
) -> Node | None:
    """The target of a name that docstrings have without its module, such as `Server.method`.

    What is in backticks and no name of anything public is code: an argument, a file, a header.
    """
    if node["refdomain"] != "py":
        return None
    python = env.domains["py"]
    assert isinstance(python, PythonDomain)
    target = node["reftarget"].strip().removesuffix("()")
    if re.match(
        r"[A-Z]|ddpcore_|\w+\.", target
    ):  # any other word may be the name of some attribute
        found = [name for name in python.objects if f".{name}".endswith(f".{target}")]
        if found:
            shortest = min(found, key=lambda name: (name.count("."), name))
            return python.resolve_xref(
                env, node["refdoc"], app.builder, node["reftype"], shortest, node, content
            )
    is_ours = re.fullmatch(r"ddpcore(_\w+)?(\.\w+)+", target)
    return content if node["reftype"] == "obj" and not is_ours else None


def unlink_built_in_types(_app: object, document: Element) -> None:
    """`type` in a signature is Python's, whatever attributes of ours are called so."""
    for node in list(document.findall(pending_xref)):
        if node["refdomain"] == "py" and node["reftarget"] == "type":
            node.replace_self(Text("type"))


def leave_out(
    _app: object, kind: str, name: str, value: object, _skip: bool, _options: object
) -> bool | None:
    """What classes have that is described elsewhere; of a named tuple that is its docstring."""
    is_field = type(value).__name__ == "_tuplegetter"
    return True if kind == "class" and (is_field or is_no_member(name)) else None


def prepare_docstring(
    _app: object, kind: str, name: str, _value: object, _options: object, lines: list[str]
) -> None:
    """Before napoleon, which takes what stands before a colon in the first line for a type.

    Constants have the text that stands below them, wherever they are imported from.
    """
    if kind == "data" and name in public_api.names():
        lines[:] = (public_api.source_of(name)[2] or "").splitlines()
    if kind in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # a comment


def finish_docstring(
    _app: object, _kind: str, _name: str, _value: object, _options: object, lines: list[str]
) -> None:
    """After napoleon, which puts the type of an attribute below it: here it stands beside it."""

    def moved(attribute: re.Match[str]) -> str:
        head, text, kind = attribute.groups()
        short = re.sub(r"(?:[a-z_]+[.])+", r"~\g<0>", kind)  # names without their modules
        return f"{head}{short}\n{text}"

    form = r"^(\.\. attribute:: .*\n)((?:(?:   .*)?\n)*?)(   :type: .*)$"
    lines[:] = re.sub(form, moved, "\n".join(lines), flags=re.MULTILINE).split("\n")


def make_signature_readable(
    _app: object,
    kind: str,
    _name: str,
    value: object,
    _options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str, str | None] | None:
    """Hide the constructors of classes whose instances others make; repair what is no Python."""
    if kind == "class" and (isinstance(value, EnumType) or is_made_by_others(value.__doc__ or "")):
        return "", None
    if signature is None:
        return None
    signature = signature.replace("<factory>", "...")
    return re.sub(r"<class '([\w.]+)'>", r"\1", signature), returns


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", point_to_the_repository)
    app.connect("missing-reference", find_by_its_end)
    app.connect("doctree-read", unlink_built_in_types)
    app.connect("autodoc-skip-member", leave_out)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)
    app.connect("autodoc-process-docstring", finish_docstring, priority=600)
    app.connect("autodoc-process-signature", make_signature_readable)
