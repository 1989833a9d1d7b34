"""Dependent joins to ordinary ones.

After T. Neumann and A. Kemper, "Unnesting Arbitrary Queries" (BTW 2015): a right side that reads
columns F of the left is evaluated once for the set of their values (the domain D = distinct F of the
left) and joined back on F. Two shortcuts keep plans plain: correlated filters that can simply move into
the join condition do so, and where an equality ties F to columns of the right side, those stand for D.
"""

from __future__ import annotations

from functools import cache

from laminar.sql import plan as p
from laminar.sql.expressions import conjunction, conjuncts, walk
from laminar.sql.resolve import resolve_function
from laminar.sql.trees import identity, outer_ids, ref, refs, walk_expressions, walk_plan
from laminar.sql.unnest.pushing import Domain, Pushed, Pushing, strip_outer
from laminar.types import BOOL, INT8, PgType

_BIGINT = PgType(INT8)
_TRUE = p.Const(True, PgType(BOOL))
ANY_VALUE = p.Function(10012, "any_value", "any_value", True, "i")
#: true for counts up to 1, else raises 21000
SINGLE_ROW = p.Function(10040, "single_row", "laminar_single_row", True, "i")


@cache
def _count() -> p.Function:
    return resolve_function("count", None, []).function


class Dependent(Pushing):
    """Joins a plan with one that may read its columns."""

    def __init__(self, plan: p.Plan) -> None:
        super().__init__(_highest(plan) + 1)

    def reads(self, expr: p.Expr) -> set[int]:
        """Columns of this level that an expression reads, its subqueries included."""
        found = set()
        for part in walk(expr):
            if isinstance(part, p.ColumnRef):
                found.add(part.id)
            elif isinstance(part, p.Subquery):
                found |= outer_ids(part.plan)
        return found

    def join(self, kind: str, left: p.Plan, right: p.Plan, condition: p.Expr | None) -> p.Plan:
        """Inner, left, semi or anti join; the right side may read the left's columns."""
        columns = left.columns if kind in ("semi", "anti") else left.columns + right.columns
        domain = Domain(left, right)
        if domain.ids:
            cleaned, pulled = self.pull(right, domain.ids)
            if outer_ids(cleaned).isdisjoint(domain.ids):
                right = cleaned
                condition = conjunction(
                    [*conjuncts(condition), *(strip_outer(c, domain.ids) for c in pulled)]
                )
            else:
                pushed = self.materialize(self.push(right, domain), domain)
                right = pushed.plan
                condition = conjunction([*conjuncts(condition), *pushed.condition()])
        return identity(_join(kind, left, right, condition), columns)

    # --- one row of the right side per row of the left

    def scalar(self, source: p.Plan, below: p.Plan, position: int) -> tuple[p.Plan, p.Expr]:
        """The value of a one-column subquery: null for no row, 21000 for several."""
        plan, values = self.single_row(source, below, position)
        return plan, values[0]

    def single_row(self, source: p.Plan, below: p.Plan, position: int = 0) -> tuple[p.Plan, list[p.Expr]]:
        """The columns of a subquery that has at most one row, beside each row of ``source``."""
        domain = Domain(source, below)
        if not domain.ids:
            if not _exactly_one(below):
                below = self._at_most_one(below, (), position, checked=not _single(below))
            values: list[p.Expr] = list(refs(below.columns))
            return p.Join("cross", source, below, None), values
        pushed = self.push(below, domain)
        plan = pushed.plan
        outputs = below.columns
        if not _single(below):
            carried = tuple(key.column for key in pushed.keys)
            plan = self._at_most_one(plan, carried, position, checked=True, wanted=outputs)
        if pushed.missing is None:
            return p.Join("left", source, plan, conjunction(pushed.condition())), list(refs(outputs))
        present = self.column("present", PgType(BOOL))
        plan = p.Project(plan, (*refs(plan.columns), p.Const(True, present.type)), (*plan.columns, present))
        joined = p.Join("left", source, plan, conjunction(pushed.condition()))
        return joined, [_or_missing(column, pushed, present) for column in outputs]

    def _at_most_one(
        self,
        plan: p.Plan,
        keys: tuple[p.Column, ...],
        position: int,
        *,
        checked: bool,
        wanted: tuple[p.Column, ...] | None = None,
    ) -> p.Plan:
        """One row per key (without keys: exactly one); raises 21000 where there are more."""
        kept = {key.id for key in keys}
        columns = tuple(c for c in (wanted or plan.columns) if c.id not in kept)
        count = self.column("count", _BIGINT)
        aggregates = tuple(p.Aggregate(ANY_VALUE, (ref(c),), c.type) for c in columns)
        rows = p.Aggregate(_count(), (), _BIGINT)
        sets = (tuple(range(len(keys))),)
        grouped: p.Plan = p.GroupBy(plan, refs(keys), (*aggregates, rows), (*keys, *columns, count), sets)
        if checked:
            check = p.Call(SINGLE_ROW, (ref(count),), PgType(BOOL), position)
            grouped = p.Filter(grouped, check)
        return identity(grouped, (*keys, *columns))

    # --- moving correlated filters into the join

    def pull(self, plan: p.Plan, ids: frozenset[int]) -> tuple[p.Plan, list[p.Expr]]:
        """The plan without its correlated filters (its columns widened by what they read), and those."""
        if isinstance(plan, p.Filter):
            below, pulled = self.pull(plan.input, ids)
            stay: list[p.Expr] = []
            for part in conjuncts(plan.condition):
                (pulled if _reads_outer(part, ids) else stay).append(part)
            condition = conjunction(stay)
            return (below if condition is None else p.Filter(below, condition)), pulled
        if isinstance(plan, p.Project):
            below, pulled = self.pull(plan.input, ids)
            have = {column.id for column in plan.columns}
            needed = {part.id for c in pulled for part in walk(c) if isinstance(part, p.ColumnRef)} - have
            extra = tuple(column for column in below.columns if column.id in needed)
            return p.Project(below, (*plan.exprs, *refs(extra)), (*plan.columns, *extra)), pulled
        if isinstance(plan, p.Join) and plan.kind in ("inner", "cross") and not (plan.temporal or plan.asof):
            left, pulled = self.pull(plan.left, ids)
            right, more = self.pull(plan.right, ids)
            parts = conjuncts(plan.condition)
            stay = [part for part in parts if not _reads_outer(part, ids)]
            pulled = [*pulled, *more, *(part for part in parts if _reads_outer(part, ids))]
            condition = conjunction(stay)
            return p.Join("inner" if condition else "cross", left, right, condition), pulled
        if isinstance(plan, p.Sort):
            return self.pull(plan.input, ids)
        return plan, []


