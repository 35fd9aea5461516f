"""Which regular expressions are taken for the same in PostgreSQL and in Python."""

from __future__ import annotations

import pytest

from ddpcore.live.predicate import Undecided
from ddpcore_django.matching import NotMatched
from ddpcore_django.matching.regex import searches


@pytest.mark.parametrize(
    "pattern",
    [
        "", "a|", "(|a)", "()", "(a", "a)", "[a", "a]", "{", "a{", "a{,2}", "a{2", "a{256}", "a{2,1}", "a{3}{2}",
        "*", "a**", "a*?", "a++", "***a", "(?i)a", "(?:a)", "(?=a)", "(a)*", "(a){2}", "(a+)?+", r"\d", r"\w", r"\b",
        r"\1", r"\n", "\\", "a\\", r"\\$", "a^", "a$b", "(^a)", "(a$)", "^*", "[^a]", "[a-]", "[b-y]", "[a-Z]",
        "[[:alpha:]]", r"[\d]", "[é]", "[]a]", "a\0", "a*b*c*d*e", "(a|b)(a|b)" * 9,
    ],
)  # fmt: skip
def test_what_is_not_translated(pattern):
    with pytest.raises(NotMatched):
        searches(pattern)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^a.c$", "a\nc", True),
        ("c$", "c\n", False),
        ("^b", "a\nb", False),
        ("a|b$", "ab\n", True),
        (r"^\.\*$", ".*", True),
        ("[a-z0-9.]{2,3}x", "A7.x", True),
        ("(a|bc)?d", "xbcd", True),
        ("é", "É", False),
    ],
)
def test_what_is_found(pattern, text, found):
    assert searches(pattern)(text) is found


def test_long_texts_are_left_to_the_database():
    """Python would try each beginning with each end."""
    search = searches(".*a.*b")
    assert search("a" * 90 + "b")
    with pytest.raises(Undecided):
        search("a" * 101)
