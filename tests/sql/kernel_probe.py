"""Runs functions here and in PostgreSQL on the same arguments, as text in and text out."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa

from laminar._native import textio
from laminar.errors import PgError
from laminar.sql import evaluator, facts, resolve
from laminar.sql.evaluator import Env
from laminar.sql.plan import Call, ColumnRef, Const, Expr
from laminar.sql.resolve import rules
from laminar.types import NUMERIC, TEXT, PgType

#: values of each type worth trying, as PostgreSQL's literals
POOL: dict[str, list[str | None]] = {
    "bool": [None, "true", "false"],
    "int2": [None, "0", "1", "-1", "2", "7", "-8", "100", "32767", "-32768"],
    "int4": [None, "0", "1", "-1", "2", "3", "-5", "10", "65", "31", "2147483647", "-2147483648"],
    "int8": [None, "0", "1", "-1", "5", "-7", "63", "4294967296", "9223372036854775807", "-9223372036854775808"],
    "float4": [None, "0", "-0", "1", "-1.5", "2.5", "3.4e38", "-3.4e38", "1e-45", "Infinity", "-Infinity", "NaN"],
    "float8": [
        None, "0", "-0", "1", "-1", "0.5", "1.5", "2.5", "-2.5", "0.1", "3.7", "-3.7", "1e308", "-1e308", "1e-308",
        "5e-324", "2147483647.5", "-2147483648.5", "9223372036854775807", "123456789.123", "Infinity", "-Infinity",
        "NaN",
    ],  # fmt: skip
    "text": [
        None, "", "a", "abc", "ABC", "Hello World", "héllo wörld", "日本語", "  pad  ", "a,b,,c", "a%b_c", "x\\y", "'q'",
        "aXbXc", "ß straße", "été ÉTÉ", "😀 smile", "abcabcabc", "123", "%b%", "a_c", "tab\tnew\nline", "{a,b}",
    ],  # fmt: skip
    "varchar": [None, "", "abc", "é x"],
    "bpchar": [None, "", "a", "a  ", " a", "ab", "é"],
    "name": [None, "", "abc", "pg_class"],
    "char": [None, "a", "Z"],
    "bytea": [None, "\\x", "\\x00", "\\x616263", "\\xff00ff", "\\xc3a9"],
    "oid": [None, "0", "1", "26", "4294967295"],
    "numeric": [
        None, "0", "0.00", "1", "-1", "1.5", "2.5", "-2.5", "0.1", "123.456", "-999999999999.99", "1e30", "-7.25",
        "0.000000001", "12345678901234567890123456789.123456789", "1e100", "NaN", "Infinity", "-Infinity", "2", "10",
    ],  # fmt: skip
    "date": [None, "2000-01-01", "1970-01-01", "2024-02-29", "0001-01-01", "4713-01-01 BC", "9999-12-31", "infinity"],
    "time": [None, "00:00:00", "12:34:56.789012", "23:59:59.999999", "24:00:00"],
    "timestamp": [
        None, "2000-01-01 00:00:00", "1970-01-01 00:00:00", "2024-02-29 12:34:56.789012", "1999-12-31 23:59:59.999999",
        "0044-03-15 12:00:00 BC", "9999-12-31 23:59:59", "infinity", "-infinity", "2024-03-31 02:30:00",
    ],  # fmt: skip
    "timestamptz": [
        None, "2000-01-01 00:00:00+00", "1970-01-01 00:00:00+00", "2024-02-29 12:34:56.789012+00",
        "1883-11-18 12:00:00+00", "infinity", "-infinity", "2024-03-31 01:30:00+00", "2024-10-27 00:59:59.5+00",
    ],  # fmt: skip
    "interval": [
        None, "0", "1 day", "1 mon", "30 days", "-1 day", "1 year 2 mons 3 days 04:05:06.789", "24:00:00",
        "-00:00:00.000001", "1 mon -1 day", "100000 days", "36 hours", "1000000:00:00",
    ],  # fmt: skip
    "uuid": [None, "00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "json": [None, "{}", "[]", "null", "1", '"x"', '{"a": 1, "b": {"c": [1,2,null]}}', '[1, "two", null, {"a":3}]'],
    "jsonb": [
        None, "{}", "[]", "null", "1", "1.50", '"x"', "true", '{"a": 1, "b": {"c": [1,2,null]}}',
        '[1, "two", null, {"a":3}]', '{"a": 1}', '["a", "b"]', '{"é": "😀", "n": null}', '[[1,2],[3]]',
    ],  # fmt: skip
    "int4[]": [None, "{}", "{1}", "{1,2,3}", "{NULL}", "{3,NULL,1,1}"],
    "text[]": [None, "{}", "{a}", "{a,b,NULL,c}", '{"a b","","q\\"x"}', "{b,c}"],
    "numeric[]": [None, "{}", "{1.0,2}", "{1,NULL}"],
    "float8[]": [None, "{}", "{1,NaN,NULL}"],
}
MAX_CASES = 160

TRY = """
create or replace function pg_temp.try(expression text) returns text language plpgsql as $$
declare result text;
begin
    execute 'select (' || expression || ')::text' into result;
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

    def __str__(self) -> str:
        return self.sql


