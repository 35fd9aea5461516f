"""The status page, in headless Chromium."""

from __future__ import annotations

import asyncio

import pytest
from deploying import client
from looking import serve
from workers import Commands

pytestmark = pytest.mark.browser

TOKEN = "a token of some length"


@pytest.fixture
def commands(tmp_path):
    commands = Commands(tmp_path)
    yield commands
    commands.kill()


@pytest.fixture
def windows(start, tmp_path):
    return lambda command: start("windows", f"http://{command.monitor}", str(tmp_path))


async def do(windows, *what):
    return await asyncio.to_thread(windows.do, *what)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_client_is_seen_and_closed(commands, windows, workers):
    command = serve(commands, "--status", workers=workers)
    page = windows(command)
    await do(page, "open", "status", "/status/")
    await do(page, "see", "status", "#sessions .none", "Nobody is connected.")
    async with client(f"ws://{command.address}/websocket") as one:
        await one.call("be", "anna")
        await one.sub("room", "a secret", 3)
        [session] = [each["session"][:8] for each in one.messages if each["msg"] == "connected"]
        await do(page, "see", "status", "#sessions tbody tr", session)
        await do(page, "see", "status", "#sessions tbody tr", "anna")
        await do(page, "see", "status", "#observers tbody tr", "matched")
        await do(page, "see", "status", ".tile:has-text('Documents') b", "3")
        await do(page, "has", "status", "#frames .line")
        for width in (390, 1280):
            await do(page, "resize", "status", width)
            assert await do(page, "overflow", "status") <= 0

        await do(page, "fill", "status", "#sessions-filter", "bert")
        await do(page, "see", "status", "#sessions .none", "Nothing fits the filter.")
        await do(page, "fill", "status", "#sessions-filter", "ANNA")
        await do(page, "click", "status", f"#sessions .link:text-is('{session}')")
        await do(page, "see", "status", "#subscriptions tbody tr", "room")
        await do(page, "see", "status", "#subscriptions tbody tr", "string, number")
        await do(page, "unsee", "status", "#session", "a secret")
        await do(page, "click", "status", "#close")
        await do(page, "click", "status", "#close:text-is('Really close it')")
        await one._reader
    await do(page, "see", "status", "#sessions .none", "Nothing fits the filter.")


async def test_it_sorts(commands, windows):
    command = serve(commands, "--status")
    page = windows(command)
    await do(page, "open", "status", "/status/")
    urls = [f"ws://{command.address}/websocket"] * 2
    async with client(urls[0]) as anna, client(urls[1]) as bert:
        await anna.call("be", "anna")
        await bert.call("be", "bert")
        first = "#sessions tbody tr:first-child td[data-label=User]"
        await do(page, "click", "status", "#sessions th button:text-is('User')")
        await do(page, "see", "status", first, "anna")
        await do(page, "click", "status", "#sessions th button:text-is('User')")
        await do(page, "see", "status", first, "bert")
        await do(page, "see", "status", "#sessions th[aria-sort=descending]", "User")


async def test_it_asks_for_the_token(commands, windows):
    command = serve(commands, "--status", workers="2", DDPCORE_STATUS_TOKEN=TOKEN)
    page = windows(command)
    await do(page, "open", "status", "/status/")
    await do(page, "fill", "status", "#token", "wrong")
    await do(page, "press", "status", "#token", "Enter")
    await do(page, "see", "status", "#door-says", "This is not the token.")
    await do(page, "fill", "status", "#token", TOKEN)
    await do(page, "press", "status", "#token", "Enter")
    await do(page, "see", "status", "#state", "live, 2 processes")
    await do(page, "see", "status", ".tile", "Sessions")


async def test_it_comes_back_with_the_server(commands, windows):
    command = serve(commands, "--status")
    page = windows(command)
    await do(page, "open", "status", "/status/")
    await do(page, "see", "status", "#state", "live, 1 process")
    await asyncio.to_thread(command.end)
    await do(page, "see", "status", "#state", "connecting")
    serve(commands, "--status", monitor=command.monitor)
    await do(page, "see", "status", "#state", "live, 1 process")
