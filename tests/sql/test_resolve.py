"""Resolution against PostgreSQL: the same type, or the same SQLSTATE and message, for many calls."""

from __future__ import annotations

import itertools

import psycopg
import pytest

from laminar.errors import PgError
from laminar.sql import facts, resolve
from laminar.sql.plan import Call, ColumnRef, Const, Expr
from laminar.sql.resolve import rules
from laminar.types import INT4, NUMERIC, TEXT, UNKNOWN, PgType, numeric
from tests.harness.postgres import Postgres

TYPES = [
    "bool",
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "text",
    "varchar",
    "bpchar",
    "bytea",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "interval",
    "uuid",
    "json",
    "jsonb",
    "int4[]",
    "text[]",
    "numeric[]",
    "oid",
]
OPERATORS = ["+", "-", "*", "/", "%", "=", "<", "||", "->", "@>", "&", "<<", "~", "~~", "^"]
FUNCTIONS_1 = [
    "abs",
    "length",
    "lower",
    "round",
    "upper",
    "date_trunc",
    "sum",
    "avg",
    "count",
    "max",
    "array_agg",
    "to_json",
    "unnest",
    "cardinality",
    "sqrt",
    "ceil",
    "float8",
    "text",
    "date",
    "md5",
    "age",
    "extract",
    "bit_length",
    "sign",
    "int4",
    "quote_literal",
    "concat",
    "json_build_object",
    "row_number",
    "percentile_cont",
    "nope",
]
FUNCTIONS_2 = [
    "round",
    "power",
    "left",
    "mod",
    "date_part",
    "date_trunc",
    "to_char",
    "array_append",
    "array_position",
    "strpos",
    "repeat",
    "array_to_string",
    "concat",
    "generate_series",
    "age",
    "log",
    "substr",
    "lag",
    "string_agg",
    "nope",
    "array_cat",
    "timezone",
    "pg_typeof",
    "json_object_agg",
    "width_bucket",
    "lpad",
    "make_date",
]


def column(name: str) -> Expr:
    """An argument of the type; ``'?'`` stands for an untyped literal."""
    if name == "?":
        return Const("1", PgType(UNKNOWN))
    return ColumnRef(1, resolve.type_by_name(name))


def sql(name: str) -> str:
    return "'1'" if name == "?" else f"null::{name}"


def ours(name: str, args: list[str], operator: bool) -> tuple[str, str]:
    """('type', name) or (SQLSTATE, message)."""
    types = [column(a).type for a in args]
    try:
        if operator:
            left = types[0] if len(types) == 2 else None
            return "type", resolve.oid_name(resolve.resolve_operator(name, left, types[-1]).result_type.oid)
        found = resolve.resolve_function(name, None, types)
        return "type", resolve.oid_name(found.result_type.oid)
    except PgError as error:
        return error.sqlstate, error.message


def probe(postgres: Postgres, calls: list[str]) -> list[tuple[str, str]]:
    """What PostgreSQL makes of each expression, without running it."""
    results = []
    with postgres.connect() as connection:
        for call in calls:
            try:
                described = connection.pgconn.prepare(b"", f"select {call}".encode())
                if described.error_message:
                    fields = psycopg.pq.DiagnosticField
                    state = described.error_field(fields.SQLSTATE).decode()
                    message = described.error_field(fields.MESSAGE_PRIMARY).decode()
                    results.append((state, message.replace("CASE/ELSE", "CASE/WHEN")))
                    continue
                oid = connection.pgconn.describe_prepared(b"").ftype(0)
                results.append(("type", resolve.oid_name(oid)))
            except psycopg.Error as error:  # pragma: no cover
                raise AssertionError(call) from error
    return results


#: errors that PostgreSQL raises for other reasons, after resolution succeeded
BEYOND = {"22P02", "22007", "22P05", "0A000", "42809", "42P20"}


def compare(postgres: Postgres, cases: list[tuple[str, list[str], bool]]) -> None:
    calls = []
    for name, args, operator in cases:
        if operator:
            calls.append(f" {name} ".join(["", *map(sql, args)] if len(args) == 1 else map(sql, args)))
        else:
            calls.append(f'"{name}"({", ".join(map(sql, args))})')
    wrong = []
    for (name, args, operator), call, expected in zip(cases, calls, probe(postgres, calls), strict=True):
        got = ours(name, args, operator)
        if got != expected and not (expected[0] in BEYOND and got[0] in ("type", "42804")):
            wrong.append(f"{call}: PostgreSQL {expected}, here {got}")
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:40])


def test_binary_operators(postgres: Postgres) -> None:
    pairs = list(itertools.product([*TYPES, "?"], repeat=2))
    compare(postgres, [(op, list(pair), True) for op in OPERATORS for pair in pairs])


def test_prefix_operators(postgres: Postgres) -> None:
    compare(postgres, [(op, [t], True) for op in ("-", "+", "@", "~", "|/") for t in [*TYPES, "?"]])


def test_functions_of_one_argument(postgres: Postgres) -> None:
    compare(postgres, [(f, [t], False) for f in FUNCTIONS_1 for t in [*TYPES, "?"]])


def test_functions_of_two_arguments(postgres: Postgres) -> None:
    pairs = list(itertools.product([*TYPES, "?"], repeat=2))
    compare(postgres, [(f, list(pair), False) for f in FUNCTIONS_2 for pair in pairs])


