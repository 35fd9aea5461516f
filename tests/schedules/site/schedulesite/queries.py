"""Querysets made of descriptions: what subscriptions carry, and what hypothesis can draw.

A description is a dictionary: `model`, and optionally `as` (a collection's name), `where`,
`annotate`, `distinct`, `order`, `slice`, `only`, `defer`, `values`, `union`. A condition is a list:

    ["is", lookup, value]      ["and" | "or" | "xor", condition, ...]      ["not", condition]
    ["same", lookup, field]    compares with another column
    ["sub", lookup, description]    is among the rows of another query

The value "$me" is the user who is logged in.
"""

from django.apps import apps
from django.db.models import Count, F, Q

NOBODY = -1


def model_of(name):
    return apps.get_model("schedulesite", name)


def build(description, user_id):
    """The queryset, for the user with this id (text) or for nobody (None)."""
    if "union" in description:
        first, *others = (build(each, user_id) for each in description["union"])
        return first.union(*others)
    queryset = model_of(description["model"])._default_manager.all()
    if "annotate" in description:
        name, path = description["annotate"]
        queryset = queryset.annotate(**{name: Count(path)})
    if "where" in description:
        queryset = queryset.filter(condition(description["where"], user_id))
    if description.get("distinct"):
        queryset = queryset.distinct()
    if "order" in description:
        queryset = queryset.order_by(*description["order"])
    if "only" in description:
        queryset = queryset.only(*description["only"])
    if "defer" in description:
        queryset = queryset.defer(*description["defer"])
    if "values" in description:
        queryset = queryset.values(*description["values"])
    if "slice" in description:
        start, stop = description["slice"]
        queryset = queryset[start:stop]
    return queryset


def condition(tree, user_id):
    kind, *parts = tree
    if kind == "is":
        lookup, value = parts
        if value == "$me":
            value = NOBODY if user_id is None else int(user_id)
        return Q(**{lookup: value})
    if kind == "same":
        lookup, field = parts
        return Q(**{lookup: F(field)})
    if kind == "sub":
        lookup, description = parts
        return Q(**{lookup: build(description, user_id)})
    first, *others = (condition(each, user_id) for each in parts)
    if kind == "not":
        return ~first
    for other in others:
        first = first & other if kind == "and" else first | other if kind == "or" else first ^ other
    return first
