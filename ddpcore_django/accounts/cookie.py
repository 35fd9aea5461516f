"""Login by the Django session of the handshake: who is logged in on the site is so here.

Off by default (`DDPCORE_ACCOUNTS["COOKIE_LOGIN"]`), for a reason. Browsers send cookies along with
*any* page's WebSocket handshake, no CSRF token goes with it, and the same-origin policy does not
apply to it. So a foreign page could open a connection that is logged in as its visitor, and read
and call whatever that user may: cross-site WebSocket hijacking. With tokens that cannot happen,
since a page has to send them itself. What keeps foreign pages out here:

- Cookies count only if the handshake has an Origin of our own host or of an origin that the
  server was told by name. ``*`` and ``null`` let pages connect, but not log in. Without an Origin
  there is no login: either it is no browser, which has no use for this, or a proxy has lost it.
  Scripts cannot set Origin, so this is what a CSRF token would be: proof of the page.
- Where Django's session cookie is for TLS only (SESSION_COOKIE_SECURE), a page that came without
  TLS does not count: who sits in the network can put words into it.
- Django's cookie is SameSite=Lax by default: browsers do not even send it from other sites.
  But subdomains are the same site; hence not this alone.
- Only WebSockets bring cookies. The requests of SockJS's other transports are answered to other
  origins as well, each by itself, and are never trusted for their cookies.

Cookies are shared by all ports of a host, and so is the trust. What is rendered on a page of this
host that strangers have written can act as the user, here as on the site.

Such a login has a row among the others, with no token that anybody knows: it closes with the
session, and no token can be had for it (`getNewToken`), which might outlive the session. Logging
out on the site deletes it, at once and for all processes. Whatever else ends a
session (its expiry, another password, a cleared cache) is looked for every `LOOK` seconds. If only
the row is deleted, in the admin for one, the client comes back with its cookie and is logged in
anew: it is the session that has to go.
"""

from __future__ import annotations

import base64
import logging
from importlib import import_module
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.signals import user_logged_out
from django.http import HttpRequest, parse_cookie
from django.utils import timezone
from django.utils.crypto import salted_hmac

from ddpcore.clock import Timer
from ddpcore.hookspecs import hookimpl
from ddpcore.server import ConnectionHandle
from ddpcore.transport import Cookies
from ddpcore_django.accounts import tokens
from ddpcore_django.accounts.binding import bindings_of
from ddpcore_django.accounts.models import LoginToken
from ddpcore_django.server import DjangoServer

__all__ = ["LOOK", "CookieLogins", "connect", "register"]

logger = logging.getLogger(__name__)

LOOK = 60.0
"""Seconds between two looks whether a session still lasts."""


def register(server: DjangoServer) -> None:
    """Let connections of a server log in by their cookies."""
    server.wants_cookies = True
    server.plugins.register(CookieLogins(server))


class _Found(NamedTuple):
    row_id: int
    user_id: str


class CookieLogins:
    """Logs connections in as they come.

    Args:
        server: Whose.
    """

    def __init__(self, server: DjangoServer) -> None:
        self._server = server
        self._bindings = bindings_of(server)
        self._timers: dict[str, Timer] = {}  # by connection

    @hookimpl
    def ddpcore_session_opened(self, connection: ConnectionHandle) -> None:
        """Look whether it brought a session."""
        runtime = connection._runtime
        assert runtime is not None
        cookies, runtime.transport.cookies = runtime.transport.cookies, None
        key = _session_key(cookies) if cookies is not None else None
        if key:
            self._server.crossbar.spawn(self._log_in(connection, key))

    async def _log_in(self, connection: ConnectionHandle, key: str) -> None:
        try:
            found: _Found | None = await self._server.ask(_open, key)
        except Exception:
            logger.exception("%s could not be logged in by its cookie", connection)
            return
        runtime = connection._runtime
        # A client that has logged in meanwhile, or is about to, knows better.
        if (
            found is None
            or runtime is None
            or runtime.machine.user_id is not None
            or runtime._changing_user.locked()
        ):
            return
        self._bindings.bind(connection, found.row_id)
        runtime._spawn(runtime._rerun(found.user_id))
        self._look_later(connection, key, found)
        connection.on_close(lambda: self._look_no_more(connection))

    def _look_later(self, connection: ConnectionHandle, key: str, found: _Found) -> None:
        clock = self._server.clock
        self._timers[connection.id] = clock.call_at(
            clock.time() + LOOK,
            lambda: self._server.crossbar.spawn(self._look(connection, key, found)),
        )

    def _look_no_more(self, connection: ConnectionHandle) -> None:
        timer = self._timers.pop(connection.id, None)
        if timer is not None:
            timer.cancel()

    async def _look(self, connection: ConnectionHandle, key: str, found: _Found) -> None:
        self._timers.pop(connection.id, None)
        if self._bindings.row_of(connection) != found.row_id:
            return  # it is closed, or rests on another login
        try:
            lasts = await self._server.ask(_open, key) == found
        except Exception as problem:
            logger.warning("Sessions could not be looked at, trying again: %s", problem)
            lasts = True
        if self._bindings.row_of(connection) != found.row_id:
            return
        if lasts:
            self._look_later(connection, key, found)
        else:
            connection.close()


def _session_key(cookies: Cookies) -> str | None:
    if settings.SESSION_COOKIE_SECURE and not cookies.origin.lower().startswith("https:"):
        return None
    return parse_cookie(cookies.header).get(settings.SESSION_COOKIE_NAME)


class _Session(dict[str, Any]):
    """What a session holds, to look at: whoever looks must not end or renew the user's own."""

    flush = dict.clear

    def cycle_key(self) -> None:
        """Keep it."""


def _open(key: str) -> _Found | None:
    """The row of a session's login, made if need be; None if nobody is logged in. In a thread."""
    user, expires = _user_of(key)
    name = _name_of(key)
    if user is None:
        _revoke(name)
        return None
    now = timezone.now()
    row, _ = LoginToken.objects.update_or_create(
        hashed=name,
        defaults={"user": user, "expires": expires, "last_used": now},
        create_defaults={
            "user": user, "expires": expires, "last_used": now, "created": now
        },
    )  # fmt: skip
    # The session may have ended in between, when there was no row yet to be deleted.
    if _user_of(key)[0] != user:
        tokens.revoke(row.pk)
        return None
    return _Found(row.pk, str(user.pk))


def _user_of(key: str) -> tuple[Any, Any]:
    store = import_module(settings.SESSION_ENGINE).SessionStore(key)
    request = HttpRequest()
    request.session = _Session(store.items())  # type: ignore[assignment]
    user = auth.get_user(request)  # of this site's secret, password and backends; only active ones
    return (user, store.get_expiry_date()) if user.is_authenticated else (None, None)


def _name_of(key: str) -> str:
    # In the place of a token's hash, and of its length; nobody can make a token for it.
    hashed = salted_hmac("ddpcore_django.accounts.cookie", key, algorithm="sha256").digest()
    return tokens.NO_TOKEN + base64.b64encode(hashed).decode()[len(tokens.NO_TOKEN) :]


def _revoke(name: str) -> None:
    for row in LoginToken.objects.filter(hashed=name):
        row.delete()


def _logged_out(*, request: HttpRequest | None, **_: Any) -> None:
    key = getattr(getattr(request, "session", None), "session_key", None)
    if key:
        _revoke(_name_of(key))


def connect() -> None:
    """Hear of those who log out on the site, in whatever process."""
    user_logged_out.connect(_logged_out, dispatch_uid="ddpcore_django.accounts.cookie")
