"""What clients may write to collections that let them."""

from __future__ import annotations

import asyncio
import contextlib

import hypothesis.strategies as st
import pytest
from ddp_client import CallError, Client, connect
from hypothesis import HealthCheck, Phase, given, settings
from tasks_site import tasks_site

from ddpcore.wire.alea import RandomStreams

DENIED = (403, "Access denied", None)


@pytest.fixture(scope="module")
def site(pg_cluster):
    with tasks_site(pg_cluster) as site:
        yield site


@pytest.fixture
def shell(site):
    """The other process; there are no documents yet."""
    site.shell(
        "Task.objects.update(parent=None)\n"
        "for model in (Everything, Task, Card, Shelf, Plain):\n"
        "    model.objects.all().delete()\n"
        "ann, bob = User.objects.get(username='ann'), User.objects.get(username='bob')"
    )
    return site.shell


@contextlib.asynccontextmanager
async def client_of(site, name):
    async with connect(site.address) as client:
        await client.call("tasks.become", name)
        yield client


async def refused(client, method, *params):
    """What is wrong with a call: code, reason and details."""
    with pytest.raises(CallError) as caught:
        await client.call(method, *params)
    error = caught.value.error
    return error["error"], error.get("reason"), error.get("details")


async def seeded(client: Client, method, *params, seed="a seed"):
    id = client.new_id()
    await client.send(msg="method", id=id, method=method, params=list(params), randomSeed=seed)
    result = await client.message(msg="result", id=id)
    await client.message(msg="updated", methods=[id])  # the data are here by then
    return result.get("result")


async def test_ids_of_rows_that_a_method_makes_are_those_of_its_simulation(site, shell):
    streams = RandomStreams("a seed")
    async with client_of(site, "ann") as client:
        await client.sub("Tasks")
        made = await seeded(client, "tasks.add_two")
        assert made == [streams.id("tasks"), streams.id("tasks")]
        assert made[0] in client.docs("tasks")  # the other was made in bulk


def test_ids_of_rows_that_anybody_else_makes_are_random(shell):
    shell(
        "ids = {Task.objects.create(owner=ann).pk for _ in range(50)}\n"
        "assert len(ids) == 50 and {len(each) for each in ids} == {17}\n"
        "assert Task.objects.create(pk='given', owner=ann).pk == 'given'\n"
        "field = Task._meta.pk\n"
        "assert field.deconstruct()[1] == 'ddpcore_django.ids.AleaIdField'\n"
        "assert field.clone().max_length == 17 and field.primary_key and not field.editable\n"
    )


async def test_the_documents_of_a_client(site, shell):
    async with client_of(site, "ann") as client:
        await client.sub("Tasks")
        id = await client.call("/tasks/insert", {"text": "a", "points": 3, "due": {"$date": 0}})
        assert len(id) == 17
        expected = {
            "text": "a", "done": False, "points": 3, "weight": None, "note": "",
            "due": {"$date": 0}, "parent_id": None, "changes": 1,
        }  # fmt: skip
        assert client.docs("tasks") == {id: expected}

        assert await client.call("/tasks/update", id, {"$set": {"text": "b", "parent_id": id}}) == 1
        assert await client.call(
            "/tasks/updateAsync", {"_id": id}, {"$inc": {"points": -5}, "$unset": {"due": ""}}, {}
        ) == 1  # fmt: skip
        expected |= {"text": "b", "parent_id": id, "points": -2, "due": None, "changes": 3}
        assert client.docs("tasks") == {id: expected}

        assert await client.call("/tasks/update", id, {"$unset": {"parent_id": True}}) == 1
        assert await client.call("/tasks/remove", {"_id": id}) == 1
        assert client.docs("tasks") == {}
        assert await client.call("/tasks/removeAsync", {"_id": id}) == 0


async def test_whose_documents_are_whose(site, shell):
    async with client_of(site, "ann") as ann, client_of(site, "bob") as bob:
        id = await ann.call("/tasks/insert", {"text": "of Ann"})
        # Bob may change tasks, but sees none of Ann's.
        assert await bob.call("/tasks/update", id, {"$set": {"text": "of Bob"}}) == 0
        assert await bob.call("/tasks/remove", id) == 0
        assert await refused(bob, "/tasks/insert", {"text": "x", "parent_id": id}) == (
            400, "Match failed", {"parent_id": ["There is no such document."]}
        )  # fmt: skip
        assert await refused(bob, "/tasks/insert", {"text": "x", "parent_id": "none"}) == (
            400, "Match failed", {"parent_id": ["There is no such document."]}
        )  # fmt: skip
        shell("assert Task.objects.get().text == 'of Ann'\nassert Task.objects.get().owner == ann")


