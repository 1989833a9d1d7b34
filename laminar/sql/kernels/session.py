"""Functions of the session and of time: now(), current_user, version(), random uuids, names of objects."""

from __future__ import annotations

import os
import time
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import laminar
from laminar.errors import PgError
from laminar.sql.kernels.registry import Run, Signature, bind, builder, kernel
from laminar.sql.kernels.rowwise import apply, rows_of
from laminar.sql.plan import Function
from laminar.types import (
    DATE,
    ELEMENT_OF,
    REGCLASS,
    REGCOLLATION,
    REGNAMESPACE,
    REGOPER,
    REGOPERATOR,
    REGPROC,
    REGPROCEDURE,
    REGROLE,
    REGTYPE,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    PgType,
)

_TIMESTAMPTZ: Final = pa.timestamp("us", tz="UTC")


@kernel("now", "statement_timestamp", "sql_current_timestamp", rows=True, total=True)
def _now(env: Any, _n: int) -> Any:
    return pa.scalar(env.now, _TIMESTAMPTZ)


@kernel("clock_timestamp", rows=True, total=True)
def _clock(_env: Any, n: int) -> Any:
    return pa.repeat(pa.scalar(time.time_ns() // 1000, _TIMESTAMPTZ), n) if n else pa.nulls(0, _TIMESTAMPTZ)


def _local(symbol: str, cast: str, target: int) -> None:
    """now() cast to a type without zone, in the session's time zone."""

    def build(_signature: Signature) -> Run:
        function = Function(0, cast, cast, True, "s")
        run = bind(function, (PgType(TIMESTAMPTZ),), PgType(target))[1]
        return lambda env, _n: run(env, pa.array([env.now], _TIMESTAMPTZ))[0]

    builder(symbol, rows=True, total=True)(build)


_local("sql_current_date", "timestamptz_date", DATE)
_local("sql_localtimestamp", "timestamptz_timestamp", TIMESTAMP)
_local("sql_localtime", "timestamptz_time", TIME)


@kernel("current_user", rows=True, total=True)
def _current_user(env: Any, _n: int) -> Any:
    return pa.scalar(env.user)


@kernel("session_user", rows=True, total=True)
def _session_user(env: Any, _n: int) -> Any:
    return pa.scalar(env.session_user)


@kernel("current_database", rows=True, total=True)
def _current_database(env: Any, _n: int) -> Any:
    return pa.scalar(env.database)


def _search_path(env: Any, implicit: bool = False) -> list[str]:
    """The schemas of the search path that are there, with those that are searched unasked."""
    if env.catalog is None:
        full = ["pg_catalog", *(schema for schema in env.search_path if schema != "pg_catalog")]
    else:
        full = env.catalog.usable_path()
    return [schema for schema in full if implicit or schema in env.search_path]


@kernel("current_schema", rows=True, total=True)
def _current_schema(env: Any, _n: int) -> Any:
    path = _search_path(env)
    return pa.scalar(path[0] if path else None, pa.string())


@kernel("current_schemas", total=True)
def _current_schemas(env: Any, implicit: Any) -> Any:
    explicit, full = _search_path(env), _search_path(env, implicit=True)
    return pa.array([full if flag else explicit for flag in implicit.to_pylist()], pa.list_(pa.string()))


@kernel("pg_backend_pid", rows=True, total=True)
def _backend_pid(env: Any, _n: int) -> Any:
    return pa.scalar(env.backend_pid, pa.int32())


@kernel("pgsql_version", rows=True, total=True)
def _version(_env: Any, _n: int) -> Any:
    return pa.scalar(f"PostgreSQL 15.0 (Laminar {laminar.__version__})")


@kernel("getdatabaseencoding", "pg_client_encoding", rows=True, total=True)
def _encoding(_env: Any, _n: int) -> Any:
    return pa.scalar("UTF8")


@kernel("pg_is_in_recovery", rows=True, total=True)
def _in_recovery(_env: Any, n: int) -> Any:
    return pa.array(np.zeros(n, dtype=bool))


@builder("pg_typeof", rows=True, total=True)
def _typeof(signature: Signature) -> Run:
    oid = pa.scalar(signature.args[0].oid, PgType(REGTYPE).storage)
    return lambda _env, _n, _x: oid


@kernel("gen_random_uuid", rows=True, total=True)
def _uuid(_env: Any, n: int) -> Any:
    """Version 4: 122 random bits."""
    raw = np.frombuffer(os.urandom(16 * n), dtype=np.uint8).reshape(n, 16).copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    return pa.Array.from_buffers(pa.binary(16), n, [None, pa.py_buffer(raw.tobytes())])


@kernel("format_type", total=True)
def _format_type(env: Any, oids: Any, typmods: Any) -> Any:
    from laminar.sql import facts
    from laminar.sql.resolve import oid_name, type_name

    def name(oid: int | None, typmod: int | None) -> str | None:
        if oid is None:
            return None
        if oid == 0:
            return "-"
        own = oid < facts.FIRST_USER_OID and oid in facts.types()
        if not own and env.catalog is not None:
            named: str = env.catalog.answer("format_type", oid, -1)
            return named
        return oid_name(oid) if typmod is None else type_name(PgType(oid, typmod))

    return apply(name, (oids, typmods), pa.string(), strict=False)


@kernel("pg_size_pretty", total=True)
def _size_pretty(_env: Any, sizes: Any) -> Any:
    return apply(size_pretty, (sizes,), pa.string())


def size_pretty(size: int) -> str:
    """Bytes below 10 kB, then the unit below 20,000 of it, rounded half up."""
    if abs(size) < 10 * 1024:
        return f"{size} bytes"
    half = size >> 9 if size >= 0 else -(-size >> 9)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        if abs(half) < 20 * 1024 - 1 or unit == "PB":
            return f"{_half_rounded(half)} {unit}"
        half = half >> 10 if half >= 0 else -(-half >> 10)
    raise AssertionError


def _half_rounded(value: int) -> int:
    return (value + 1) // 2 if value >= 0 else -((1 - value) // 2)


# --- names of catalog objects: env.catalog knows them (environment.CatalogNames) ------------


def _catalog(env: Any) -> Any:
    if env.catalog is None:
        raise PgError("0A000", "names of relations cannot be looked up in this expression")
    return env.catalog


def look_up(env: Any, names: Any, target: int) -> Any:
    """text to regclass, regtype and so on; 42P01 or 42704 for an unknown name."""
    catalog = _catalog(env)
    return apply(lambda name: catalog.parse_reg(name, target), (names,), pa.uint32())


def look_back(env: Any, oids: Any, source: int) -> Any:
    """regclass, regtype and so on to text, arrays of them to arrays of text."""
    catalog = _catalog(env)
    if source in ELEMENT_OF:
        lists = [oids.as_py()] if isinstance(oids, pa.Scalar) else oids.to_pylist()
        element = ELEMENT_OF[source]
        return pa.array(
            [None if v is None else [None if o is None else catalog.format_reg(o, element) for o in v]
             for v in lists],
            pa.list_(pa.string()),
        )  # fmt: skip
    return apply(lambda oid: catalog.format_reg(oid, source), (oids,), pa.string())


@kernel("text_regclass")
def _text_regclass(env: Any, names: Any) -> Any:
    return look_up(env, names, REGCLASS)


def _maybe(symbol: str, target: int) -> None:
    """to_regclass() and the like: null for an unknown name."""

    def run(env: Any, names: Any) -> Any:
        catalog = _catalog(env)

        def find(name: str) -> int | None:
            try:
                found: int = catalog.parse_reg(name, target)
            except PgError:
                return None
            return found

        return apply(find, (names,), pa.uint32())

    kernel(symbol)(run)


_maybe("to_regclass", REGCLASS)
_maybe("to_regtype", REGTYPE)
_maybe("to_regproc", REGPROC)
_maybe("to_regprocedure", REGPROCEDURE)
_maybe("to_regoper", REGOPER)
_maybe("to_regoperator", REGOPERATOR)
_maybe("to_regnamespace", REGNAMESPACE)
_maybe("to_regrole", REGROLE)
_maybe("to_regcollation", REGCOLLATION)


@kernel("pg_get_userbyid")
def _user_by_id(env: Any, oids: Any) -> Any:
    return apply(_catalog(env).role_name, (oids,), pa.string())


@kernel("show_config_by_name")
def _setting(env: Any, names: Any) -> Any:
    return apply(_catalog(env).setting, (names,), pa.string())


@kernel("show_config_by_name_missing_ok")
def _setting_if_any(env: Any, names: Any, missing_ok: Any) -> Any:
    catalog = _catalog(env)

    def find(name: str, missing: bool) -> str | None:
        try:
            found: str = catalog.setting(name)
        except PgError:
            if not missing:
                raise
            return None
        return found

    return apply(find, (names, missing_ok), pa.string())


@kernel("set_config_by_name")
def _set_config(env: Any, names: Any, values: Any, local: Any) -> Any:
    """Row by row, in order; a null value is the default."""
    catalog = _catalog(env)
    rows = rows_of((names, values, local))
    return pa.array([_set_one(catalog, *row) for row in rows], pa.string())


def _set_one(catalog: Any, name: str | None, value: str | None, local: bool | None) -> str:
    if name is None:
        raise PgError("22004", "SET requires parameter name")
    assigned: str = catalog.assign(name, value, bool(local))
    return assigned


@kernel("pg_num_nulls", rows=True, total=True)
def _count_nulls(_env: Any, n: int, *columns: Any) -> Any:
    return _nulls(n, columns, True)


@kernel("pg_num_nonnulls", rows=True, total=True)
def _count_present(_env: Any, n: int, *columns: Any) -> Any:
    return _nulls(n, columns, False)


def _nulls(n: int, columns: tuple[Any, ...], wanted: bool) -> Any:
    total = np.zeros(n, dtype=np.int32)
    for column in columns:
        if isinstance(column, pa.Scalar):
            total += column.is_valid is not wanted
        else:
            total += (pc.is_null(column) if wanted else pc.is_valid(column)).to_numpy(zero_copy_only=False)
    return pa.array(total)
