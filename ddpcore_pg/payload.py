"""Changes as NOTIFY payloads, and back.

A payload is text of at most `MAX_PAYLOAD` bytes: JSON of one of two forms, or a piece of such
JSON; each optionally preceded by the decimal number of the writing transaction
(`pg_current_xact_id()`)::

    771{"n":"kT3x…","rows":[["u","7",{"title":"old"},{"title":"new"}]]}
    771{"n":"kT3x…","op":"u","keys":[7,8,"nine"]}
    771#kT3x…/0/3/<the first of three pieces>

- ``rows`` holds ``[op, key, before, after]`` lists in statement order; trailing nulls may be left
  out, and names we do not know are ignored. Keys are strings. Python writes one row to a payload;
  the database may pack many.
- ``keys`` names many rows to which the same happened, without images: ``op`` is ``i``, ``u`` or
  ``d``. A key is a string or, shorter, a number, which means its own text: ``7`` is ``"7"`` and
  ``1.50`` is ``"1.50"``.
- The topic does not travel: the listener knows for which topic it LISTENs to a channel.
- ``n`` is there to make every payload different. PostgreSQL folds equal payloads of one
  transaction into the first, so without it "insert 7, delete 7, insert 7" would arrive as
  "insert 7, delete 7": a row that exists would be gone. The set id does the same for pieces.
- Python writes ASCII, because the limit is in bytes, and the encodings of the database and of the
  writer then do not matter. The database writes any text and cuts it where no character can
  exceed the limit. A reader joins pieces before it parses: any border is a good border.
- The transaction's number stands in front so that the database itself can put it there:
  ``pg_current_xact_id()::text || payload``.

Whoever may connect to the database may NOTIFY anything, so the `Assembler` trusts nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Protocol

from ddpcore.bus import Change, Gap, Op

__all__ = ["MAX_PAYLOAD", "Assembler", "channel", "encode", "notify", "notify_sql", "publish_sql"]

log = logging.getLogger(__name__)

MAX_PAYLOAD = 7999
"""Bytes; PostgreSQL refuses 8,000."""

MAX_CHANGE = 1_000_000
"""Bytes of one encoded change; a larger one goes without its row images."""

_MAX_CHANNEL = 63  # bytes; PostgreSQL cuts longer names off in LISTEN, and refuses them in NOTIFY
_MAX_XID = 20  # digits of an unsigned 64-bit number
_PIECE = 7900  # leaves room for the number and the head of a piece
_MAX_PIECES = 1000
_PAYLOAD = re.compile(r"([0-9]{0,20})([{#].*)", re.DOTALL | re.ASCII)
_HEAD = re.compile(r"#([^/]{1,64})/([0-9]{1,4})/([0-9]{1,4})/(.*)", re.DOTALL | re.ASCII)

# In one array each, and in a statement of its own order: PostgreSQL evaluates the volatile
# pg_notify() after the sort, and queues in that order.
_NOTIFY = (
    "SELECT pg_notify(t.channel, {xid}t.payload)"
    " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS t(channel, payload, place)"
    " ORDER BY t.place"
)


class _Cursor(Protocol):
    def execute(self, query: str, params: Any, /) -> Any: ...


def channel(topic: str) -> str:
    """The NOTIFY channel of `topic`: ``ddp:<topic>``.

    A topic that is too long for PostgreSQL, or not plain ASCII, is named ``ddp#<its beginning>~
    <its hash>`` instead; the ``#`` keeps such a name from being any other topic's plain one.
    """
    plain = f"ddp:{topic}"
    if len(plain) <= _MAX_CHANNEL and plain.isascii() and plain.isprintable():
        return plain
    digest = hashlib.sha256(topic.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    readable = "".join(re.findall(r"[\w.-]", topic, re.ASCII))[:26]
    return f"ddp#{readable}~{digest}"


def _unique() -> str:
    return secrets.token_urlsafe(9)


def encode(change: Change, *, unique: Callable[[], str] = _unique) -> list[str]:
    """The payloads that carry a change, to be sent in this order within one transaction.

    Args:
        change: What to tell; its images are plain JSON. Images that make the change larger than
            `MAX_CHANGE`, or that cannot be written as JSON, stay behind: word that a row changed
            is better than a writer's transaction that fails.
        unique: Draws a text that nobody drew before, without ``/`` and of at most 64 characters.

    Returns:
        One payload, or several if it is too long for one; each of at most `MAX_PAYLOAD` bytes.
    """
    xid = "" if change.xid is None else str(change.xid)
    text = _text(change, unique())
    if len(text) <= MAX_PAYLOAD - _MAX_XID:
        return [xid + text]
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    head = f"{xid}#{unique()}"
    return [f"{head}/{n}/{len(pieces)}/{piece}" for n, piece in enumerate(pieces)]


def notify_sql(*changes: Change) -> tuple[str, list[list[str]]]:
    """One statement that announces changes from within the transaction that makes them.

    The number of that transaction is added by the database, in the same statement; `Change.xid`
    is ignored. For any DB-API cursor with ``%s`` parameters that adapts lists to arrays, as
    psycopg2's and Django's do.

    Args:
        changes: What to announce, in statement order.

    Returns:
        The statement and its parameters.
    """
    return _statement(
        [replace(change, xid=None) for change in changes], "pg_current_xact_id()::text || "
    )


def notify(cursor: _Cursor, *changes: Change) -> None:
    """Announce changes through a cursor, in its transaction: see `notify_sql`.

    Args:
        cursor: One of psycopg2 or Django.
        *changes: What to announce, in statement order.
    """
    if changes:
        cursor.execute(*notify_sql(*changes))


def publish_sql(change: Change) -> tuple[str, list[list[str]]]:
    """One statement that announces a change some other transaction made."""
    return _statement([change], "")


def _statement(changes: list[Change], xid: str) -> tuple[str, list[list[str]]]:
    pairs = [(channel(change.topic), payload) for change in changes for payload in encode(change)]
    return _NOTIFY.format(xid=xid), [[name for name, _ in pairs], [text for _, text in pairs]]


def _text(change: Change, nonce: str) -> str:
    row: list[Any] = [change.op.value, change.key, change.before, change.after]
    try:
        text = _dumps(row, nonce)
    except (ValueError, TypeError, RecursionError):
        log.warning("The images of a change of %r are no JSON: sent without.", change.topic)
        text = _dumps(row[:2], nonce)
    if len(text) > MAX_CHANGE:
        text = _dumps(row[:2], nonce)
    if len(text) > MAX_CHANGE:  # what a key: then it is the table that changed
        text = _dumps([Op.RESET.value], nonce)
    return text


def _dumps(row: list[Any], nonce: str) -> str:
    while row[-1] is None:
        row = row[:-1]
    return _encoder.encode({"n": nonce, "rows": [row]})


# The standard library's JSON, because it is exact: integers of any size, floats to the last bit,
# and what is no JSON is an error.
_encoder = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


@dataclass(slots=True)
class _Set:
    """The pieces of one text that have come so far."""

    topic: str
    total: int
    since: float
    pieces: dict[int, str] = field(default_factory=dict)
    size: int = 0


class Assembler:
    """Makes events of payloads, keeping the pieces of long ones until they are complete.

    Args:
        timeout: Seconds after which an incomplete set is given up. The pieces of a set are
            neighbours in PostgreSQL's queue, so what does not come at once never comes.
        max_bytes: How much may be kept waiting; beyond it the oldest set is given up.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        max_bytes: int = 16_000_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeout = timeout
        self._max_bytes = max_bytes
        self._clock = clock
        self._sets: dict[tuple[str, str], _Set] = {}
        self._size = 0

    def __len__(self) -> int:
        """How many sets are incomplete."""
        return len(self._sets)

    def put(self, topic: str, payload: str) -> list[Change | Gap]:
        """Take a payload that came for `topic`.

        Returns:
            What to deliver: the changes that are complete with it, or a `Gap` for what is lost,
            or nothing yet. It never raises: nonsense is logged and makes a `Gap`.
        """
        try:
            xid, text = _match(_PAYLOAD, payload)
            if text.startswith("{"):
                return list(_changes(topic, xid, text))
            return self._piece(topic, xid, text)
        except _Malformed as error:
            log.warning("A payload for %r makes no sense (%s): %.80r", topic, error, payload)
            return [Gap(topic)]

    def expire(self) -> list[Gap]:
        """Give up the sets that are older than `timeout`.

        Returns:
            A gap for each topic that lost something.
        """
        oldest = self._clock() - self.timeout
        return self._give_up([name for name, each in self._sets.items() if each.since <= oldest])

    def clear(self) -> None:
        """Forget all pieces, silently: the caller knows of a greater loss."""
        self._sets.clear()
        self._size = 0

    def _piece(self, topic: str, xid: str, text: str) -> list[Change | Gap]:
        name, place, count, piece = _match(_HEAD, text)
        number, total = int(place), int(count)
        if not number < total <= _MAX_PIECES:
            raise _Malformed("impossible numbers")
        # By topic too: nobody can spoil a set from another channel.
        found = self._sets.get((topic, name))
        if found is None:
            found = self._sets[topic, name] = _Set(topic, total, self._clock())
        if found.total != total or number in found.pieces:
            self._drop((topic, name))
            raise _Malformed("pieces that do not belong together")
        found.pieces[number] = piece
        found.size += len(piece)
        self._size += len(piece)
        if len(found.pieces) == total:
            self._drop((topic, name))
            joined = "".join(found.pieces[n] for n in range(total))
            return list(_changes(topic, xid, joined))
        lost: list[Change | Gap] = []
        while self._size > self._max_bytes:
            lost += self._give_up([next(iter(self._sets))])
        return lost

    def _give_up(self, names: list[tuple[str, str]]) -> list[Gap]:
        for name in names:
            self._drop(name)
        topics = dict.fromkeys(topic for topic, _ in names)
        for topic in topics:
            log.warning("Pieces of a change of %r never came.", topic)
        return [Gap(topic) for topic in topics]

    def _drop(self, name: tuple[str, str]) -> None:
        self._size -= self._sets.pop(name).size


