"""Runs functions here and in PostgreSQL on the same arguments, as text in and text out."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from laminar._native import textio
from laminar.errors import PgError
from laminar.sql import evaluator, facts, resolve
from laminar.sql.evaluator import Env
from laminar.sql.kernels.vectors import storage_value
from laminar.sql.plan import Call, ColumnRef, Const, Expr
from laminar.sql.resolve import rules
from laminar.types import FLOAT4, FLOAT8, NUMERIC, UNKNOWN, PgType

#: values of each type worth trying, as PostgreSQL's literals
POOL: dict[str, list[str | None]] = json.loads((Path(__file__).parent / "kernel_values.json").read_text())
MAX_CASES = 160
#: where PostgreSQL 15 returns an integer that overflowed unnoticed, and Laminar raises 22003
OVERFLOWS = {("width_bucket_float8", "-2147483648")}

TRY = """
create or replace function pg_temp.try(expression text) returns text language plpgsql as $$
declare result text;
begin
    -- the type's output function: a cast to text would print booleans in full
    execute 'select case when x is null then null else format(''%s'', x) end from (select ('
        || expression || ') x) _' into result;
    return result;
exception when others then
    return 'ERROR ' || sqlstate || ' ' || sqlerrm;
end $$"""


@dataclass(frozen=True)
class Case:
    """One call shape: how to write it in SQL, how to bind it, and its argument types."""

    sql: str
    symbol: str
    types: tuple[str, ...]
    bind: Any
    #: a set-returning function, written as ARRAY(SELECT f())
    set: bool = False

    def __str__(self) -> str:
        return self.sql


def literal(value: str | None, type_: str) -> str:
    if value is None:
        return f"null::{quoted(type_)}"
    text = value.replace("'", "''")
    escaped = text.replace("\\", "\\\\")
    return f"(E'{escaped}'::{quoted(type_)})"


#: kinds of text that functions give a meaning
_TEXTS = ("template", "pattern", "flags", "replacement", "form", "encoded", "numform", "numbers", "spanform")
_TEXTS += ("identifier", "escapes", "composed", "normal", "treatment", "similar", "escape")


def quoted(type_: str) -> str:
    aliases = {"char": '"char"', "small": "int4"} | dict.fromkeys(_TEXTS, "text")
    return aliases.get(type_, type_)


def pg_type(name: str) -> PgType:
    base, _, modifiers = quoted(name).partition("(")
    return resolve.type_by_name(base, [int(m) for m in modifiers.strip(")").split(",") if m])


def column(type_: str, values: Sequence[str | None]) -> pa.Array:
    target = pg_type(type_)
    if target.decimal is None:
        return textio.parse_text(pa.array(values, pa.string()), target)
    cast = resolve.coerce(ColumnRef(0, PgType(UNKNOWN)), target, "explicit")
    texts = pa.record_batch([pa.array(values, pa.string())], names=["0"])
    return evaluator.compile([cast], [0])(texts, Env())[0]


def overloads(symbol: str) -> list[Case]:
    """The calls that reach a symbol: operators in operator notation, functions by name."""
    found = []
    for row in facts.raw("functions")[1]:
        if row[2] == symbol and row[3] == "f" and not row[4]:
            found += _function_cases(facts.function(row[0]))
    return found


def _function_cases(fact: facts.ProcFact) -> list[Case]:
    choices = [_concrete(oid) for oid in fact.args]
    cases = []
    for types in itertools.product(*choices):
        if fact.variadic == rules.ANY:
            continue
        args = ", ".join(f"{{{i}}}" for i in range(len(types)))
        if fact.variadic:
            args = args.replace(f"{{{len(types) - 1}}}", f"variadic {{{len(types) - 1}}}")

        def bind(exprs: list[Expr], fact: facts.ProcFact = fact) -> Expr:
            return _bind_exactly(fact, exprs)

        cases.append(Case(f'"{fact.name}"({args})', fact.symbol, types, bind))
    return [c for c in cases if all(t in POOL for t in c.types) and _reaches(fact, c.types)]


def _reaches(fact: facts.ProcFact, types: tuple[str, ...]) -> bool:
    """Whether arguments of these types resolve to this overload rather than a more specific one."""
    try:
        actual = [pg_type(t) for t in types]
        found = resolve.resolve_function(fact.name, None, actual, variadic=bool(fact.variadic))
        return found.function.oid == fact.oid
    except PgError:
        return False


_GENERIC = {rules.ANYELEMENT: ["int4", "text"], rules.ANYARRAY: ["int4[]", "text[]"]}
_GENERIC |= {rules.ANYCOMPATIBLE: ["int4", "text"], rules.ANYCOMPATIBLEARRAY: ["int4[]", "text[]"]}
_GENERIC |= {rules.ANYNONARRAY: ["int4", "text"], rules.ANYCOMPATIBLENONARRAY: ["int4"]}


def _concrete(oid: int) -> list[str]:
    if oid in _GENERIC:
        return _GENERIC[oid]
    fact = facts.types()[oid]
    if fact.category == "A" and fact.element:
        return [facts.types()[fact.element].name + "[]"]
    return [fact.name]


def _bind_exactly(fact: facts.ProcFact, exprs: list[Expr]) -> Expr:
    """The call of this very overload (PostgreSQL resolves the same, types being exact)."""
    types = [e.type for e in exprs]
    found = resolve.resolve_function(fact.name, None, types, variadic=bool(fact.variadic))
    assert found.function.oid == fact.oid, f"{fact.name} resolved to {found.function}"
    args = resolve.bind_args(found, exprs)
    return Call(found.function, args, resolve.result_type(found, args))


def combinations(types: Sequence[str], seed: str, limit: int) -> list[tuple[str | None, ...]]:
    pools = [POOL[t] for t in types]
    everything = 1
    for pool in pools:
        everything *= len(pool)
    if everything <= limit:
        return list(itertools.product(*pools))
    chooser = random.Random(seed)
    return [tuple(chooser.choice(pool) for pool in pools) for _ in range(limit)]


def expected(connection: psycopg.Connection[Any], calls: list[str]) -> list[str | None]:
    connection.execute(TRY)
    rows = connection.execute("select pg_temp.try(e) from unnest(%s::text[]) e", [calls]).fetchall()
    return [row[0] for row in rows]


def actual(case: Case, arguments: list[tuple[str | None, ...]], env: Env) -> list[str | None]:
    """Our results as text, errors as PostgreSQL's probe writes them."""
    columns = [column(t, [row[i] for row in arguments]) for i, t in enumerate(case.types)]
    exprs: list[Expr] = [ColumnRef(i, pg_type(t)) for i, t in enumerate(case.types)]
    expr = case.bind(exprs)
    evaluate = evaluator.compile([expr], range(len(columns) or 1))
    batch = pa.record_batch(columns or [pa.array([0])], names=[str(i) for i in range(len(columns) or 1)])
    (result,), failed, _ = evaluate.safe(batch, env)
    type_ = PgType(resolve.array_type(expr.type.oid)) if case.set else expr.type
    assert result.type == type_.storage, f"{case}: {result.type} for {type_}"
    texts: list[str | None] = textio.format_text(result, type_, textio.FormatSettings()).to_pylist()
    if failed is not None:
        for row in failed.nonzero()[0].tolist():
            try:
                evaluate(batch.slice(row, 1), env)
                texts[row] = "no error alone"
            except PgError as error:
                texts[row] = f"ERROR {error.sqlstate} {error.message}"
    if exprs:
        _check_constants(case, batch, exprs, expr, result, failed, env)
    return texts