def test_functions_of_three_arguments(postgres: Postgres) -> None:
    triples = list(itertools.product(["int4", "text", "numeric", "timestamptz", "jsonb", "?"], repeat=3))
    names = "substr lpad replace concat_ws array_replace date_bin generate_series jsonb_set split_part nope"
    compare(postgres, [(f, list(t), False) for f in names.split() for t in triples])


@pytest.mark.parametrize("context", ["explicit", "assignment", "implicit"])
def test_casts(postgres: Postgres, context: str) -> None:
    """Every pair of types: the cast exists exactly where PostgreSQL has it."""
    oids = {t: resolve.type_by_name(t).oid for t in [*TYPES, "name", "regclass", "int8[]", "varchar[]"]}
    wrong = []
    with postgres.connect() as connection:
        for (a, source), (b, target) in itertools.product(oids.items(), repeat=2):
            statement = {
                "explicit": f"select cast(x as {b}) from (select null::{a}) _(x)",
                "assignment": f"insert into target select null::{a}",
                "implicit": f"select * from (select null::{b} union all select 1 where false) _",
            }[context]
            if context == "assignment":
                connection.execute(f"drop table if exists target; create table target (x {b})")
            if context == "implicit":
                row = connection.execute(
                    "select castcontext from pg_cast where (castsource, casttarget) = (%s, %s)",
                    [source, target],
                ).fetchone()
                expected = source == target or (row is not None and row[0] == "i")
                if facts.types()[source].category == facts.types()[target].category == "A":
                    continue
            else:
                error = connection.pgconn.prepare(b"", statement.encode()).error_message
                expected = not error
            if rules.can_coerce([source], [target], context) != expected:  # type: ignore[arg-type]
                wrong.append((a, b, expected))
    assert not wrong


def test_cast_errors() -> None:
    with pytest.raises(PgError, match="cannot cast type integer to date") as caught:
        resolve.coerce(ColumnRef(1, PgType(INT4)), resolve.type_by_name("date"), "explicit", 7)
    assert (caught.value.sqlstate, caught.value.position) == ("42846", 7)


def test_common_type_of_all_pairs(postgres: Postgres) -> None:
    pairs = list(itertools.product([*TYPES, "?"], repeat=2))
    found = probe(postgres, [f"case when true then {sql(a)} else {sql(b)} end" for a, b in pairs])
    wrong = []
    for (a, b), (state, text) in zip(pairs, found, strict=True):
        # PostgreSQL looks at ELSE first
        try:
            got = "type", resolve.oid_name(resolve.common_type([column(b), column(a)], None, "CASE").oid)
        except PgError as error:
            got = error.sqlstate, error.message
        if got != (state, text) and not (state in BEYOND and got[0] == "type"):
            wrong.append((a, b, state, text, got))
    assert not wrong


def test_type_names(postgres: Postgres) -> None:
    names = """int;integer;bigint;smallint;real;double precision;float(20);numeric(10,2);decimal(5);
        varchar(10);
        character varying(3)[];char;char(4);bpchar;timestamp(3);timestamptz(0);timestamp(2) with time zone;
        time(6);bool;"char";numeric(3,-2);text[];numeric(1000,500)"""
    with postgres.connect() as connection:
        for name in map(str.strip, names.split(";")):
            connection.execute(f"drop table if exists named; create table named (x {name})")
            row = connection.execute(
                "select atttypid, atttypmod, format_type(atttypid, atttypmod) from pg_attribute "
                "where attrelid = 'named'::regclass and attname = 'x'"
            ).fetchone()
            assert row is not None
            base, _, rest = name.partition("(")
            inner, _, tail = rest.partition(")")
            mods = [int(m) for m in inner.split(",")] if inner else []
            got = resolve.type_by_name(base + tail, mods)
            assert (got.oid, got.typmod, resolve.type_name(got)) == row


def test_decimal_of_results() -> None:
    price, quantity = ColumnRef(1, numeric(10, 2)), ColumnRef(2, PgType(INT4))
    for symbol, decimal in {"+": (13, 2), "-": (13, 2), "*": (20, 2)}.items():
        assert resolve.make_operator(symbol, price, quantity).type.decimal == decimal
    assert resolve.make_operator("/", price, quantity).type == PgType(NUMERIC)
    wide = ColumnRef(3, numeric(30, 10))
    assert resolve.make_operator("*", wide, wide).type.decimal is None
    two = resolve.integer_literal(2)
    call = resolve.make_call("round", None, [price, two])
    assert isinstance(call, Call) and call.type.decimal == (11, 2)


def test_default_and_named_arguments() -> None:
    call = resolve.make_call("make_interval", None, [resolve.integer_literal(3)], arg_names=["hours"])
    assert isinstance(call, Call)
    assert [a.value for a in call.args if isinstance(a, Const)] == [0, 0, 0, 0, 3, 0, 0.0]


def test_variadic_is_packed_unless_any() -> None:
    text = ColumnRef(1, PgType(TEXT))
    packed = resolve.make_call("json_extract_path_text", None, [ColumnRef(2, PgType(114)), text, text])
    assert isinstance(packed, Call) and len(packed.args) == 2
    loose = resolve.make_call("concat", None, [text, ColumnRef(3, PgType(INT4))])
    assert isinstance(loose, Call) and [a.type.oid for a in loose.args] == [TEXT, INT4]
