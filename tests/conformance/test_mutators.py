"""144-147: what a client's collections call by themselves, on a served site."""

from __future__ import annotations

import contextlib

import pytest
from ddp_client import CallError, connect
from tasks_site import tasks_site

from ddpcore.wire.alea import RandomStreams

pytestmark = pytest.mark.pg

DENIED = (403, "Access denied")
NO_REPLACING = (
    "Access denied. In a restricted collection you can only update documents, not replace them. "
    "Use a Mongo update operator, such as '$set'."
)


@pytest.fixture(scope="module")
def served(pg_cluster):
    with tasks_site(pg_cluster) as site:
        site.shell(
            "for name in ('cara', 'dave'): User.objects.create_user(name, last_name='Old')\n"
            "for title in ('one', 'two'): Card.objects.create(title=title)\n"
            "Shelf.objects.create(label='x')\n"
            "Plain.objects.create(text='x')\n"
            "def name(who):\n"
            "    return User.objects.get(username=who).get_full_name()"
        )
        yield site


@pytest.fixture
def shell(served):
    return served.shell


@contextlib.asynccontextmanager
async def client_of(site, name):
    async with connect(site.address) as client:
        await client.call("tasks.become", name)
        client.own_id = await client.call("tasks.my_id")
        yield client


async def refused(client, method, *params):
    with pytest.raises(CallError) as caught:
        await client.call(method, *params)
    return caught.value.error["error"], caught.value.error.get("reason")


def no_validators(method):
    return 403, (
        f"Access denied. No allow validators set on restricted collection for method '{method}'."
    )


@pytest.mark.parametrize("suffix", ["", "Async"])
async def test_144_a_profile_is_its_users_to_change(served, shell, suffix):
    update = f"/users/update{suffix}"
    async with client_of(served, "cara") as client:
        own = client.own_id
        assert await client.call(update, own, {"$set": {"profile.first_name": "Cara"}}, {}) == 1
        shell("assert name('cara') == 'Cara Old', name('cara')")
        seen = client.docs("users")[own]  # by the time of `updated`
        assert seen["profile"] == {"first_name": "Cara", "last_name": "Old"}
        # As a whole: what is not in it is not there any more.
        whole = {"$set": {"profile": {"first_name": "C."}}}
        assert await client.call(update, {"_id": own}, whole) == 1
        shell("assert name('cara') == 'C.', name('cara')")
        assert await client.call(update, own, {"$set": {"profile.last_name": "Old"}}) == 1
        assert await client.call(update, own, {"$unset": {"profile.first_name": ""}}) == 1
        shell("assert name('cara') == 'Old', name('cara')")


@pytest.mark.parametrize("suffix", ["", "Async"])
async def test_144_all_else_of_users_is_403(served, shell, suffix):
    update = f"/users/update{suffix}"

    async with client_of(served, "dave") as dave, client_of(served, "cara") as client:
        own, other = client.own_id, dave.own_id
        fields = {"$set": {"profile.first_name": "x"}}
        for id in (other, "987654321", "", 5, float(own), f" {own}"):
            assert await refused(client, update, id, fields) == DENIED
        for modifier in (
            {"$set": {"is_superuser": True}},
            {"$set": {"username": "x"}},
            {"$set": {"profile.first_name": "x", "username": "x"}},
            {"$set": {"profile.first_name": "x"}, "$unset": {"password": 1}},
            {"$set": {"profile.username": "x"}},
            {"$set": {"profile": {"first_name": "x", "is_staff": True}}},
            {"$set": {"profile.password": "x"}},
            {"$set": {"profiles": {}}},
        ):
            assert await refused(client, update, own, modifier) == DENIED
        for modifier in (
            {"$set": {"profile": "x"}},
            {"$set": {"profile.first_name": {"$ne": ""}}},
            {"$set": {"profile.first_name.x": "y"}},
            {"$inc": {"profile": 1}},
        ):
            assert (await refused(client, update, own, modifier))[0] == 400
        for kind in ("insert", "remove"):
            method = f"{kind}{suffix}"
            assert await refused(client, f"/users/{method}", own) == no_validators(method)
    async with client_of(served, None) as nobody:
        assert await refused(nobody, update, own, fields) == DENIED
    async with client_of(served, "gone") as gone:
        assert await refused(gone, update, own, fields) == DENIED
    shell("assert name('dave') == 'Old' and not User.objects.filter(is_superuser=True)")


@pytest.mark.parametrize("suffix", ["", "Async"])
async def test_145_an_insert_has_the_seeded_id(served, suffix):
    async with client_of(served, "ann") as client:
        await client.sub("Tasks")
        await client.send(
            msg="method", id="m", method=f"/tasks/insert{suffix}", params=[{"text": "x"}],
            randomSeed=f"seed{suffix}",
        )  # fmt: skip
        own = RandomStreams(f"seed{suffix}").id("tasks")
        assert (await client.message(msg="result", id="m"))["result"] == own
        await client.message(msg="updated", methods=["m"])
        assert client.docs("tasks")[own]["text"] == "x"
        assert await client.call(f"/tasks/remove{suffix}", {"_id": own}) == 1


