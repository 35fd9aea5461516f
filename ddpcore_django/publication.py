"""Publications: which querysets a client gets when it subscribes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ddpcore.errors import MeteorError
from ddpcore_django.endpoints import APIMixin

if TYPE_CHECKING:
    from ddpcore_django.guards import Guard

__all__ = ["Publication", "Published"]

Published = "QuerySet[Any] | tuple[QuerySet[Any], str]"


class Publication(APIMixin):
    """A named set of live querysets.

    Give `queries`, or define `get_queries` with the parameters a subscription takes. Each item is
    a queryset, or ``(queryset, "collection")`` to publish it under another collection's name.

    Attributes:
        name: What clients subscribe to; by default the class's name.
        queries: The querysets, where there are no parameters. They are asked anew each time.
        guards: What must say yes to a user who is to get anything; see `ddpcore_django.guards`.
    """

    api_path_prefix_format: ClassVar[str] = "publication/{name}/"
    queries: Iterable[Any] | None = None
    guards: ClassVar[tuple[Guard, ...]] = ()

    def all_guards(self) -> Iterator[Guard]:
        """The guards of this class and of all it is made of."""
        for each in type(self).__mro__:
            yield from each.__dict__.get("guards", ())

    def get_queries(self, *params: Any) -> Iterable[Any]:
        """The querysets for these parameters; runs in a thread and may use the ORM and `this`.

        Args:
            *params: What the client subscribes with. Name and annotate them in your own: what a
                client sends is checked against it.

        Raises:
            ddpcore.MeteorError: 400, there are `queries` only, and they take no parameters.
        """
        if self.queries is None:
            raise NotImplementedError(
                f"Publication {self.name} has neither `queries` nor `get_queries`."
            )
        if params:
            raise MeteorError(400, "Match failed")
        return self.queries
