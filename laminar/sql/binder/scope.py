"""Namespaces: what names mean at a place in a query.

A :class:`Level` is one SELECT with what its FROM has brought into view so far; levels chain outwards.
Resolution follows PostgreSQL's parse_relation.c, its messages and hints included.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from laminar.errors import AMBIGUOUS_COLUMN, UNDEFINED_COLUMN, UNDEFINED_TABLE, PgError
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql.catalog_view import Relation
from laminar.sql.plan import Aggregate, Column, Expr, WindowCall

_MAX_FUZZY_DISTANCE = 3


@dataclass(slots=True)
class Item:
    """A FROM item: a relation, an aliased join, or (with name '') the columns of a join.

    Args:
        columns: (name, column) in order.
        by_name: whether ``name.column`` and ``name.*`` may refer to it.
        by_column: whether bare column names and ``*`` find its columns.
        relation: the catalog relation behind it, with ``ids``: attnum -> column id.
        schema: the schema it was found in, for ``schema.name.column``.
        lateral_only: visible to LATERAL items only, for the moment.
    """

    name: str
    columns: list[tuple[str, Column]]
    by_name: bool = True
    by_column: bool = True
    relation: Relation | None = None
    ids: dict[int, int] = field(default_factory=dict)
    schema: str | None = None
    lateral_only: bool = False
    #: a function's value: its name stands for the value, not for a row of one field
    value: bool = False
    #: an outer join may find no row of it
    nullable: bool = False
    #: what a failed lookup may refer to by mistake: the relation's own name behind an alias
    real_name: str | None = None
    #: the hidden key of its rows, where they are to be locked and there is no primary key
    row_key: Column | None = None


@dataclass(slots=True)
class AggregateUse:
    aggregate: Aggregate
    column: Column


@dataclass(slots=True)
class WindowUse:
    call: WindowCall
    column: Column


@dataclass(slots=True, eq=False)
class CteEntry:
    """A WITH query with the environment in which it is bound anew at each use."""

    cte: ast.Cte
    environment: dict[str, CteEntry]
    parent: Level | None
    recursive: bool = False
    #: of a recursive query's reference to itself: the work table, while the recursive term is bound
    work: p.WorkTable | None = None
    #: how often it was referred to
    uses: int = 0
    #: where it was referred to last
    place: int = 0
    #: of INSERT, UPDATE or DELETE: the relation (< 0) that stands for what it returns
    returned: int = 0
    returns: tuple[Column, ...] = ()


@dataclass(slots=True)
class Level:
    """One query level. ``clause`` is what is being bound, in PostgreSQL's words."""

    parent: Level | None = None
    ctes: dict[str, CteEntry] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    #: items that exist but cannot be referenced from here (for error hints)
    unreachable: list[Item] = field(default_factory=list)
    clause: str = "SELECT"
    aggregates: list[AggregateUse] = field(default_factory=list)
    windows: list[WindowUse] = field(default_factory=list)
    #: arguments of ordered-set aggregates that are the same for all rows of a group
    direct_args: list[Expr] = field(default_factory=list)
    window_names: dict[str, ast.WindowDef] = field(default_factory=dict)
    in_aggregate: bool = False
    in_window: bool = False
    #: conditional constructs around, in which set-returning functions may not stand
    in_conditional: str = ""
    set_returning: bool = False
    #: GROUPING() calls: column -> argument expressions' columns
    grouping_calls: list[tuple[Column, ast.Special]] = field(default_factory=list)
    #: window start and end of ``GROUP BY TUMBLE(…)``: (kind, canonical arguments) are checked
    time_window: tuple[Column, Column] | None = None
    #: rows of its tables are to be locked
    locking: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A resolved name: the column and how many levels out."""

    column: Column
    depth: int
    item: Item


def find_column(level: Level, name: str, pos: int) -> Found | None:
    """A bare column name, innermost level first; None if nowhere.

    Raises:
        PgError: 42702 when a level has two.
    """
    depth, at = 0, level
    while True:
        found: Found | None = None
        for item in at.items:
            if not item.by_column or (item.lateral_only and depth == 0):
                continue
            for label, column in item.columns:
                if label != name:
                    continue
                if found is not None:
                    raise PgError(AMBIGUOUS_COLUMN, f'column reference "{name}" is ambiguous', position=pos)
                found = Found(column, depth, item)
        if found is not None or at.parent is None:
            return found
        depth, at = depth + 1, at.parent


def find_item(level: Level, name: str, schema: str | None) -> tuple[Item, int] | None:
    """A FROM item by name, innermost level first."""
    depth, at = 0, level
    while True:
        for item in at.items:
            if item.name != name or not item.by_name or (item.lateral_only and depth == 0):
                continue
            if schema is not None and (item.schema != schema or item.real_name is not None):
                continue
            return item, depth
        if at.parent is None:
            return None
        depth, at = depth + 1, at.parent


def column_of(item: Item, name: str, pos: int) -> Column | None:
    """A column of an item; 42702 when it has two of the name."""
    matches = [column for label, column in item.columns if label == name]
    if len(matches) > 1:
        raise PgError(AMBIGUOUS_COLUMN, f'column reference "{name}" is ambiguous', position=pos)
    return matches[0] if matches else None


def missing_item(level: Level, name: str, pos: int) -> PgError:
    """42P01 for a qualification that names nothing in FROM."""
    at: Level | None = level
    while at is not None:
        for item in [*at.items, *at.unreachable]:
            if item.real_name == name and item.by_name:
                return PgError(
                    UNDEFINED_TABLE,
                    f'invalid reference to FROM-clause entry for table "{name}"',
                    hint=f'Perhaps you meant to reference the table alias "{item.name}".',
                    position=pos,
                )
            if item.name == name:
                return PgError(
                    UNDEFINED_TABLE,
                    f'invalid reference to FROM-clause entry for table "{name}"',
                    hint=f'There is an entry for table "{name}", '
                    "but it cannot be referenced from this part of the query.",
                    position=pos,
                )
        at = at.parent
    return PgError(UNDEFINED_TABLE, f'missing FROM-clause entry for table "{name}"', position=pos)


def missing_column(level: Level, relation: str | None, name: str, pos: int) -> PgError:
    """42703 with PostgreSQL's guesses at what was meant."""
    shown = f"column {relation}.{name} does not exist" if relation else f'column "{name}" does not exist'
    return PgError(UNDEFINED_COLUMN, shown, hint=_guess(level, relation, name), position=pos)


