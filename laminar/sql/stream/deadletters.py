"""Dead-letter tables: rows that cannot be read or computed become rows of a table.

The table's columns are filled by name; it may have any of :data:`KNOWN`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from laminar.engine.nodes import (
    Append,
    Exchange,
    FailedRows,
    FlatMap,
    GroupAggregate,
    HashJoin,
    Input,
    Linear,
    Node,
    Properties,
)
from laminar.engine.relations import REJECTED, children, topological
from laminar.errors import DATATYPE_MISMATCH, UNDEFINED_COLUMN, PgError, not_supported
from laminar.sql.plan import Column
from laminar.sql.resolve import oid_name
from laminar.sql.stream.latedata import LateTable
from laminar.types import INT8, TEXT, TIMESTAMPTZ, PgType

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

#: what is known of a row that failed: where (a source or a view), its text (of rows that are no text, their
#: values as JSON), why, where in the source it was, the epoch's time, and +1 or -1
KNOWN: Final[dict[str, int]] = {
    "source": TEXT,
    "raw": TEXT,
    "reason": TEXT,
    "sqlstate": TEXT,
    "partition": TEXT,
    "position": INT8,
    "arrived_at": TIMESTAMPTZ,
    "laminar_diff": INT8,
}


@dataclass(frozen=True, slots=True)
class OnError:
    """What becomes of rows of a view that fail.

    Args:
        name: the view's, for the table.
        table: gets them; None: nobody does.
        fails: reads of the view fail while there are such rows.
    """

    name: str
    table: LateTable | None = None
    fails: bool = False


def check_table(table: LateTable) -> None:
    """Whether failed rows can be a table's; 42703, 42804."""
    for name, type_ in table.columns:
        if name not in KNOWN:
            raise PgError(
                UNDEFINED_COLUMN,
                f'column "{name}" of table "{table.name}" is nothing that is known of a failed row',
                hint=f"Known: {', '.join(KNOWN)}.",
            )
        if type_.oid != KNOWN[name]:
            raise PgError(
                DATATYPE_MISMATCH,
                f'column "{name}" of table "{table.name}" is of type {oid_name(type_.oid)},'
                f" but failed rows have {oid_name(KNOWN[name])}",
            )


def failed_rows(planner: Planner, root: Node, wanted: OnError) -> FailedRows | Append:
    """What takes the rows for which an expression of a dataflow fails."""
    inputs = tuple(
        node for node in topological(root) if isinstance(node, Linear | FlatMap | GroupAggregate | HashJoin)
    )
    table = wanted.table
    if table is None:
        return FailedRows(planner.node_id(), inputs, (), Properties(()), wanted.name, wanted.fails)
    check_table(table)
    grows = all(below.properties.append_only for node in inputs for below in children(node))
    if not grows and all(name != "laminar_diff" for name, _ in table.columns):
        raise not_supported(
            f'table "{table.name}" needs a column laminar_diff bigint: rows that fail can be taken back',
        )
    columns = tuple(planner.column(name, type_) for name, type_ in table.columns)
    ids = planner.node_id(), planner.node_id(), planner.node_id()
    return _appended(ids, inputs, columns, table, wanted)


def rejected_rows(source: int, name: str, table: LateTable) -> Append:
    """The dataflow that puts the rows into a table that a connector source cannot read."""
    check_table(table)
    known = [Column(i, what, PgType(KNOWN[what])) for i, what in enumerate(_REJECTED, 1)]
    rows = Input(1, source, REJECTED, Properties(tuple(known), append_only=True))
    columns = tuple(Column(10 + i, column, type_) for i, (column, type_) in enumerate(table.columns))
    return _appended((2, 3, 4), (rows,), columns, table, OnError(name))


_REJECTED: Final = ("raw", "reason", "sqlstate", "partition", "position")


def _appended(
    ids: tuple[int, int, int],
    inputs: tuple[Node, ...],
    columns: tuple[Column, ...],
    table: LateTable,
    wanted: OnError,
) -> Append:
    picks = tuple(column.name for column in columns)
    properties = Properties(columns, append_only=True)
    failed = FailedRows(ids[0], inputs, picks, properties, wanted.name, wanted.fails)
    one = Properties(columns, append_only=True, partitioning=())
    return Append(ids[2], Exchange(ids[1], failed, (), one), table.oid, one)
