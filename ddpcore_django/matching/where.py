"""A queryset's WHERE tree as a predicate on the rows of its own table.

Conditions on a row that ours refers to are taken together, as far as AND, OR and NOT allow: the
part of the tree that is about one join becomes one condition on the joined table, and our row has
to refer to one of the rows that meet it. The part may have joins of its own, and so on.

That is what the database does. A LEFT JOIN that finds nothing gives a row of NULLs, which has an
answer of its own; an INNER JOIN that finds nothing drops our row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import ForeignKey, Model, QuerySet
from django.db.models.lookups import IsNull as NullTest
from django.db.models.query import ModelIterable
from django.db.models.sql.constants import INNER, LOUTER
from django.db.models.sql.datastructures import Join
from django.db.models.sql.query import Query
from django.db.models.sql.where import AND, XOR, NothingNode, WhereNode

from ddpcore.errors import DDPError
from ddpcore.live.predicate import (
    And,
    Constant,
    Equals,
    IsNull,
    Not,
    Or,
    Predicate,
    Row,
    Test,
    Truth,
    Within,
    Xor,
)
from ddpcore.live.query import KeyQuery
from ddpcore_django.matching.columns import NotMatched, column_of
from ddpcore_django.matching.keys import RelatedKeys
from ddpcore_django.matching.lookups import NULL_TESTS, column_looked_at, predicate_of
from ddpcore_django.rows import source_of
from ddpcore_django.tables import topic_of

__all__ = ["Compiled", "Unknown", "compile_where"]

InThread = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a queryset asks for, decided in memory.

    Attributes:
        predicate: Which rows of the queryset's own table are in its result.
        topics: Of that table, and of all that its conditions reach over.
    """

    predicate: Predicate
    topics: frozenset[str]


def compile_where(
    queryset: QuerySet[Any], in_thread: InThread, *, annotations: Container[str] = ()
) -> Compiled:
    """Make a predicate of a queryset's conditions.

    To be called in a thread that may use the database: it is asked for the types of the columns,
    once per table and process.

    Args:
        queryset: Which rows; its order makes no difference.
        in_thread: Runs a blocking function in a thread that may use the database.
        annotations: Names of annotations that the caller sees to.

    Raises:
        NotMatched: The result is not decided in memory, and why.
    """
    query = queryset.query.clone()
    _check_query(query, annotations)
    if queryset._iterable_class is not ModelIterable:
        raise NotMatched("values(), or rows of another kind than the model's")
    tree = _Tree(query, queryset.db, in_thread)
    return Compiled(tree.predicate(), frozenset(tree.topics))


def _check_query(query: Query, annotations: Container[str]) -> None:
    obstacles = {
        f"a query of its own kind ({type(query).__name__})": type(query) is not Query,
        "it orders and cuts (slice)": query.is_sliced,
        f"it is a {query.combinator} of querysets": query.combinator,
        "distinct() by columns": query.distinct_fields,
        "it locks what it finds (select_for_update)": query.select_for_update,
        "extra()": query.extra or query.extra_tables,
    }
    for name in query.annotation_select:
        obstacles[f"the annotation {name}"] = name not in annotations
    # What an annotation counts is groups, too, but then its name says more.
    obstacles["it counts or groups rows"] = query.group_by is not None
    for reason, is_one in obstacles.items():
        if is_one:
            raise NotMatched(reason)


