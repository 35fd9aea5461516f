"""124-127: values on their way there and back; tests/wire has all the cases."""

from __future__ import annotations

import pytest
from drivers import MemoryDriver

from ddpcore import Server


async def echoed(*params):
    server = Server()
    server.method("echo")(lambda ctx, *values: list(values))
    async with MemoryDriver().client(server) as client:
        result = (await client.result("echo", *params))["result"]
        assert isinstance(result, list)
        return result


@pytest.mark.parametrize(
    "value",
    [
        {"$date": 1_600_000_000_123},
        {"$date": -1},
        {"$binary": "AQIDBA=="},
        {"$InfNaN": 0},
        {"$InfNaN": 1},
        {"$InfNaN": -1},
        {"$regexp": "^a+$", "$flags": "gi"},
        {"$type": "oid", "$value": "0123456789abcdef01234567"},
        {"$escape": {"$date": {"$date": 1}}},
        {"$escape": {"$escape": {}}},
        {"a": [{"b": {"$date": 1}}, {"$escape": {"$date": 5}}]},
    ],
    ids=str,
)
async def test_124_ejson_goes_there_and_back(value):
    assert await echoed(value) == [value]


async def test_125_what_looks_like_a_type_is_escaped():
    server = Server()
    server.method("lie")(lambda ctx: {"$date": 1})
    server.publish("lie")(lambda ctx: ctx.added("c", "1", {"$date": 1}))
    async with MemoryDriver().client(server) as client:
        assert (await client.result("lie"))["result"] == {"$escape": {"$date": 1}}
        await client.sub("s", "lie")
        assert (await client.hear())["fields"] == {"$escape": {"$date": 1}}


async def test_126_an_unknown_type_is_a_parse_error():
    async with MemoryDriver().client(Server()) as client:
        await client.method("echo", {"a": [{"$type": "unknown", "$value": 1}]})
        assert await client.rest() == [{"msg": "error", "reason": "Parse error"}]


@pytest.mark.parametrize("value", [{"$date": 1, "x": 2}, {"$type": "x"}, {"$foo": 1}], ids=str)
async def test_127_what_only_resembles_a_type_stays_plain(value):
    assert await echoed(value) == [value]
