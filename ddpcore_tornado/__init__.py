"""DDP over Tornado: raw WebSockets, SockJS, and `ddpcore serve`.

To embed a server in an application of your own::

    app = tornado.web.Application(ddpcore_tornado.handlers(server) + my_handlers)
"""

from ddpcore_tornado.routes import handlers

__all__ = ["handlers"]