class _Tree:
    def __init__(self, query: Query, using: str, in_thread: InThread) -> None:
        assert query.model is not None
        self._where = query.where
        self._using = using
        self._in_thread = in_thread
        self._postgresql = connections[using].vendor == "postgresql"
        self._travelling: dict[type[Model], frozenset[str]] = {}
        model = query.model
        _check_model(model)
        self.topics = {topic_of(model)}
        self._base: str = query.base_table or query.get_initial_alias()
        self._joins: dict[str, Any] = {
            alias: join
            for alias, join in query.alias_map.items()
            if alias != self._base and query.alias_refcount.get(alias)
        }
        for join in self._joins.values():
            self._check_join(join)

    def predicate(self, *, exact: bool = False) -> Predicate:
        """All conditions, on the rows of the query's own table.

        Args:
            exact: Whether it matters that what is unknown is not just not true.
        """
        root = WhereNode([self._where, *self._inner_joins()], AND)
        return self._compile(root, self._base, exact)

    # --- joins ---

    def _check_join(self, join: Any) -> None:
        reference: Any = join.join_field
        is_plain: bool = type(join) is Join
        if not is_plain or join.filtered_relation is not None:
            raise NotMatched("a filtered relation")
        table = join.table_name
        if not isinstance(reference, ForeignKey):
            raise NotMatched(f"it joins {table}, of which many rows may refer to one")
        name = f"{reference.model._meta.label}.{reference.name}"
        constrained: bool = getattr(reference, "db_constraint", False)
        if not constrained or not reference.model._meta.managed:
            raise NotMatched(f"{name} may refer to rows that are not there")
        for method in ("get_extra_restriction", "get_joining_fields"):
            if not getattr(type(reference), method).__module__.startswith("django.db.models."):
                raise NotMatched(f"{name} is a reference with its own {method}()")
        ((_, target),) = join.join_fields
        _check_model(target.model)
        if not target.model._meta.managed:
            raise NotMatched(f"{name} may refer to rows that are not there")
        vendor = connections[self._using].vendor
        if vendor not in {"postgresql", "sqlite"}:
            raise NotMatched(f"on {vendor} conditions on other tables are not followed")
        for field in (reference, target):
            if self._column(field).content not in {"integer", "text", "uuid"}:
                raise NotMatched(f"{name} refers to a {self._column(field).content}")
        self.topics.add(topic_of(target.model))

    def _inner_joins(self) -> Iterator[Any]:
        # What the INNER JOINs demand, as conditions: that there is a row, where there may be
        # none and no other condition demands as much.
        demanded = self._demanded(self._where)
        for alias, join in self._joins.items():
            parent = self._joins.get(join.parent_alias)
            may_miss = join.join_field.null or (parent and parent.join_type == LOUTER)
            if join.join_type == INNER and may_miss and alias not in demanded:
                yield NullTest(join.join_field.get_col(join.parent_alias), False)

    def _demanded(self, node: Any) -> set[str]:
        # The joins without which a condition is not true.
        if isinstance(node, WhereNode):
            demanded = [self._demanded(child) for child in node.children]
            if node.negated or node.connector == XOR or not demanded:
                return set()
            return (set.union if node.connector == AND else set.intersection)(*demanded)
        if isinstance(node, NothingNode) or (isinstance(node, NULL_TESTS) and node.rhs):
            return set()
        return set(self._path(column_looked_at(node).alias))

    def _path(self, alias: str) -> list[str]:
        # The joins that lead to an alias, the last one first.
        path = []
        while alias != self._base:
            if alias not in self._joins:
                raise NotMatched("it is part of another query")
            path.append(alias)
            alias = self._joins[alias].parent_alias
        return path

    def _toward(self, node: Any, here: str) -> set[str]:
        # Where the columns of a condition are, seen from a table: `here`, or over which joins.
        if isinstance(node, WhereNode):
            return set().union(*(self._toward(child, here) for child in node.children))
        if isinstance(node, NothingNode):
            return set()
        path = [*self._path(column_looked_at(node).alias), self._base]
        at = path.index(here)
        return {path[max(at - 1, 0)]}

    # --- conditions ---

    def _compile(self, node: Any, here: str, exact: bool) -> Predicate:
        # A condition on the rows of the table `here`.
        if isinstance(node, NothingNode):
            return Constant(False)
        if not isinstance(node, WhereNode):
            return self._compile_lookup(node, here, exact)
        if not node.children:
            return Constant(True)  # Django writes nothing, not even a NOT
        if node.negated:
            affirmed = WhereNode(node.children, node.connector)
            return _not(self._compile(affirmed, here, exact=True))
        if len(node.children) == 1 and node.connector != XOR:
            return self._compile(node.children[0], here, exact)
        toward = self._toward(node, here)
        if len(toward) == 1 and here not in toward:
            return self._within(node, toward.pop(), exact)
        if node.connector == XOR:
            if connections[self._using].features.supports_logical_xor:
                raise NotMatched("XOR")
            # It counts what is true, nothing else.
            return Xor(*(self._compile(child, here, exact=False) for child in node.children))
        parts = (self._compile(part, here, exact) for part in self._grouped(node, here))
        return _and(parts) if node.connector == AND else _or(parts)

    def _grouped(self, node: WhereNode, here: str) -> list[Any]:
        # The children, but those over the same join as one.
        groups: dict[Any, list[Any]] = {}
        for number, child in enumerate(node.children):
            toward = self._toward(child, here)
            alone = len(toward) != 1 or here in toward
            groups.setdefault(number if alone else toward.pop(), []).append(child)
        return [
            group[0] if len(group) == 1 else WhereNode(group, node.connector)
            for group in groups.values()
        ]

    def _compile_lookup(self, lookup: Any, here: str, exact: bool) -> Predicate:
        toward = self._toward(lookup, here)
        if here in toward:
            self._column(column_looked_at(lookup).target)
            return predicate_of(lookup, self._using)
        if isinstance(lookup, NULL_TESTS) and lookup.rhs is False:
            # Few rows have NULLs, most have none: we follow the few.
            is_null = type(lookup)(lookup.lhs, True)
            return _not(self._within(is_null, toward.pop(), exact=True))
        return self._within(lookup, toward.pop(), exact)

    def _within(self, node: Any, toward: str, exact: bool) -> Predicate:
        # A condition on the row that a join leads to.
        there = self._compile(node, toward, exact)
        if isinstance(there, Constant):
            return there
        join = self._joins[toward]
        unknown: KeyQuery | None = None
        if exact and _may_be_unknown(there, self._model_of(toward)):
            null = NullTest(WhereNode([node]), True)
            unknown = self._keys(null, toward, Unknown(there))
        keys = self._keys(node, toward, there)
        column = str(join.join_field.column)
        return Within(column, keys, unknown, absent=there(_Nulls()))

    def _model_of(self, alias: str) -> type[Model]:
        ((_, target),) = self._joins[alias].join_fields
        model: type[Model] = target.model
        return model

    def _keys(self, node: Any, toward: str, predicate: Predicate) -> RelatedKeys:
        # The same condition, but in a query of the joined table's own.
        ((_, target),) = self._joins[toward].join_fields
        query = Query(target.model)
        renamed = {toward: query.get_initial_alias()}
        used = self._aliases(node)
        for alias, join in self._joins.items():
            if any(alias in path and toward in path[path.index(alias) + 1 :] for path in used):
                parent = renamed[join.parent_alias]
                left: Any = Join(join.table_name, parent, None, LOUTER, join.join_field, True)
                renamed[alias] = query.join(left)
        query.where = WhereNode([node.relabeled_clone(renamed)])
        rows: QuerySet[Any] = QuerySet(target.model, query=query, using=self._using)
        return RelatedKeys(rows, predicate, target, self._in_thread)

    def _aliases(self, node: Any) -> list[list[str]]:
        # The paths to all columns of a condition.
        if isinstance(node, WhereNode):
            return [path for child in node.children for path in self._aliases(child)]
        if isinstance(node, NullTest) and isinstance(node.lhs, WhereNode):
            return self._aliases(node.lhs)
        return [] if isinstance(node, NothingNode) else [self._path(column_looked_at(node).alias)]

    def _column(self, field: Any) -> Any:
        # The column of a field, if it is heard of when it changes.
        column = column_of(field, self._using)
        if self._postgresql and column.name not in self._told(field.model):
            raise NotMatched(
                f"the column {column.name} of {field.model._meta.label} does not travel"
            )
        return column

    def _told(self, model: type[Model]) -> frozenset[str]:
        if model not in self._travelling:
            try:
                columns = source_of(model).columns
            except DDPError as problem:
                raise NotMatched(str(problem)) from problem
            self._travelling[model] = frozenset(column.name for column in columns)
        return self._travelling[model]


