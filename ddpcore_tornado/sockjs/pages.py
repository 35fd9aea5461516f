"""What is asked for before a session: greeting, info, and the iframe page."""

from __future__ import annotations

import hashlib
import secrets
from html import escape
from typing import Any

import ujson

from ddpcore_tornado.sockjs.base import SockJSHandler
from ddpcore_tornado.sockjs.caller import ancestors

__all__ = ["Greeting", "IframePage", "Info", "NotFound"]

_IFRAME = """\
<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="{url}"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"""


class Greeting(SockJSHandler):
    """Shows a curious person that the address is right."""

    def get(self) -> None:
        """Greet, in the words of the SockJS protocol."""
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish("Welcome to SockJS!\n")


class NotFound(SockJSHandler):
    """Any other address below the SockJS prefix."""

    def prepare(self) -> None:
        """Say so, in the words of the SockJS protocol."""
        self.refuse(404, "404 Error: Page not found\n")


class Info(SockJSHandler):
    """What this server can do; a SockJS client asks before anything else."""

    methods = ("OPTIONS", "GET")
    cors = True

    def get(self) -> None:
        """Answer with the info object. It carries entropy, so it is never cached."""
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.set_header(
            "Cache-Control", "no-store, no-cache, no-transform, must-revalidate, max-age=0"
        )
        options = self.endpoint.options
        info: dict[str, Any] = {
            "websocket": options.websocket,
            "origins": ["*:*"],
            "cookie_needed": options.jsessionid,
            "entropy": secrets.randbits(32),
        }
        self.finish(ujson.dumps(info))


class IframePage(SockJSHandler):
    """A page of this host that talks to us for the page that frames it.

    Its requests look like those of our own pages. So browsers are told who may frame it.
    """

    def get(self) -> None:
        """Answer with the page, or say that the browser has it already."""
        page = _IFRAME.format(url=escape(self.endpoint.options.client_url))
        policy = ancestors(self.endpoint.origins, self.request.host)
        digest = hashlib.sha256(f"{page}\n{policy}".encode()).hexdigest()[:32]
        self.set_header("ETag", f'"{digest}"')
        self.cache()
        if policy is not None:
            self.set_header("Content-Security-Policy", policy)
        if self.request.headers.get("If-None-Match") == f'"{digest}"':
            self.set_status(304)
            self.clear_header("Content-Type")
            self.finish()
            return
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.finish(page)
