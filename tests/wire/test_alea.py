from __future__ import annotations

import json
from pathlib import Path

import pytest

from ddpcore.wire.alea import Alea, RandomStreams, make_rpc_seed, random_id, random_secret

VECTORS = json.loads((Path(__file__).parent / "alea-vectors.json").read_text("utf-8"))
IDS = set("23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz")


def vectors(kind):
    return [pytest.param(v, id=str(v.get("seeds", v.get("seed")))) for v in VECTORS[kind]]


@pytest.mark.parametrize("vector", vectors("fractions"))
def test_fractions(vector):
    if "error" in vector:
        with pytest.raises(TypeError, match="A seed is a string or a number, not NoneType"):
            Alea(*vector["seeds"])
        return
    alea = Alea(*vector["seeds"])
    assert [alea.fraction() for _ in vector["fractions"]] == vector["fractions"]


@pytest.mark.parametrize("vector", vectors("ids"))
def test_ids(vector):
    alea = Alea(*vector["seeds"])
    assert [alea.id() for _ in vector["ids"]] == vector["ids"]


@pytest.mark.parametrize("vector", vectors("hex"))
def test_hex_strings(vector):
    alea = Alea(*vector["seeds"])
    assert [alea.hex_string(20), alea.hex_string(24)] == [vector["hex20"], vector["hex24"]]


@pytest.mark.parametrize("vector", vectors("secret"))
def test_secrets(vector):
    alea = Alea(*vector["seeds"])
    assert [alea.secret(), alea.id(6)] == [vector["secret"], vector["id6"]]


@pytest.mark.parametrize("vector", vectors("choice"))
def test_choices(vector):
    alea = Alea(*vector["seeds"])
    options = ("abcdef", [10, 20, 30], "xy")
    assert [alea.choice(o) for o in options] == vector["choice"]


@pytest.mark.parametrize("vector", vectors("streams"))
def test_conformance_114_streams(vector):
    streams = RandomStreams(vector["seed"])
    for name, kind, value in vector["steps"]:
        stream = streams.stream(name) if name else streams.stream()
        assert (stream.id() if kind == "id" else stream.hex_string(24)) == value


@pytest.mark.parametrize("vector", vectors("rpc"))
def test_conformance_115_seeds_of_nested_calls(vector):
    streams = RandomStreams(vector["seed"])
    seeds = [make_rpc_seed(streams, name) for name, _ in vector["rpc"]]
    assert seeds == [seed for _, seed in vector["rpc"]]
    assert RandomStreams(seeds[0]).id("tasks") == vector["childFirstTaskId"]


def test_what_a_real_client_and_server_drew():
    assert RandomStreams("8a625d381e141613ceaf").id("c") == "H4vQKSRk6MxXnPNjD"
    outer = RandomStreams("02a110589f3faa63f969")
    assert outer.id("c") == "C5i9QatqkbRxD7SPJ"
    assert make_rpc_seed(outer, "inner") == "92c2e9afb677849ea25a"
    assert RandomStreams("92c2e9afb677849ea25a").id("c") == "nAh3vk2XDzZ6enw5t"


def test_seeds_count_as_text():
    assert Alea(0).id() == Alea("0").id() == Alea(0.0).id()
    assert Alea(True).id() == Alea("true").id() != Alea(1).id()
    assert Alea(1e21).id() == Alea("1e+21").id()
    assert Alea("a", "b").id() != Alea("ab").id()
    assert Alea("\ud800").id()  # a client can send a lone surrogate
    for bad in (b"a", [], ["a"]):
        with pytest.raises(TypeError):
            Alea(bad)


@pytest.mark.parametrize("seed", [None, ""])
def test_conformance_116_no_seed_gives_valid_unique_ids(seed):
    ids = {RandomStreams(seed).id("tasks") for _ in range(100)}
    assert len(ids) == 100
    assert all(len(i) == 17 and IDS.issuperset(i) for i in ids)


def test_without_a_seed_streams_keep_going():
    streams = RandomStreams()
    assert streams.stream("a") is streams.stream("a")
    assert streams.id("tasks") != streams.id("tasks")


def test_secure_ids_and_secrets():
    assert len({random_id() for _ in range(1000)}) == 1000
    assert len(random_id()) == 17
    assert IDS.issuperset(random_id(1000))
    assert len(set(random_id(5000))) == 55
    assert len(random_secret()) == 43
    assert len(set(random_secret(5000))) == 64
    assert random_secret(5000).isascii()
