"""What plugins are told of one run of a handler: that it began, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ddpcore.errors import MeteorError

if TYPE_CHECKING:
    from ddpcore.server.context import Context
    from ddpcore.server.server import Server

__all__ = ["Run"]


class Run:
    """A handler's run, of which somebody wants to hear.

    Args:
        server: Whose plugins are told.
        what: ``"method"`` or ``"subscription"``.
        context: The handler's.
        params: Its arguments.

    Attributes:
        error: What the client was told went wrong.
    """

    __slots__ = ("_began", "_context", "_server", "_what", "error")

    def __init__(self, server: Server, what: str, context: Context, params: list[Any]) -> None:
        self._server = server
        self._what = what
        self._context = context
        self._began = server.clock.time()
        self.error: MeteorError | None = None
        self._tell("started", params=params)

    def ready(self) -> None:
        """It is ready."""
        self._tell("ready", seconds=self._took())

    def ended(self, **more: Any) -> None:
        """It is over."""
        self._tell("ended", seconds=self._took(), error=self.error, **more)

    def _took(self) -> float:
        return self._server.clock.time() - self._began

    def _tell(self, event: str, **more: Any) -> None:
        server = self._server
        hook = f"ddpcore_{self._what}_{event}"
        server.plugins.tell(hook, server.spawn, context=self._context, **more)