async def test_145_the_database_may_make_it(served):
    async with client_of(served, "ann") as client:
        await client.sub("Cards")
        await client.send(
            msg="method", id="m", method="/cards/insert", params=[{"title": "x"}], randomSeed="s"
        )
        own = (await client.message(msg="result", id="m"))["result"]
        await client.message(msg="updated", methods=["m"])
        assert client.docs("cards")[own]["title"] == "x"
        assert own.isdigit()


@pytest.mark.parametrize("collection", ["plain", "shelves", "cards", "users"])
@pytest.mark.parametrize("method", ["update", "updateAsync", "removeAsync"])
async def test_146_only_by_id(served, collection, method):
    await only_by_id(served, collection, method)


async def test_146_only_by_id_in_remove(served):
    await only_by_id(served, "cards", "remove")


async def only_by_id(served, collection, method):
    text = f"Not permitted. Untrusted code may only {method} documents by ID."
    async with client_of(served, "ann") as client:
        for selector in ({}, {"title": "one"}, {"_id": "1", "title": "one"}, {"_id": {"$ne": ""}},
                         {"_id": None}, None, True, ["1"], {"_id": ["1"]}):  # fmt: skip
            modifier = {"$set": {"title": "x"}}
            answer = await refused(client, f"/{collection}/{method}", selector, modifier)
            assert answer == (403, text)
        assert await refused(client, f"/{collection}/{method}") == (403, text)


@pytest.mark.parametrize("suffix", ["", "Async"])
async def test_147_without_rules_all_is_denied(served, suffix):
    async with client_of(served, "ann") as client:
        assert await refused(client, f"/plain/insert{suffix}", {"text": "x"}) == DENIED
        assert (
            await refused(client, f"/plain/update{suffix}", "1", {"$set": {"text": "x"}}) == DENIED
        )
        if suffix:
            assert await refused(client, f"/plain/remove{suffix}", "1") == DENIED
        # With rules, but none for this.
        for kind in ("insert", "remove"):
            method = kind + suffix
            assert await refused(client, f"/shelves/{method}", "1") == no_validators(method)
        assert await refused(client, f"/nothing/insert{suffix}", {}) == (
            404, f"Method '/nothing/insert{suffix}' not found"
        )  # fmt: skip


@pytest.mark.parametrize("suffix", ["", "Async"])
async def test_147_what_is_not_permitted_is_denied(served, suffix):
    async with client_of(served, "bob") as client:
        assert await refused(client, f"/cards/insert{suffix}", {"title": "x"}) == DENIED
        modifier = {"$set": {"title": "x"}}
        assert await refused(client, f"/cards/update{suffix}", "1", modifier, {}) == DENIED
        assert await refused(client, f"/cards/remove{suffix}", "1") == DENIED


@pytest.mark.parametrize("suffix", ["", "Async"])
async def test_147_modifiers(served, suffix):
    update = f"/cards/update{suffix}"
    fine = {"$set": {"title": "x"}}
    async with client_of(served, "ann") as client:
        for modifier in (None, "x", 5, [], True, ["$set"]):
            assert await refused(client, update, "1", modifier) == (400, "Match failed")
        assert await refused(client, update, "1") == (400, "Match failed")
        assert await refused(client, update, "1", fine, {"upsert": True}) == (
            403, "Access denied. Upserts not allowed in a restricted collection."
        )  # fmt: skip
        for modifier in ({}, {"title": "x"}, {"$set": {"title": "x"}, "title": "x"}, {"": 1}):
            assert await refused(client, update, "1", modifier) == (403, NO_REPLACING)
        for operator in ("$rename", "$push", "$where", "$"):
            modifier = {"$set": {"title": "x"}, operator: {"title": "x"}}
            assert await refused(client, update, "1", modifier) == (
                403, f"Access denied. Operator {operator} not allowed in a restricted collection."
            )  # fmt: skip
        assert await refused(client, update, "1", {"$set": 5}) == (400, "Match failed")


@pytest.mark.parametrize("suffix", ["", "Async"])
async def test_147_a_missing_document_is_0(served, suffix):
    async with client_of(served, "nobody") as client:
        assert await client.call(f"/cards/update{suffix}", "99", {"$set": {"color": "x"}}) == 0
        assert await client.call(f"/cards/remove{suffix}", {"_id": "99"}) == 0
        assert (
            await client.call(f"/cards/remove{suffix}", {"$type": "oid", "$value": "0" * 24}) == 0
        )
