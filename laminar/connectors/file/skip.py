"""Row groups that cannot hold a matching row, judged by the minima and maxima that Parquet keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types as at

from laminar import types as pg
from laminar.connectors.base import SourceColumn
from laminar.sql.plan import BoolOp, Call, ColumnRef, Const, Expr, Test
from laminar.types import PgType

#: types whose storage is an integer in the order of the values
_ORDERED: Final = frozenset({pg.INT2, pg.INT4, pg.INT8, pg.DATE, pg.TIMESTAMP, pg.TIMESTAMPTZ})
_MIRROR: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}
#: pg_proc.prosrc of the comparisons, by what they end with
_ENDINGS: Final = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "="}
_INTEGERS: Final = ("int2", "int4", "int8", "int24", "int42", "int28", "int82", "int48", "int84")
_FAMILIES: Final = frozenset((*_INTEGERS, "date_", "timestamp_", "timestamptz_"))


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a column's non-null values in a row group, as storage integers."""

    minimum: int
    maximum: int


class GroupRanges:
    """Ranges per row group and column of the source, from a file's footer."""

    def __init__(
        self, meta: pq.FileMetaData, schema: pa.Schema, fields: Sequence[int], columns: Sequence[SourceColumn]
    ) -> None:
        self._meta = meta
        self._columns = columns
        leaves = {meta.schema.column(i).path: i for i in range(meta.num_columns)}
        self._leaf = [leaves.get(schema.field(f).name) for f in fields]
        self._kinds = [schema.field(f).type for f in fields]

    def of(self, group: int, column: int) -> Range | None:
        """None when nothing is known."""
        leaf, kind = self._leaf[column], self._kinds[column]
        type_ = self._columns[column].type
        if leaf is None or type_.oid not in _ORDERED or (at.is_timestamp(kind) and kind.unit == "ns"):
            return None
        try:
            statistics = self._meta.row_group(group).column(leaf).statistics
            if statistics is None or not statistics.has_min_max:
                return None
            low, high = (as_integer(pa.scalar(v, kind), type_) for v in (statistics.min, statistics.max))
        except (OverflowError, ValueError, TypeError, pa.ArrowException):
            return None
        return Range(low, high)


def as_integer(value: Any, type_: PgType) -> int:
    """A value of an ordered type as its storage integer."""
    stored = pa.scalar(value.as_py() if isinstance(value, pa.Scalar) else value, type_.storage)
    return int(stored.value) if hasattr(stored, "value") else int(stored.as_py())


def as_microseconds(value: int, type_: PgType) -> int | None:
    """A watermark column's storage integer as microseconds: dates are days, bigints milliseconds.

    None for infinities, which say nothing about time passing.
    """
    infinite = abs(value) >= (pg.DATE_INFINITY if type_.oid == pg.DATE else pg.TIMESTAMP_INFINITY)
    unit = {pg.DATE: 86_400_000_000, pg.INT8: 1000}.get(type_.oid, 1)
    return None if infinite or abs(value * unit) >= pg.TIMESTAMP_INFINITY else value * unit


def may_match(filter_: Expr, range_of: Callable[[int], Range | None]) -> bool:
    """False only when no row whose columns lie in their ranges satisfies ``filter_``.

    ``range_of`` takes a column id. Whatever is not understood may match.
    """
    match filter_:
        case BoolOp(op="and", args=args):
            return all(may_match(arg, range_of) for arg in args)
        case BoolOp(op="or", args=args):
            return any(may_match(arg, range_of) for arg in args)
        case Test(arg=arg, what="true", negated=False):
            return may_match(arg, range_of)
        case Call(function=function, args=(left, right)):
            return _comparison(function.symbol, left, right, range_of)
        case Const(value=value):
            return value is not None and value is not False
        case _:
            return True


def _comparison(symbol: str, left: Expr, right: Expr, range_of: Callable[[int], Range | None]) -> bool:
    operator = _ENDINGS.get(symbol[-2:])
    if operator is None or symbol[:-2] not in _FAMILIES:
        return True
    if isinstance(left, Const) and isinstance(right, ColumnRef):
        left, right, operator = right, left, _MIRROR[operator]
    if not (isinstance(left, ColumnRef) and isinstance(right, Const)):
        return True
    if right.value is None:
        return False
    span = range_of(left.id)
    if span is None or right.type.oid not in _ORDERED or _kind(left.type) != _kind(right.type):
        return True
    bound = as_integer(right.value, right.type)
    match operator:
        case "<":
            return span.minimum < bound
        case "<=":
            return span.minimum <= bound
        case ">":
            return span.maximum > bound
        case ">=":
            return span.maximum >= bound
        case _:
            return span.minimum <= bound <= span.maximum


def _kind(type_: PgType) -> str:
    """Types whose storage integers compare with one another."""
    return "integer" if type_.oid in (pg.INT2, pg.INT4, pg.INT8) else str(type_.oid)
