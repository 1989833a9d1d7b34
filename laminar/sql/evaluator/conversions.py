"""The kernels of Cast nodes: through text, relabelling, length coercion, rescaling, arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa

from laminar.errors import INTERNAL_ERROR, PgError
from laminar.sql import plan
from laminar.sql.evaluator.environment import Env
from laminar.sql.kernels.registry import Signature, find
from laminar.types import (
    ARRAY_OF,
    BPCHAR,
    INTERVAL,
    NUMERIC,
    REG_TYPES,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UNKNOWN,
    VARCHAR,
    PgType,
)

Convert = Callable[[Env, Any], Any]
#: the length coercion functions of pg_cast
SIZERS: Final = {
    BPCHAR: "bpchar",
    VARCHAR: "varchar",
    NUMERIC: "numeric",
    TIME: "time_scale",
    TIMESTAMP: "timestamp_scale",
    TIMESTAMPTZ: "timestamptz_scale",
    INTERVAL: "interval_scale",
}
#: their text is the name of a catalog object
_NAMED: Final = REG_TYPES
_TEXTS: Final = frozenset({TEXT, VARCHAR, BPCHAR, UNKNOWN})


def build(cast: plan.Cast) -> Convert:
    """``convert(env, column) -> column`` for a Cast node.

    Kernels of length coercion are registered as ``varchar``, ``numeric`` and so on with the
    target type as the signature's result and ``explicit`` as the marker ``!`` after the symbol.
    """
    source, target = cast.arg.type, cast.type
    if cast.method == "relabel":
        return _relabel(source, target)
    if cast.method == "io":
        return through_text(source, target)
    if cast.method == "array":
        assert cast.inner is not None
        return _elementwise(cast.inner, target)
    symbol = "numeric_rescale" if cast.method == "rescale" else SIZERS[target.oid]
    if cast.method == "typmod" and cast.explicit:
        symbol += "!"
    found = find(symbol)
    if found is None:
        raise PgError(INTERNAL_ERROR, f"no kernel {symbol}", position=cast.position or None)
    return found.build(Signature(symbol, (source,), target))


def _relabel(source: PgType, target: PgType) -> Convert:
    if source.storage == target.storage:
        return lambda _env, x: x
    if pa.types.is_integer(source.storage):
        # int4 and oid are the same 32 bits
        return lambda _env, x: x.view(target.storage)
    return lambda _env, x: x.cast(target.storage)


def through_text(source: PgType, target: PgType) -> Convert:
    from laminar._native import textio  # type: ignore[attr-defined,unused-ignore]
    from laminar.sql.evaluator import rowtext
    from laminar.sql.kernels import session

    default = textio.FormatSettings()
    rows = rowtext.formatter(source)
    read = rowtext.parser(target)

    def convert(env: Env, x: Any) -> Any:
        settings = env.settings if env.settings is not None else default
        if rows is not None:
            text = rows(env, x)
        elif source.oid in _NAMED:
            text = session.look_back(env, x, source.oid)
        elif source.is_array and source.element.oid in _NAMED:
            names = session.look_back(env, x, source.oid)
            text = textio.format_text(names, PgType(ARRAY_OF[TEXT]), settings)
        else:
            text = x if source.oid in _TEXTS else textio.format_text(x, source, settings)
        if target.oid in _TEXTS:
            return text
        if read is not None:
            return read(env, text)
        if target.oid in _NAMED:
            return session.look_up(env, text, target.oid)
        return textio.parse_text(text, target, settings)

    return convert


def typed_input(target: PgType) -> Convert:
    """Text as the type's input takes it for a column: 22001 for a text longer than its modifier allows."""
    read = through_text(PgType(TEXT), target)
    if target.typmod < 0 or target.oid == NUMERIC or target.oid not in SIZERS:
        return read
    fit = build(plan.Cast(plan.ColumnRef(0, PgType(target.oid)), target, "typmod"))
    return lambda env, x: fit(env, read(env, x))


def _elementwise(inner: plan.Expr, target: PgType) -> Convert:
    from laminar.sql.evaluator.compiler import compile_block

    block = compile_block([inner], [0])
    storage = target.storage

    def convert(env: Env, x: Any) -> Any:
        values = x.flatten()
        converted = block.run(env, len(values), [values])[0]
        offsets = _offsets(x)
        return pa.ListArray.from_arrays(offsets, converted, type=storage, mask=_null_mask(x))

    return convert


def _offsets(x: pa.ListArray[Any]) -> pa.Array:
    """Offsets into ``x.flatten()``, whatever slice of a larger array x is."""
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(x), 0)
    return pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])


def _null_mask(x: pa.Array) -> pa.Array | None:
    return x.is_null() if x.null_count else None
