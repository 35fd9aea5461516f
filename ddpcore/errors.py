"""What goes wrong, in two families: for the client's eyes, and for ours alone."""

from __future__ import annotations

from typing import Any

__all__ = ["DDPError", "MeteorError", "Stopping"]


class DDPError(Exception):
    """A mistake in the use of ddpcore itself; never shown to a client."""


class Stopping(DDPError):
    """The server takes no new clients, since it is stopping."""


class MeteorError(Exception):
    """An error meant for the client: its text travels, and it is not logged.

    Args:
        error: Meteor's error code: a number such as 404, or a short string.
        reason: One sentence for people.
        details: Anything plain JSON can hold. Not EJSON: a date arrives as a string
            (Meteor 3.0.4, `meteor/errors.js`).

    Any other exception reaches the client as 500 "Internal server error" and stands
    in the server's log.
    """

    def __init__(self, error: int | str, reason: str | None = None, details: Any = None) -> None:
        super().__init__(error, reason, details)
        self.error = error
        self.reason = reason
        self.details = details

    @property
    def message(self) -> str:
        """The text Meteor makes of code and reason, e.g. ``Not found [404]``."""
        return f"{self.reason} [{self.error}]" if self.reason else f"[{self.error}]"

    def __str__(self) -> str:
        return self.message

    def as_dict(self) -> dict[str, Any]:
        """The error object of the wire, keys in the order Meteor 3.0.4 sends them."""
        wire: dict[str, Any] = {"isClientSafe": True, "error": self.error}
        if self.reason is not None:
            wire["reason"] = self.reason
        if self.details is not None:
            wire["details"] = self.details
        wire["message"] = self.message
        wire["errorType"] = "Meteor.Error"
        return wire
