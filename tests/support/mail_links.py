"""Links in mails, those who get them, and what comes of opening them."""

from __future__ import annotations

import json
import re

from accounts import CallError, connect

OLD, NEW = "an old password", "a new password"


async def mails(client):
    return await client.call("test.outbox")


async def tokens(client, purpose):
    return [
        token
        for mail in await mails(client)
        for token in re.findall(
            rf"^http://localhost:3000/#/{purpose}/(\S+)$", mail["body"], re.MULTILINE
        )
    ]


async def forgot(client, email="ann@example.org"):
    """The token of the mail that comes of it."""
    assert await client.call("forgotPassword", {"email": email}) is None
    return (await tokens(client, "reset-password"))[-1]


async def logs_in(address, password, email="ann@example.org"):
    async with connect(address) as client:
        try:
            await client.call("login", {"user": {"email": email}, "password": password})
        except CallError:
            return False
        return True


class People:
    """The users, as the database has them."""

    def __init__(self, shell):
        self.shell = shell
        shell("from ddpcore_django.accounts import addresses, links, mails")
        shell("import json; from unittest import mock; from django.core import mail")
        shell("from django.test import override_settings")

    def ask(self, expression):
        self.shell.start(f"print(json.dumps({expression}))")
        value = json.loads(self.shell.line())
        self.shell.finished()
        return value

    def add(self, name="ann", **fields):
        email = fields.pop("email", f"{name}@example.org")
        password = fields.pop("password", OLD)
        self.shell(
            f"""
named = {{}} if User.USERNAME_FIELD == "email" else {{"username": {name!r}}}
{name} = User.objects.create_user(email={email!r}, password={password!r}, **named, **{fields!r})
"""
        )

    def change(self, name="ann", **fields):
        self.shell(f"User.objects.filter(pk={name}.pk).update(**{fields!r})")

    def verified(self, name="ann"):
        return self.ask(f"sorted(addresses.verified({name}))")

    def token(self, purpose, name="ann", days_ago=0.0):
        self.shell(
            f"""
import time
then = time.time() - {days_ago} * 86400
with mock.patch("time.time", lambda: then):
    token = links.token_for({purpose!r}, User.objects.get(pk={name}.pk), {name}.email)
"""
        )
        return self.ask("token")


RESET = ("resetPassword", NEW)
VERIFY = ("verifyEmail",)
EXPIRED = (403, "Token expired")
VERIFY_EXPIRED = (403, "Verify email link expired")


async def opened(client, how, token):
    """None, or why it did not go well."""
    method, *more = how
    try:
        await client.call(method, token, *more)
    except CallError as problem:
        return problem.args[0]["error"], problem.args[0]["reason"]
