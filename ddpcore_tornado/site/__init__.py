"""The site beside DDP: a WSGI or an ASGI application behind Tornado's HTTP parser.

DDP's event loop reads requests and writes responses, and nothing else: the application runs in
threads (WSGI) or on a loop in a thread of its own (ASGI). However long it takes, clients of DDP
are served meanwhile.
"""

from __future__ import annotations

from ddpcore.application import Application
from ddpcore_tornado.options import Options
from ddpcore_tornado.site.asgi import ASGISite
from ddpcore_tornado.site.exchange import Site
from ddpcore_tornado.site.wsgi import WSGISite

__all__ = ["ASGISite", "Site", "WSGISite", "make_site"]


def make_site(
    application: Application, options: Options, *, multiprocess: bool = False
) -> Site | None:
    """The site of an application, if it has one.

    Args:
        application: What is served.
        options: How it is served.
        multiprocess: Whether other processes serve it, too.
    """
    if application.asgi is not None:
        return ASGISite(application.asgi, max_upload=options.max_upload)
    if application.wsgi is not None:
        return WSGISite(
            application.wsgi,
            threads=options.site_threads,
            max_upload=options.max_upload,
            multiprocess=multiprocess,
        )
    return None
