"""Clients that write to their collections, and show at once what they expect to come of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tasks_site import tasks_site

pytestmark = [pytest.mark.node, pytest.mark.pg]

HERE = Path(__file__).parent

STEPS = [
    ["tasks", "insert", {"text": "a"}],
    ["tasks", "update", "ID", {"$set": {"text": "b", "points": 3}}],
    ["tasks", "insert", {"text": "longer than twenty characters"}],
    ["cards", "insert", {"title": "fine"}],
    ["tasks", "remove", "ID"],
    ["tasks", "insert", {"text": "x", "secret": "y"}],
]


@pytest.fixture(scope="module")
def served(pg_cluster):
    with tasks_site(pg_cluster) as site:
        yield site


@pytest.fixture
def write(served):
    served.shell("Task.objects.all().delete()\nCard.objects.all().delete()")

    def write(client, steps):
        done = subprocess.run(
            ["node", "clients/writing.mjs", client, f"http://{served.address}", json.dumps(steps)],
            cwd=HERE, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return write


def check_beginning(inserted, updated, refused):
    id = inserted["value"]
    assert inserted["stub"] == id
    (document,) = inserted["documents"]
    assert document == {
        "_id": id, "text": "a", "done": False, "points": 0, "weight": None, "note": "",
        "due": None, "parent_id": None, "changes": 1,
    }  # fmt: skip
    changed = document | {"text": "b", "points": 3, "changes": 2}
    assert updated["documents"] == [changed]
    assert (refused["error"], refused["reason"]) == (400, "Validation failed")
    assert list(refused["details"]) == ["text"]
    assert refused["documents"] == [changed]
    return changed


@pytest.mark.browser
def test_meteors_own_client(write):
    more = [
        ["tasks", "insert", {"text": "c"}],
        ["tasks", "update", "ID", {"$set": {"secret": "x"}}],
    ]
    inserted, updated, refused, card, removed, unnamed, other, gone = write("meteor", STEPS + more)

    check_beginning(inserted, updated, refused)
    assert updated["value"] == 1
    # What the client had made up has given way to what there is.
    (shown,) = card["documents"]
    assert (shown["title"], shown["_id"] != card["stub"]) == ("fine", True)
    assert (removed["value"], removed["documents"]) == (1, [])
    assert (unnamed["error"], unnamed["reason"], unnamed["documents"]) == (403, "Access denied", [])
    assert [each["_id"] for each in other["documents"]] == [other["stub"]]
    assert gone["value"] == 0  # the first one, which has been removed
    assert gone["documents"] == other["documents"]


@pytest.mark.browser
def test_meteors_own_client_takes_back_what_was_refused(write):
    inserted, refused = write(
        "meteor",
        [["tasks", "insert", {"text": "a"}], ["tasks", "update", "ID", {"$set": {"secret": "x"}}]],
    )
    assert (refused["error"], refused["reason"]) == (403, "Access denied")
    assert refused["documents"] == inserted["documents"]


def test_meteorrn(write):
    inserted, updated, refused, card, removed, unnamed = write("meteorrn", STEPS)

    check_beginning(inserted, updated, refused)
    # It makes the ids itself, and nothing else will do.
    assert (card["error"], card["documents"]) == (400, [])
    assert (removed["value"], removed["documents"]) == (1, [])
    assert (unnamed["error"], unnamed["documents"]) == (403, [])


@pytest.mark.browser
@pytest.mark.parametrize("id", ["-a", "~5", "~a", "{a"])
def test_ids_that_look_like_none_to_meteors_own_client(write, id):
    made, child, changed, removed = write(
        "meteor",
        [
            ["tasks", "insert", {"_id": id, "text": "a"}],
            ["tasks", "insert", {"_id": "child", "text": "b", "parent_id": id}],
            ["tasks", "update", "ID", {"$set": {"text": "c"}}],
            ["tasks", "remove", "child"],
        ],
    )
    assert [each["_id"] for each in made["documents"]] == [id]
    shown = {each["_id"]: each for each in child["documents"]}
    assert shown.keys() == {id, "child"}
    assert shown["child"]["parent_id"] == id
    assert changed["value"] == removed["value"] == 1
    assert [(each["_id"], each["text"]) for each in removed["documents"]] == [(id, "c")]
