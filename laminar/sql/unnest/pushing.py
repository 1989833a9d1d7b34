"""Pushing the domain of a dependent join down its right side, operator by operator."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from laminar.errors import PgError, not_supported
from laminar.sql import plan as p
from laminar.sql.expressions import conjunction, conjuncts, rewrite, walk
from laminar.sql.kernels.registry import ORDINALITY, part_of
from laminar.sql.resolve import make_operator, resolve_function, resolve_operator
from laminar.sql.rewrite.folding import fold
from laminar.sql.routines import aggregate_groups
from laminar.sql.trees import (
    identity,
    inputs,
    map_expressions,
    map_value,
    outer_ids,
    ref,
    refs,
    walk_expressions,
    with_inputs,
)
from laminar.types import BOOL, INT8, PgType

_BIGINT = PgType(INT8)
#: aggregates that are 0 over no rows
_COUNTS = frozenset(("count", "regr_count", "approx_count_distinct"))
_WHOLE = p.Frame("range", ("unbounded_preceding", None), ("current", None))


class Domain:
    """The left side's columns that the right side reads."""

    def __init__(self, left: p.Plan, right: p.Plan) -> None:
        wanted = outer_ids(right)
        self.left = left
        self.columns = tuple(column for column in left.columns if column.id in wanted)
        self.ids = frozenset(column.id for column in self.columns)
        #: how often each is read
        self.uses = Counter(part.id for part in walk_expressions(right) if isinstance(part, p.Outer))

    def keys(self, stands_for: dict[int, p.Column]) -> tuple[Key, ...]:
        """What joins the whole domain back: each column is the one that stands for it, null or not."""
        return tuple(Key(ref(column), stands_for[column.id], None) for column in self.columns)


