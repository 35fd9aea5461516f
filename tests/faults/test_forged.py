"""Nonsense on the channels: any role may NOTIFY. It may show wrong rows, but do no other harm."""

from __future__ import annotations

import json

import psycopg2
import pytest
from faultworld import EVERY_KIND, USERS, WORLD, watching

pytestmark = pytest.mark.pg

WANTED = (*EVERY_KIND, ["priced", "1.50"])

FAR = 2**63 + 5

ITEM = {"id": 1, "text": "forged", "number": 4, "price": "1.50", "shelf_id": 1}


def rows(*rows: list, **more) -> str:
    return json.dumps({"n": "x", "rows": rows} | more)


def item(**values) -> str:
    return rows(["u", "1", None, ITEM | values])


LINK = {"id": 1, "room_id": 2, "user_id": 1, "role": "guest"}
FRIENDS = {"id": 1, "from_person_id": 1, "to_person_id": 2}

NONSENSE = {
    "faultsite.item": [
        "",
        "{}",
        "{",
        "[]",
        "null",
        '{"rows":5}',
        "#a/0/2/x",
        "#a/1/2/}",
        "#a/0/2/x",
        "#b/0/1000/x",
        rows(),
        rows(["r"]),
        rows(["x", "1"]),
        rows(["u", 1]),
        rows(["u", "1", 5, "no"]),
        rows(["u", "", None, {}]),
        rows(["u", "no number", None, ITEM]),
        rows(["u", "9" * 5000]),
        rows(["i", "9" * 5000, None, ITEM]),
        rows(["d", "9" * 5000]),
        rows(["u", "\0"]),
        rows(["u", "1\0", None, ITEM]),
        rows(["u", "\ud800"], ["u", "-1"], ["u", "1.5"], ["u", "१"], ["u", " 1 "]),
        json.dumps({"n": "x", "op": "u", "keys": [1, 1.5, -0.0, 2**70, "\ud800", "\0", True]}),
        '{"n":"x","op":"u","keys":[1e400]}',
        json.dumps({"n": "x", "op": "d", "keys": list(range(100))}),
        item(number="four"),
        item(number=None),
        item(number=2**70),
        item(number=1.5),
        item(number=True),
        item(number=[4]),
        item(number={"a": 4}),
        item(text=None),
        item(text="\ud800"),
        item(text="\0"),
        item(text=["x"]),
        item(price="sNaN"),
        item(price="NaN"),
        item(price="Infinity"),
        item(price="1e999999999"),
        item(price="9" * 5000),
        item(price=1.5),
        item(shelf_id="1"),
        item(shelf_id={}),
        item(shelf_id=-1),
        item(id="other"),
        item(unknown=[{}]),
        rows(["i", "1", None, ITEM], ["d", "1"], ["i", "1", None, ITEM], ["u", "1", None, {}]),
        rows(["d", "1", ITEM, ITEM]),
        rows(["i", "1", ITEM]),
    ],
    "faultsite.shelf": [
        rows(["u", "1", None, {"id": 1, "name": ["a"]}]),
        rows(["u", "1", None, {"id": [1], "name": "a"}]),
        rows(["i", "77", None, {"id": 78, "name": "a"}], ["d", "77"], ["d", "78"]),
        rows(["d", "1", {"id": 2}]),
        rows(["u", "1", None, {"id": None, "name": "a"}]),
    ],
    "faultsite.membership": [
        rows(["i", "1", None, LINK], ["i", "1", None, LINK]),
        rows(["d", "1", LINK], ["d", "1", LINK], ["d", "2", LINK]),
        rows(["i", "1", None, LINK | {"room_id": []}]),
        rows(["i", "1", None, LINK | {"user_id": []}]),
        rows(["i", "1", None, LINK | {"user_id": "\ud800"}]),
        rows(["i", "1", None, LINK | {"user_id": None}]),
        rows(["i", "1", None, {}], ["d", "9"], ["u", "1", None, LINK]),
        rows(["i", "", None, LINK | {"room_id": None}]),
    ],
    "faultsite.person_friends": [
        rows(["i", "1", None, FRIENDS], ["i", "5", None, FRIENDS]),
        rows(["d", "1", FRIENDS], ["d", "5", FRIENDS], ["d", "6", FRIENDS]),
        rows(["i", "1", None, FRIENDS | {"to_person_id": {"a": []}}]),
    ],
    "faultsite.note": [
        rows(["u", "1", None, {"id": 1, "text": "x", "owner_id": "1", "room_id": 0, "rank": 5}]),
        rows(["u", "1", None, {"id": 1, "text": "x", "owner_id": [], "room_id": [], "rank": []}]),
        rows(["u", "1", None, {"id": 1, "text": "x", "owner_id": 1, "room_id": 1, "rank": 1.5}]),
    ],
}


@pytest.mark.parametrize("capture", ["signals"])
async def test_nonsense_does_no_lasting_harm(pg_cluster, pg_name, server, writer, agree, capture):
    writer(WORLD)
    forger = psycopg2.connect(pg_cluster.dsn(pg_name))
    forger.autocommit = True
    cursor = forger.cursor()
    async with watching(server, *USERS, wanted=WANTED) as clients:
        for xid in ("", "0", "3", "99999999", str(FAR), "9" * 20):
            for topic, payloads in NONSENSE.items():
                for payload in payloads:
                    cursor.execute("SELECT pg_notify(%s, %s)", [f"ddp:{topic}", xid + payload])
            # All in one transaction, which the server takes for several.
            cursor.execute(
                "SELECT pg_notify(channel, %s || payload) FROM unnest(%s, %s) AS f(channel, payload)",
                [
                    xid,
                    [f"ddp:{topic}" for topic, payloads in NONSENSE.items() for _ in payloads],
                    [payload for payloads in NONSENSE.values() for payload in payloads],
                ],
            )
            # Nobody waits in vain, and changes go on.
            writer("Item.objects.create(text='true', number=4, shelf=a)")
            for client in clients:
                await client.call("mark")
        # Each topic once more, from the beginning.
        for topic in NONSENSE:
            cursor.execute("SELECT pg_notify(%s, %s)", [f"ddp:{topic}", rows(["r"])])
        for client, user in zip(clients, USERS, strict=True):
            await agree(client, user, *WANTED)
        for each in ("item", "shelf", "room", "note"):
            writer(f"for row in {each.title()}.objects.all(): row.save()")
        writer("people[0].friends.set([people[2]]); Membership.objects.all()[0].delete()")
        for client, user in zip(clients, USERS, strict=True):
            await agree(client, user, *WANTED)
    forger.close()


@pytest.mark.parametrize("capture", ["signals"])
async def test_what_comes_with_nonsense_is_not_lost(server, writer, agree, capture):
    writer(WORLD)
    wanted = (["priced", "1.50"], ["items"], ["rooms"])
    async with watching(server, "ann", wanted=wanted) as (client,):
        # No value for an index: such a number can be compared with none, nor be looked up.
        writer(
            "with transaction.atomic(), connection.cursor() as cursor:\n"
            "    cursor.execute('SELECT pg_notify(%s, %s)',"
            f" ['ddp:faultsite.item', {'3' + item(price='sNaN')!r}])\n"
            "    Item.objects.create(number=4, price='1.50')\n"
            "    hall.name = 'new'; hall.save()\n"
        )
        await agree(client, "ann", *wanted)
