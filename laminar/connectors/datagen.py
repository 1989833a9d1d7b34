"""Generated rows: each column by its own rule, row n being the same in every run with the same seed.

``fields.<column>.kind`` is ``sequence`` (start, step), ``random`` (min, max; for text: length) or
``constant`` (value). Rows are numbered; partition k of ``splits`` holds the rows whose number is
k modulo ``splits``, so any range can be made without what comes before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar import types as pg
from laminar.connectors.base import (
    ScanRequest,
    SourceColumn,
    SourceReader,
    SourceSpec,
    bad_option,
    type_label,
)
from laminar.connectors.numbered import INCLUDES, NumberedReader, Numbers, check_format, mix64, uniform
from laminar.connectors.options import SOURCE_OPTIONS, Option, parse_duration, parse_options

#: row numbers -> values
Generate = Callable[[Numbers], pa.Array]

OPTIONS: Final[Mapping[str, Option]] = {
    **SOURCE_OPTIONS,
    "rows": Option("int", minimum=0),
    "rows_per_second": Option("float", minimum=0.001),
    "seed": Option("int", 0),
    "splits": Option("int", 1, minimum=1),
}
_FIELD: Final[Mapping[str, Option]] = {
    "kind": Option("choice", choices=("sequence", "random", "constant")),
    "start": Option(),
    "step": Option(),
    "min": Option(),
    "max": Option(),
    "length": Option("int", 16, minimum=0),
    "value": Option(),
    "nulls": Option("float", 0.0, minimum=0),
}
_INTEGERS: Final = {pg.INT2: 16, pg.INT4: 32, pg.INT8: 64}
_TIMES: Final = frozenset({pg.TIMESTAMP, pg.TIMESTAMPTZ})
_FLOATS: Final = frozenset({pg.FLOAT4, pg.FLOAT8})
_ALPHABET: Final = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz012345", np.uint8)


class Config:
    """The options, read."""

    def __init__(self, spec: SourceSpec) -> None:
        check_format(spec)
        names = {c.name for c in spec.columns}
        known: dict[str, Option] = dict(OPTIONS)
        for name in names:
            known |= {f"fields.{name}.{what}".lower(): option for what, option in _FIELD.items()}
        values = parse_options(spec.options, known, "connector datagen")
        if not spec.columns:
            raise bad_option("a datagen source needs its columns declared")
        self.rows: int | None = values["rows"]
        self.rows_per_second: float | None = values["rows_per_second"]
        self.seed: int = values["seed"]
        self.splits: int = values["splits"]
        self.generators = [
            _generator(c, {w: values[f"fields.{c.name}.{w}".lower()] for w in _FIELD}, self.seed, i)
            for i, c in enumerate(spec.columns)
        ]

    def arrays(self, numbers: Numbers, wanted: Sequence[int]) -> list[pa.Array]:
        """The columns at these places for the rows of these numbers."""
        return [self.generators[i](numbers) for i in wanted]


def _generator(column: SourceColumn, field: dict[str, Any], seed: int, index: int) -> Generate:
    """The rule of one column; 22023 when it does not suit the column's type."""
    stream = mix64(np.array([seed * 1000003 + index], np.int64).view(np.uint64))[0]
    nulls = field["nulls"]
    if nulls > 1 or (nulls > 0 and column.not_null):
        name = f"fields.{column.name}.nulls"
        raise bad_option(f'option "{name}" must be a share from 0 to 1 of a nullable column')
    kind = field["kind"] or ("random" if column.type.oid not in _TIMES else "sequence")
    match kind:
        case "sequence":
            plain = _sequence(column, field)
        case "constant":
            plain = _constant(column, field)
        case _:
            plain = _random(column, field, stream)
    if not nulls:
        return plain
    absent = mix64(np.array([stream], np.uint64))[0]
    return lambda n: _with_nulls(plain(n), uniform(n, absent, 1 << 53) < nulls * (1 << 53))


def _with_nulls(values: pa.Array, absent: npt.NDArray[np.bool_]) -> pa.Array:
    return pc.if_else(pa.array(absent), pa.nulls(len(values), values.type), values)


def _sequence(column: SourceColumn, field: dict[str, Any]) -> Generate:
    storage, oid = column.type.storage, column.type.oid
    if oid in _INTEGERS:
        start, step = _integer(column, "start", field["start"], 1), _integer(column, "step", field["step"], 1)
        return lambda n: pa.array(start + step * n).cast(storage)
    if oid in _TIMES:
        start = _time(column, "start", field["start"] or "2026-01-01 00:00:00")
        step = _span(column, field["step"] or "1 second")
        return lambda n: pa.array(start + step * n).view(storage)
    raise _unsuited(column, "sequence")


