"""The evaluator: three-valued logic, branches, failing rows, against a plain Python model."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laminar.errors import PgError
from laminar.sql import evaluator, resolve
from laminar.sql.evaluator import Env
from laminar.sql.plan import BoolOp, Case, Coalesce, ColumnRef, Const, Expr, Param
from laminar.sql.plan import Test as IsNull
from laminar.types import BOOL, INT4, INT8, PgType

A, B = ColumnRef(1, PgType(INT4)), ColumnRef(2, PgType(INT4))
NUMBER = resolve.integer_literal
OP = resolve.make_operator


def batch(*columns: list[Any]) -> pa.RecordBatch:
    return pa.record_batch(
        [pa.array(c, pa.int32()) for c in columns], names=[str(i) for i in range(len(columns))]
    )


def run(expr: Expr, *columns: list[Any], env: Env | None = None) -> list[Any]:
    evaluate = evaluator.compile([expr], [1, 2][: len(columns)])
    (result,) = evaluate(batch(*columns), env or Env())
    assert result.type == expr.type.storage
    found: list[Any] = result.to_pylist()
    return found


def test_arithmetic_with_nulls_and_constants() -> None:
    expr = OP("*", OP("+", A, NUMBER(5)), B)
    assert run(expr, [1, None, 3], [2, 2, None]) == [12, None, None]
    assert run(expr, [], []) == []


def test_no_rows_reach_no_constant() -> None:
    assert run(OP("/", NUMBER(1), NUMBER(0)), []) == []


def test_constants_are_folded_and_broadcast() -> None:
    expr = OP("+", NUMBER(1), NUMBER(2))
    folded = evaluator.fold(expr)
    assert isinstance(folded, Const) and folded.value == 3
    assert run(expr, [1, 2]) == [3, 3]


def test_failing_constant_fails_only_when_reached() -> None:
    zero = OP("/", NUMBER(1), NUMBER(0))
    case = Case(((OP(">", A, NUMBER(5)), zero),), NUMBER(7), PgType(INT4))
    assert run(case, [1, 2]) == [7, 7]
    with pytest.raises(PgError, match="division by zero"):
        run(case, [1, 6])


def test_error_has_the_position_of_its_operator() -> None:
    expr = OP("/", A, B, 17)
    with pytest.raises(PgError, match="division by zero") as caught:
        run(expr, [1], [0])
    assert (caught.value.sqlstate, caught.value.position) == ("22012", 17)
    with pytest.raises(PgError, match="integer out of range") as caught:
        run(OP("+", A, B), [2**31 - 1], [1])
    assert caught.value.sqlstate == "22003"


def test_null_slots_do_not_fail() -> None:
    values = pa.array([2**31 - 1, 5], pa.int32())
    hidden = pa.Array.from_buffers(pa.int32(), 2, [pa.py_buffer(b"\x02"), values.buffers()[1]])
    data = pa.record_batch([hidden, pa.array([0, 1], pa.int32())], names=["a", "b"])
    evaluate = evaluator.compile([OP("+", A, NUMBER(1)), OP("/", A, B)], [1, 2])
    assert [c.to_pylist() for c in evaluate(data, Env())] == [[None, 6], [None, 5]]


def test_sliced_batches() -> None:
    data = batch(list(range(20)), [None if i % 3 else i for i in range(20)]).slice(5, 11)
    evaluate = evaluator.compile([OP("+", A, B), OP("<", A, B)], [1, 2])
    total, less = evaluate(data, Env())
    assert total.to_pylist() == [None if i % 3 else 2 * i for i in range(5, 16)]
    assert less.to_pylist() == [None if i % 3 else False for i in range(5, 16)]


def test_params() -> None:
    expr = OP("+", A, Param(1, PgType(INT4)))
    assert run(expr, [1, None], env=Env(params=(pa.scalar(4, pa.int32()),))) == [5, None]
    assert run(expr, [1, None], env=Env(params=(pa.scalar(None, pa.int32()),))) == [None, None]


def test_safe_isolates_failing_rows() -> None:
    guarded = Case(((OP(">", A, NUMBER(0)), OP("/", B, A)),), OP("+", B, NUMBER(2**31 - 1)), PgType(INT4))
    evaluate = evaluator.compile([guarded, OP("/", NUMBER(10), B)], [1, 2])
    data = batch([1, 2, -1, 0, 5], [10, 0, 1, -1, 0])
    (first, second), failed, errors = evaluate.safe(data, Env())
    assert failed is not None and failed.tolist() == [False, True, True, False, True]
    messages = {row: error.message for row, error in errors.items()}
    assert messages == {1: "division by zero", 2: "integer out of range", 4: "division by zero"}
    assert (first[0].as_py(), first[3].as_py()) == (10, 2**31 - 2)
    assert (second[0].as_py(), second[3].as_py()) == (1, -10)
    good, none, empty = evaluate.safe(batch([1], [2]), Env())
    assert none is None and empty == {} and good[0].to_pylist() == [2]


def test_safe_when_every_row_fails() -> None:
    evaluate = evaluator.compile([OP("/", A, NUMBER(0))], [1])
    _, failed, errors = evaluate.safe(batch([1, 2, None, 4]), Env())
    assert failed is not None and failed.tolist() == [True, True, False, True]
    assert {row: error.message for row, error in errors.items()} == dict.fromkeys(
        (0, 1, 3), "division by zero"
    )


def test_filter_batch() -> None:
    data = batch([1, 2, 3])
    assert evaluator.filter_batch(data, pa.array([True, None, False])).column(0).to_pylist() == [1]
    assert evaluator.filter_batch(data, pa.array([True, True, True])) is data


# --- random expressions against Python ------------------------------------------------

INTS = st.one_of(st.none(), st.integers(-3, 3), st.sampled_from([-(2**31), 2**31 - 1]))


class Failed(Exception):
    pass


def arithmetic(op: str, x: int | None, y: int | None) -> int | None:
    if x is None or y is None:
        return None
    if op == "/":
        if y == 0:
            raise Failed("division by zero")
        value = abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
    else:
        value = x + y if op == "+" else x * y
    if not -(2**31) <= value < 2**31:
        raise Failed("integer out of range")
    return value


def model(tree: Any, row: tuple[int | None, int | None]) -> Any:
    """The value of a random tree for one row; operands are evaluated left to right, lazily where SQL is."""
    kind = tree[0]
    if kind == "col":
        return row[tree[1]]
    if kind == "int":
        return tree[1]
    if kind in "+/*":
        return arithmetic(kind, model(tree[1], row), model(tree[2], row))
    if kind == "<":
        x, y = model(tree[1], row), model(tree[2], row)
        return None if x is None or y is None else x < y
    if kind in ("and", "or"):
        stop = kind == "or"
        x = model(tree[1], row)
        if x is stop:
            return stop
        y = model(tree[2], row)
        return stop if y is stop else None if x is None or y is None else not stop
    if kind == "not":
        x = model(tree[1], row)
        return None if x is None else not x
    if kind == "isnull":
        return model(tree[1], row) is None
    if kind == "coalesce":
        x = model(tree[1], row)
        return model(tree[2], row) if x is None else x
    assert kind == "case"
    return model(tree[2] if model(tree[1], row) else tree[3], row)


def expression(tree: Any) -> Expr:
    kind = tree[0]
    if kind == "col":
        return (A, B)[tree[1]]
    if kind == "int":
        return Const(tree[1], PgType(INT4))
    parts = [expression(t) for t in tree[1:]]
    if kind in ("+", "/", "*", "<"):
        return OP(kind, parts[0], parts[1])
    if kind in ("and", "or", "not"):
        return BoolOp(kind, tuple(parts))
    if kind == "isnull":
        return IsNull(parts[0], "null")
    if kind == "coalesce":
        return Coalesce(tuple(parts), PgType(INT4))
    return Case(((parts[0], parts[1]),), parts[2], parts[1].type)


LEAF = st.one_of(st.tuples(st.just("col"), st.integers(0, 1)), st.tuples(st.just("int"), INTS))


def grow(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    tests = st.recursive(
        st.one_of(st.tuples(st.just("<"), numbers, numbers), st.tuples(st.just("isnull"), numbers)),
        lambda t: st.one_of(st.tuples(st.sampled_from(["and", "or"]), t, t), st.tuples(st.just("not"), t)),
        max_leaves=4,
    )
    return st.one_of(
        st.tuples(st.sampled_from(["+", "/", "*", "coalesce"]), numbers, numbers),
        st.tuples(st.just("case"), tests, numbers, numbers),
    )


@given(st.recursive(LEAF, grow, max_leaves=12), st.lists(st.tuples(INTS, INTS), max_size=12))
def test_random_expressions(tree: Any, rows: list[tuple[int | None, int | None]]) -> None:
    expected: list[Any] = []
    for row in rows:
        try:
            expected.append(model(tree, row))
        except Failed as error:
            expected.append(error)
    evaluate = evaluator.compile([expression(tree)], [1, 2])
    data = batch([r[0] for r in rows], [r[1] for r in rows])
    (column,), failed, errors = evaluate.safe(data, Env())
    flags = [False] * len(rows) if failed is None else failed.tolist()
    assert flags == [isinstance(e, Failed) for e in expected]
    assert sorted(errors) == [row for row, flag in enumerate(flags) if flag]
    assert [v for v, f in zip(column.to_pylist(), flags, strict=True) if not f] == [
        e for e in expected if not isinstance(e, Failed)
    ]
    if any(flags):
        with pytest.raises(PgError):
            evaluate(data, Env())
        with pytest.raises(PgError):
            evaluate(data, Env())
    else:
        assert evaluate(data, Env())[0].to_pylist() == expected


@given(st.lists(INTS, max_size=8), st.lists(INTS, min_size=1, max_size=5), st.booleans(), st.booleans())
def test_any_and_all(values: list[int | None], items: list[int | None], any_: bool, constant: bool) -> None:
    last: Expr = Const(items[-1], PgType(INT4)) if constant else B
    elements = [*(Const(i, PgType(INT4)) for i in items[:-1]), last]
    compare = resolve.make_array_compare("=", A, resolve.make_array(elements), any_)

    def expected(x: int | None) -> bool | None:
        each = [None if x is None or i is None else x == i for i in items]
        if any_ in each:
            return any_
        return None if None in each else not any_

    assert run(compare, values, [items[-1]] * len(values)) == [expected(x) for x in values]


def test_types_are_those_of_the_plan() -> None:
    flag = Const(None, PgType(BOOL))
    assert run(BoolOp("and", (flag, flag)), [1, 2]) == [None, None]
    assert run(resolve.coerce(A, PgType(INT8), "explicit"), [1, None]) == [1, None]
