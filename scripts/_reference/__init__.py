"""What of the documentation is generated, and how; `scripts/reference` runs it.

Each text is written once, beside the code that it is about: in the docstring of a class, a
function or a constant, in the help of an option or of a metric. Defaults, names and types are the
code's own. A module of this package makes the regions of one page.
"""