def _check_model(model: type[Model]) -> None:
    options = model._meta
    if options.parents and (options.concrete_model or model)._meta.parents:
        raise NotMatched(f"{options.label} inherits a table")
    if len(getattr(options, "pk_fields", ())) > 1:
        raise NotMatched(f"{options.label} has a primary key of several columns")


# --- truth -----------------------------------------------------------------------------------


class Unknown(Predicate):
    """The answer is neither yes nor no."""

    __slots__ = ("part",)

    def __init__(self, part: Predicate) -> None:
        self.part = part

    def __call__(self, row: Row) -> Truth:
        """Decide."""
        return self.part(row) is None

    @property
    def columns(self) -> frozenset[str]:
        """Those of its part."""
        return self.part.columns

    def key_queries(self) -> Iterator[KeyQuery]:
        """Those of its part."""
        return self.part.key_queries()

    def bound(self, resolve: Callable[[KeyQuery], Any]) -> Predicate:
        """With its part bound."""
        return Unknown(self.part.bound(resolve))

    def __repr__(self) -> str:
        return f"{self.part!r} IS UNKNOWN"


class _Nulls(dict[str, Any]):
    # The row that a LEFT JOIN makes up.
    def __missing__(self, column: str) -> None:
        return None


def _not(part: Predicate) -> Predicate:
    if isinstance(part, Constant):
        return Constant(None if part.truth is None else not part.truth)
    return part.part if isinstance(part, Not) else Not(part)