async def test_rows_that_a_collection_leaves_out_are_not_there(site, shell):
    shell("card = Card.objects.create(pk=1, title='old', archived=True)")
    async with client_of(site, "ann") as ann:
        assert await ann.call("/cards/update", "1", {"$set": {"title": "new"}}) == 0
        assert await ann.call("/cards/remove", "1") == 0
        shell("Card.objects.update(archived=False)")
        assert await ann.call("/cards/update", "1", {"$set": {"archived": True}}) == 1
        assert await ann.call("/cards/remove", "1") == 0


@pytest.mark.parametrize("name", ["bob", "nobody", "gone", None])
async def test_without_the_permission_there_is_nothing_to_do(site, shell, name):
    shell("Card.objects.create(pk=1, title='one')")
    async with client_of(site, name) as client:
        assert await refused(client, "/cards/insert", {"title": "x"}) == DENIED
        assert await refused(client, "/cards/update", "1", {"$set": {"title": "x"}}) == DENIED
        assert await refused(client, "/cards/remove", "1") == DENIED
        assert await client.call("/cards/remove", "2") == 0
    shell("assert [card.title for card in Card.objects.all()] == ['one']")


async def test_a_permission_may_be_for_one_row(site, shell):
    shell("Card.objects.create(pk=1, title='of nobody')\nCard.objects.create(pk=2, title='of ann')")
    async with client_of(site, "nobody") as client:
        assert await client.call("/cards/update", "1", {"$set": {"title": "mine"}}) == 1
        assert await refused(client, "/cards/update", "2", {"$set": {"title": "x"}}) == DENIED


async def test_only_named_fields(site, shell):
    async with client_of(site, "ann") as client:
        assert await refused(client, "/cards/insert", {"title": "x", "color": "blue"}) == DENIED
        assert await refused(client, "/tasks/insert", {"text": "x", "owner_id": "1"}) == DENIED
        assert await refused(client, "/tasks/insert", {"text": "x", "owner": "1"}) == DENIED
        id = await client.call("/tasks/insert", {"text": "x"})
        for name in ("secret", "owner_id", "owner", "id", "_id", "pk", "parent", "changes", "x.y"):
            for operator in ("$set", "$unset", "$inc"):
                modifier = {operator: {"text": "y", name: 1}}
                assert await refused(client, "/tasks/update", id, modifier) == DENIED
        assert await refused(client, "/tasks/update", id, {"$set": {"text.length": 1}}) == (
            400, "Match failed", {"text.length": ["Fields can be written as a whole only."]}
        )  # fmt: skip
    shell("task = Task.objects.get()\nassert (task.text, task.secret) == ('x', 'a secret')")


@pytest.mark.parametrize("title", ["none", "one", "text", "false", "raise", "coroutine"])
async def test_only_true_is_a_yes(site, shell, title):
    shell(f"Card.objects.create(pk=1, title={title!r})\nCard.objects.create(pk=2, title='fine')")
    async with client_of(site, "ann") as client:
        assert await refused(client, "/cards/insert", {"title": title}) == DENIED
        assert await refused(client, "/cards/update", "1", {"$set": {"position": 5}}) == DENIED
        assert await refused(client, "/cards/remove", "1") == DENIED
        assert await client.call("/cards/update", "2", {"$set": {"position": 5}}) == 1
    shell("assert Card.objects.get(pk=1).position == 0\nassert Card.objects.count() == 2")


async def test_a_hook_may_say_why(site, shell):
    async with client_of(site, "ann") as client:
        assert await refused(client, "/cards/insert", {"title": "meteor"}) == (
            "not-today", "Come tomorrow", None
        )  # fmt: skip