class _Malformed(ValueError):
    """This is nothing we wrote."""


def _match(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    found = pattern.fullmatch(text)
    if found is None:
        raise _Malformed("unknown shape")
    return found.groups()


def _changes(topic: str, xid: str, text: str) -> list[Change]:
    body = _loads(text, _finite)
    number = int(xid) if xid else None
    if isinstance(body, dict) and "keys" in body:
        if isinstance(body["keys"], list) and any(isinstance(key, float) for key in body["keys"]):
            body = _loads(text, str)  # 1.50 is not 1.5
        return _keys(topic, number, body)
    rows = body.get("rows") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise _Malformed("no rows")
    return [_change(topic, number, row) for row in rows]


def _loads(text: str, parse_float: Callable[[str], Any]) -> Any:
    try:
        return json.loads(text, parse_float=parse_float, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _Malformed("no JSON") from error


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("out of range")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _keys(topic: str, xid: int | None, body: dict[str, Any]) -> list[Change]:
    keys = body["keys"]
    if not isinstance(keys, list) or not all(isinstance(key, str | int) for key in keys):
        raise _Malformed("no keys")
    op = _op(body.get("op"))
    if op is Op.RESET:
        raise _Malformed("a reset has no keys")
    return [Change(topic, op, str(key), xid=xid) for key in keys]


def _op(value: Any) -> Op:
    try:
        return Op(value)
    except ValueError as error:
        raise _Malformed("unknown operation") from error


def _change(topic: str, xid: int | None, row: Any) -> Change:
    if not isinstance(row, list) or not 1 <= len(row) <= 4:
        raise _Malformed("no row")
    op, key, before, after = row + [None] * (4 - len(row))
    kind = _op(op)
    if not isinstance(key, str | None) or (key is None) != (kind is Op.RESET):
        raise _Malformed("no key")
    if not isinstance(before, dict | None) or not isinstance(after, dict | None):
        raise _Malformed("no image")
    return Change(topic, kind, key, before, after, xid)
