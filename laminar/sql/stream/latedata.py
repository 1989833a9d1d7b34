"""LATE DATA TO: the changes that a view leaves out as late become rows of a table.

The table's columns are filled by name: from the relation that the windowed operator's rows come from, which
are carried to it though the query may not read them, from window_start and window_end, and from what is known
of the lateness (:data:`SPECIAL`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, cast

from laminar.engine.nodes import (
    Append,
    EmitGate,
    Exchange,
    GroupAggregate,
    GroupReduce,
    HashJoin,
    Input,
    LateRows,
    Linear,
    Node,
    OverWindow,
    Properties,
    SessionWindow,
    TopN,
)
from laminar.engine.operators.windowing import judged_lateness
from laminar.engine.relations import topological
from laminar.errors import DATATYPE_MISMATCH, UNDEFINED_COLUMN, PgError, not_supported
from laminar.sql.plan import Column
from laminar.sql.resolve import oid_name
from laminar.types import INT8, INTERVAL, TIMESTAMPTZ, PgType

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

Special = Literal["late_by", "arrived_at", "laminar_diff"]
#: how far the watermark was past the window's end and the allowed lateness, when, and +1 or -1
SPECIAL: Final[dict[str, int]] = {"late_by": INTERVAL, "arrived_at": TIMESTAMPTZ, "laminar_diff": INT8}


@dataclass(frozen=True, slots=True)
class LateTable:
    """A table for late rows.

    Args:
        oid, name: of the table.
        columns: name and type of each.
    """

    oid: int
    name: str
    columns: tuple[tuple[str, PgType], ...]


@dataclass(slots=True)
class Carried:
    """Columns on their way to the operator that judges, by name."""

    table: LateTable
    columns: dict[str, Column] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        return name not in SPECIAL and any(name == wanted for wanted, _ in self.table.columns)

    def add(self, column: Column) -> None:
        """Carry a column if the table has one of its name; the first of a name counts."""
        if self.wants(column.name):
            self.columns.setdefault(column.name, column)


def late_rows(planner: Planner, root: Node, position: int | None) -> Append:
    """What appends the changes that ``root``'s dataflow finds late to the table.

    Raises:
        PgError: 42703, 42804 for columns of the table that cannot be filled; 0A000 where no single
            operator judges lateness.
    """
    assert planner.carried is not None
    table = planner.carried.table
    judge = _judge(root, position)
    below = judge.input.properties  # type: ignore[union-attr]
    picks: list[int | Special] = []
    for name, type_ in table.columns:
        if name in SPECIAL:
            picks.append(cast(Special, name))
            found = PgType(SPECIAL[name])
        else:
            column = _source(planner.carried, name, below)
            if column is None:
                raise PgError(
                    UNDEFINED_COLUMN,
                    f'column "{name}" of table "{table.name}" is not a column of the late rows',
                    hint=f"They have: {', '.join(_names(below))}, {', '.join(SPECIAL)}.",
                    position=position,
                )
            picks.append(column.id)
            found = column.type
        if (found.oid, found.storage) != (type_.oid, type_.storage):
            raise PgError(
                DATATYPE_MISMATCH,
                f'column "{name}" of table "{table.name}" is of type {oid_name(type_.oid)} but late rows have'
                f" {oid_name(found.oid)}",
                position=position,
            )
    if not below.append_only and "laminar_diff" not in picks:
        raise not_supported(
            f'table "{table.name}" needs a column laminar_diff bigint: deletions can be late too',
            position=position,
        )
    columns = tuple(planner.column(name, type_) for name, type_ in table.columns)
    properties = Properties(columns, append_only=True)
    node = LateRows(planner.node_id(), judge, tuple(picks), properties)
    one = replace(properties, partitioning=())
    return Append(planner.node_id(), Exchange(planner.node_id(), node, (), one), table.oid, one)


def _source(carried: Carried, name: str, below: Properties) -> Column | None:
    there = {column.id: column for column in below.columns if column.id != below.row_watermark}
    column = carried.columns.get(name)
    if column is not None and column.id in there:
        return column
    return next((c for c in there.values() if c.name == name), None)


def _names(below: Properties) -> list[str]:
    return sorted(
        {c.name for c in below.columns if c.id != below.row_watermark and not c.name.startswith("?")}
    )


def _judge(root: Node, position: int | None) -> Node:
    """The operator nearest to the source that finds rows late; what reads it gets none."""
    nodes = topological(root)
    judges = [node for node in nodes if _judges(node)]
    lowest = [node for node in judges if not any(_judges(below) for below in topological(node)[:-1])]
    if not lowest:
        raise not_supported(
            "LATE DATA TO needs a window on a column with a watermark, and a bound of lateness",
            hint="Add EMIT ON WINDOW CLOSE or ALLOW LATENESS.",
            position=position,
        )
    inputs = [node for node in topological(lowest[0]) if isinstance(node, Input)]
    if len(lowest) > 1 or isinstance(lowest[0], HashJoin) or len(inputs) > 1:
        raise not_supported(
            "LATE DATA TO is supported for views in which one operator judges the rows of one relation",
            hint="Create a view of each side's windows with LATE DATA TO, and join these views.",
            position=position,
        )
    return lowest[0]


def _judges(node: Node) -> bool:
    match node:
        case GroupAggregate():
            return not node.judged and not _of_partial(node) and _bounded(node)
        case TopN() | OverWindow() | GroupReduce():
            return _bounded(node)
        case EmitGate():
            return not node.judged
        case SessionWindow():
            return node.lateness is not None
        case HashJoin():
            return node.bound is not None
    return False


def _bounded(node: GroupAggregate | TopN | OverWindow | GroupReduce) -> bool:
    return node.window_end is not None and judged_lateness(node.emit) is not None


def _of_partial(node: GroupAggregate) -> bool:
    """Whether its input's late rows have been left out by the first of two phases."""
    below = node.input
    while isinstance(below, Linear | Exchange):
        below = below.input
    return isinstance(below, GroupAggregate) and below.partial


__all__ = ["SPECIAL", "Carried", "LateTable", "late_rows"]