async def test_a_hook_sees_the_row_as_it_is_and_the_new_values(site, shell):
    shell("Card.objects.create(pk=1, title='fine', color='red')")
    async with client_of(site, "ann") as client:
        assert await refused(client, "/cards/update", "1", {"$set": {"color": "red"}}) == DENIED
        assert await client.call("/cards/update", "1", {"$set": {"color": "blue"}}) == 1
        both = {"$set": {"color": "red", "position": 1}}
        assert await refused(client, "/cards/update", "1", both) == DENIED


async def test_what_is_not_valid_is_named(site, shell):
    shell(
        "Card.objects.create(pk=1, title='taken', position=7)\nCard.objects.create(pk=2, title='b')"
    )
    async with client_of(site, "ann") as client:
        insert, update = "/tasks/insert", "/tasks/update"
        code, reason, details = await refused(client, insert, {"text": "x" * 21, "points": 101})
        assert (code, reason, set(details)) == (400, "Validation failed", {"text", "points"})
        assert all(isinstance(each, str) for each in details["text"])
        code, reason, details = await refused(client, insert, {})
        assert (code, reason, set(details)) == (400, "Validation failed", {"text"})
        assert await refused(client, insert, {"text": "unclean"}) == (
            400, "Validation failed", {"__all__": ["Tasks are clean."]}
        )  # fmt: skip
        # What is wrong with fields that it may not write is none of its business.
        assert await refused(client, insert, {"text": "unclean secret"}) == (
            400, "Validation failed", None
        )  # fmt: skip
        id = await client.call(insert, {"text": "x", "points": 100})
        assert (await refused(client, update, id, {"$inc": {"points": 1}}))[1:] == (
            "Validation failed", {"points": ["Ensure this value is less than or equal to 100."]}
        )  # fmt: skip
        assert (await refused(client, "/cards/insert", {"title": "taken"}))[2].keys() == {"title"}
        code, _, details = await refused(client, "/cards/update", "2", {"$set": {"position": 7}})
        assert (code, set(details)) == (400, {"__all__"})


async def test_a_field_that_is_wrong_since_long_hurts_no_other(site, shell):
    shell("Task.objects.create(id='t', text='x', points=1000, owner=ann)")
    async with client_of(site, "ann") as client:
        assert await client.call("/tasks/update", "t", {"$set": {"text": "y"}}) == 1


async def test_what_others_need_stays(site, shell):
    async with client_of(site, "ann") as client:
        id = await client.call("/tasks/insert", {"text": "parent"})
        await client.call("/tasks/insert", {"text": "child", "parent_id": id})
        assert await refused(client, "/tasks/remove", id) == (
            409, "This contradicts other documents", None
        )  # fmt: skip


async def test_ids_of_the_clients_making(site, shell):
    ids = RandomStreams("a seed")
    first, second = ids.id("tasks"), ids.id("tasks")
    assert first != second
    async with client_of(site, "ann") as client:
        assert await seeded(client, "/tasks/insert", {"text": "x"}) == first
        assert await client.call("/tasks/insert", {"text": "x", "_id": "mine"}) == "mine"
        code, reason, details = await refused(client, "/tasks/insert", {"text": "x", "_id": "mine"})
        assert (code, reason, set(details)) == (400, "Validation failed", {"_id"})
        for wrong in (None, 5, "", {"$ne": ""}, ["x"], "a\0b", "\ud800", True):
            code, reason, details = await refused(
                client, "/tasks/insert", {"text": "x", "_id": wrong}
            )
            assert (code, reason, set(details)) == (400, "Match failed", {"_id"})
        code, _, details = await refused(client, "/tasks/insert", {"text": "x", "_id": "x" * 18})
        assert (code, set(details)) == (400, {"_id"})
    shell(
        f"assert sorted(Task.objects.values_list('pk', flat=True)) == sorted([{first!r}, 'mine'])"
    )


async def test_ids_of_the_databases_making(site, shell):
    async with client_of(site, "ann") as client:
        await client.sub("Cards")
        id = await seeded(client, "/cards/insert", {"title": "x"})
        assert id.isdigit()
        await client.until(lambda: list(client.docs("cards")) == [id])
        assert await refused(client, "/cards/insert", {"title": "y", "_id": "5"}) == (
            400, "Match failed", {"_id": ["The server makes the ids of these documents."]}
        )  # fmt: skip
        for alias in (f" {id}", f"0{id}", f"+{id}", f"{id}.0", f"{id}\0", "9" * 30, "٣", int(id)):
            assert await client.call("/cards/remove", alias) == 0
        assert await client.call("/cards/remove", id) == 1