def _join(kind: str, left: p.Plan, right: p.Plan, condition: p.Expr | None) -> p.Join:
    condition = conjunction([part for part in conjuncts(condition) if part != _TRUE])
    if kind == "inner":
        kind = "cross" if condition is None else "inner"
    if condition is None and kind not in ("inner", "cross"):
        condition = _TRUE
    return p.Join(kind, left, right, condition)  # type: ignore[arg-type]


def _reads_outer(expr: p.Expr, ids: frozenset[int]) -> bool:
    return any(isinstance(part, p.Outer) and part.id in ids for part in walk(expr))


def _or_missing(column: p.Column, pushed: Pushed, present: p.Column) -> p.Expr:
    """The column, or what it would be for a group without rows."""
    assert pushed.missing is not None
    default = pushed.missing.get(column.id, p.Const(None, column.type))
    if isinstance(default, p.Const) and default.value is None:
        return ref(column)
    return p.Case(((p.Test(ref(present), "null"), default),), ref(column), column.type)


def _exactly_one(plan: p.Plan) -> bool:
    """Whether a plan always has one row."""
    if isinstance(plan, p.GroupBy):
        return not plan.keys and len(plan.sets) <= 1
    if isinstance(plan, p.Project | p.Sort | p.Window):
        return _exactly_one(plan.input)
    if isinstance(plan, p.Join):
        return plan.kind == "cross" and _exactly_one(plan.left) and _exactly_one(plan.right)
    return isinstance(plan, p.Values) and len(plan.rows) == 1


def _single(plan: p.Plan) -> bool:
    """Whether a plan never has more than one row."""
    if _exactly_one(plan):
        return True
    if isinstance(plan, p.Limit):
        one = isinstance(plan.count, p.Const) and plan.count.value in (0, 1) and not plan.with_ties
        return one or _single(plan.input)
    if isinstance(plan, p.Project | p.Filter | p.Sort | p.Window | p.DistinctOn):
        return _single(plan.input)
    return False


def _highest(plan: p.Plan) -> int:
    """The greatest column id of a plan, its subqueries included."""
    highest = 0
    stack = [plan]
    while stack:
        top = stack.pop()
        for node in walk_plan(top):
            highest = max([highest, *(column.id for column in node.columns)])
        stack += [part.plan for part in walk_expressions(top) if isinstance(part, p.Subquery)]
    return highest
