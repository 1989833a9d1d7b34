"""Logical plans and expressions as text, for EXPLAIN and golden tests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from laminar.sql import facts
from laminar.sql import plan as p
from laminar.sql.resolve import type_name
from laminar.sql.trees import inputs
from laminar.types import BYTEA, INTERVAL, NUMERIC, PgType

_PREFIX = {"and": " and ", "or": " or "}


def explain(plan: p.Plan, names: dict[int, str] | None = None, notes: dict[int, str] | None = None) -> str:
    """The plan, a node per line, inputs indented below what reads them.

    Args:
        names: relation oid -> name.
        notes: identity of a node -> what is put behind its line.
    """
    return "\n".join(_lines(plan, names or {}, notes or {}, 0))


def _lines(plan: p.Plan, names: dict[int, str], notes: dict[int, str], depth: int) -> Iterator[str]:
    arrow = "  " * depth + ("-> " if depth else "")
    yield arrow + head(plan, names) + notes.get(id(plan), "")
    for child in inputs(plan):
        yield from _lines(child, names, notes, depth + 1)


def head(plan: p.Plan, names: dict[int, str]) -> str:
    """A node's own line."""
    match plan:
        case p.Scan():
            return f"Scan {names.get(plan.relation, str(plan.relation))} [{_columns(plan.columns)}]"
        case p.Values():
            rows = ", ".join(f"({_list(row)})" for row in plan.rows[:5])
            more = f", … {len(plan.rows)} rows" if len(plan.rows) > 5 else ""
            return f"Values {rows}{more}"
        case p.Filter():
            return f"Filter {expression(plan.condition)}"
        case p.Project() | p.ProjectSet():
            items = [
                f"{expression(e)} as {_column(c)}" for e, c in zip(plan.exprs, plan.columns, strict=True)
            ]
            return f"{type(plan).__name__} [{', '.join(items)}]"
        case p.Join():
            return _join(plan)
        case p.Apply():
            return f"Apply {plan.kind}" + (f" on {expression(plan.condition)}" if plan.condition else "")
        case p.GroupBy():
            return _group_by(plan)
        case p.DistinctOn():
            order = f" order by {_sort(plan.order_by)}" if plan.order_by else ""
            return f"Distinct on ({_list(plan.on)}){order}"
        case p.SetOp():
            return f"{plan.op.capitalize()}{' all' if plan.all else ''} [{_columns(plan.columns)}]"
        case p.Recursive():
            return f"Recursive union{' all' if plan.all else ''} [{_columns(plan.columns)}]"
        case p.WorkTable():
            return f"Work table [{_columns(plan.columns)}]"
        case p.Sort():
            return f"Sort by {_sort(plan.keys)}"
        case p.Limit():
            count = f" {expression(plan.count)}" if plan.count is not None else ""
            offset = f" offset {expression(plan.offset)}" if plan.offset is not None else ""
            return f"Limit{count}{offset}{' with ties' if plan.with_ties else ''}"
        case p.Window():
            calls = [f"{_window(w)} as {_column(c)}" for w, c in zip(plan.calls, plan.added, strict=True)]
            return f"Window [{', '.join(calls)}]"
        case p.TableFunction():
            return f"Function {plan.function.name}({_list(plan.args)}) [{_columns(plan.columns)}]"
        case p.TimeWindow():
            spans = ", ".join(span_text(span) for span in plan.spans)
            by = f" partition by {_list(plan.partition_by)}" if plan.partition_by else ""
            added = _columns(plan.added)
            return f"{plan.kind.capitalize()} {expression(plan.time)} ({spans}){by} [{added}]"


def _join(plan: p.Join) -> str:
    text = f"Join {plan.kind}"
    if plan.temporal is not None:
        text += " as of " + ("proctime" if isinstance(plan.temporal, str) else expression(plan.temporal))
    if plan.asof is not None:
        text += " asof " + expression(plan.asof)
    return text + (f" on {expression(plan.condition)}" if plan.condition is not None else "")


def _group_by(plan: p.GroupBy) -> str:
    n = len(plan.keys)
    calls = [
        f"{aggregate(a)} as {_column(c)}" for a, c in zip(plan.aggregates, plan.columns[n:], strict=False)
    ]
    if len(plan.sets) > 1:
        sets = ", ".join(f"({_list(tuple(plan.keys[i] for i in one))})" for one in plan.sets)
        return f"GroupBy sets {sets} [{', '.join(calls)}]"
    return f"GroupBy ({_list(plan.keys)}) [{', '.join(calls)}]"


def _column(column: p.Column) -> str:
    return f"{column.name}#{column.id}"


def _columns(columns: tuple[p.Column, ...]) -> str:
    return ", ".join(_column(column) for column in columns)


def _list(exprs: tuple[p.Expr, ...]) -> str:
    return ", ".join(expression(expr) for expr in exprs)


def _sort(items: tuple[p.SortItem, ...]) -> str:
    return ", ".join(_sort_item(item) for item in items)


def _sort_item(item: p.SortItem) -> str:
    text = expression(item.expr) + (" desc" if item.descending else "")
    if item.nulls_first != item.descending:
        text += " nulls first" if item.nulls_first else " nulls last"
    return text


