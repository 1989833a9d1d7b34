"""Subqueries out of expressions: each becomes a dependent join below, and a reference to its result."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final

from laminar.errors import not_supported
from laminar.sql import plan as p
from laminar.sql.expressions import conjunction, conjuncts, rewrite, substitute
from laminar.sql.resolve import resolve_function, resolve_operator
from laminar.sql.trees import (
    expressions,
    has_subquery,
    identity,
    inputs,
    map_children,
    map_value,
    ref,
    refs,
    walk_plan,
    with_inputs,
)
from laminar.sql.unnest.dependent import Dependent
from laminar.sql.unnest.pushing import Domain
from laminar.types import BOOL, INT8, PgType

_BIGINT: Final = PgType(INT8)
_BOOLEAN: Final = PgType(BOOL)


@cache
def _count_rows() -> p.Function:
    return resolve_function("count", None, []).function


@cache
def _count_values() -> p.Function:
    return resolve_function("count", None, [_BIGINT]).function


@cache
def _compare(symbol: str) -> p.Function:
    return resolve_operator(symbol, _BIGINT, _BIGINT).function


def _is(symbol: str, value: p.Expr, number: int) -> p.Expr:
    return p.Call(_compare(symbol), (value, p.Const(number, _BIGINT)), _BOOLEAN)


def to_outer(expr: p.Expr) -> p.Expr:
    """An expression over a query's columns as its subquery sees it."""
    return rewrite(expr, lambda e: p.Outer(e.id, e.type) if isinstance(e, p.ColumnRef) else e)


def _from_inside(expr: p.Expr, outer: p.Plan) -> p.Expr:
    """A condition over two sides as seen from the side that depends on ``outer``."""
    ids = {column.id for column in outer.columns}
    return rewrite(expr, lambda e: p.Outer(e.id, e.type) if isinstance(e, p.ColumnRef) and e.id in ids else e)