async def test_two_increments_are_both_counted(site, shell):
    shell("Task.objects.create(id='t', text='x', owner=ann)")
    async with client_of(site, "ann") as one, client_of(site, "ann") as other:
        await asyncio.gather(
            *(
                client.call("/tasks/update", "t", {"$inc": {"points": 1}})
                for client in (one, other) * 10
            )
        )
    shell("assert Task.objects.get().points == 20, Task.objects.get().points")


async def test_what_can_be_increased(site, shell):
    shell("Task.objects.create(id='t', text='x', owner=ann)")
    async with client_of(site, "ann") as client:
        for name, by in (("text", 1), ("points", 1.5), ("points", "1"), ("points", True),
                         ("weight", 1), ("points", None), ("points", {"$InfNaN": 0})):  # fmt: skip
            code, reason, details = await refused(
                client, "/tasks/update", "t", {"$inc": {name: by}}
            )
            assert (code, reason, set(details)) == (400, "Match failed", {name})
        assert await client.call("/tasks/update", "t", {"$set": {"weight": 1}}) == 1
        assert await client.call("/tasks/update", "t", {"$inc": {"weight": 0.5}}) == 1
        twice = {"$inc": {"points": 1}, "$set": {"points": 1}}
        assert (await refused(client, "/tasks/update", "t", twice))[2] == {
            "points": ["This is written twice."]
        }
    shell("assert Task.objects.get().weight == 1.5")


async def test_methods_of_the_project_go_before(site, shell):
    async with client_of(site, "ann") as client:
        assert await client.call("/plain/remove", "1") == "the project's own"
        assert await refused(client, "/plain/removeAsync", "1") == DENIED


async def test_what_documents_hold_can_be_sent(site, shell):
    shell("Shelf.objects.create(pk=1, label='x')")
    document = {
        "decimal": "1.1000000000", "time": "01:02:03.000004", "date": {"$date": 1795132800000},
        "moment": {"$date": 1767268800000}, "duration": "1 00:00:05", "binary": {"$binary": "AP8="},
        "uuid": "00000000-0000-0000-0000-000000000002", "json": {"a": [None, 1.5, "é😀"]},
        "big": 2**62, "number": {"$InfNaN": 1}, "yes": True, "choice": "a", "email": "a@b.de",
        "slug": "a-b", "text": "long", "address": "::1", "shelf_id": "1", "task_id": None,
        "numbers": [1, 2], "span": None,
    }  # fmt: skip
    async with client_of(site, "ann") as client:
        await client.sub("All")
        id = await client.call("/everything/insert", document)
        assert client.docs("everything") == {id: document}
        nothing = dict.fromkeys(document)
        assert await client.call("/everything/update", id, {"$unset": document}) == 1
        assert client.docs("everything") == {id: nothing}
        for name, value in document.items():
            assert await client.call("/everything/update", id, {"$set": {name: value}}) == 1
        assert client.docs("everything") == {id: document}


@pytest.mark.parametrize("span", [[], [1], [1, 2], {}, 1, "[1,2)", '{"lower": "x"}', "5", "[]"])
async def test_a_range_is_no_array(site, shell, span):
    async with client_of(site, "ann") as client:
        assert (await refused(client, "/everything/insert", {"span": span}))[0] == 400


async def test_a_range_is_sent_as_documents_hold_it(site, shell):
    async with client_of(site, "ann") as client:
        await client.sub("All")
        span = '{"lower": "1", "upper": "3", "bounds": "[)"}'
        id = await client.call("/everything/insert", {"span": span})
        held = client.docs("everything")[id]["span"]
        assert await client.call("/everything/update", id, {"$set": {"span": held}}) == 1
        assert client.docs("everything")[id]["span"] == held


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["titel"], "lets clients write 'titel', which is no field of tasks.Card"),
        (["id"], "lets clients write 'id'"),
        (["pk"], "lets clients write 'pk'"),
        (["file"], "lets clients write 'file'"),
        ("title", "write a list of names"),
    ],
    ids=str,
)
def test_what_cannot_be_written_is_told_at_the_start(site, shell, names, text):
    model = "Everything" if "file" in names else "Card"
    shell(
        "from ddpcore import DDPError\n"
        "from ddpcore_django import Collection\n"
        "from ddpcore_django.registry import Registry\n"
        "from ddpcore_django.server import make_server\n"
        f"Own = type('Own', (Collection,), {{'model': {model}, 'client_update': {names!r}}})\n"
        "registry = Registry()\n"
        "registry.register(Own)\n"
        "try:\n"
        "    make_server(registry)\n"
        "except DDPError as problem:\n"
        f"    assert {text!r} in str(problem), problem\n"
        "else:\n"
        "    raise AssertionError('It was not told.')"
    )