def _and(parts: Iterator[Predicate]) -> Predicate:
    return _joined(And, parts, Constant(True), Constant(False))


def _or(parts: Iterator[Predicate]) -> Predicate:
    return _joined(Or, parts, Constant(False), Constant(True))


def _joined(
    kind: type[And | Or], parts: Iterator[Predicate], neutral: Constant, decisive: Constant
) -> Predicate:
    kept: list[Predicate] = []
    for part in parts:
        if isinstance(part, kind):
            kept += part.parts
        elif not isinstance(part, Constant):
            kept.append(part)
        elif part.truth is decisive.truth:
            return decisive
    return kind(*kept) if len(kept) > 1 else kept[0] if kept else neutral


def _may_be_unknown(predicate: Predicate, model: type[Model]) -> bool:
    nullable = {str(field.column) for field in model._meta.concrete_fields if field.null}
    return bool(_doubts(predicate, nullable))


def _doubts(predicate: Predicate, nullable: set[str]) -> set[str]:
    # What may make a predicate unknown: NULLs in these columns, or in other tables ("").
    match predicate:
        case Equals() | Test():
            return {predicate.column} & nullable
        case Within():
            own = {predicate.column} & nullable if predicate.absent is None else set()
            return own | ({""} if predicate.unknown is not None else set())
        case Not():
            return _doubts(predicate.part, nullable)
        case And() | Or():
            doubts = set().union(*(_doubts(part, nullable) for part in predicate.parts))
            # `column IS NOT NULL AND …` is false where the rest is unknown; OR likewise.
            for part in predicate.parts:
                test = part.part if isinstance(part, Not) else part
                if isinstance(test, IsNull) and (test is not part) is isinstance(predicate, And):
                    doubts.discard(test.column)
            return doubts
        case _:
            return set()
