"""The requests that bring messages of the client."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import parse_qs

import ujson

from ddpcore_tornado.sockjs.base import SockJSHandler

__all__ = ["JsonpSend", "XhrSend"]

_XHR_TYPES = frozenset(
    {"", "text/plain", "T", "application/json", "application/xml", "text/xml"},
)
_FORM = "application/x-www-form-urlencoded"
_MAX_FIELDS = 16


class _Sending(SockJSHandler):
    """An array of messages. It is answered when they have been taken, so a flood stays outside."""

    methods: ClassVar[tuple[str, ...]] = ("POST",)
    in_session = True

    async def post(self) -> None:
        """Bring the messages to the session."""
        payload = self.payload()
        if not payload:
            self.refuse(500, "Payload expected.")
            return
        try:
            texts = ujson.loads(payload)
        except ValueError:
            self.refuse(500, "Broken JSON encoding.")
            return
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            self.refuse(500, "Payload expected.")
            return
        session = self.endpoint.sessions.find(self.session_id)
        if session is None:
            self.refuse(404, "404 Error: Page not found\n")
        elif not session.admits(len(payload), self.max_body):
            self.refuse(429, "Send no more before earlier messages are answered.\n")
        else:
            await session.bring(texts, len(payload))
            self.set_header("Content-Type", "text/plain; charset=UTF-8")
            self.accepted()

    def payload(self) -> str:
        """The array, still JSON; empty if there is none."""
        raise NotImplementedError

    def accepted(self) -> None:
        """Answer."""
        raise NotImplementedError

    @property
    def content_type(self) -> str:
        """What the body claims to be."""
        return str(self.request.headers.get("Content-Type", "")).partition(";")[0]


class XhrSend(_Sending):
    """Messages by a script."""

    methods = ("OPTIONS", "POST")
    cors = True

    def payload(self) -> str:
        """The body."""
        return self.body if self.content_type in _XHR_TYPES else ""

    def accepted(self) -> None:
        """Answer with nothing. The type is set all the same: else Firefox took it for XML."""
        self.set_status(204)
        self.flush()  # before `finish`, which would leave the type out
        self.finish()


class JsonpSend(_Sending):
    """Messages by a form."""

    def payload(self) -> str:
        """The field `d` of the form, or a body that is no form."""
        if self.content_type in ("", "text/plain"):
            return self.body
        if self.content_type != _FORM:
            return ""
        try:
            fields = parse_qs(self.body, max_num_fields=_MAX_FIELDS)
        except ValueError:
            return ""
        return fields.get("d", [""])[0]

    def accepted(self) -> None:
        """Answer with something: Konqueror did weird things with nothing."""
        self.finish("ok")