def _check_constants(
    case: Case, batch: pa.RecordBatch, exprs: list[Expr], expr: Expr, result: pa.Array, failed: Any, env: Env
) -> None:
    """The same call with constants instead of columns: one argument at a time, then all."""
    rows = [r for r in range(min(batch.num_rows, 6)) if failed is None or not failed[r]]
    for row in rows:
        for which in [*range(len(exprs)), None]:
            mixed: list[Expr] = [
                Const(storage_value(batch.column(i)[row]), e.type) if which in (i, None) else e
                for i, e in enumerate(exprs)
            ]
            again = case.bind(mixed)
            if again.type.oid == NUMERIC:
                continue
            (value,) = evaluator.compile([again], range(len(exprs)))(batch.slice(row, 1), env)
            empty = case.set and not value[0].values and not result[row].values
            assert empty or same(value[0], result[row]), (
                f"{case} with constant {which}, row {row}: {value[0]} {result[row]}"
            )


def same(a: pa.Scalar[Any], b: pa.Scalar[Any]) -> bool:
    x, y = storage_value(a), storage_value(b)
    return x == y or str(x) == str(y) == "nan"


def same_float(a: str | None, b: str | None) -> bool:
    """Whether two texts are the same float (how floats are printed is tested elsewhere)."""
    try:
        return a is not None and b is not None and float(a) == float(b)
    except ValueError:
        return False


def by_name(name: str, *types: str) -> Case:
    """A call that resolution is free to interpret: variadic functions, implicit casts."""
    args = ", ".join(f"{{{i}}}" for i in range(len(types)))
    return Case(f'"{name}"({args})', name, types, lambda exprs: resolve.make_call(name, None, exprs))


def by_operator(symbol: str, left: str, right: str) -> Case:
    return Case(
        f"({{0}} {symbol} {{1}})", symbol, (left, right), lambda exprs: resolve.make_operator(symbol, *exprs)
    )


def set_returning(name: str, *types: str) -> Case:
    args = ", ".join(f"{{{i}}}" for i in range(len(types)))
    sql = f'array(select "{name}"({args}))'
    return Case(sql, name, types, lambda exprs: resolve.make_call(name, None, exprs), True)


def compare(
    connection: psycopg.Connection[Any], case: Case, env: Env | None = None, limit: int = MAX_CASES
) -> list[str]:
    """Differences between PostgreSQL and here, as readable lines."""
    arguments = combinations(case.types, case.sql, limit) if case.types else [()]
    literals = [[literal(v, t) for v, t in zip(row, case.types, strict=True)] for row in arguments]
    calls = [case.sql.format(*row) for row in literals]
    theirs = expected(connection, calls)
    ours = actual(case, arguments, env or Env(now=time.time_ns() // 1000))
    floats = case.bind([ColumnRef(i, pg_type(t)) for i, t in enumerate(case.types)]).type.oid in (
        FLOAT4,
        FLOAT8,
    )
    return [
        f"{call}: PostgreSQL {a!r}, here {b!r}"
        for call, a, b in zip(calls, theirs, ours, strict=True)
        if a != b and (case.symbol, a) not in OVERFLOWS and not (floats and same_float(a, b))
    ]


#: kernels whose arguments the probe cannot make (tested elsewhere)
UNREACHED = frozenset(
    {"text_concat", "text_concat_ws", "text_format", "pg_num_nulls", "pg_num_nonnulls", "pg_typeof"}
    | {
        f"json{b}_build_{kind}{args}"
        for b in ("", "b")
        for kind in ("object", "array")
        for args in ("", "_noargs")
    }
    # keywords rather than functions: sql_tests/portable/functions/datetime_now.test
    | {f"sql_{name}" for name in ("current_date", "current_timestamp", "localtime", "localtimestamp")}
)
