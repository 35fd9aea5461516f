"""A program of somebody who uses ddpcore, for a type checker that is strict: it is never run.

Each ``type: ignore`` is a mistake that must be seen: were the types lost on the way, it would be
called needless.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import tornado.web
from django.contrib.auth.models import User
from django.db.models import QuerySet

import ddpcore
import ddpcore_tornado
from ddpcore import Bus, BusEvent, Change, Document, Gap, LiveQuery, MeteorError, Op, Publisher
from ddpcore.checks import Check, Finding
from ddpcore.live.predicate import And, Equals, Test
from ddpcore.live.query import MergedQueries
from ddpcore.testing import Client, FakeClock, Runner, connect
from ddpcore.transport import Transport
from ddpcore.wire.frame import Frame
from ddpcore_django import (
    API,
    APIMixin,
    Collection,
    Publication,
    api_endpoint,
    login_required,
    this,
)
from ddpcore_pg import PgBus
from ddpcore_tornado.client import Login
from ddpcore_tornado.client import connect as dial

# --- a server of plain Python ---------------------------------------------------------------------

server = ddpcore.Server(grace_period=60.0, clock=FakeClock(), plugins=[object()])
ddpcore.Server(threads="many")  # type: ignore[arg-type]
ddpcore.Server(8)  # type: ignore[call-arg]


@server.method
async def add(ctx: ddpcore.MethodContext, a: int, b: int) -> int:
    await ctx.set_user_id(None)
    ctx.set_user_id(7)  # type: ignore[arg-type]
    total: int = await ctx.call("add", a, b)
    return total


@server.method("half")
def half(_ctx: ddpcore.MethodContext, number: int) -> float:
    if number % 2:
        raise MeteorError(400, "Odd", {"got": number})
    return number / 2


checked: Callable[[ddpcore.MethodContext, int], float] = half


class Notes(LiveQuery):
    key = "notes"
    collection = "notes"
    topics = frozenset({"note"})

    async def fetch(self) -> Mapping[str, Document]:
        return {"1": Document.of("notes", "1", {"text": "tea", "gone": ddpcore.UNSET})}

    def row_of(self, change: Change) -> str | None:
        return change.key if change.op is not Op.RESET else None


@server.publish("notes")
def notes(ctx: ddpcore.PublicationContext) -> list[LiveQuery]:
    ctx.added("notes", "2", {"text": ctx.random.id("notes")})
    ctx.added("notes", 2, {})  # type: ignore[arg-type]
    return [Notes()]


@server.publish(None)
def universal(_ctx: ddpcore.PublicationContext) -> MergedQueries:
    return MergedQueries([Notes()])


server.set_publication_strategy("notes", ddpcore.NO_MERGE)
server.set_publication_strategy("notes", "NO_MERGE")  # type: ignore[arg-type]
rule: str = server.rate_limiter.add_rule({"type": "method", "name": "add"}, 5, 1.0)
condition = And(Equals("author", ["emma"]), Test("length", lambda value: value > 3, "> 3"))

# --- parts of one's own ---------------------------------------------------------------------------


class OwnBus(Bus):
    crosses_processes = True

    async def start(self, deliver: Callable[[BusEvent], None]) -> None:
        deliver(Gap())

    async def stop(self) -> None: ...

    async def subscribe(self, topic: str) -> None: ...

    async def unsubscribe(self, topic: str) -> None: ...

    async def publish(self, change: Change) -> None: ...

    async def fence(self) -> None: ...

    def publisher(self) -> Publisher | None:
        return None


class OwnTransport(Transport):
    def send(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            print(frame.wrapped(bytes.upper))

    def close(self, code: int, reason: str) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


OwnTransport().send(["text"])  # type: ignore[list-item]


class Plugin:
    @ddpcore.hookimpl
    def ddpcore_bus(self, url: str) -> Bus | None:
        return OwnBus() if url == "own:" else PgBus(url)

    @ddpcore.hookimpl
    def ddpcore_around_method(
        self, context: ddpcore.MethodContext
    ) -> AbstractAsyncContextManager[None]:
        return self._around(context.name)

    @contextlib.asynccontextmanager
    async def _around(self, name: str | None) -> AsyncIterator[None]:
        print(name)
        yield

    @ddpcore.hookimpl
    def ddpcore_checks(self) -> list[Check]:
        return [Check("own", lambda: Finding.ok("All is well."))]


# --- Tornado, clients, tests ----------------------------------------------------------------------

application = tornado.web.Application(
    [*ddpcore_tornado.handlers(server, prefix="/live"), *ddpcore_tornado.status_handlers(server)]
)
http = ddpcore_tornado.listen(application, 8000, limits=ddpcore_tornado.Limits(connections=100))
http.stop()
ddpcore_tornado.Limits(connection=100)  # type: ignore[call-arg]


async def follow() -> list[Mapping[str, Any]]:
    async with dial("https://example.org") as client:
        login: Login = await client.login(user="emma", password="secret")
        print(login.token)
        await client.subscribe("notes").ready()
        async for change in client.collection("notes").changes():
            print(change.kind, change.fields)
        return list(client.collection("notes").values())


async def try_it() -> None:
    async with connect(server, user_id="7") as client:
        subscription = await client.subscribe("notes")
        assert subscription.ready


def test_it(ddp: Runner) -> None:
    client: Client = ddp.connect(server)
    assert ddp.run(client.call("add", 1, 2)) == 3


# --- Django ---------------------------------------------------------------------------------------


class Users(Collection):
    model = User
    fields = ("username",)

    def objects_for_user(self, user: Any, qs: QuerySet[Any] | None = None) -> QuerySet[Any]:
        return super().objects_for_user(user, qs).filter(is_active=True)

    def may_update(self, user: Any, obj: Any, fields: Mapping[str, Any]) -> bool:
        return bool(obj.pk == user.pk and fields)


@login_required
class Colleagues(Publication):
    def get_queries(self, name: str) -> list[QuerySet[User]]:
        return [User.objects.filter(username=name)]


class Greetings(APIMixin):
    @api_endpoint
    def greet(self, name: str) -> str:
        return f"Hello {name}, from {this.user_id}"


API.register([Users, Colleagues, Greetings])
API.register("Users")  # type: ignore[arg-type]
