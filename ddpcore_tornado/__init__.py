"""DDP over Tornado: raw WebSockets, SockJS, and `ddpcore serve`.

To embed a server in an application of your own::

    app = tornado.web.Application(ddpcore_tornado.handlers(server) + my_handlers)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddpcore_tornado.meteor import meteor_handlers
    from ddpcore_tornado.routes import handlers

__all__ = ["handlers", "meteor_handlers"]


def __getattr__(name: str) -> Any:
    # Late, so that the plugin module can say that Tornado is missing where it is.
    if name == "handlers":
        from ddpcore_tornado.routes import handlers

        return handlers
    if name == "meteor_handlers":
        from ddpcore_tornado.meteor import meteor_handlers

        return meteor_handlers
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
