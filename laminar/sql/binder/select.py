"""SELECT: from its clauses, bound in PostgreSQL's order, to a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from laminar.errors import AMBIGUOUS_COLUMN, INVALID_COLUMN_REFERENCE, SYNTAX_ERROR, PgError, not_supported
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql.binder import locking, records, scope
from laminar.sql.binder.calls import nulls_first
from laminar.sql.binder.grouping import Change, GroupingBinder, Out
from laminar.sql.binder.naming import target_name
from laminar.sql.binder.scope import Item, Level
from laminar.sql.binder.state import location
from laminar.sql.expressions import walk
from laminar.sql.parser.relations import WINDOW_KINDS, WINDOW_SPANS
from laminar.sql.resolve import oid_name, resolve_operator
from laminar.sql.trees import canonical, identity, map_value, outer_ids, ref, refs
from laminar.types import UNKNOWN, PgType

_NO_ORDER: Final = "Use an explicit ordering operator or modify the query."


class SelectBinder(GroupingBinder):
    """simple_select with its tail."""

    def select(self, node: ast.Select, level: Level, *, unknowns: bool) -> p.Plan:
        before = len(self.columns)
        level.locking = bool(node.tail.locking)
        plan = self.from_clause(node.from_, level)
        for name, definition in node.windows:
            if name in level.window_names:
                raise PgError("42P20", f'window "{name}" is already defined', position=definition.pos)
            level.window_names[name] = definition
        grouped_window = self._grouped_window(node)
        where: p.Expr | None = None
        if grouped_window is not None:
            where = self._condition(node.where, level, "WHERE")
            if where is not None:
                plan = p.Filter(plan, where)
            plan = self._bind_grouped_window(plan, grouped_window, node, level)
        level.clause = "SELECT"
        outs = self.targets(node.targets, level, unknowns=unknowns)
        if grouped_window is None:
            where = self._condition(node.where, level, "WHERE")
            if where is not None:
                plan = p.Filter(plan, where)
        having = self._condition(node.having, level, "HAVING")
        order = self._order(node.tail.order_by, level, outs)
        level.clause = "GROUP BY"
        items = [item for item in node.group_by if item is not grouped_window]
        keys, sets = self.grouping_sets(items, level, outs) if items else ([], [()])
        if node.group_distinct:
            sets = list({frozenset(one): one for one in sets}.values())
        if grouped_window is not None and level.time_window is not None:
            places = tuple(range(len(keys), len(keys) + 2))
            keys += [ref(column) for column in level.time_window]
            sets = [(*one, *places) for one in sets]
        level.clause = "DISTINCT ON"
        distinct_on = self._distinct_on(node.distinct, level, outs)
        grouped = bool(node.group_by or level.aggregates or level.grouping_calls or having is not None)
        if grouped:
            plan, having = self._grouped(plan, level, keys, sets, outs, having)
        if having is not None:
            plan = p.Filter(plan, having)
        if level.windows:
            calls = tuple(use.call for use in level.windows)
            plan = p.Window(plan, calls, tuple(use.column for use in level.windows))
        if node.tail.locking:
            return self._locked(plan, node, level, outs, order, before)
        return self._finish(plan, node, level, outs, order, distinct_on)

    def _locked(
        self,
        plan: p.Plan,
        node: ast.Select,
        level: Level,
        outs: list[Out],
        order: list[tuple[Out, ast.SortBy]],
        before: int,
    ) -> p.Plan:
        """A SELECT that locks rows: what it finds stands in the plan as the rows of a relation.

        Args:
            before: how many columns there were: what is further out has lower numbers.
        """
        locking.refuse_shape(node, level)
        name = locking.clause_name(node.tail.locking)
        if self._views or self.inlining:
            raise not_supported(f"{name} in the definition of a view or function is not supported")
        if node.tail.with_ties:
            raise not_supported(f"WITH TIES with {name} is not supported")
        targets = locking.targets(node.tail.locking, level, plan)
        keys = [column for target in targets for column in target.key]
        visible = len(outs) - sum(out.hidden for out in outs)
        hidden = [Out(column.name, ref(column), None, hidden=True) for column in keys]
        projected, columns, sort = self._projected(plan, level, [*outs, *hidden], order)
        plan = p.Sort(projected, sort) if sort else projected
        if any(id_ <= before for id_ in outer_ids(plan)):
            raise not_supported(
                f"{name} in a query that reads columns of the one around it is not supported",
                position=node.tail.locking[0].pos,
            )
        places = iter(columns[len(outs) :])
        own = tuple(replace(t, key=tuple(next(places) for _ in t.key)) for t in targets)
        for target in own:
            self.access(target.relation, "UPDATE")
        bounds = self.bounds(node.tail, level)
        shown = tuple(column for out, column in zip(outs, columns, strict=False) if not out.hidden)
        number = self.stand_in()
        plan = identity(plan, (*shown, *columns[len(outs) :]))
        self.locking.append(locking.BoundLocking(number, plan, shown, *bounds, own))
        return p.Scan(number, shown, tuple(range(1, visible + 1)))

    def _condition(self, node: ast.Expr | None, level: Level, clause: str) -> p.Expr | None:
        if node is None:
            return None
        level.clause = clause
        return self.boolean(self.expr(node, level), node, clause)

    # --- select list

    def targets(self, nodes: list[ast.Target], level: Level, *, unknowns: bool) -> list[Out]:
        """The select list, stars expanded."""
        outs: list[Out] = []
        for target in nodes:
            node = target.expr
            if isinstance(node, ast.Star):
                outs.extend(self._star_columns(node, level))
                continue
            if isinstance(node, ast.FieldSelect) and node.name == "*":
                outs.extend(Out(name, value, None) for name, value in records.expanded(self, node, level))
                continue
            expr = self.expr(node, level)
            outs.append(Out(target.name or target_name(node), expr, node))
        if not unknowns:
            for out in outs:
                if out.expr.type.oid == UNKNOWN:
                    out.expr = self.known(out.expr, out.node)
        return outs

    def _star_columns(self, node: ast.Star, level: Level) -> list[Out]:
        if not node.parts:
            visible = [item for item in level.items if item.by_column]
            if not level.items:
                raise PgError(
                    SYNTAX_ERROR, "SELECT * with no tables specified is not valid", position=node.pos
                )
            pairs = [(label, column, 0) for item in visible for label, column in item.columns]
        else:
            schema = node.parts[-2] if len(node.parts) > 1 else None
            found = scope.find_item(level, node.parts[-1], schema)
            if found is None:
                raise scope.missing_item(level, node.parts[-1], node.pos)
            pairs = [(label, column, found[1]) for label, column in found[0].columns]
        return [Out(label, self.reference(column, depth, node.pos), None) for label, column, depth in pairs]

    # --- ORDER BY, GROUP BY, DISTINCT ON: expressions, output names and positions

    def _order(self, items: list[ast.SortBy], level: Level, outs: list[Out]) -> list[tuple[Out, ast.SortBy]]:
        level.clause = "ORDER BY"
        result: list[tuple[Out, ast.SortBy]] = []
        for item in items:
            out = self._output_or_new(item.expr, level, outs, "ORDER BY")
            self.check_sortable(out.expr.type, item.expr)
            if not any(canonical(out.expr) == canonical(other.expr) for other, _ in result):
                result.append((out, item))
        return result

    def _output_or_new(self, node: ast.Expr, level: Level, outs: list[Out], clause: str) -> Out:
        found = self._output(node, level, outs, clause)
        if found is not None:
            return found
        expr = self.known(self.expr(node, level), node)
        shape = canonical(expr)
        for out in outs:
            if canonical(out.expr) == shape:
                return out
        new = Out("?column?", expr, node, hidden=True)
        outs.append(new)
        return new

    def _output(self, node: ast.Expr, level: Level, outs: list[Out], clause: str) -> Out | None:
        """The output column that a bare name or a number means (SQL92)."""
        visible = [out for out in outs if not out.hidden]
        if isinstance(node, ast.Name) and len(node.parts) == 1:
            name = node.parts[0]
            if clause == "GROUP BY" and scope.find_column(_alone(level), name, node.pos) is not None:
                return None
            matches = [out for out in visible if out.name == name]
            if len({canonical(out.expr) for out in matches}) > 1:
                raise PgError(AMBIGUOUS_COLUMN, f'{clause} "{name}" is ambiguous', position=node.pos)
            return matches[0] if matches else None
        if isinstance(node, ast.Literal) and node.kind != "null":
            if node.kind != "int":
                raise PgError(SYNTAX_ERROR, f"non-integer constant in {clause}", position=node.pos)
            place = int(node.value or 0)
            if not 1 <= place <= len(visible):
                raise PgError(
                    INVALID_COLUMN_REFERENCE,
                    f"{clause} position {place} is not in select list",
                    position=node.pos,
                )
            return visible[place - 1]
        return None

    def group_expression(self, node: ast.Expr, level: Level, outs: list[Out]) -> p.Expr:
        found = self._output(node, level, outs, "GROUP BY")
        if found is not None:
            expr = found.expr
            self._check_groupable(expr, level, node)
        else:
            expr = self.known(self.expr(node, level), node)
        self.check_comparable(expr.type, node)
        return expr

    def _check_groupable(self, expr: p.Expr, level: Level, node: ast.Expr) -> None:
        aggregates = {use.column.id for use in level.aggregates}
        windows = {use.column.id for use in level.windows}
        for part in walk(expr):
            if isinstance(part, p.ColumnRef) and part.id in aggregates:
                raise PgError(
                    "42803",
                    "aggregate functions are not allowed in GROUP BY",
                    position=self.position_of(part) or location(node),
                )
            if isinstance(part, p.ColumnRef) and part.id in windows:
                raise PgError(
                    "42P20",
                    "window functions are not allowed in GROUP BY",
                    position=self.position_of(part) or location(node),
                )

    def _distinct_on(self, nodes: list[ast.Expr] | None, level: Level, outs: list[Out]) -> list[Out]:
        result = []
        for node in nodes or []:
            out = self._output_or_new(node, level, outs, "DISTINCT ON")
            self.check_comparable(out.expr.type, node)
            result.append(out)
        return result

    def sort_items(self, items: list[ast.SortBy], level: Level) -> tuple[p.SortItem, ...]:
        """ORDER BY of an aggregate or window: expressions only."""
        result = []
        for item in items:
            expr = self.known(self.expr(item.expr, level), item.expr)
            self.check_sortable(expr.type, item.expr)
            result.append(p.SortItem(expr, item.descending, nulls_first(item)))
        return tuple(result)

    def check_sortable(self, type_: PgType, node: object) -> None:
        try:
            resolve_operator("<", type_, type_)
        except PgError:
            name = oid_name(type_.oid)
            message = f"could not identify an ordering operator for type {name}"
            raise PgError("42883", message, hint=_NO_ORDER, position=location(node) or None) from None

    def check_comparable(self, type_: PgType, node: object) -> None:
        try:
            resolve_operator("=", type_, type_)
        except PgError:
            message = f"could not identify an equality operator for type {oid_name(type_.oid)}"
            raise PgError("42883", message, position=location(node) or None) from None

    # --- grouping

    def _grouped(
        self,
        plan: p.Plan,
        level: Level,
        keys: list[p.Expr],
        sets: list[tuple[int, ...]],
        outs: list[Out],
        having: p.Expr | None,
    ) -> tuple[p.Plan, p.Expr | None]:
        changed: list[p.Expr | None] = [having]

        def uses(change: Change) -> None:
            for out in outs:
                out.expr = change(out.expr)
            if having is not None:
                changed[0] = change(having)
            for use in level.windows:
                use.call = map_value(use.call, change)

        return self.group(plan, level, keys, sets, uses), changed[0]

    def _grouped_window(self, node: ast.Select) -> ast.FuncCall | None:
        """The TUMBLE(ts, size) of a GROUP BY."""
        found: ast.FuncCall | None = None
        for item in node.group_by:
            if not isinstance(item, ast.FuncCall) or len(item.names) != 1:
                continue
            if item.names[0] not in WINDOW_KINDS or len(item.args) < 2:
                continue
            if found is not None:
                raise PgError("42803", "GROUP BY takes one window only", position=item.pos)
            found = item
        return found

    def _bind_grouped_window(
        self, plan: p.Plan, call: ast.FuncCall, node: ast.Select, level: Level
    ) -> p.Plan:
        kind = WINDOW_KINDS[call.names[0]]
        least, optional = WINDOW_SPANS[kind]
        if not least <= len(call.args) - 1 <= least + optional:
            raise PgError(
                "42883",
                f"{kind.upper()} takes {least + 1}{f' or {least + 2}' if optional else ''} arguments "
                "in GROUP BY",
                position=call.pos,
            )
        others: list[ast.Expr] = []
        if kind == "session":
            others = [self._spelled_out(item, node, level) for item in node.group_by if item is not call]
        level.clause = "GROUP BY"
        plan, added = self.time_window(kind, plan, call.args[0], call.args[1:], others, level, call.pos)
        level.time_window = added
        taken = {label for item in level.items if item.by_column for label, _ in item.columns}
        shown = [(column.name, column) for column in added if column.name not in taken]
        level.items = [*level.items, Item("", shown, by_name=False)]
        return plan

    def _spelled_out(self, item: ast.Expr | ast.GroupingSet, node: ast.Select, level: Level) -> ast.Expr:
        """A grouping item as an expression over the input: SESSION windows are per group."""
        if isinstance(item, ast.GroupingSet):
            raise PgError("0A000", "SESSION cannot be combined with grouping sets", position=item.pos)
        if (
            isinstance(item, ast.Literal)
            and item.kind == "int"
            and 0 < int(item.value or 0) <= len(node.targets)
        ):
            return node.targets[int(item.value or 0) - 1].expr
        if not isinstance(item, ast.Name) or len(item.parts) > 1:
            return item
        name = item.parts[0]
        if scope.find_column(_alone(level), name, item.pos) is not None:
            return item
        return next((target.expr for target in node.targets if target.name == name), item)

    # --- the rest

    def _finish(
        self,
        plan: p.Plan,
        node: ast.Select,
        level: Level,
        outs: list[Out],
        order: list[tuple[Out, ast.SortBy]],
        distinct_on: list[Out],
    ) -> p.Plan:
        if node.distinct is not None and not node.distinct:
            self._check_distinct_order(outs)
        plan, columns, keys = self._projected(plan, level, outs, order)
        place = {id(out): column for out, column in zip(outs, columns, strict=True)}
        visible = tuple(column for out, column in zip(outs, columns, strict=True) if not out.hidden)
        if node.distinct is not None:
            if distinct_on:
                on = [place[id(out)] for out in distinct_on]
                self._check_distinct_on(on, order, place, node)
                plan = p.DistinctOn(plan, refs(tuple(on)), keys)
            else:
                for column, out in zip(columns, outs, strict=True):
                    self.check_comparable(column.type, out.node)
                plan = p.DistinctOn(plan, refs(visible))
        if keys:
            plan = p.Sort(plan, keys)
        plan = self.limit(plan, node.tail, level)
        if len(visible) < len(columns):
            plan = p.Project(plan, refs(visible), visible)
        return plan

    def _projected(
        self, plan: p.Plan, level: Level, outs: list[Out], order: list[tuple[Out, ast.SortBy]]
    ) -> tuple[p.Plan, tuple[p.Column, ...], tuple[p.SortItem, ...]]:
        """The select list, its columns, and what to sort them by."""
        columns = tuple(self.output(out.name, out.expr) for out in outs)
        exprs = tuple(out.expr for out in outs)
        plan = (p.ProjectSet if level.set_returning else p.Project)(plan, exprs, columns)
        place = {id(out): column for out, column in zip(outs, columns, strict=True)}
        keys = tuple(
            p.SortItem(ref(place[id(out)]), item.descending, nulls_first(item)) for out, item in order
        )
        return plan, columns, keys

    def _check_distinct_order(self, outs: list[Out]) -> None:
        for out in outs:
            if out.hidden:
                raise PgError(
                    INVALID_COLUMN_REFERENCE,
                    "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                    position=location(out.node),
                )

    def _check_distinct_on(
        self,
        on: list[p.Column],
        order: list[tuple[Out, ast.SortBy]],
        place: dict[int, p.Column],
        node: ast.Select,
    ) -> None:
        """ORDER BY has to begin with the DISTINCT ON expressions."""
        wanted = {column.id: at for column, at in zip(on, node.distinct or [], strict=True)}
        skipped, matched = False, set()
        for out, _ in order:
            column = place[id(out)]
            if column.id not in wanted:
                skipped = True
            elif skipped:
                raise _distinct_mismatch(wanted[column.id])
            else:
                matched.add(column.id)
        for id_, at in wanted.items():
            if skipped and id_ not in matched:
                raise _distinct_mismatch(at)

    def limit(self, plan: p.Plan, tail: ast.Tail, level: Level) -> p.Plan:
        """LIMIT and OFFSET, which see no columns."""
        if tail.limit is None and tail.offset is None:
            return plan
        count, offset = self.bounds(tail, level)
        return p.Limit(plan, count, offset, tail.with_ties)

    def bounds(self, tail: ast.Tail, level: Level) -> tuple[p.Expr | None, p.Expr | None]:
        """The values of LIMIT and OFFSET, None where there is none."""
        bounds: list[p.Expr | None] = []
        for node, clause in ((tail.limit, "LIMIT"), (tail.offset, "OFFSET")):
            if node is None or (isinstance(node, ast.Literal) and node.kind == "null"):
                bounds.append(None)
                continue
            inner = Level(level.parent, dict(level.ctes), level.items, clause=clause)
            expr = self.bigint(self.expr(node, inner), node, clause)
            if any(isinstance(part, p.ColumnRef | p.Outer) for part in walk(expr)):
                raise PgError(
                    INVALID_COLUMN_REFERENCE,
                    f"argument of {clause} must not contain variables",
                    position=location(node),
                )
            bounds.append(expr)
        if tail.with_ties and bounds[0] is None:
            raise PgError("42601", "row count cannot be null in FETCH FIRST ... WITH TIES clause")
        return bounds[0], bounds[1]


def _alone(level: Level) -> Level:
    """The level's own names, without those further out."""
    return Level(None, {}, level.items)


def _distinct_mismatch(node: ast.Expr) -> PgError:
    message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions"
    return PgError(INVALID_COLUMN_REFERENCE, message, position=location(node))