# --- wrong types ------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5) | st.sampled_from(["\0", "\ud800", "1", "9" * 25, "", "nan", "sNaN", "∞"])
    | st.sampled_from([{"$date": 0}, {"$date": 8.64e15}, {"$binary": "AA=="}, {"$InfNaN": 0},
                       {"$type": "oid", "$value": "0" * 24}, {"$ne": None}, {"$gt": ""}, {"pk": 1}]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["_id", "$set", "$unset", "$inc", "upsert", "text", "profile"])
                      | st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip

NAMES = [
    "decimal", "time", "date", "moment", "duration", "binary", "uuid", "json", "big", "number",
    "yes", "choice", "email", "slug", "text", "address", "shelf_id", "task_id", "numbers",
    "span",
]  # fmt: skip

CALLS = st.one_of(
    st.tuples(
        st.sampled_from(["/everything/insert", "/everything/update", "/everything/remove",
                         "/tasks/insertAsync", "/users/update", "/plain/insert"]),
        st.lists(ANYTHING, max_size=3),
    ),
    st.tuples(
        st.just("/everything/insert"),
        st.tuples(st.dictionaries(st.sampled_from(NAMES), ANYTHING, min_size=1, max_size=3)),
    ),
    st.tuples(
        st.just("/everything/update"),
        st.tuples(
            st.just("1"),
            st.dictionaries(
                st.sampled_from(["$set", "$unset", "$inc"]),
                st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=2) | ANYTHING,
                max_size=2,
            ),
            ANYTHING,
        ),
    ),
)  # fmt: skip


def test_wrong_types_in_every_position(site, shell):
    # One connection for all examples. What is no EJSON at all has its answer in `error`.
    shell("Everything.objects.create(pk=1, big=1, number=1, text='x')")
    loop = asyncio.new_event_loop()
    context = client_of(site, "ann")
    client = loop.run_until_complete(context.__aenter__())

    async def answer(method, params):
        id, mark = client.new_id(), len(client.messages)
        await client.send(msg="method", id=id, method=method, params=list(params))

        def find():
            return [
                each
                for each in client.since(mark)
                if each.get("id") == id or each["msg"] == "error"
            ]

        return (await client.until(find))[0]

    @settings(max_examples=300, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(CALLS)
    def anything_goes(call):
        answered = loop.run_until_complete(answer(*call))
        if answered["msg"] == "result" and "error" in answered:
            assert answered["error"]["error"] in (400, 403, 409), (call, answered)

    try:
        anything_goes()
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))
        loop.close()


async def test_a_row_that_goes_to_another_meanwhile_is_out_of_sight(site, shell):
    shell("Task.objects.create(pk='t', owner=ann)")
    async with client_of(site, "ann") as client:
        for method, params in ("update", [{"$set": {"text": "x"}}]), ("remove", []):
            shell(
                "Task.objects.update(owner=ann)\n"
                "block = transaction.atomic(); block.__enter__()\n"
                "Task.objects.update(owner=bob)"
            )
            id = client.new_id()
            await client.send(msg="method", id=id, method=f"/tasks/{method}", params=["t", *params])
            shell(
                "from time import sleep\n"
                "def waiting():\n"
                "    with connection.cursor() as cursor:\n"
                '        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE "\n'
                "            \"wait_event_type = 'Lock' AND datname = current_database()\")\n"
                "        return cursor.fetchone()[0]\n"
                "while not waiting(): sleep(0.01)\n"
                "block.__exit__(None, None, None)\n"
            )
            assert (await client.message(msg="result", id=id))["result"] == 0
    shell("assert Task.objects.get(pk='t').text == ''")
