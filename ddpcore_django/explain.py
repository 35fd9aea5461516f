"""`ddpcore explain`: how the queries of a publication are kept current, and why so."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

from ddpcore.errors import DDPError
from ddpcore.server import Context
from ddpcore_django.current import current_context
from ddpcore_django.livequery import Plan, plan_of
from ddpcore_django.registry import API, Registry
from ddpcore_django.server import live_queries, make_server
from ddpcore_django.users import lazy_user

__all__ = ["explain", "run"]


def explain(
    publication: str,
    params: Sequence[Any] = (),
    user_id: str | None = None,
    registry: Registry = API,
) -> list[Plan]:
    """The plans of the queries that a user who subscribes gets.

    Args:
        publication: Its name.
        params: The parameters of the subscription.
        user_id: Whose subscription it is; None: of somebody who is not logged in.
        registry: Where publications and collections are registered.

    Raises:
        ddpcore.DDPError: There is no such publication.
    """
    found = registry.publications.get(publication)
    if found is None:
        known = ", ".join(sorted(registry.publications)) or "none"
        raise DDPError(f"There is no publication {publication!r}. There are: {known}.")
    context = SimpleNamespace(user_id=user_id, name=publication, connection=None)
    current_context.set(cast("Context", context))
    server = make_server(registry)
    queries = live_queries(server, registry, found, params, lazy_user(user_id))
    return [plan for query in queries if (plan := plan_of(query)) is not None]


def run(options: argparse.Namespace) -> int:
    """The command."""
    from ddpcore_django.application import set_up

    set_up(options.settings)
    params = [_param(text) for text in options.params]
    try:
        plans = explain(options.publication, params, options.user)
    except DDPError:
        raise
    except Exception as problem:  # the publication's own
        raise DDPError(
            f"{options.publication} raises {type(problem).__name__} for these parameters: {problem}"
        ) from problem
    print("\n\n".join("\n".join(_lines(plan)) for plan in plans) or "It publishes nothing.")
    if options.user is None and not all(plan.sql for plan in plans):
        print("\nNobody is logged in here; for what a user gets, add --user ID.")
    return 0


def _param(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text  # who writes a@example.org means the string


def _lines(plan: Plan) -> Iterator[str]:
    yield f"{plan.collection}: {plan.kind}"
    word = "because" if plan.kind == "polled" else "where"
    yield f"  {word:8}{plan.reason}"
    yield f"  {'reads':8}{', '.join(plan.topics) or 'nothing'}"
    if plan.kind != "polled" and plan.sql:
        yield f"  {'index':8}{' or '.join(plan.index) or 'none: it looks at every change'}"
    if plan.sql:
        yield f"  {'SQL':8}{plan.sql}"