class Lifting(Dependent):
    """Walks a plan bottom up; no Subquery and no Apply is left behind."""

    def plan(self, node: p.Plan) -> p.Plan:
        below = tuple(self.plan(child) for child in inputs(node))
        if isinstance(node, p.Apply):
            return self._apply(node, below[0], below[1])
        node = with_inputs(node, below)
        if not any(has_subquery(expr) for expr in expressions(node)):
            return node
        if isinstance(node, p.Filter):
            return self._filter(node)
        if isinstance(node, p.Project | p.ProjectSet):
            source = node.input
            exprs = []
            for expr in node.exprs:
                source, lifted = self.lift(source, expr)
                exprs.append(lifted)
            return replace(node, input=source, exprs=tuple(exprs))
        if isinstance(node, p.Join):
            return self._join(node)
        if isinstance(node, p.GroupBy | p.Window):
            return self._precomputed(node)
        if isinstance(node, p.Values):
            return self.plan(self.values_as_projections(node))
        if isinstance(node, p.TableFunction):
            return self._table_function(node)
        raise not_supported("subqueries are not supported here")

    # --- nodes

    def _apply(self, node: p.Apply, left: p.Plan, right: p.Plan) -> p.Plan:
        if node.condition is not None and has_subquery(node.condition):
            if node.kind == "inner":
                joined = self.join(node.kind, left, right, None)
                return self._filter(p.Filter(joined, node.condition))
            condition = _from_inside(node.condition, left)
            return self.join("left", left, self.plan(p.Filter(right, condition)), None)
        assert node.kind in ("inner", "left")
        return self.join(node.kind, left, right, node.condition)

    def _filter(self, node: p.Filter) -> p.Plan:
        # plain conditions first: what subqueries join to is smaller then
        plain = conjunction([part for part in conjuncts(node.condition) if not has_subquery(part)])
        source: p.Plan = node.input if plain is None else p.Filter(node.input, plain)
        rest: list[p.Expr] = []
        for part in conjuncts(node.condition):
            if not has_subquery(part):
                continue
            done = self._as_join(source, part)
            if done is not None:
                source = done
            else:
                source, lifted = self.lift(source, part)
                rest.append(lifted)
        condition = conjunction(rest)
        result: p.Plan = source if condition is None else p.Filter(source, condition)
        return identity(result, node.input.columns)

    def _as_join(self, source: p.Plan, part: p.Expr) -> p.Plan | None:
        """A conjunct that is EXISTS, IN or their negation as a semi or anti join."""
        negated = isinstance(part, p.BoolOp) and part.op == "not"
        inner = part.args[0] if isinstance(part, p.BoolOp) and negated else part
        if not isinstance(inner, p.Subquery) or inner.kind not in ("exists", "any", "all"):
            return None
        below = self.plan(inner.plan)
        if inner.kind == "exists":
            return self.join("anti" if negated else "semi", source, below, None)
        left: list[p.Expr] = []
        for expr in inner.left:
            source, lifted = self.lift(source, expr)
            left.append(lifted)
        matches = self._matches(inner, left, below)
        if inner.kind == "any" and not negated:
            return self.join("semi", source, below, matches)
        if inner.kind == "all" and not negated:
            return self.join("anti", source, below, p.Test(matches, "true", negated=True))
        if inner.kind == "any" and len(left) > 1:
            return self.join("anti", source, below, p.Test(matches, "false", negated=True))
        return None

    @staticmethod
    def _matches(node: p.Subquery, left: list[p.Expr], below: p.Plan) -> p.Expr:
        parts = [
            p.Call(function, (expr, ref(column)), _BOOLEAN, node.position)
            for function, expr, column in zip(node.functions, left, below.columns, strict=True)
        ]
        result = conjunction(list(parts))
        assert result is not None
        return result

    def _join(self, node: p.Join) -> p.Plan:
        """Subqueries in ON: above an inner join, else beside the one side that they read."""
        assert node.condition is not None
        if node.kind in ("inner", "cross") and node.temporal is None and node.asof is None:
            plain = [part for part in conjuncts(node.condition) if not has_subquery(part)]
            rest = [part for part in conjuncts(node.condition) if has_subquery(part)]
            condition = conjunction(plain)
            joined = replace(node, kind="inner" if condition else "cross", condition=condition)
            above = conjunction(rest)
            assert above is not None
            return self._filter(p.Filter(joined, above))
        sides = [node.left, node.right]
        parts = []
        both = []
        for part in conjuncts(node.condition):
            if has_subquery(part):
                used = self.reads(part)
                side = 1 if used <= {column.id for column in sides[1].columns} else 0
                if not used <= {column.id for column in sides[side].columns}:
                    both.append(part)
                    continue
                sides[side], lifted = self.lift(sides[side], part)
                parts.append(lifted)
            else:
                parts.append(part)
        condition = conjunction(parts)
        if both:
            return identity(self._beside(node.kind, sides, both, condition), node.columns)
        return identity(replace(node, left=sides[0], right=sides[1], condition=condition), node.columns)

    def _beside(self, kind: str, sides: list[p.Plan], both: list[p.Expr], condition: p.Expr | None) -> p.Plan:
        """An outer join whose condition has subqueries over both sides: they filter the inner side,
        once per row of the outer one."""
        if kind not in ("left", "right"):
            # as PostgreSQL says
            raise not_supported(
                "FULL JOIN is only supported with merge-joinable or hash-joinable join conditions"
            )
        outer, inner = sides if kind == "left" else sides[::-1]
        inside = conjunction([_from_inside(part, outer) for part in both])
        assert inside is not None
        return self.join("left", outer, self.plan(p.Filter(inner, inside)), condition)

    def _precomputed(self, node: p.GroupBy | p.Window) -> p.Plan:
        """Arguments with subqueries become columns of the input."""
        source: p.Plan = node.input

        def compute(expr: p.Expr) -> p.Expr:
            nonlocal source
            if not has_subquery(expr):
                return expr
            source, lifted = self.lift(source, expr)
            column = self.column("computed", lifted.type)
            source = p.Project(source, (*refs(source.columns), lifted), (*source.columns, column))
            return ref(column)

        if isinstance(node, p.GroupBy):
            aggregates = tuple(map_value(a, compute) for a in node.aggregates)
            return replace(node, input=source, aggregates=aggregates)
        calls = tuple(map_value(call, compute) for call in node.calls)
        return identity(replace(node, input=source, calls=calls), node.columns)

    def _table_function(self, node: p.TableFunction) -> p.Plan:
        """Arguments with subqueries: a lateral call over one row of their values."""
        source: p.Plan = p.Values(((),), ())
        args: list[p.Expr] = []
        for arg in node.args:
            source, lifted = self.lift(source, arg)
            column = self.column("computed", lifted.type)
            source = p.Project(source, (*refs(source.columns), lifted), (*source.columns, column))
            args.append(p.Outer(column.id, column.type))
        return identity(self.join("inner", source, replace(node, args=tuple(args)), None), node.columns)

    # --- expressions

    def lift(self, source: p.Plan, expr: p.Expr) -> tuple[p.Plan, p.Expr]:
        """``expr`` without subqueries over a wider ``source`` that has their results."""
        if not has_subquery(expr):
            return source, expr

        def change(node: p.Expr) -> p.Expr:
            nonlocal source
            if isinstance(node, p.Subquery):
                left = []
                for item in node.left:
                    source, lifted = self.lift(source, item)
                    left.append(lifted)
                source, value = self._value(source, replace(node, left=tuple(left)))
                return value
            return map_children(node, change)

        result = change(expr)
        return source, result

    def _value(self, source: p.Plan, node: p.Subquery) -> tuple[p.Plan, p.Expr]:
        below = self.plan(node.plan)
        if node.kind == "scalar":
            column = below.columns[0]
            return self.scalar(source, identity(below, (column,)), node.position)
        if node.kind == "exists":
            source, count = self._aggregate(source, below, p.Aggregate(_count_rows(), (), _BIGINT))
            return source, _is(">", count, 0)
        if node.kind == "array":
            return self._array(source, below, node)
        if node.kind == "all":
            return self._all(source, below, node)
        return self._any(source, below, node)

    def _aggregate(self, source: p.Plan, below: p.Plan, aggregate: p.Aggregate) -> tuple[p.Plan, p.Expr]:
        column = self.column("aggregate", aggregate.type)
        return self.scalar(source, p.GroupBy(below, (), (aggregate,), (column,), ((),)), 0)

    def _any(self, source: p.Plan, below: p.Plan, node: p.Subquery) -> tuple[p.Plan, p.Expr]:
        """``left = ANY (query)``: true, false or unknown by three counts."""
        if len(node.left) != 1:
            return self._by_condition(source, below, node, any_=True)
        left, column = node.left[0], below.columns[0]
        match = p.Call(node.functions[0], (to_outer(left), ref(column)), _BOOLEAN, node.position)
        count = p.Aggregate(_count_rows(), (), _BIGINT)
        source, matches = self._aggregate(source, p.Filter(below, match), count)
        totals = (self.column("rows", _BIGINT), self.column("values", _BIGINT))
        known = p.Aggregate(_count_values(), (ref(column),), _BIGINT)
        both: p.Plan = p.GroupBy(below, (), (count, known), totals, ((),))
        empty: p.Expr = _is("=", ref(totals[0]), 0)
        nulls: p.Expr = p.Call(_compare(">"), refs(totals), _BOOLEAN)
        if not Domain(source, below).ids:
            # two booleans for all rows, which in a view change less often than the counts
            facts = (self.column("empty", _BOOLEAN), self.column("nulls", _BOOLEAN))
            both = p.Project(both, (empty, nulls), facts)
            empty, nulls = refs(facts)
        source, found = self.single_row(source, both)
        values = dict(zip((column.id for column in both.columns), found, strict=True))
        empty, nulls = substitute(empty, values), substitute(nulls, values)
        return source, p.Case(
            (
                (_is(">", matches, 0), p.Const(True, _BOOLEAN)),
                (empty, p.Const(False, _BOOLEAN)),
                (p.BoolOp("or", (p.Test(left, "null"), nulls)), p.Const(None, _BOOLEAN)),
            ),
            p.Const(False, _BOOLEAN),
            _BOOLEAN,
        )

    def _all(self, source: p.Plan, below: p.Plan, node: p.Subquery) -> tuple[p.Plan, p.Expr]:
        return self._by_condition(source, below, node, any_=False)

    def _by_condition(
        self, source: p.Plan, below: p.Plan, node: p.Subquery, *, any_: bool
    ) -> tuple[p.Plan, p.Expr]:
        """ANY and ALL of any comparison: how often it is decided, how often unknown."""
        left = [to_outer(expr) for expr in node.left]
        matches = self._matches(node, left, below)
        decided = p.Test(matches, "true" if any_ else "false")
        columns = (self.column("decided", _BIGINT), self.column("unknown", _BIGINT))
        aggregates = tuple(
            p.Aggregate(_count_rows(), (), _BIGINT, filter=test)
            for test in (decided, p.Test(matches, "null"))
        )
        source, (found, unknown) = self.single_row(source, p.GroupBy(below, (), aggregates, columns, ((),)))
        return source, p.Case(
            (
                (_is(">", found, 0), p.Const(any_, _BOOLEAN)),
                (_is(">", unknown, 0), p.Const(None, _BOOLEAN)),
            ),
            p.Const(not any_, _BOOLEAN),
            _BOOLEAN,
        )

    def _array(self, source: p.Plan, below: p.Plan, node: p.Subquery) -> tuple[p.Plan, p.Expr]:
        """ARRAY(query): array_agg in the query's order; no rows give an empty array."""
        column = below.columns[0]
        below, order = self.with_order(below)
        function = resolve_function("array_agg", None, [column.type]).function
        aggregate = p.Aggregate(function, (ref(column),), node.type, order_by=order)
        source, value = self._aggregate(source, below, aggregate)
        return source, p.Coalesce((value, p.MakeArray((), node.type)), node.type)

    def with_order(self, plan: p.Plan) -> tuple[p.Plan, tuple[p.SortItem, ...]]:
        """The plan with the sort keys of its ORDER BY among its columns, and those keys."""
        if isinstance(plan, p.Sort):
            return plan.input, plan.keys
        if isinstance(plan, p.Limit):
            keys = plan.input.keys if isinstance(plan.input, p.Sort) else ()
            return plan, keys
        if isinstance(plan, p.Project):
            below, keys = self.with_order(plan.input)
            needed = [item.expr for item in keys if isinstance(item.expr, p.ColumnRef)]
            have = {c.id for c in plan.columns}
            extra = tuple(c for c in below.columns if c.id in {e.id for e in needed} - have)
            return p.Project(below, (*plan.exprs, *refs(extra)), (*plan.columns, *extra)), keys
        return plan, ()


def unnest(plan: p.Plan) -> p.Plan:
    """An equivalent plan without Apply, Outer and Subquery."""
    result = identity(Lifting(plan).plan(plan), plan.columns)
    assert not any(isinstance(node, p.Apply) for node in walk_plan(result))
    return result
