"""Regular expressions that mean the same to PostgreSQL and to Python.

Two engines, two languages. They agree on literals, escaped punctuation, ``.``, groups, ``|``,
sets of ASCII characters that are listed (or ``0-9``, ``a-z``, ``A-Z``), the quantifiers, ``^`` as
the very first and ``$`` as the very last character. What is more is not translated.

PostgreSQL's engine takes time in proportion to the text, whatever the pattern; Python's tries one
way after the other. How long a text may be at most follows from the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ddpcore.live.predicate import Undecided
from ddpcore_django.matching.columns import NotMatched

__all__ = ["searches"]

_SPECIAL = frozenset("*+?{}|()[].^$\\")
_RANGES = {"0-9": "0123456789", "a-z": "abcdefghijklmnopqrstuvwxyz"}
_RANGES["A-Z"] = _RANGES["a-z"].upper()
_SET = re.compile(r"\[((?:0-9|a-z|A-Z|[A-Za-z0-9 _.,;:!?@#%&=+*/()<>'\"~|{}$])+)\]")
_BRACES = re.compile(r"\{([0-9]{1,3})(,?)([0-9]{0,3})\}")
_MOST = 255  # repetitions that PostgreSQL counts to
_WAYS = 1_000_000  # that Python may have to try: some hundredths of a second
_SHORTEST = 30  # characters; a pattern that is too slow for these is refused


def searches(pattern: str, *, flags: str | None = None) -> Callable[[str], bool]:
    """What finds a pattern anywhere in a text, as PostgreSQL's ``text ~ pattern`` does.

    Args:
        pattern: What to look for.
        flags: Not as PostgreSQL does, but as Python itself, with these flags in front (Django
            lends Python's engine to SQLite).

    Returns:
        The search; it raises `Undecided` if the text is too long for it.

    Raises:
        NotMatched: The pattern may mean something else to PostgreSQL, or is too slow.
    """
    translated = _Translation(pattern)
    longest = int((_WAYS / translated.ways) ** (1 / (translated.loops + 1)))
    if longest < _SHORTEST:
        raise NotMatched(f"the regular expression {pattern!r} takes too long in memory")
    python = f"(?s){translated.python}" if flags is None else flags + pattern
    search = re.compile(python).search

    def found(text: str) -> bool:
        if len(text) > longest:
            raise Undecided(f"{len(text)} characters are too long for a regular expression")
        return search(text) is not None

    return found


class _Translation:
    # One pass over the pattern.

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.ways = 1.0
        self.loops = 0
        start, end = pattern.startswith("^"), len(pattern)
        if pattern.endswith("$") and not pattern.endswith("\\$"):
            end -= 1
        self.end = end
        self.at = int(start)
        self.python = ("^" if start else "") + self._alternatives()
        if self.at != end:
            raise self._foreign()
        self.python += r"\Z" if end < len(pattern) else ""

    def _foreign(self) -> NotMatched:
        return NotMatched(
            f"the regular expression {self.pattern!r} may mean something else in memory"
        )

    def _next(self) -> str:
        return self.pattern[self.at] if self.at < self.end else ""

    def _alternatives(self) -> str:
        branches = [self._branch()]
        while self._next() == "|":
            self.at += 1
            branches.append(self._branch())
        self.ways *= len(branches)
        return "|".join(branches)

    def _branch(self) -> str:
        atoms = []
        while self._next() not in {"", "|", ")"}:
            atoms.append(self._quantified(*self._atom()))
        if not atoms:
            raise self._foreign()
        return "".join(atoms)

    def _atom(self) -> tuple[str, bool]:
        # The next atom, and whether it is a group.
        character = self._next()
        if character == "(":
            self.at += 1
            if self._next() == "?":
                raise self._foreign()
            inner = self._alternatives()
            if self._next() != ")":
                raise self._foreign()
            self.at += 1
            return f"(?:{inner})", True
        if character == "[":
            if not (found := _SET.match(self.pattern, self.at, self.end)):
                raise self._foreign()
            self.at = found.end()
            return self._set(found[1]), False
        if character == ".":
            self.at += 1
            return ".", False
        if character == "\\":
            self.at += 1
            character = self._next()
            if character not in _SPECIAL and character not in set("-/,:;@#%&=!<>'\"~` "):
                raise self._foreign()  # with letters and digits: classes and more
        elif character in _SPECIAL or character == "\0":
            raise self._foreign()
        self.at += 1
        return re.escape(character), False

    def _set(self, members: str) -> str:
        for short, long in _RANGES.items():
            members = members.replace(short, long)
        return "[" + re.escape(members) + "]"

    def _quantified(self, atom: str, group: bool) -> str:
        character = self._next()
        if character in {"*", "+", "?"}:
            self.at += 1
            if character == "?":
                self.ways *= 2
                count = "?"
            else:
                self.loops += 1
                count = character
        elif character == "{":
            found = _BRACES.match(self.pattern, self.at, self.end)
            if not found:
                raise self._foreign()
            low, comma, high = found.groups()
            if max(int(low), int(high or 0)) > _MOST or (high and not comma):
                raise self._foreign()
            if high and int(high) < int(low):
                raise self._foreign()
            self.loops += bool(comma)
            self.ways *= max(int(low), 1)
            self.at = found.end()
            count = found[0]
        else:
            return atom
        if (group and count != "?") or (self._next() and self._next() in "*+?{"):
            raise self._foreign()  # loops in loops may take forever
        return atom + count
