"""DDP over Tornado: raw WebSockets, SockJS, and `ddpcore serve`.

To embed a server in an application of your own::

    app = tornado.web.Application(ddpcore_tornado.handlers(server) + my_handlers)
    http = ddpcore_tornado.listen(app, 8000, limits=ddpcore_tornado.Limits(connections=5_000))

`listen` is Tornado's own with limits on what anybody may take; without it, `app.listen(8000)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ddpcore_tornado.limits import Limits

if TYPE_CHECKING:
    from ddpcore_tornado.http import listen
    from ddpcore_tornado.meteor import meteor_handlers
    from ddpcore_tornado.routes import handlers
    from ddpcore_tornado.status import status_handlers

__all__ = ["Limits", "handlers", "listen", "meteor_handlers", "status_handlers"]


def __getattr__(name: str) -> Any:
    # Late, so that the plugin module can say that Tornado is missing where it is.
    if name == "handlers":
        from ddpcore_tornado.routes import handlers

        return handlers
    if name == "meteor_handlers":
        from ddpcore_tornado.meteor import meteor_handlers

        return meteor_handlers
    if name == "status_handlers":
        from ddpcore_tornado.status import status_handlers

        return status_handlers
    if name == "listen":
        from ddpcore_tornado.http import listen

        return listen
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