def aggregate(call: p.Aggregate) -> str:
    """An aggregate call as SQL would write it."""
    args = _list(call.direct or call.args) or "*"
    if call.distinct:
        args = "distinct " + args
    if call.order_by and not call.direct:
        args += f" order by {_sort(call.order_by)}"
    text = f"{call.function.name}({args})"
    if call.direct:
        text += f" within group (order by {_sort(call.order_by)})"
    return text + (f" filter ({expression(call.filter)})" if call.filter is not None else "")


def _window(call: p.WindowCall) -> str:
    parts = []
    if call.partition_by:
        parts.append(f"partition by {_list(call.partition_by)}")
    if call.order_by:
        parts.append(f"order by {_sort(call.order_by)}")
    bounds = [
        (f"{expression(offset)} " if offset is not None else "") + kind.replace("_", " ")
        for kind, offset in (call.frame.start, call.frame.end)
    ]
    if bounds != ["unbounded preceding", "current"] or call.frame.mode != "range":
        parts.append(f"{call.frame.mode} between {bounds[0]} and {bounds[1]}")
    return f"{call.function.name}({_list(call.args)}) over ({' '.join(parts)})"


def expression(expr: p.Expr) -> str:
    """An expression; columns are ``#id``."""
    match expr:
        case p.ColumnRef():
            return f"#{expr.id}"
        case p.Outer():
            return f"outer #{expr.id}"
        case p.Const():
            return _constant(expr)
        case p.Param():
            return f"${expr.index}"
        case p.Call():
            return _call(expr)
        case p.Cast():
            if expr.method in ("relabel", "rescale"):
                return expression(expr.arg)
            return f"{_inner(expr.arg)}::{type_name(expr.type)}"
        case p.BoolOp():
            if expr.op == "not":
                return f"not {_inner(expr.args[0])}"
            return _PREFIX[expr.op].join(_inner(arg) for arg in expr.args)
        case p.Test():
            return f"{_inner(expr.arg)} is {'not ' if expr.negated else ''}{expr.what}"
        case p.Distinct():
            word = "is not distinct from" if expr.negated else "is distinct from"
            return f"{_inner(expr.left)} {word} {_inner(expr.right)}"
        case p.Case():
            whens = " ".join(f"when {expression(a)} then {expression(b)}" for a, b in expr.whens)
            return f"case {whens} else {expression(expr.default)} end"
        case p.Coalesce():
            return f"coalesce({_list(expr.args)})"
        case p.ArrayCompare():
            quantifier = "any" if expr.any else "all"
            left, array = _inner(expr.left), expression(expr.array)
            return f"{left} {_operator(expr.function) or expr.function.name} {quantifier} ({array})"
        case p.MakeArray():
            return f"array[{_list(expr.items)}]"
        case p.SortKey():
            return f"sort_key({expression(expr.arg)})"
        case p.Subquery():
            return f"subquery({expr.kind})"


def _inner(expr: p.Expr) -> str:
    """An operand, in parentheses where precedence could be doubted."""
    text = expression(expr)
    compound = isinstance(expr, p.BoolOp | p.Test | p.Distinct | p.ArrayCompare)
    if compound or (isinstance(expr, p.Call) and _operator(expr.function) is not None):
        return f"({text})"
    return text


def _call(expr: p.Call) -> str:
    operator = _operator(expr.function)
    if operator is not None and len(expr.args) == 2:
        return f"{_inner(expr.args[0])} {operator} {_inner(expr.args[1])}"
    if operator is not None and len(expr.args) == 1:
        return f"{operator}{_inner(expr.args[0])}"
    return f"{expr.function.name}({_list(expr.args)})"


@cache
def _operators() -> dict[int, str]:
    """pg_proc oid -> the operator that it implements."""
    found: dict[int, str] = {}
    for operator in facts.operators().values():
        found.setdefault(operator.function, operator.name)
    return found


def _operator(function: p.Function) -> str | None:
    return _operators().get(function.oid)


def _constant(expr: p.Const) -> str:
    value = expr.value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        element = expr.type.element if expr.type.is_array else PgType(25)
        return "{" + ", ".join(_constant(p.Const(item, element)) for item in value) + "}"
    if isinstance(value, bytes):
        if expr.type.oid == INTERVAL:
            whole = (int.from_bytes(value[a:b], "little", signed=True) for a, b in ((0, 4), (4, 8), (8, 16)))
            months, days, micros = whole
            return f"interval '{span_text((months, days, micros))}'"
        if expr.type.oid == NUMERIC:
            return "numeric"
        return f"'\\x{value.hex()}'" if expr.type.oid == BYTEA else f"'{value.hex()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)


def span_text(span: tuple[int, int, int]) -> str:
    """(months, days, microseconds) in words."""
    months, days, micros = span
    parts = []
    if months:
        parts.append(f"{months} mon")
    if days:
        parts.append(f"{days} d")
    if micros or not parts:
        seconds = micros / 1_000_000
        parts.append(f"{seconds:g} s")
    return " ".join(parts)
