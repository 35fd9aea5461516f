"""What the tests of accounts say to a server, and what users they have."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from typing import Any

from ddp_client import CallError, connect

AMBIGUOUS = "Something went wrong. Please check your credentials."

USERS = """
def user(name):
    return User.objects.get(**{User.USERNAME_FIELD: name})

def make(name, password="secret", **fields):
    made = User(**{User.USERNAME_FIELD: name} | fields)
    if password is None:
        made.set_unusable_password()
    else:
        made.set_password(password)
    made.save()
    return made
"""


def digest(password: str) -> dict[str, str]:
    return {"digest": hashlib.sha256(password.encode()).hexdigest(), "algorithm": "sha-256"}


def by_password(user: str | dict[str, Any], password: Any = "secret", **more: Any) -> dict:
    return {
        "user": {"username": user} if isinstance(user, str) else user,
        "password": digest(password) if isinstance(password, str) else password,
        **more,
    }


async def result(client, method: str, *params: Any) -> dict[str, Any]:
    """The message of a method's result, without its id."""
    id = client.new_id()
    await client.send(msg="method", id=id, method=method, params=list(params))
    message = await client.message(msg="result", id=id)
    await client.message(msg="updated", methods=[id])
    return {name: value for name, value in message.items() if name not in ("msg", "id")}


async def error(client, method: str, *params: Any) -> tuple[Any, Any]:
    """Code and reason of the error that a method answers with."""
    found = (await result(client, method, *params))["error"]
    return found["error"], found.get("reason")


async def login(client, user: str | dict[str, Any], password: Any = "secret", **more: Any):
    return await client.call("login", by_password(user, password, **more))


@asynccontextmanager
async def unlimited(address: str):
    """A client of a server that limits nobody any more."""
    async with connect(address) as client:
        await client.call("test.unlimit")
        yield client


__all__ = [
    "AMBIGUOUS", "USERS", "CallError", "by_password", "connect", "digest", "error", "login",
    "result", "unlimited",
]  # fmt: skip