@dataclass(frozen=True, slots=True)
class Key:
    """``left``, an expression over the left side, equals ``column`` of the right;
    by ``equals``, or as IS NOT DISTINCT FROM where that is None."""

    left: p.Expr
    column: p.Column
    equals: p.Function | None

    def condition(self) -> p.Expr:
        if self.equals is not None:
            return p.Call(self.equals, (self.left, ref(self.column)), PgType(BOOL))
        function = resolve_operator("=", self.left.type, self.column.type).function
        return p.Distinct(self.left, ref(self.column), function, negated=True)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A right side without outer references.

    Args:
        plan: its columns and those of ``keys``.
        stands_for: outer column -> the column that has its value.
        missing: when not None: a domain value without rows here stands for one row of these
            closed expressions (by column id; null for those left out).
    """

    plan: p.Plan
    keys: tuple[Key, ...]
    stands_for: dict[int, p.Column]
    missing: dict[int, p.Expr] | None = None

    @property
    def carried(self) -> tuple[p.Column, ...]:
        return tuple(key.column for key in self.keys)

    def condition(self) -> list[p.Expr]:
        return [key.condition() for key in self.keys]

    def bind(self, expr: p.Expr) -> p.Expr:
        """An expression with the outer columns replaced."""

        def change(node: p.Expr) -> p.Expr:
            if isinstance(node, p.Outer) and node.id in self.stands_for:
                return ref(self.stands_for[node.id])
            return node

        return rewrite(expr, change)


def strip_outer(expr: p.Expr, ids: frozenset[int]) -> p.Expr:
    """Outer references to columns that are now at hand."""

    def change(node: p.Expr) -> p.Expr:
        if isinstance(node, p.Outer) and node.id in ids:
            return p.ColumnRef(node.id, node.type)
        return node

    return rewrite(expr, change)


class Pushing:
    """One method per operator."""

    def __init__(self, next_id: int) -> None:
        self._next = next_id

    def column(self, name: str, type_: PgType) -> p.Column:
        self._next += 1
        return p.Column(self._next - 1, name, type_)

    def push(self, plan: p.Plan, domain: Domain, *, whole: bool = False) -> Pushed:
        """``whole``: join with the domain itself even where an equality would do."""
        if outer_ids(plan).isdisjoint(domain.ids):
            return self._crossed(plan, domain, domain.columns)
        method = getattr(self, "_push_" + type(plan).__name__.lower(), None)
        if method is None:
            raise not_supported("this correlated subquery is not supported")
        result: Pushed = method(plan, domain, whole)
        return result

    def _domain(self, domain: Domain, columns: tuple[p.Column, ...]) -> tuple[p.Plan, dict[int, p.Column]]:
        """The distinct values of these columns of the left side, as new columns."""
        new = tuple(self.column(column.name, column.type) for column in columns)
        plan = p.DistinctOn(p.Project(domain.left, refs(columns), new), refs(new))
        return plan, {column.id: copy for column, copy in zip(columns, new, strict=True)}

    def _crossed(self, plan: p.Plan, domain: Domain, columns: tuple[p.Column, ...]) -> Pushed:
        values, stands_for = self._domain(domain, columns)
        keys = tuple(Key(ref(column), stands_for[column.id], None) for column in columns)
        return Pushed(p.Join("cross", values, plan, None), keys, stands_for)

    def materialize(self, pushed: Pushed, domain: Domain) -> Pushed:
        """The same with the missing rows really there."""
        if pushed.missing is None:
            return pushed
        values, stands_for = self._domain(domain, domain.columns)
        present = self.column("present", PgType(BOOL))
        inner = pushed.plan
        inner = p.Project(
            inner, (*refs(inner.columns), p.Const(True, present.type)), (*inner.columns, present)
        )

        def to_domain(expr: p.Expr) -> p.Expr:
            def change(node: p.Expr) -> p.Expr:
                if isinstance(node, p.ColumnRef) and node.id in stands_for:
                    return ref(stands_for[node.id])
                return node

            return rewrite(expr, change)

        condition = conjunction([replace(key, left=to_domain(key.left)).condition() for key in pushed.keys])
        joined = p.Join("left", values, inner, condition)
        carried = {column.id for column in pushed.carried}
        columns = tuple(c for c in pushed.plan.columns if c.id not in carried)
        exprs: list[p.Expr] = []
        for column in columns:
            default = pushed.missing.get(column.id, p.Const(None, column.type))
            test = p.Test(ref(present), "null")
            exprs.append(p.Case(((test, default),), ref(column), column.type))
        new = tuple(stands_for.values())
        keys = domain.keys(stands_for)
        return Pushed(p.Project(joined, (*refs(new), *exprs), (*new, *columns)), keys, stands_for)

    def _below(self, plan: p.Plan, domain: Domain, whole: bool) -> Pushed:
        return self.materialize(self.push(plan, domain, whole=whole), domain)

    # --- operators with one input

    def _push_filter(self, plan: p.Filter, domain: Domain, whole: bool) -> Pushed:
        if not whole and outer_ids(plan.input).isdisjoint(domain.ids):
            return self._by_equality(plan, domain)
        below = self.push(plan.input, domain, whole=whole)
        condition = below.bind(plan.condition)
        missing = below.missing
        if missing is not None:
            verdict = fold(_with_defaults(condition, below))
            if not isinstance(verdict, p.Const):
                below = self.materialize(below, domain)
                condition, missing = below.bind(plan.condition), None
            elif verdict.value is not True:
                missing = None
        return Pushed(p.Filter(below.plan, condition), below.keys, below.stands_for, missing)

    def _by_equality(self, plan: p.Filter, domain: Domain) -> Pushed:
        """Correlated equalities tie outer values to columns; the domain joins in for the others only."""
        source = plan.input
        keys: list[Key] = []
        stands_for: dict[int, p.Column] = {}
        rest: list[p.Expr] = []
        used: Counter[int] = Counter()
        for part in conjuncts(plan.condition):
            sides = _equality(part, domain)
            if sides is None or not self._consumable(sides[0], sides[1], domain, stands_for):
                rest.append(part)
                continue
            outer, inner, function = sides
            if isinstance(inner, p.ColumnRef):
                column = next(c for c in source.columns if c.id == inner.id)
            else:
                column = self.column("key", inner.type)
                source = p.Project(source, (*refs(source.columns), inner), (*source.columns, column))
            keys.append(Key(strip_outer(outer, domain.ids), column, function))
            used.update(part.id for part in walk(outer) if isinstance(part, p.Outer))
            if isinstance(outer, p.Outer) and outer.type == column.type:
                stands_for[outer.id] = column
        left = tuple(
            column
            for column in domain.columns
            if column.id not in stands_for and domain.uses[column.id] > used[column.id]
        )
        if left:
            crossed = self._crossed(source, domain, left)
            source = crossed.plan
            keys += crossed.keys
            stands_for |= crossed.stands_for
        result = Pushed(source, tuple(keys), stands_for)
        condition = conjunction([result.bind(part) for part in rest])
        if condition is not None:
            result = replace(result, plan=p.Filter(source, condition))
        return result

    @staticmethod
    def _consumable(outer: p.Expr, inner: p.Expr, domain: Domain, stands_for: dict[int, p.Column]) -> bool:
        if isinstance(outer, p.Outer) and outer.type == inner.type:
            return outer.id not in stands_for
        inside = Counter(part.id for part in walk(outer) if isinstance(part, p.Outer))
        return all(domain.uses[id_] == count for id_, count in inside.items())

    def _push_project(self, plan: p.Project | p.ProjectSet, domain: Domain, whole: bool) -> Pushed:
        below = self.push(plan.input, domain, whole=whole)
        if isinstance(plan, p.ProjectSet):
            below = self.materialize(below, domain)
        needed = {part.id for e in plan.exprs for part in walk(e) if isinstance(part, p.Outer)}
        if not (needed & domain.ids) <= below.stands_for.keys():
            below = self._below(plan.input, domain, True)
        if below.missing is not None:
            return self._project_missing(plan, below, domain)
        return self._projected(plan, below)

    @staticmethod
    def _projected(plan: p.Project | p.ProjectSet, below: Pushed) -> Pushed:
        have = {column.id for column in plan.columns}
        carried = tuple(column for column in below.carried if column.id not in have)
        exprs = (*(below.bind(expr) for expr in plan.exprs), *refs(carried))
        new = replace(plan, input=below.plan, exprs=exprs, columns=(*plan.columns, *carried))
        return Pushed(new, below.keys, below.stands_for)

    def _project_missing(self, plan: p.Project | p.ProjectSet, below: Pushed, domain: Domain) -> Pushed:
        missing: dict[int, p.Expr] = {}
        for column, expr in zip(plan.columns, plan.exprs, strict=True):
            default = fold(_with_defaults(below.bind(expr), below))
            if any(isinstance(part, p.ColumnRef | p.Outer) for part in walk(default)):
                return self._projected(plan, self.materialize(below, domain))
            missing[column.id] = default
        return replace(self._projected(plan, below), missing=missing)

    _push_projectset = _push_project

    def _push_groupby(self, plan: p.GroupBy, domain: Domain, whole: bool) -> Pushed:
        below = self._covering(plan.input, domain, whole, plan)
        carried = below.carried
        keys = (*plan.keys, *refs(carried))
        added = tuple(range(len(plan.keys), len(keys)))
        sets = tuple((*one, *added) for one in plan.sets or ((),))
        aggregates = tuple(map_value(a, below.bind) for a in plan.aggregates)
        n = len(plan.keys)
        columns = (*plan.columns[:n], *carried, *plan.columns[n:])
        new = p.GroupBy(below.plan, keys, aggregates, columns, sets)
        missing: dict[int, p.Expr] | None = None
        if not plan.keys and len(plan.sets) <= 1:
            missing = {
                column.id: p.Const(_of_nothing(a), column.type)
                for column, a in zip(plan.columns, plan.aggregates, strict=True)
            }
        pushed = Pushed(new, below.keys, below.stands_for, missing)
        return self.materialize(pushed, domain) if whole else pushed

    def _covering(self, source: p.Plan, domain: Domain, whole: bool, user: p.Plan) -> Pushed:
        """The input pushed such that the outer columns that ``user`` itself reads are at hand."""
        from laminar.sql.trees import expressions

        below = self._below(source, domain, whole)
        read = {part.id for e in expressions(user) for part in walk(e) if isinstance(part, p.Outer)}
        if (read & domain.ids) <= below.stands_for.keys():
            return below
        return self._below(source, domain, True)

    def _push_distincton(self, plan: p.DistinctOn, domain: Domain, whole: bool) -> Pushed:
        below = self._covering(plan.input, domain, whole, plan)
        on = tuple(dict.fromkeys((*plan.on, *refs(below.carried))))
        return Pushed(replace(plan, input=below.plan, on=on), below.keys, below.stands_for)

    def _push_sort(self, plan: p.Sort, domain: Domain, whole: bool) -> Pushed:
        return self.push(plan.input, domain, whole=whole)

    def _push_limit(self, plan: p.Limit, domain: Domain, whole: bool) -> Pushed:
        """A limit per value of the domain: the rows are numbered."""
        source, keys = (
            (plan.input.input, plan.input.keys) if isinstance(plan.input, p.Sort) else (plan.input, ())
        )
        if plan.input is source and isinstance(source, p.Project) and isinstance(source.input, p.Sort):
            source, keys = replace(source, input=source.input.input), ()
        below = self._covering(source, domain, whole, plan)
        name = "rank" if plan.with_ties else "row_number"
        number = self.column(name, _BIGINT)
        call = p.WindowCall(
            resolve_function(name, None, []).function, (), _BIGINT, refs(below.carried), keys, _WHOLE
        )
        plan_: p.Plan = p.Window(below.plan, (call,), (number,))
        bounds: list[p.Expr] = []
        offset = plan.offset if plan.offset is not None else p.Const(0, _BIGINT)
        if plan.offset is not None:
            bounds.append(make_operator(">", ref(number), offset))
        if plan.count is not None:
            last = plan.count if plan.offset is None else make_operator("+", offset, plan.count)
            bounds.append(make_operator("<=", ref(number), last))
        condition = conjunction(bounds)
        if condition is not None:
            plan_ = p.Filter(plan_, condition)
        return Pushed(identity(plan_, below.plan.columns), below.keys, below.stands_for)

    def _push_window(self, plan: p.Window, domain: Domain, whole: bool) -> Pushed:
        below = self._covering(plan.input, domain, whole, plan)
        calls = tuple(
            replace(call, partition_by=(*call.partition_by, *refs(below.carried)))
            for call in (map_value(c, below.bind) for c in plan.calls)
        )
        return Pushed(replace(plan, input=below.plan, calls=calls), below.keys, below.stands_for)

    def _push_timewindow(self, plan: p.TimeWindow, domain: Domain, whole: bool) -> Pushed:
        below = self._covering(plan.input, domain, whole, plan)
        partition = (
            (*plan.partition_by, *refs(below.carried)) if plan.kind == "session" else plan.partition_by
        )
        return Pushed(replace(plan, input=below.plan, partition_by=partition), below.keys, below.stands_for)

    # --- leaves

    def _push_values(self, plan: p.Values, domain: Domain, whole: bool) -> Pushed:
        if len(plan.rows) != 1:
            return self.push(self.values_as_projections(plan), domain, whole=whole)
        values, stands_for = self._domain(domain, domain.columns)
        keys = domain.keys(stands_for)
        result = Pushed(values, keys, stands_for)
        exprs = (*refs(values.columns), *(result.bind(expr) for expr in plan.rows[0]))
        return replace(result, plan=p.Project(values, exprs, (*values.columns, *plan.columns)))

    def values_as_projections(self, plan: p.Values) -> p.Plan:
        """VALUES as a union of one-row projections."""
        empty = p.Values(((),), ())
        result: p.Plan | None = None
        for row in plan.rows:
            columns = tuple(self.column(c.name, c.type) for c in plan.columns)
            one = p.Project(empty, row, columns)
            if result is None:
                result = one
                continue
            union = tuple(self.column(c.name, c.type) for c in plan.columns)
            result = p.SetOp("union", True, result, one, union)
        assert result is not None
        return p.Project(result, refs(result.columns), plan.columns)

    def _push_tablefunction(self, plan: p.TableFunction, domain: Domain, whole: bool) -> Pushed:
        """A lateral call: a set-returning projection of the domain."""
        values, stands_for = self._domain(domain, domain.columns)
        keys = domain.keys(stands_for)
        result = Pushed(values, keys, stands_for)
        outputs = plan.columns[:-1] if plan.ordinality else plan.columns
        args = tuple(result.bind(arg) for arg in plan.args)

        def call(function: p.Function, column: p.Column) -> p.Expr:
            return p.Call(function, args, column.type, plan.position)

        if len(outputs) == 1:
            exprs = [call(plan.function, outputs[0])]
        else:
            exprs = [call(part_of(plan.function, i), column) for i, column in enumerate(outputs)]
        if plan.ordinality:
            exprs.append(call(part_of(plan.function, ORDINALITY), plan.columns[-1]))
        sets = p.ProjectSet(values, (*refs(values.columns), *exprs), (*values.columns, *plan.columns))
        return replace(result, plan=sets)

    # --- operators with two inputs

    def _push_join(self, plan: p.Join, domain: Domain, whole: bool) -> Pushed:
        left_reads = not outer_ids(plan.left).isdisjoint(domain.ids)
        right_reads = not outer_ids(plan.right).isdisjoint(domain.ids)
        parts = conjuncts(plan.condition)
        correlated = [c for c in parts if any(isinstance(x, p.Outer) and x.id in domain.ids for x in walk(c))]
        if plan.kind in ("inner", "cross") and correlated and not (plan.temporal or plan.asof):
            condition = conjunction([c for c in parts if c not in correlated])
            inner = p.Join("inner" if condition else "cross", plan.left, plan.right, condition)
            above = conjunction(correlated)
            assert above is not None
            return self.push(p.Filter(inner, above), domain, whole=whole)
        if plan.kind in ("inner", "cross", "left", "semi", "anti") and not right_reads:
            below = self._covering(plan.left, domain, whole, plan)
            return replace(below, plan=self._bound(replace(plan, left=below.plan), below))
        if plan.kind in ("inner", "cross") and not left_reads:
            below = self._covering(plan.right, domain, whole, plan)
            return replace(below, plan=self._bound(replace(plan, right=below.plan), below))
        return self._push_both(plan, domain)

    @staticmethod
    def _bound(plan: p.Join, below: Pushed) -> p.Plan:
        return map_expressions(plan, below.bind)

    def _push_both(self, plan: p.Join, domain: Domain) -> Pushed:
        """Both sides per domain value, joined on it too."""
        left = self._below(plan.left, domain, True)
        right = self._below(plan.right, domain, True)
        equal: list[p.Expr] = []
        for id_, column in left.stands_for.items():
            equal.append(Key(ref(column), right.stands_for[id_], None).condition())
        kept = right if plan.kind == "right" else left
        parts = [kept.bind(c) for c in conjuncts(plan.condition)]
        kind: p.JoinKind = "inner" if plan.kind == "cross" else plan.kind
        joined = p.Join(kind, left.plan, right.plan, conjunction([*parts, *equal]))
        if plan.kind == "full":
            return self._either(joined, plan.columns, left, right, domain)
        return replace(kept, plan=joined)

    def _either(
        self, joined: p.Join, columns: tuple[p.Column, ...], left: Pushed, right: Pushed, domain: Domain
    ) -> Pushed:
        """The domain's values out of whichever side of a full join has a row."""
        stands_for = {column.id: self.column(column.name, column.type) for column in domain.columns}
        new = tuple(stands_for.values())
        values = [
            p.Coalesce((ref(left.stands_for[c.id]), ref(right.stands_for[c.id])), c.type)
            for c in domain.columns
        ]
        keys = domain.keys(stands_for)
        return Pushed(p.Project(joined, (*values, *refs(columns)), (*new, *columns)), keys, stands_for)

    def _push_recursive(self, plan: p.Recursive, domain: Domain, whole: bool) -> Pushed:
        """The domain's values travel with the rows: a round reads the work table's rows of its value."""

        def correlated(node: p.Plan) -> p.Plan:
            if not isinstance(node, p.WorkTable) or node.table != plan.table:
                return with_inputs(node, tuple(correlated(below) for below in inputs(node)))
            copies = tuple(self.column(column.name, column.type) for column in domain.columns)
            rows = p.WorkTable(node.table, (*copies, *node.columns))
            same = [
                Key(p.Outer(column.id, column.type), copy, None).condition()
                for column, copy in zip(domain.columns, copies, strict=True)
            ]
            condition = conjunction(same)
            assert condition is not None
            return identity(p.Filter(rows, condition), node.columns)

        sides = []
        for side in (plan.start, correlated(plan.step)):
            below = self._below(side, domain, True)
            carried = tuple(below.stands_for[column.id] for column in domain.columns)
            sides.append(identity(below.plan, (*carried, *side.columns)))
        new = tuple(self.column(column.name, column.type) for column in domain.columns)
        stands_for = {column.id: copy for column, copy in zip(domain.columns, new, strict=True)}
        both = p.Recursive(plan.table, plan.all, sides[0], sides[1], (*new, *plan.columns))
        return Pushed(both, domain.keys(stands_for), stands_for)

    def _push_setop(self, plan: p.SetOp, domain: Domain, whole: bool) -> Pushed:
        sides = []
        first: Pushed | None = None
        for side in (plan.left, plan.right):
            below = self._below(side, domain, True)
            carried = tuple(below.stands_for[column.id] for column in domain.columns)
            sides.append(identity(below.plan, (*carried, *side.columns)))
            first = first or below
        new = tuple(self.column(column.name, column.type) for column in domain.columns)
        stands_for = {column.id: copy for column, copy in zip(domain.columns, new, strict=True)}
        keys = domain.keys(stands_for)
        both = p.SetOp(plan.op, plan.all, sides[0], sides[1], (*new, *plan.columns))
        return Pushed(both, keys, stands_for)


