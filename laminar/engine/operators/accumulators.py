"""SQL aggregates in terms of the native accumulators.

Each aggregate becomes one or two accumulators (a sum and a count for avg) and an expression over
their results that gives its value. Aggregates share equal accumulators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa

from laminar._native import rows
from laminar.errors import not_supported
from laminar.sql.plan import Aggregate, Call, ColumnRef, Const, Expr, Function
from laminar.types import (
    BOOL,
    BYTEA,
    CHAR,
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    JSON,
    NAME,
    NUMERIC,
    OID,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UUID,
    VARCHAR,
    PgType,
)

_INTEGERS = (INT2, INT4, INT8)
#: types whose min and max fit a machine word
_WORDS = (INT2, INT4, INT8, FLOAT4, FLOAT8, DATE, TIME, TIMESTAMP, TIMESTAMPTZ, OID)
#: types that memcmp of the storage orders (databases use the C collation)
_BYTES = (TEXT, VARCHAR, NAME, CHAR, BYTEA, UUID, JSON)
#: sums of more digits may not fit 38 of them, and are numeric without bounds
_SUMMED_IN_DECIMALS = 28
_NUMERIC_DIV = Function(1727, "numeric_div", "numeric_div", True, "i")
#: (sum, sum of squares, count, of a sample, its root)
_VARIANCE = Function(10014, "variance", "laminar_variance_of_sums", True, "i")
#: aggregate -> whether of a sample, whether the root is wanted
SPREADS: Final = {
    "variance": (True, False),
    "var_samp": (True, False),
    "var_pop": (False, False),
    "stddev": (True, True),
    "stddev_samp": (True, True),
    "stddev_pop": (False, True),
}
_FLOAT8_DIV = Function(593, "float8div", "float8div", True, "i")

#: aggregates of any type that a few words per group are enough for
_ANY_TYPE: Final = frozenset({"count", "min", "max", "bool_and", "bool_or", "every", "any_value"})
_EXACT: Final = frozenset({INT2, INT4, INT8, NUMERIC})
#: those that add up, and for which types they do
_ADDING: Final = {
    **dict.fromkeys(("sum", "avg"), _EXACT | {FLOAT4, FLOAT8}),
    **dict.fromkeys(SPREADS, _EXACT),
}


def maintained(aggregate: Aggregate) -> bool:
    """Whether a few words per group are enough for the aggregate, DISTINCT and ORDER BY aside."""
    name, args = aggregate.function.name, aggregate.args
    if aggregate.function.routine is not None:
        return False
    return name in _ANY_TYPE or (len(args) == 1 and args[0].type.oid in _ADDING.get(name, ()))


Prepare = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True, slots=True)
class Accumulator:
    """What :class:`laminar._native.aggregate.Groups` is told (its Spec), for one accumulator.

    ``prepare`` makes the native input of the evaluated argument, ``restore`` the result of the
    native output; None where there is nothing to do. ``ordered`` is false for any_value, which is
    the least by bytes and not by PostgreSQL's order.
    """

    kind: str
    result: str
    output: pa.DataType
    argument: Expr | None = None
    condition: Expr | None = None
    input: pa.DataType | None = None
    max: bool = False
    retract: bool = False
    ordered: bool = True
    value: int = -1
    filter: int = -1
    type: PgType = field(default_factory=lambda: PgType(INT8))
    prepare: Prepare | None = field(default=None, compare=False)
    restore: Prepare | None = field(default=None, compare=False)


class Accumulators:
    """The accumulators behind a node's aggregates.

    Args:
        aggregates: in output order.
        append_only: the input never deletes, so that min and max need no more than one value.

    Raises:
        PgError: 0A000 for an aggregate that views do not have.
    """

    def __init__(self, aggregates: Sequence[Aggregate], append_only: bool) -> None:
        self.append_only = append_only
        self.specs: list[Accumulator] = []
        #: per aggregate, its value over the accumulators' results: ColumnRef(i) is specs[i]'s
        self.values: list[Expr] = [self._plan(a) for a in aggregates]

    def _add(self, spec: Accumulator) -> ColumnRef:
        if spec not in self.specs:
            self.specs.append(spec)
        index = self.specs.index(spec)
        return ColumnRef(index, self.specs[index].type)

    def _plan(self, a: Aggregate) -> Expr:
        name = a.function.name
        if a.distinct and name not in ("min", "max", "bool_and", "bool_or", "every", "any_value"):
            raise _unsupported(a, f"{name}(DISTINCT ...)")
        if a.order_by or a.direct:
            raise _unsupported(a, f"an ordered {name}(...)")
        if name == "count":
            return self._count(a.args[0] if a.args else None, a.filter)
        if len(a.args) == 1:
            match name:
                case "sum":
                    return _as(self._sum(a, a.type), a.type)
                case "avg":
                    return self._avg(a)
                case _ if name in SPREADS:
                    return self._spread(a, *SPREADS[name])
                case "min" | "max" | "any_value":
                    return self._extreme(a, name)
                case "bool_and" | "every" | "bool_or":
                    return self._bool(a, "or" if name == "bool_or" else "and")
        raise _unsupported(a, f"{name}(...)")

    def _count(self, argument: Expr | None, condition: Expr | None) -> ColumnRef:
        storage = argument.type.storage if argument is not None else None
        return self._add(Accumulator("count", "int64", pa.int64(), argument, condition, storage))

    def _sum(self, a: Aggregate, result: PgType) -> ColumnRef:
        argument = a.args[0]
        of = argument.type
        if of.oid in _INTEGERS:
            if result.oid == INT8:
                kind, out, type_ = "int64", pa.int64(), PgType(INT8)
            else:
                kind, out, type_ = "decimal", pa.decimal128(38, 0), PgType(NUMERIC, -1, (38, 0))
            return self._add(Accumulator("sum_int", kind, out, argument, a.filter, of.storage, type=type_))
        if of.oid == NUMERIC and of.decimal and of.decimal[0] <= _SUMMED_IN_DECIMALS:
            scale = of.decimal[1]
            type_ = PgType(NUMERIC, -1, (38, scale))
            out = pa.decimal128(38, scale)
            return self._add(
                Accumulator("sum_decimal", "decimal", out, argument, a.filter, of.storage, type=type_)
            )
        if of.oid == NUMERIC:
            type_ = PgType(NUMERIC)
            argument = _as(argument, type_)
            out = type_.storage
            return self._add(Accumulator("sum_numeric", "same", out, argument, a.filter, out, type=type_))
        if of.oid in (FLOAT4, FLOAT8):
            single = of.oid == FLOAT4 and result.oid == FLOAT4
            out, type_ = (pa.float32(), PgType(FLOAT4)) if single else (pa.float64(), PgType(FLOAT8))
            kind = "float" if single else "double"
            return self._add(Accumulator("sum_float", kind, out, argument, a.filter, of.storage, type=type_))
        raise _unsupported(a, f"{a.function.name} over this type")

    def _avg(self, a: Aggregate) -> Expr:
        count = self._count(a.args[0], a.filter)
        total = self._sum(a, PgType(FLOAT8) if a.type.oid == FLOAT8 else PgType(NUMERIC))
        if a.type.oid == FLOAT8:
            return Call(_FLOAT8_DIV, (total, _as(count, PgType(FLOAT8))), a.type, a.position)
        numeric = PgType(NUMERIC)
        quotient = Call(_NUMERIC_DIV, (_as(total, numeric), _as(count, numeric)), numeric, a.position)
        return _as(quotient, a.type)

    def _spread(self, a: Aggregate, sample: bool, root: bool) -> Expr:
        """Variance or deviation, exact as PostgreSQL's: from the sum and the sum of squares as numeric."""
        from laminar.sql.resolve import make_operator

        numeric, argument = PgType(NUMERIC), a.args[0]
        factor = _as(argument, PgType(INT8) if argument.type.oid in (INT2, INT4) else numeric)
        square = replace(a, args=(make_operator("*", factor, factor),))
        sums = [_as(self._sum(part, numeric), numeric) for part in (a, square)]
        flags = [Const(flag, PgType(BOOL)) for flag in (sample, root)]
        count = self._count(argument, a.filter)
        return _as(Call(_VARIANCE, (*sums, count, *flags), numeric, a.position), a.type)

    def _bool(self, a: Aggregate, result: str) -> ColumnRef:
        return self._add(
            Accumulator("bool", result, pa.bool_(), a.args[0], a.filter, pa.bool_(), type=PgType(BOOL))
        )

    def _extreme(self, a: Aggregate, name: str) -> ColumnRef:
        argument = a.args[0]
        of = argument.type
        spec = Accumulator(
            "fixed",
            "same",
            of.storage,
            argument,
            a.filter,
            of.storage,
            max=name == "max",
            retract=not self.append_only,
            type=of,
        )
        if of.oid in _WORDS:
            return self._add(spec)
        if of.oid in _BYTES:
            return self._add(replace(spec, kind="var"))
        prepare, restore = _packing(of, ordered=name != "any_value")
        packed = replace(spec, kind="var", input=pa.binary(), output=pa.binary(), ordered=name != "any_value")
        return self._add(replace(packed, prepare=prepare, restore=restore))


def _packing(type_: PgType, ordered: bool) -> tuple[Prepare, Prepare]:
    """Values as bytes that order as PostgreSQL does and carry the value itself."""

    def prepare(values: pa.Array) -> pa.Array:
        order = None
        if ordered:
            from laminar.sql.kernels.sortkeys import sort_key

            order = sort_key(values, type_)
        return rows.pack(order, values)

    return prepare, lambda packed: rows.unpack(packed, type_.storage)


def _as(expr: Expr, target: PgType) -> Expr:
    """``expr`` cast to a type with another storage, or itself."""
    if expr.type.storage == target.storage:
        return expr if expr.type == target or not isinstance(expr, ColumnRef) else ColumnRef(expr.id, target)
    from laminar.sql.resolve import coerce

    return coerce(expr, target, "implicit", None)


def _unsupported(a: Aggregate, what: str) -> Exception:
    return not_supported(
        f"{what} is not supported in materialized views yet",
        hint="count, sum, avg, min, max, bool_and, bool_or and any_value are; ad-hoc queries have more.",
        position=a.position or None,
    )
