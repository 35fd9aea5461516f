"""Which browsers run the modern program, by what they call themselves.

The least versions are those of Meteor 3.0.4 (`modern-browsers/modern.js` and what its packages
add). Where Meteor knows a browser by its brand we go by its engine: a brand of Chromium is as
modern as that Chromium, and all browsers of an iPhone are the Safari of its system.
"""

from __future__ import annotations

import re

__all__ = ["is_modern"]

# The first that matches decides. Brands stand before the engines that they also name.
_RULES = [
    (re.compile(pattern), least)
    for pattern, least in (
        (r"(MSIE |Trident/)", None),
        (r"FB(?:AV|SV)/(\d+)(?:\.(\d+))?", (325, 0)),
        (r"SamsungBrowser/(\d+)(?:\.(\d+))?", (6, 2)),
        (r"Electron/(\d+)(?:\.(\d+))?", (1, 6)),
        (r"(?:iPhone|iPad|iPod).*? OS (\d+)(?:_(\d+))?", (10, 3)),
        (r"OPR/(\d+)(?:\.(\d+))?", (42, 0)),
        (r"Opera[/ ].*Version/(\d+)(?:\.(\d+))?", (42, 0)),
        (r"Opera[/ ](\d+)(?:\.(\d+))?", (42, 0)),
        (r"(?:Edge|Edg|EdgA)/(\d+)(?:\.(\d+))?", (15, 0)),
        (r"Firefox/(\d+)(?:\.(\d+))?", (53, 0)),
        (r"(?:Chrome|HeadlessChrome|Chromium)/(\d+)(?:\.(\d+))?", (55, 0)),
        (r"Android", None),  # the browser of old, whose Version/ is its own
        (r"Version/(\d+)(?:\.(\d+))?.* Safari/", (10, 1)),
        # Apple Mail says no version of its own; this is the engine of Safari 10.1.
        (r"Macintosh.*AppleWebKit/(\d+)(?:\.(\d+))?.*\(KHTML, like Gecko\)$", (603, 0)),
    )
]


def is_modern(user_agent: str) -> bool:
    """Whether a browser runs the modern program; one that is not known does not.

    Args:
        user_agent: The header User-Agent; empty if there is none.
    """
    user_agent = user_agent[:1000]  # time is for browsers
    for pattern, least in _RULES:
        if found := pattern.search(user_agent):
            if least is None:
                return False
            major, minor = found.groups()
            return (int(major[:9]), int((minor or "0")[:9])) >= least
    return False
