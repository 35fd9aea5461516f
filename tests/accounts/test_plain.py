"""Passwords in plain: only where nobody reads them on the way."""

from __future__ import annotations

import json
import ssl
import subprocess

import pytest
import websockets
from accounts import USERS, by_password, digest, error
from ddp_client import Client

pytestmark = pytest.mark.pg

PLAIN = {"user": {"username": "ann"}, "password": "secret"}
TRUSTED = {"TEST_PROXY_HEADER": json.dumps(["HTTP_X_FORWARDED_PROTO", "https"])}


@pytest.fixture
def world(shell):
    shell(USERS)
    shell("make('ann')")
    return shell


async def answer(address, options, scheme="ws", headers=None, **more):
    """Code of the error to a login, or the type of the login."""
    url = f"{scheme}://{address}/websocket"
    async with websockets.connect(url, additional_headers=headers or {}, **more) as socket:
        client = Client(socket)
        await client.send(msg="connect", version="1", support=["1"])
        await client.message(msg="connected")
        try:
            return (await error(client, "login", options))[0]
        except KeyError:
            return next(each["result"]["type"] for each in client.messages if "result" in each)
        finally:
            await socket.close()
            await client._reader


async def test_from_this_machine(server, world):
    assert await answer(server.address, PLAIN) == "password"


@pytest.mark.parametrize(
    "header", [{"X-Forwarded-For": "192.0.2.1"}, {"X-Real-IP": "192.0.2.1"}, {"Via": "1.1 proxy"},
               {"X-Forwarded-Proto": "https"}]
)  # fmt: skip
async def test_a_proxy_on_this_machine_is_not_the_client(server, world, header):
    assert await answer(server.address, PLAIN, headers=header) == 403
    assert await answer(server.address, by_password("ann"), headers=header) == "password"


@pytest.mark.parametrize("env", [TRUSTED])
async def test_a_proxy_is_believed_as_django_believes_it(server, world):
    tls = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
    assert await answer(server.address, PLAIN, headers=tls) == "password"
    bare = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"}
    assert await answer(server.address, PLAIN, headers=bare) == 403


async def test_over_tls(project, world, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    server = project.serve("--certfile", str(cert), "--keyfile", str(key))
    trusting = ssl.create_default_context(cafile=str(cert))
    # Not of this machine, as far as anybody knows: it is TLS that counts.
    elsewhere = {"X-Forwarded-For": "192.0.2.1"}
    came = await answer(server.address, PLAIN, "wss", elsewhere, ssl=trusting)
    assert came == "password"
    assert server.end() == 0


async def test_other_plain_passwords_are_refused_alike(server, world):
    """Whether there is such a user makes no difference."""
    nobody = {"user": {"username": "nobody"}, "password": "secret"}
    away = {"X-Forwarded-For": "192.0.2.1"}
    assert await answer(server.address, nobody, headers=away) == 403
    options = by_password("ann", digest("wrong"))
    assert await answer(server.address, options, headers=away) == 403


@pytest.mark.parametrize("env", [{"TEST_SERVER": json.dumps({"forwarded_count": 1})}])
async def test_proxies_that_are_counted_are_believed(server, world):
    """What the nearest one says counts, and it must say it."""
    for proto, came in {
        "https": "password",
        "http": 403,
        "https, http": 403,  # the client has made up the first part
        "": 403,
        None: 403,
    }.items():
        headers = {"X-Forwarded-For": "192.0.2.1"}
        if proto is not None:
            headers["X-Forwarded-Proto"] = proto
        assert await answer(server.address, PLAIN, headers=headers) == came
    # Nobody is of this machine who says so, or says nothing.
    assert await answer(server.address, PLAIN, headers={"X-Forwarded-For": "127.0.0.1"}) == 403
    assert await answer(server.address, PLAIN) == 403
