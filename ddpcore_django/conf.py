"""The settings: one dictionary, `DDPCORE`, each key with a default and a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from ddpcore.server.server import Options
from ddpcore_django.publishing import publisher_of

__all__ = ["Conf", "conf", "read"]

SERVER = frozenset(Options.__slots__) - {"threads"}  # which is THREADS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Conf:
    """What `DDPCORE` may hold, in lower case here and in upper case there.

    Attributes:
        bus: How word of a change travels: the URL of a bus. ``"auto"``: NOTIFY where the default
            database is PostgreSQL, else within the process. ``"memory:"``: never NOTIFY, for one
            process that writes and serves alone. Any other is then the default of
            ``ddpcore serve --bus``; if that bus has a publisher, every process of the project
            tells it of what it commits, and nothing is sent by NOTIFY.
        atomic_methods: Whether each `def` endpoint runs in a transaction of its own, so that one
            that fails has written nothing.
        threads: Threads in which methods, publications and queries may be in the database at once.
            Each holds a connection: mind the database's limit, and count the server processes.
        watch: Labels of further models whose changes are announced, such as ``"shop.Price"``:
            those that publications read and no `Collection` publishes.
        capture: How changes are noticed, where a collection does not say it: ``"signals"``,
            Django's, by what the ORM does, or ``"triggers"``, PostgreSQL's, by whatever anyone
            does.
        poll_interval: Seconds between two runs of a query that is asked as a whole when something
            changes: the least, so that a burst of changes costs the database one run.
        plugins: Names of plugins for the project's server, beside the installed ones:
            ``"shop.plugins.Audit"`` is a module, an object, or a class, of which one is made.
        server: Further arguments of `ddpcore.Server`, such as
            ``{"connect_timeout": 20, "forwarded_count": 1}``. Not `threads`, `bus`, `executor`,
            `clock` and `plugins`, which have places of their own or none in a project.
        site: What answers at paths that are not DDP's: the project's ``"wsgi"`` or ``"asgi"``
            application, or None: nothing.
    """

    bus: str = "auto"
    atomic_methods: bool = True
    threads: int = 8
    watch: tuple[str, ...] = ()
    capture: Literal["signals", "triggers"] = "signals"
    poll_interval: float = 0.05
    plugins: tuple[str, ...] = ()
    server: Mapping[str, Any] = field(default_factory=dict)
    site: Literal["wsgi", "asgi"] | None = "wsgi"

    def captures(self, vendor: str) -> Literal["notify", "publish"]:
        """How a write to a database of this vendor is announced."""
        if vendor != "postgresql" or self.bus == "memory:":
            return "publish"
        return "notify" if publisher_of(self.bus) is None else "publish"


def read(setting: str, kind: type[T]) -> T:
    """A dictionary of the project's settings as a dataclass; lists as the tuples it has.

    Raises:
        ImproperlyConfigured: It holds a key that does not exist.
    """
    given: dict[str, Any] = getattr(settings, setting, {})
    known = {name.upper(): name for name in kind.__slots__}  # type: ignore[attr-defined]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ImproperlyConfigured(
            f"{setting} has no setting {', '.join(unknown)}. There are: {', '.join(sorted(known))}."
        )
    values = {known[key]: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
    return kind(**values)


@cache
def conf() -> Conf:
    """The project's settings, read once.

    Raises:
        ImproperlyConfigured: `DDPCORE` holds a key or a choice that does not exist.
    """
    found = read("DDPCORE", Conf)
    if found.capture not in ("signals", "triggers"):
        raise ImproperlyConfigured(
            f'DDPCORE["CAPTURE"] is "signals" or "triggers", not {found.capture!r}.'
        )
    if unknown := sorted(set(found.server) - SERVER):
        raise ImproperlyConfigured(
            f'DDPCORE["SERVER"] has no {", ".join(unknown)}. There are: '
            f"{', '.join(sorted(SERVER))}."
        )
    if found.site not in ("wsgi", "asgi", None):
        raise ImproperlyConfigured(
            f'DDPCORE["SITE"] is "wsgi", "asgi" or None, not {found.site!r}.'
        )
    return found


def _forget(*, setting: str, **_: object) -> None:
    if setting == "DDPCORE":
        conf.cache_clear()


setting_changed.connect(_forget, dispatch_uid="ddpcore_django.conf")
