"""Which columns travel, and how."""

from __future__ import annotations

import pytest


@pytest.fixture
def use_tz() -> str:
    return "yes"


@pytest.fixture
def shell(project):
    shell = project.shell()
    shell(
        "from ddpcore_django.rows import kind_of, source_of, travelling\n"
        "from rowsite.models import *\n"
        "def kinds(model): return {c.name: c.kind for c in travelling(model)}\n"
        "def kind(model, name): return kind_of(model._meta.get_field(name))\n"
    )
    return shell


def test_kinds(shell):
    shell(
        "plain = 'small integer big positive_small positive positive_big boolean char text slug '\n"
        "plain += 'email url path file uuid date moment time address shout target by_code one double'\n"
        "for name in plain.split(): assert kind(Kinds, name) == 'plain', name\n"
        "for name in 'decimal json exact money'.split(): assert kind(Kinds, name) == 'text'\n"
        "assert kind(Kinds, 'float') == 'float'\n"
        "assert kind(Kinds, 'binary') == 'hex' and kind(Kinds, 'duration') == 'epoch'\n"
        "assert kind(Kinds, 'caseless') is None\n"
        "assert kind(Far, 'numbers') is None and kind(Far, 'span') is None\n"
        "assert kind(Pair, 'pk') is None\n"
    )


def test_a_computed_field_has_no_column(shell):
    shell(
        "from django.db import models\n"
        "assert kind_of(models.GeneratedField(expression=models.F('x'), db_persist=False,\n"
        "    output_field=models.IntegerField())) is None\n"
    )


def test_each_table_is_a_source_of_its_own(shell):
    shell(
        "source = source_of(Bistro)\n"
        "assert source == source_of(Restaurant)\n"
        "assert (source.topic, source.table, source.key) == (\n"
        "    'rowsite.restaurant', 'rowsite_restaurant', 'place_ptr_id')\n"
        "assert kinds(Bistro) == {'place_ptr_id': 'plain', 'stars': 'plain'}\n"
        "assert list(kinds(Restaurant.tags.through)) == ['id', 'restaurant_id', 'target_id']\n"
    )


def test_what_nobody_may_read_does_not_travel(shell):
    shell(
        "assert list(kinds(Person)) == ['id', 'username', 'first_name', 'boss_id']\n"
        "assert list(kinds(Narrow)) == ['id', 'shown', 'owner_id']\n"
    )


def test_keys_that_the_database_prints_otherwise(shell):
    shell(
        "from ddpcore import DDPError\n"
        "for model in (Pair, Moment, Loud):\n"
        "    try: source_of(model)\n"
        "    except DDPError as error: assert model.__name__ in str(error)\n"
        "    else: raise AssertionError(model)\n"
    )
