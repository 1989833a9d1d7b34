"""Filter, projection, HOP, CUMULATE and the emit gate."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laminar.engine.change import END_OF_TIME
from laminar.engine.nodes import EmitGate, Hop, Linear, Properties
from laminar.sql.plan import Call, Column, ColumnRef, Const, Expr
from laminar.sql.resolve import resolve_operator
from laminar.types import BOOL, DATE, FLOAT8, INT4, INT8, NUMERIC, TEXT, TIMESTAMP, PgType, numeric
from tests.engine.operator_nodes import Run, aggregate, change, columns, emit, grouping, ref, rows_of, source

LONG, INT, STRING, TIME = PgType(INT8), PgType(INT4), PgType(TEXT), PgType(TIMESTAMP)
EPOCH = datetime(1970, 1, 1)


def operator(symbol: str, left: Expr, right: Expr) -> Call:
    found = resolve_operator(symbol, left.type, right.type)
    return Call(found.function, (left, right), found.result_type)


def linear(below: Any, condition: Expr | None, *exprs: Expr, watermarks: Any = ()) -> Linear:
    out = columns([e.type for e in exprs], 50)
    return Linear(1, below, condition, exprs, Properties(out), watermarks)


def test_column_picks_and_weights() -> None:
    below = source([LONG, STRING])
    run = Run(linear(below, None, ref(below, 2), ref(below, 1)))
    out = run.step((0, change([LONG, STRING], [((1, "a"), 2), ((2, None), -1)])))
    assert rows_of(out) == {("a", 1): 2, (None, 2): -1}


def test_filter_keeps_true_only() -> None:
    below = source([LONG, STRING])
    positive = operator(">", ref(below, 1), Const(0, LONG))
    run = Run(linear(below, positive, ref(below, 2)))
    rows = [((1, "a"), 1), ((0, "b"), 1), ((None, "c"), 1), ((5, None), -2)]
    assert rows_of(run.step((0, change([LONG, STRING], rows)))) == {("a",): 1, (None,): -2}


def test_constant_projection_keeps_the_rows() -> None:
    below = source([LONG])
    run = Run(linear(below, operator(">", ref(below, 1), Const(0, LONG)), Const(7, INT)))
    assert rows_of(run.step((0, change([LONG], [((1,), 1), ((2,), 1), ((0,), 1)])))) == {(7,): 2}


def test_failing_rows_contribute_nothing_and_are_counted() -> None:
    below = source([LONG, LONG])
    quotient = operator("/", ref(below, 1), ref(below, 2))
    run = Run(linear(below, None, quotient))
    rows = [((6, 2), 1), ((1, 0), 1), ((1, 0), -1), ((9, 3), 1)]
    assert rows_of(run.step((0, change([LONG, LONG], rows)))) == {(3,): 2}
    assert run.operator.stats()["dropped_error"] == 2
    assert list(run.operator.errors()) == ["division by zero"]  # type: ignore[attr-defined]


def test_watermarks_shift_and_saturate() -> None:
    below = source([TIME])
    run = Run(linear(below, None, ref(below, 1), ref(below, 1), watermarks=((50, 1, 0), (51, 1, -10))))
    run.step(watermarks=[{1: 100}])
    assert run.watermarks.by_column == {50: 100, 51: 90}
    run.step(watermarks=[{1: END_OF_TIME}])
    assert run.watermarks.by_column == {50: END_OF_TIME, 51: END_OF_TIME}
    run.step(watermarks=[{}])
    assert run.watermarks.by_column == {}


# --- windows --------------------------------------------------------------------------------------


def hop(kind: str, step: int, size: int, offset: int = 0, type_: PgType = TIME, bound: PgType = TIME) -> Hop:
    below = source([LONG, type_])
    added = (Column(8, "window_start", bound), Column(9, "window_end", bound))
    properties = Properties((*below.properties.columns, *added))
    return Hop(1, below, ColumnRef(2, type_), kind, step, size, offset, properties)  # type: ignore[arg-type]


def at(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["hop", "cumulate"]),
    st.integers(1, 7),
    st.integers(1, 20),
    st.integers(-9, 9),
    st.lists(st.none() | st.integers(-50, 50), max_size=8),
)
def test_every_window_that_holds_the_time(
    kind: str, step: int, size: int, offset: int, times: list[int | None]
) -> None:
    if kind == "cumulate":
        size = step * (size % 5 + 1)
    run = Run(hop(kind, step, size, offset))
    rows = [((i, None if t is None else at(t)), 1) for i, t in enumerate(times)]
    expected: dict[Any, int] = {}
    period = size if kind == "cumulate" else step
    for i, t in enumerate(times):
        for start in range(offset - 100 * period, offset + 100 * period, period):
            for end in range(start + step, start + size + 1, step) if kind == "cumulate" else [start + size]:
                if t is not None and start <= t < end:
                    expected[(i, at(t), at(start), at(end))] = 1
    assert rows_of(run.step((0, change([LONG, TIME], rows)))) == expected
    assert run.operator.stats()["dropped_null_time"] == times.count(None)


def test_hop_over_dates_and_milliseconds() -> None:
    from datetime import date

    day = 86_400_000_000
    run = Run(hop("hop", day, 2 * day, 0, PgType(DATE)))
    out = run.step((0, change([LONG, PgType(DATE)], [((1, date(1970, 1, 2)), 1)])))
    assert rows_of(out) == {(1, date(1970, 1, 2), at(d * day), at((d + 2) * day)): 1 for d in (0, 1)}
    run = Run(hop("hop", 1_000_000, 1_000_000, 0, LONG, LONG))
    assert rows_of(run.step((0, change([LONG, LONG], [((1, 1500), -1)])))) == {(1, 1500, 1000, 2000): -1}


def test_hop_watermarks() -> None:
    run = Run(hop("hop", 5, 20))
    run.step(watermarks=[{2: 100}])
    assert run.watermarks.by_column == {2: 100, 8: 80, 9: 100}


# --- gate -----------------------------------------------------------------------------------------


def gate(lateness: int | None = None) -> EmitGate:
    below = source([LONG, TIME])
    return EmitGate(1, below, 2, emit("close", lateness), Properties(below.properties.columns))


def test_gate_holds_back_until_the_end_is_reached() -> None:
    run = Run(gate(5))
    rows = [((1, at(10)), 1), ((1, at(10)), 2), ((2, at(10)), 1), ((2, at(10)), -1), ((3, at(20)), 1)]
    assert run.step((0, change([LONG, TIME], rows)), watermarks=[{2: 14}]) == []
    segments = run.checkpoint()
    for held in (run, Run(gate(5), segments)):
        assert rows_of(held.step(watermarks=[{2: 15}])) == {(1, at(10)): 3}
        assert held.watermarks.by_column == {2: 10}
        assert held.step((0, change([LONG, TIME], [((1, at(10)), 1)])), watermarks=[{2: 15}]) == []
        assert held.operator.stats()["dropped_late"] == 1
        late = Run(gate(5), [*segments, *held.checkpoint()])
        assert late.step((0, change([LONG, TIME], [((1, at(10)), 1)])), watermarks=[{}]) == []
        assert late.operator.stats()["dropped_late"] == 1
        assert rows_of(held.step(watermarks=[{2: END_OF_TIME}])) == {(3, at(20)): 1}


# --- aggregates that need the evaluator --------------------------------------------------------------


def test_extremes_of_types_whose_equality_is_not_storage() -> None:
    types = [LONG, PgType(NUMERIC)]
    below = source(types)
    wanted = [aggregate(name, PgType(NUMERIC), ref(below, 2)) for name in ("min", "max", "any_value")]
    run = Run(grouping(below, [1], wanted))
    from laminar._native import textio

    def stored(*values: str) -> list[bytes]:
        import pyarrow as pa

        found: list[bytes] = textio.parse_text(pa.array(values), PgType(NUMERIC)).to_pylist()
        return found

    one, ten, small = stored("1.0", "10", "-3.5")
    out = rows_of(run.step((0, change(types, [((1, v), 1) for v in (ten, small, one)])), watermarks=[{}]))
    (row,) = out
    assert row[:3] == (1, small, ten) and row[3] in (one, ten, small)
    out = rows_of(run.step((0, change(types, [((1, ten), -1), ((1, small), -1)])), watermarks=[{}]))
    assert out == {row: -1, (1, one, one, one): 1}


def test_arguments_are_expressions_and_their_failures_are_counted() -> None:
    below = source([LONG, LONG])
    doubled = operator("/", Const(100, LONG), ref(below, 2))
    node = grouping(below, [1], [aggregate("max", LONG, doubled), aggregate("count", LONG)])
    run = Run(node)
    out = rows_of(run.step((0, change([LONG, LONG], [((1, 5), 1), ((1, 0), 1)])), watermarks=[{}]))
    assert out == {(1, 20, 1): 1}
    assert run.operator.stats()["dropped_error"] == 1


def test_join_residual() -> None:
    from tests.engine.operator_nodes import joining

    left, right = source([LONG, LONG]), source([LONG, LONG], 11)
    node = joining(left, right, [1], [11], residual=operator("<", ref(left, 2), ref(right, 12)))
    run = Run(node)
    rows = [((1, v), 1) for v in (1, 5)]
    out = rows_of(
        run.step((0, change([LONG, LONG], rows)), (1, change([LONG, LONG], [((1, 3), 1), ((1, None), 1)])))
    )
    assert out == {(1, 1, 1, 3): 1}


@pytest.mark.parametrize("flag", [True, False, None])
def test_boolean_conditions_from_columns(flag: bool | None) -> None:
    below = source([PgType(BOOL)])
    out = rows_of(
        Run(linear(below, ref(below, 1), ref(below, 1))).step((0, change([PgType(BOOL)], [((flag,), 1)])))
    )
    assert out == ({(True,): 1} if flag else {})


def test_unchanged_average_is_not_emitted() -> None:
    below = source([LONG, PgType(FLOAT8)])
    run = Run(grouping(below, [1], [aggregate("avg", PgType(FLOAT8), ref(below, 2))]))
    run.step((0, change([LONG, PgType(FLOAT8)], [((1, 4.0), 1), ((2, 1.0), 1)])), watermarks=[{}])
    more = [((1, 4.0), 1), ((2, 1.0), 1), ((3, 1.0), 1)]
    assert [len(c) for c in run.step((0, change([LONG, PgType(FLOAT8)], more)), watermarks=[{}])] == [1]


def test_avg_as_postgresql() -> None:
    types = [LONG, INT, PgType(FLOAT8), numeric(10, 2)]
    below = source(types)
    wanted = [
        aggregate("avg", PgType(NUMERIC), ref(below, 2)),
        aggregate("avg", PgType(FLOAT8), ref(below, 3)),
        aggregate("avg", PgType(NUMERIC), ref(below, 4)),
        aggregate("sum", PgType(NUMERIC), ref(below, 4)),
    ]
    run = Run(grouping(below, [1], wanted))
    rows = [((1, 1, 0.5, Decimal("1.10")), 1), ((1, 2, None, None), 1), ((1, 2, 0.25, Decimal("2.25")), 1)]
    (out,) = run.step((0, change(types, rows)), watermarks=[{}])
    from laminar._native import textio

    shown = [
        textio.format_text(column, type_, textio.FormatSettings())[0].as_py()
        for column, type_ in zip(out.batch.columns[1:], [a.type for a in wanted], strict=True)
    ]
    # select avg(x), … from (values (1, 0.5, 1.10), (2, null, null), (2, 0.25, 2.25)) in PostgreSQL 15
    assert shown == ["1.6666666666666667", "0.375", "1.6750000000000000", "3.35"]