def _guess(level: Level, relation: str | None, name: str) -> str | None:
    """errorMissingColumn's hint."""
    best = _MAX_FUZZY_DISTANCE + 1
    matches: list[tuple[str, str]] = []
    at: Level | None = level
    while at is not None:
        reachable = [item for item in at.items if not (item.lateral_only and at is level)]
        for item in [*at.items, *at.unreachable]:
            if not item.name:
                continue
            for label, _ in item.columns:
                if label == name and not any(item is other for other in reachable):
                    return (
                        f'There is a column named "{name}" in table "{item.name}", '
                        "but it cannot be referenced from this part of the query."
                    )
                penalty = 0 if relation is None else _distance(relation, item.name)
                distance = penalty + _distance(name, label)
                if (
                    distance > len(name) // 2
                    or distance > best
                    or (relation and penalty > _MAX_FUZZY_DISTANCE)
                ):
                    continue
                if distance < best:
                    best, matches = distance, []
                if (item.name, label) not in matches:
                    matches.append((item.name, label))
        at = at.parent
    if best > _MAX_FUZZY_DISTANCE or not matches or len(matches) > 2:
        return None
    names = [f'the column "{item}.{label}"' for item, label in matches]
    return f"Perhaps you meant to reference {' or '.join(names)}."


def _distance(a: str, b: str) -> int:
    """Levenshtein's distance."""
    if abs(len(a) - len(b)) > 2 * _MAX_FUZZY_DISTANCE:
        return abs(len(a) - len(b))
    row = list(range(len(b) + 1))
    for i, ca in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, cb in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (ca != cb))
    return row[-1]
