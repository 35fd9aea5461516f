"""Document ids on the wire: always strings, whatever the id is (Meteor 3.0.4, mongo-id/id.js)."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ddpcore.wire.ejson import ObjectID, number_text, parse

__all__ = ["DocumentID", "id_parse", "id_stringify"]

DocumentID = str | int | float | bool | ObjectID | None
"""What can identify a document."""

_LOOKS_LIKE_OBJECT_ID = re.compile("[0-9a-f]{24}").fullmatch


def id_stringify(id_: DocumentID) -> str:
    """The text that stands for the id `id_` in a message.

    As `MongoID.idStringify` of Meteor 3.0.4 (mongo-id/id.js): an `ObjectID` is its digits, a
    string is itself, or follows ``-`` if it could be taken for anything else; the others are
    JSON after ``~``. Whole numbers keep all their digits, where JavaScript rounds.

    Raises:
        TypeError: It is none of these.
    """
    if isinstance(id_, str):
        special = id_.startswith(("-", "~", "{")) or _LOOKS_LIKE_OBJECT_ID(id_)
        return f"-{id_}" if special else id_
    if isinstance(id_, ObjectID):
        return id_.hex
    if isinstance(id_, float):
        if not math.isfinite(id_):
            return "~null"
        if not id_.is_integer():
            return f"~{number_text(id_)}"
        id_ = int(id_)  # equal ids have the same text
    if id_ is None or isinstance(id_, int):
        return f"~{json.dumps(id_)}"
    raise TypeError(f"No document id: {type(id_).__qualname__}")


def id_parse(text: str) -> Any:
    """The id that `text` in a message stands for: `id_stringify` backwards.

    As `MongoID.idParse` of Meteor 3.0.4 (mongo-id/id.js). A lone ``-``, which is JavaScript's
    undefined, gives None.

    Raises:
        ddpcore.wire.ejson.EJSONError: What follows ``~`` is no JSON.
    """
    if text == "-":
        return None
    if text.startswith("-"):
        return text[1:]
    if text.startswith("~"):
        return parse(text[1:])
    if _LOOKS_LIKE_OBJECT_ID(text):
        return ObjectID(text)
    return text