def literal(value: str | None, type_: str) -> str:
    if value is None:
        return f"null::{quoted(type_)}"
    text = value.replace("'", "''")
    escaped = text.replace("\\", "\\\\")
    return f"(E'{escaped}'::{quoted(type_)})"


def quoted(type_: str) -> str:
    return '"char"' if type_ == "char" else type_


def pg_type(name: str) -> PgType:
    return resolve.type_by_name(quoted(name))


def column(type_: str, values: Sequence[str | None]) -> pa.Array:
    return textio.parse_text(pa.array(values, pa.string()), pg_type(type_))


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
        if fact.variadic:
            continue
        args = ", ".join(f"{{{i}}}" for i in range(len(types)))

        def bind(exprs: list[Expr], fact: facts.ProcFact = fact) -> Expr:
            return _bind_exactly(fact, exprs)

        cases.append(Case(f'"{fact.name}"({args})', fact.symbol, types, bind))
    return [c for c in cases if all(t in POOL for t in c.types)]


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
    found = resolve.resolve_function(fact.name, None, [e.type for e in exprs])
    assert found.function.oid == fact.oid, f"{fact.name} resolved to {found.function}"
    args = resolve.bind_args(found, exprs)
    return Call(found.function, args, resolve.result_type(found, args))


def combinations(types: Sequence[str], seed: str) -> list[tuple[str | None, ...]]:
    pools = [POOL[t] for t in types]
    everything = 1
    for pool in pools:
        everything *= len(pool)
    if everything <= MAX_CASES:
        return list(itertools.product(*pools))
    chooser = random.Random(seed)
    return [tuple(chooser.choice(pool) for pool in pools) for _ in range(MAX_CASES)]


def expected(connection: psycopg.Connection[Any], calls: list[str]) -> list[str | None]:
    connection.execute(TRY)
    rows = connection.execute("select pg_temp.try(e) from unnest(%s::text[]) e", [calls]).fetchall()
    return [row[0] for row in rows]


def actual(case: Case, arguments: list[tuple[str | None, ...]], env: Env) -> list[str | None]:
    """Our results as text, errors as PostgreSQL's probe writes them."""
    columns = [column(t, values) for t, values in zip(case.types, zip(*arguments, strict=True), strict=True)]
    exprs: list[Expr] = [ColumnRef(i, pg_type(t)) for i, t in enumerate(case.types)]
    expr = case.bind(exprs)
    evaluate = evaluator.compile([expr], range(len(columns)))
    batch = pa.record_batch(columns, names=[str(i) for i in range(len(columns))])
    (result,), failed, _ = evaluate.safe(batch, env)
    assert result.type == expr.type.storage, f"{case}: {result.type} for {expr.type}"
    texts: list[str | None] = textio.format_text(result, expr.type, textio.FormatSettings()).to_pylist()
    if failed is not None:
        for row in failed.nonzero()[0].tolist():
            try:
                evaluate(batch.slice(row, 1), env)
                texts[row] = "no error alone"
            except PgError as error:
                texts[row] = f"ERROR {error.sqlstate} {error.message}"
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
                Const(batch.column(i)[row].as_py(), e.type) if which in (i, None) else e for i, e in enumerate(exprs)
            ]
            again = case.bind(mixed)
            if again.type.oid == NUMERIC:
                continue
            (value,) = evaluator.compile([again], range(len(exprs)))(batch.slice(row, 1), env)
            assert same(value[0], result[row]), f"{case} with constant {which}, row {row}: {value[0]} {result[row]}"


def same(a: pa.Scalar[Any], b: pa.Scalar[Any]) -> bool:
    x, y = a.as_py(), b.as_py()
    return x == y or (x != x and y != y)


def compare(connection: psycopg.Connection[Any], case: Case, env: Env | None = None) -> list[str]:
    """Differences between PostgreSQL and here, as readable lines."""
    arguments = combinations(case.types, case.sql) if case.types else [()]
    literals = [[literal(v, t) for v, t in zip(row, case.types, strict=True)] for row in arguments]
    calls = [case.sql.format(*row) for row in literals]
    theirs = expected(connection, calls)
    ours = actual(case, arguments, env or Env())
    return [
        f"{call}: PostgreSQL {a!r}, here {b!r}" for call, a, b in zip(calls, theirs, ours, strict=True) if a != b
    ]


__all__ = ["MAX_CASES", "POOL", "TEXT", "Case", "compare", "overloads"]

#: kernels whose arguments the probe cannot make (tested elsewhere)
UNREACHED: frozenset[str] = frozenset()
