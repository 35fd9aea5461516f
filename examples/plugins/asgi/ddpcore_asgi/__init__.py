"""DDP by ASGI: whatever serves ASGI's websockets serves DDP.

In a module that uvicorn is told of::

    app = ddpcore_asgi.application(server)
"""

from ddpcore_asgi.application import application

__all__ = ["application"]