def _equality(part: p.Expr, domain: Domain) -> tuple[p.Expr, p.Expr, p.Function] | None:
    """(outer side, inner side, function taking them in this order) of ``outer = inner``."""
    if not isinstance(part, p.Call) or len(part.args) != 2:
        return None
    left, right = part.args
    try:
        operator = resolve_operator("=", left.type, right.type)
    except PgError:
        return None
    if operator.function.oid != part.function.oid:
        return None
    for outer, inner in ((left, right), (right, left)):
        if _only_outer(outer, domain) and _only_inner(inner):
            if outer is left:
                return outer, inner, part.function
            swapped = resolve_operator("=", outer.type, inner.type)
            return outer, inner, swapped.function
    return None


def _only_outer(expr: p.Expr, domain: Domain) -> bool:
    nodes = list(walk(expr))
    outers = [n for n in nodes if isinstance(n, p.Outer)]
    return (
        bool(outers)
        and all(n.id in domain.ids for n in outers)
        and not any(isinstance(n, p.ColumnRef) for n in nodes)
    )


def _only_inner(expr: p.Expr) -> bool:
    nodes = list(walk(expr))
    return any(isinstance(n, p.ColumnRef) for n in nodes) and not any(isinstance(n, p.Outer) for n in nodes)


def _with_defaults(expr: p.Expr, below: Pushed) -> p.Expr:
    """An expression for the row that stands for no rows."""
    assert below.missing is not None
    missing = below.missing
    carried = {column.id for column in below.carried}

    def change(node: p.Expr) -> p.Expr:
        if isinstance(node, p.ColumnRef) and node.id not in carried:
            return missing.get(node.id, p.Const(None, node.type))
        return node

    return rewrite(expr, change)


def _of_nothing(aggregate: p.Aggregate) -> object:
    """An aggregate's value over no rows."""
    if aggregate.function.routine is None:
        return 0 if aggregate.function.name in _COUNTS else None
    columns = [pa.nulls(0, arg.type.storage) for arg in aggregate.args]
    types = [arg.type for arg in aggregate.args]
    nobody = np.zeros(0, dtype=np.int64)
    return aggregate_groups(aggregate.function, columns, types, nobody, 1, aggregate.type, None)[0].as_py()