def _constant(column: SourceColumn, field: dict[str, Any]) -> Generate:
    if field["value"] is None:
        raise bad_option(f'option "fields.{column.name}.value" is missing')
    from laminar.sql.evaluator.rowtext import parse_values

    one = parse_values(pa.array([field["value"]], pa.string()), column.type)[0]
    return lambda n: pa.repeat(one, len(n))


def _random(column: SourceColumn, field: dict[str, Any], stream: np.uint64) -> Generate:
    storage, oid = column.type.storage, column.type.oid
    if oid in _INTEGERS:
        limit = 1 << (_INTEGERS[oid] - 1)
        low = _integer(column, "min", field["min"], 0)
        high = _integer(column, "max", field["max"], min(limit - 1, (1 << 62) - 1))
        if not -limit <= low <= high < limit or high - low + 1 >= 1 << 63:
            raise bad_option(f'options "min" and "max" of column "{column.name}" are no range of its type')
        return lambda n: pa.array(low + uniform(n, stream, high - low + 1)).cast(storage)
    if oid in _FLOATS:
        least, most = _float(column, "min", field["min"], 0.0), _float(column, "max", field["max"], 1.0)
        scale = (most - least) / (1 << 53)
        return lambda n: pa.array(least + scale * uniform(n, stream, 1 << 53)).cast(storage)
    if oid == pg.BOOL:
        return lambda n: pa.array(uniform(n, stream, 2).astype(np.bool_))
    if oid in _TIMES:
        first = _time(column, "min", field["min"] or "2026-01-01 00:00:00")
        last = _time(column, "max", field["max"] or "2027-01-01 00:00:00")
        if first > last:
            raise bad_option(f'options "min" and "max" of column "{column.name}" are no range')
        return lambda n: pa.array(first + uniform(n, stream, last - first + 1)).view(storage)
    if oid == pg.TEXT or (oid == pg.VARCHAR and column.type.typmod == -1):
        length = field["length"]
        if length > 10_000:
            raise bad_option(f'option "fields.{column.name}.length" is at most 10000')
        return lambda n: _words(n, stream, length)
    raise _unsuited(column, "random")


def _words(n: Numbers, stream: np.uint64, length: int) -> pa.Array:
    """Text of ``length`` letters and digits, twelve of them from each random number."""
    letters = np.empty((len(n), length), np.uint8)
    for at in range(0, length, 12):
        bits = mix64(n.view(np.uint64) + stream + np.uint64(at))
        for i in range(at, min(at + 12, length)):
            letters[:, i] = _ALPHABET[(bits >> np.uint64(5 * (i - at))) & np.uint64(31)]
    ends = (np.arange(len(n) + 1) * length).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(n), [None, pa.py_buffer(ends), pa.py_buffer(letters)])


def _integer(column: SourceColumn, what: str, text: str | None, default: int) -> int:
    try:
        return default if text is None else int(text)
    except ValueError:
        raise bad_option(f'invalid value for option "fields.{column.name}.{what}": "{text}"') from None


def _float(column: SourceColumn, what: str, text: str | None, default: float) -> float:
    try:
        return default if text is None else float(text)
    except ValueError:
        raise bad_option(f'invalid value for option "fields.{column.name}.{what}": "{text}"') from None


def _time(column: SourceColumn, what: str, text: str) -> int:
    try:
        return int(np.datetime64(text, "us").astype(np.int64))
    except ValueError:
        raise bad_option(f'invalid value for option "fields.{column.name}.{what}": "{text}"') from None


def _span(column: SourceColumn, text: str) -> int:
    span = parse_duration(text)
    if span is None:
        raise bad_option(f'invalid value for option "fields.{column.name}.step": "{text}"')
    return span


def _unsuited(column: SourceColumn, kind: str) -> Exception:
    return bad_option(
        f'kind {kind} does not make {type_label(column.type)} (column "{column.name}")',
        hint="Integers and timestamps have sequence and random; boolean, float, text random; all constant.",
    )


class Datagen:
    options: Mapping[str, Option] = OPTIONS
    includes = INCLUDES

    def columns(self, spec: SourceSpec) -> tuple[SourceColumn, ...]:
        Config(spec)
        return spec.columns

    def partitions(self, spec: SourceSpec) -> list[str]:
        return [str(k) for k in range(Config(spec).splits)]

    def bounded(self, spec: SourceSpec) -> bool:
        return Config(spec).rows is not None

    def tells_times(self, spec: SourceSpec) -> bool:
        return False

    def open(self, spec: SourceSpec, request: ScanRequest) -> SourceReader:
        return NumberedReader(Config(spec), spec.columns, request)


SOURCE = Datagen()
