"""GROUP BY over changes, against a model that recomputes every group from its rows."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laminar.errors import PgError
from laminar.types import BOOL, DECIMAL_NAN, FLOAT8, INT4, INT8, NUMERIC, TEXT, TIMESTAMP, PgType, numeric
from tests.engine.operator_nodes import Run, aggregate, change, emit, grouping, ref, rows_of, source

LONG, INT, STRING, FLOAT, FLAG = PgType(INT8), PgType(INT4), PgType(TEXT), PgType(FLOAT8), PgType(BOOL)
WIDE = PgType(NUMERIC, -1, (38, 0))
TYPES = [STRING, LONG, INT, FLOAT, STRING, FLAG, numeric(10, 2)]


def all_aggregates(below: Any) -> list[Any]:
    at = {i: ref(below, i) for i in range(1, 8)}
    return [
        aggregate("count", LONG),
        aggregate("count", LONG, at[3]),
        aggregate("count", LONG, filter=at[6]),
        aggregate("sum", WIDE, at[2]),
        aggregate("sum", LONG, at[3], filter=at[6]),
        aggregate("sum", FLOAT, at[4]),
        aggregate("sum", PgType(NUMERIC, -1, (38, 2)), at[7]),
        aggregate("min", LONG, at[2]),
        aggregate("max", INT, at[3]),
        aggregate("min", FLOAT, at[4]),
        aggregate("max", STRING, at[5]),
        aggregate("min", STRING, at[5]),
        aggregate("max", numeric(10, 2), at[7]),
        aggregate("bool_and", FLAG, at[6]),
        aggregate("bool_or", FLAG, at[6]),
        aggregate("any_value", FLOAT, at[4]),
    ]


def one_group(rows: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    def values(i: int) -> list[Any]:
        return [r[i] for r in rows if r[i] is not None]

    def total(found: list[Any]) -> Any:
        return sum(found) if found else None

    floats = values(3)
    longs, ints, texts, flags, decimals = values(1), values(2), values(4), values(5), values(6)
    kept = [r for r in rows if r[5]]
    filtered = [r[2] for r in kept if r[2] is not None]
    ranked = sorted(floats, key=lambda x: (math.isnan(x), x, math.copysign(1, x)))
    return (
        len(rows),
        len(ints),
        len(kept),
        None if not longs else Decimal(sum(longs)),
        total(filtered),
        None if not floats else repr(float_sum(floats)),
        None if not decimals else sum(decimals).quantize(Decimal("0.01")),
        min(longs, default=None),
        max(ints, default=None),
        repr(ranked[0]) if ranked else None,
        max(texts, key=str.encode, default=None),
        min(texts, key=str.encode, default=None),
        max(decimals, default=None),
        all(flags) if flags else None,
        any(flags) if flags else None,
        repr(ranked[0]) if ranked else None,
    )


def float_sum(values: list[float]) -> float:
    if any(math.isnan(v) for v in values) or (math.inf in values and -math.inf in values):
        return math.nan
    if math.inf in values or -math.inf in values:
        return math.inf if math.inf in values else -math.inf
    return math.fsum(values) + 0.0


row = st.tuples(
    st.sampled_from(["", "a", "b", None, "long enough to leave the slot"]),
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3),
    st.none() | st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 3),
    st.none()
    | st.floats(-1e300, 1e300)
    | st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 1e-310, 0.1]),
    st.none()
    | st.text(max_size=10)
    | st.sampled_from(["", "\0", "\0\0", "aaaaaaaa", "aaaaaaaa\0", "aaaaaaaab"]),
    st.none() | st.booleans(),
    st.none() | st.decimals(-99999999, 99999999, places=2),
)


@st.composite
def histories(draw: st.DrawFn, key_count: int = 5) -> list[list[list[tuple[tuple[Any, ...], int]]]]:
    """Epochs of batches of changes; deletions may come before their insertion within an epoch."""
    live: list[tuple[Any, ...]] = []
    history = []
    for _ in range(draw(st.integers(1, 4))):
        epoch: list[tuple[tuple[Any, ...], int]] = []
        for _ in range(draw(st.integers(0, 12))):
            if live and draw(st.booleans()):
                epoch.append((live.pop(draw(st.integers(0, len(live) - 1))), -1))
            else:
                new = draw(row)
                live.append(new)
                epoch.append((new, 1))
        epoch = draw(st.permutations(epoch))
        cut = draw(st.integers(0, len(epoch)))
        history.append([part for part in (epoch[:cut], epoch[cut:]) if part])
    return history


@settings(max_examples=150, deadline=None)
@given(histories(), st.sampled_from([0, 1, 2, 3]), st.data())
def test_view_equals_query_under_random_changes(
    history: list[list[list[tuple[tuple[Any, ...], int]]]], keys: int, data: st.DataObject
) -> None:
    below = source(TYPES)
    node = grouping(below, range(1, keys + 1), all_aggregates(below))
    run, segments = Run(node), []
    rows: Counter[str] = Counter()
    by_name: dict[str, tuple[Any, ...]] = {}
    view: Counter[tuple[Any, ...]] = Counter()
    for epoch in history:
        for batch in epoch:
            for r, weight in batch:
                by_name[repr(r)] = r
                rows[repr(r)] += weight
        out = run.step(*((0, change(TYPES, batch)) for batch in epoch), watermarks=[{}])
        emitted = rows_of(out)
        assert all(abs(w) == 1 for w in emitted.values())
        view.update(emitted)
        members = [r for name, weight in rows.items() for r in [by_name[name]] * weight]
        assert {r: w for r, w in view.items() if w} == groups_of(members, keys)
        if data.draw(st.booleans()):
            segments += run.checkpoint()
            if data.draw(st.booleans()):
                run = Run(node, segments)


def groups_of(rows: list[tuple[Any, ...]], keys: int) -> Counter[tuple[Any, ...]]:
    groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for r in rows:
        groups.setdefault(r[:keys], []).append(r)
    if not keys:
        groups.setdefault((), [])
    return Counter({(*key, *one_group(members)): 1 for key, members in groups.items()})


def test_unchanged_group_is_not_emitted() -> None:
    below = source([LONG, LONG])
    run = Run(grouping(below, [1], [aggregate("max", LONG, ref(below, 2))]))
    run.step((0, change([LONG, LONG], [((1, 5), 1), ((2, 7), 1)])), watermarks=[{}])
    assert run.step((0, change([LONG, LONG], [((1, 3), 1)])), watermarks=[{}]) == []


def test_global_aggregate_has_one_row_from_the_start() -> None:
    below = source([LONG])
    node = grouping(below, [], [aggregate("count", LONG), aggregate("sum", WIDE, ref(below, 1))])
    run = Run(node)
    assert rows_of(run.step(watermarks=[{}])) == {(0, None): 1}
    assert run.step(watermarks=[{}]) == []
    again = Run(node, run.checkpoint())
    assert again.step(watermarks=[{}]) == []
    out = rows_of(again.step((0, change([LONG], [((4,), 1)])), watermarks=[{}]))
    assert out == {(0, None): -1, (1, Decimal(4)): 1}
    assert Run(node, index=1, count=2).step(watermarks=[{}]) == []


def test_append_only_extremes() -> None:
    types = [LONG, STRING, LONG]
    below = source(types, append_only=True)
    wanted = [aggregate("min", STRING, ref(below, 2)), aggregate("max", LONG, ref(below, 3))]
    node = grouping(below, [1], wanted)
    run = Run(node)
    run.step((0, change(types, [((1, "m", 2), 1), ((1, "", 9), 1), ((2, None, None), 1)])), watermarks=[{}])
    again = Run(node, run.checkpoint())
    out = rows_of(again.step((0, change(types, [((1, "zz", 11), 1), ((2, "x", -4), 1)])), watermarks=[{}]))
    assert out == {(1, "", 9): -1, (1, "", 11): 1, (2, None, None): -1, (2, "x", -4): 1}


def test_sum_out_of_range_is_withheld_and_counted() -> None:
    below = source([LONG, INT])
    run = Run(grouping(below, [1], [aggregate("sum", LONG, ref(below, 2))]))
    big = [((1, 2**31 - 1), 2**40)]
    assert run.step((0, change([LONG, INT], big)), watermarks=[{}]) == []
    assert run.operator.stats()["dropped_error"] == 1
    out = rows_of(run.step((0, change([LONG, INT], [((1, 2**31 - 1), 1 - 2**40)])), watermarks=[{}]))
    assert out == {(1, 2**31 - 1): 1}


def test_numeric_nan() -> None:
    money = numeric(10, 2)
    below = source([LONG, money])
    total = PgType(NUMERIC, -1, (38, 2))
    wanted = [aggregate("sum", total, ref(below, 2)), aggregate("max", money, ref(below, 2))]
    run = Run(grouping(below, [1], wanted))
    import pyarrow as pa

    nan = pa.py_buffer(DECIMAL_NAN.to_bytes(16, "little"))
    c = change([LONG, money], [((1, Decimal("1.50")), 1), ((1, Decimal("2.25")), 1)])
    raw = pa.Array.from_buffers(money.storage, 1, [None, nan])
    c.batch = pa.RecordBatch.from_arrays(
        [pa.array([1, 1, 1]), pa.concat_arrays([c.batch.column(1), raw])], names=["a", "b"]
    )
    (out,) = run.step((0, c), watermarks=[{}])
    got = [column.buffers()[1].to_pybytes() for column in out.batch.columns[1:]]
    assert got == [nan.to_pybytes()] * 2


numbers = st.sampled_from(
    ["0", "0.00", "1.5", "1.50", "-2", "1e40", "-1e40", "1e-20", "NaN", "Infinity", "-Infinity", None]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(numbers, st.booleans()), max_size=6), max_size=4), st.booleans())
def test_sum_of_unbounded_numeric(epochs: list[list[tuple[str | None, bool]]], restart: bool) -> None:
    """Exact at any size, the display scale that of the values still there."""
    import pyarrow as pa

    from laminar._native import textio

    any_numeric = PgType(NUMERIC)
    below = source([LONG, any_numeric])
    node = grouping(below, [1], [aggregate("sum", any_numeric, ref(below, 2))])
    run, live, view = Run(node), list[Any](), Counter[tuple[Any, ...]]()
    segments = []
    for epoch in epochs:
        rows = []
        for value, wants_delete in epoch:
            weight = -1 if wants_delete and value in live else 1
            live.remove(value) if weight < 0 else live.append(value)
            rows.append((value, weight))
        stored = textio.parse_text(pa.array([v for v, _ in rows], pa.string()), any_numeric).to_pylist()
        changes = [((1, s), w) for s, (_, w) in zip(stored, rows, strict=True)]
        view.update(rows_of(run.step((0, change([LONG, any_numeric], changes)), watermarks=[{}])))
        shown = [
            (
                textio.format_text(
                    pa.array([r[1]], any_numeric.storage), any_numeric, textio.FormatSettings()
                )[0].as_py(),
                w,
            )
            for r, w in view.items()
            if w
        ]
        assert shown == ([(numeric_sum(live), 1)] if live else [])
        if restart:
            segments += run.checkpoint()
            run = Run(node, segments)


def numeric_sum(values: list[str | None]) -> str | None:
    found = [Decimal(v) for v in values if v is not None]
    if not found:
        return None
    infinite = {v for v in found if v.is_infinite()}
    if any(v.is_nan() for v in found) or len(infinite) == 2:
        return "NaN"
    if infinite:
        return str(infinite.pop())
    from decimal import Context

    total = Decimal(0)
    for v in found:
        total = Context(prec=200).add(total, v)
    scale = max(0, *(-int(v.as_tuple().exponent) for v in found))
    return f"{total:.{scale}f}" if total else f"{Decimal(0):.{scale}f}"


# --- windows ------------------------------------------------------------------------------------

TIME = PgType(TIMESTAMP)
WINDOWED = [TIME, LONG, LONG, LONG]  # window_end, key, value, row watermark


def windowed(closes: bool, lateness: int | None, append_only: bool = True) -> Any:
    below = source(WINDOWED, append_only=append_only, row_watermark=4)
    wanted = [aggregate("count", LONG), aggregate("sum", WIDE, ref(below, 3))]
    mode = "close" if closes else "update"
    return grouping(below, [1, 2], wanted, window_end=1, emit=emit(mode, lateness), closes=closes)


def test_closes_once_when_the_watermark_passes() -> None:
    run = Run(windowed(True, 5))
    first = change(WINDOWED, [((10, 1, 7, -100), 1), ((10, 2, 1, 0), 1), ((20, 1, 3, 14), 1)])
    assert run.step((0, first), watermarks=[{1: 14}]) == []
    assert run.operator.stats()["entries"] == 3
    late = change(WINDOWED, [((10, 1, 1, 15), 1), ((10, 1, 1, 14), 1)])
    out = run.step((0, late), watermarks=[{1: 15}])
    assert rows_of(out) == {(as_time(10), 1, 2, Decimal(8)): 1, (as_time(10), 2, 1, Decimal(1)): 1}
    assert run.watermarks.by_column == {1: 10}
    assert run.operator.stats()["dropped_late"] == 1
    assert run.operator.stats()["entries"] == 1
    rest = run.step(watermarks=[{1: 2**63 - 1}])
    assert rows_of(rest) == {(as_time(20), 1, 1, Decimal(3)): 1}


def test_closed_windows_stay_closed_after_restore() -> None:
    node = windowed(True, 0)
    run = Run(node)
    run.step((0, change(WINDOWED, [((10, 1, 7, 0), 1), ((20, 1, 3, 0), 1)])), watermarks=[{1: 5}])
    segments = run.checkpoint()
    run.step(watermarks=[{1: 10}])
    segments += run.checkpoint()
    again = Run(node, segments)
    assert again.operator.stats()["entries"] == 1
    assert rows_of(again.step(watermarks=[{1: 20}])) == {(as_time(20), 1, 1, Decimal(3)): 1}


def test_update_mode_frees_state_but_keeps_results() -> None:
    run = Run(windowed(False, 0))
    out = run.step((0, change(WINDOWED, [((10, 1, 7, 0), 1)])), watermarks=[{1: 10}])
    assert rows_of(out) == {(as_time(10), 1, 1, Decimal(7)): 1}
    assert run.operator.stats()["entries"] == 0
    assert run.step((0, change(WINDOWED, [((10, 1, 7, 10), 1)])), watermarks=[{1: 10}]) == []
    assert run.operator.stats()["dropped_late"] == 1


def test_update_mode_without_lateness_never_drops() -> None:
    run = Run(windowed(False, None))
    run.step((0, change(WINDOWED, [((10, 1, 7, 0), 1)])), watermarks=[{1: 1000}])
    out = run.step((0, change(WINDOWED, [((10, 1, 7, 1000), 1)])), watermarks=[{1: 1000}])
    assert rows_of(out) == {(as_time(10), 1, 1, Decimal(7)): -1, (as_time(10), 1, 2, Decimal(14)): 1}


def as_time(microseconds: int) -> Any:
    from datetime import datetime, timedelta

    return datetime(1970, 1, 1) + timedelta(microseconds=microseconds)


def test_unsupported_aggregates_say_so() -> None:
    below = source([LONG, STRING])
    with pytest.raises(PgError) as caught:
        Run(grouping(below, [1], [aggregate("string_agg", STRING, ref(below, 2))]))
    assert caught.value.sqlstate == "0A000"


def test_damaged_entries_are_refused() -> None:
    import pyarrow as pa

    below = source([LONG, LONG])
    node = grouping(below, [1], [aggregate("count", LONG)])
    for key, value in [(b"", b""), (b"\0abc", b""), (b"\x07aaaaaaaa", b"x"), (b"\x03" + b"a" * 12, b"")]:
        entries = pa.RecordBatch.from_arrays(
            [pa.array([key], pa.binary()), pa.array([value], pa.binary())], names=["key", "value"]
        )
        with pytest.raises(PgError) as caught:
            Run(node, [entries])
        assert caught.value.sqlstate == "XX001"
