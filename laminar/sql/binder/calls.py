"""Function calls: plain, set-returning, aggregate, window, and the windows' TUMBLE_START and its kin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from laminar.errors import GROUPING_ERROR, UNDEFINED_FUNCTION, WRONG_OBJECT_TYPE, PgError, not_supported
from laminar.sql import ast, facts
from laminar.sql import plan as p
from laminar.sql.binder import jsonrows
from laminar.sql.binder.exprs import ExpressionBinder
from laminar.sql.binder.hypothetical import HYPOTHETICAL, rewritten
from laminar.sql.binder.records import JSON_FUNCTIONS, json_of, json_record
from laminar.sql.binder.routines import inline, output_columns, rows
from laminar.sql.binder.scope import AggregateUse, Level, WindowUse
from laminar.sql.binder.state import location
from laminar.sql.expressions import rewrite, walk
from laminar.sql.kernels.registry import ORDINALITY, part_of, returns_set
from laminar.sql.resolve import ResolvedCall, bind_args, coerce, oid_name, resolve_function, result_type
from laminar.sql.resolve.rowtypes import set_row
from laminar.sql.trees import canonical
from laminar.types import (
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSON,
    NUMERIC,
    RECORD,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UNKNOWN,
    PgType,
)

#: clauses in which aggregates may stand
_AGGREGATES_ALLOWED: Final = frozenset(("SELECT", "HAVING", "ORDER BY", "DISTINCT ON", "WINDOW"))
_WINDOWS_ALLOWED: Final = frozenset(("SELECT", "ORDER BY", "DISTINCT ON"))
_SETS_ALLOWED: Final = frozenset(("SELECT", "ORDER BY", "DISTINCT ON", "FROM", "GROUP BY"))
_ORDERED_SET: Final = frozenset(("percentile_cont", "percentile_disc", "mode"))
_WINDOW_KINDS: Final = ("tumble", "hop", "slide", "session", "cumulate")
_BOUNDS: Final = {f"{kind}_{end}": end for kind in _WINDOW_KINDS for end in ("start", "end")}
_WHOLE: Final = p.Frame("range", ("unbounded_preceding", None), ("current", None))


def phrase(clause: str) -> str:
    """A clause as error messages name it."""
    if clause == "JOIN/ON":
        return "JOIN conditions"
    if clause == "FROM":
        return "functions in FROM"
    if clause in ("DEFAULT", "column generation"):
        return f"{clause} expressions"
    return {"check": "check constraints", "COPY FROM WHERE": "COPY FROM WHERE conditions"}.get(clause, clause)


class CallBinder(ExpressionBinder):
    """func_expr."""

    if TYPE_CHECKING:

        def query(
            self, node: ast.Query, parent: Level | None, like: Level, *, unknowns: bool = False
        ) -> p.Plan: ...
        def sort_items(self, items: list[ast.SortBy], level: Level) -> tuple[p.SortItem, ...]: ...

    def named_function(self, schema: str, name: str, args: list[p.Expr], node: object) -> p.Expr:
        """A function that syntax stands for."""
        pos = getattr(node, "pos", 0)
        resolved = resolve_function(name, schema, [a.type for a in args], pos or None)
        bound = bind_args(resolved, args, pos)
        self.settle(args, bound)
        return p.Call(resolved.function, bound, result_type(resolved, bound), pos)

    def call(self, node: ast.FuncCall, level: Level) -> p.Expr:
        return self._funccall(node, level)

    def _funccall(self, node: ast.FuncCall, level: Level) -> p.Expr:
        name = node.names[-1]
        if len(node.names) == 1 and node.over is None:
            if name in _BOUNDS:
                return self._window_bound(node, level)
            if name in _WINDOW_KINDS and len(node.args) >= 2:
                raise PgError(
                    GROUPING_ERROR,
                    f"{name.upper()} is allowed in FROM and in GROUP BY only",
                    hint=f"Use {name.upper()}_START and {name.upper()}_END elsewhere.",
                    position=node.pos,
                )
        if node.within_group and node.over is None and name in HYPOTHETICAL:
            level.direct_args += self.exprs(node.args, level)
            return self.expr(rewritten(node), level)
        was_aggregate = level.in_aggregate
        probe = node.over is None and self._may_be_aggregate(node)
        if probe and not was_aggregate:
            level.in_aggregate = True
        before = (len(level.aggregates), len(level.windows))
        try:
            args = self._arguments(node, level)
            ordered = self.exprs([item.expr for item in node.within_group], level)
        finally:
            level.in_aggregate = was_aggregate
        if name == "row_to_json" and len(args) == 1 and args[0].type.oid == JSON:
            # a row is bound as its JSON already
            return args[0]
        resolved = self._resolve(node, args, ordered)
        if resolved.kind == "c":
            return coerce(args[0], resolved.result_type, "explicit", node.pos)
        if node.over is not None:
            return self._window(node, resolved, args, level)
        if resolved.kind == "a":
            return self._aggregate(node, resolved, args, ordered, level, before)
        self._refuse_decorations(node, name)
        if resolved.kind == "w":
            raise PgError(
                WRONG_OBJECT_TYPE, f"window function {name} requires an OVER clause", position=node.pos
            )
        return self._plain(node, resolved, args, level)

    def _arguments(self, node: ast.FuncCall, level: Level) -> list[p.Expr]:
        """The arguments; rows as JSON where the function takes them so."""
        if node.names[-1] not in JSON_FUNCTIONS or node.names[:-1] not in ((), ("pg_catalog",)):
            return self.exprs(node.args, level)
        if node.names[-1] == "row_to_json" and 1 <= len(node.args) <= 2:
            pretty = [self.boolean(self.expr(arg, level), arg, "row_to_json") for arg in node.args[1:]]
            whole = json_record(self, node.args[0], level, PgType(JSON), *pretty)
            if whole is not None:
                return [whole]
            args = self.exprs(node.args, level)
            if args[0].type.row is not None:
                return [json_of(args[0], PgType(JSON), *pretty)]
            return args
        return [
            self._as_json(self.expr(arg, level))
            if (record := json_record(self, arg, level)) is None
            else record
            for arg in node.args
        ]

    @staticmethod
    def _as_json(arg: p.Expr) -> p.Expr:
        """A row as its JSON object."""
        return json_of(arg) if arg.type.row is not None else arg

    def _may_be_aggregate(self, node: ast.FuncCall) -> bool:
        name = node.names[-1]
        schema = node.names[-2] if len(node.names) > 1 else None
        found = (*facts.functions_named(name), *self.catalog.functions(schema, name))
        return any(fact.kind == "a" for fact in found)

    def _resolve(self, node: ast.FuncCall, args: list[p.Expr], ordered: list[p.Expr]) -> ResolvedCall:
        name = node.names[-1]
        schema = node.names[-2] if len(node.names) > 1 else None
        types = [arg.type for arg in (*args, *ordered)]
        names = [*node.arg_names, *[None] * len(ordered)] if any(node.arg_names) else []
        try:
            return resolve_function(
                name,
                schema,
                types,
                node.pos or None,
                arg_names=names,
                variadic=node.variadic,
                own=self.catalog.functions(schema, name),
            )
        except PgError as error:
            if error.sqlstate == UNDEFINED_FUNCTION and node.order_by and facts.functions_named(name):
                error.hint = (
                    "No aggregate function matches the given name and argument types. Perhaps you misplaced "
                    "ORDER BY; ORDER BY must appear after all regular arguments of the aggregate."
                )
            raise

    def _refuse_decorations(self, node: ast.FuncCall, name: str) -> None:
        """What only aggregates may have."""
        said = ""
        if node.star:
            said = f"{name}(*) specified, but {name} is not an aggregate function"
        elif node.distinct:
            said = f"DISTINCT specified, but {name} is not an aggregate function"
        elif node.within_group:
            said = f"WITHIN GROUP specified, but {name} is not an aggregate function"
        elif node.order_by:
            said = f"ORDER BY specified, but {name} is not an aggregate function"
        elif node.filter is not None:
            said = f"FILTER specified, but {name} is not an aggregate function"
        if said:
            raise PgError(WRONG_OBJECT_TYPE, said, position=node.pos)

    def _plain(self, node: ast.FuncCall, resolved: ResolvedCall, args: list[p.Expr], level: Level) -> p.Expr:
        if resolved.retset:
            self._check_set_returning(node, level)
        places = [location(arg) or None for arg in node.args]
        bound = bind_args(resolved, args, node.pos, places)
        self.settle(args, bound)
        routine = resolved.function.routine
        if routine is not None:
            self.access(resolved.function.oid, "EXECUTE")
            if routine.language == "sql" and routine.returns_set:
                raise not_supported(
                    f"SQL function {node.names[-1]}() returns a set and is supported in FROM only",
                    position=node.pos,
                )
            if routine.language == "sql":
                return inline(self, resolved.function, bound, resolved.result_type, node.pos)
        if jsonrows.populates(resolved.function):
            return jsonrows.without_definitions(
                resolved.function, bound, node, in_from=level.clause == "FROM"
            )
        type_ = result_type(resolved, bound)
        if type_.oid == RECORD and type_.fields is None and level.clause != "FROM":
            return self._record(resolved.function, bound, node)
        return p.Call(resolved.function, bound, type_, node.pos)

    def _record(self, function: p.Function, args: tuple[p.Expr, ...], node: ast.FuncCall) -> p.Expr:
        """The row that a function with several result columns gives."""
        outputs = output_columns(function, args)
        if not outputs or not returns_set(function):
            raise not_supported(
                f"function {function.name}() returns rows and is supported in FROM only", position=node.pos
            )

        def part(place: int, oid: int) -> p.Expr:
            return p.Call(part_of(function, place), args, PgType(oid), node.pos)

        fields = [(name, part(place, oid)) for place, (name, oid) in enumerate(outputs)]
        return set_row(fields, part(ORDINALITY, INT8), node.pos)

    def sql_rows(self, node: ast.FuncCall, level: Level) -> p.Plan | None:
        """The rows of a user's SQL function that returns a set; None if the call is none."""
        schema = node.names[-2] if len(node.names) > 1 else None
        known = [f.routine for f in self.catalog.functions(schema, node.names[-1])]
        if not any(r is not None and r.language == "sql" and r.returns_set for r in known):
            return None
        args = self.exprs(node.args, level)
        resolved = self._resolve(node, args, [])
        routine = resolved.function.routine
        if routine is None or routine.language != "sql" or not routine.returns_set:
            return None
        bound = bind_args(resolved, args, node.pos, [location(arg) or None for arg in node.args])
        self.settle(args, bound)
        self.access(resolved.function.oid, "EXECUTE")
        return rows(self, resolved.function, bound, resolved.result_type, node.pos)

    def _check_set_returning(self, node: ast.FuncCall, level: Level) -> None:
        if level.clause not in _SETS_ALLOWED:
            what = phrase(level.clause)
            raise not_supported(f"set-returning functions are not allowed in {what}", position=node.pos)
        if level.in_conditional:
            raise not_supported(
                f"set-returning functions are not allowed in {level.in_conditional}",
                hint="You might be able to move the set-returning function into a LATERAL FROM item.",
                position=node.pos,
            )
        if level.in_aggregate:
            raise not_supported(
                "aggregate function calls cannot contain set-returning function calls",
                hint="You might be able to move the set-returning function into a LATERAL FROM item.",
                position=node.pos,
            )
        level.set_returning = True

    # --- aggregates

    def _aggregate(
        self,
        node: ast.FuncCall,
        resolved: ResolvedCall,
        args: list[p.Expr],
        ordered: list[p.Expr],
        level: Level,
        before: tuple[int, int],
    ) -> p.Expr:
        name = node.names[-1]
        if not node.args and not node.star and not node.within_group:
            raise PgError(
                WRONG_OBJECT_TYPE,
                f"{name}(*) must be used to call a parameterless aggregate function",
                position=node.pos,
            )
        self._check_within_group(node)
        if resolved.function.routine is not None:
            self.access(resolved.function.oid, "EXECUTE")
        places = [location(arg) or None for arg in (*node.args, *(i.expr for i in node.within_group))]
        bound = bind_args(resolved, [*args, *ordered], node.pos, places)
        self.settle([*args, *ordered], bound)
        was, level.in_aggregate = level.in_aggregate, True
        order_by = self._aggregate_order(node, bound, len(args), level)
        condition = self._filter(node, level)
        level.in_aggregate = was
        direct = bound[: len(args)] if node.within_group else ()
        level.direct_args += direct
        aggregate = p.Aggregate(
            resolved.function,
            bound[len(args) :] if node.within_group else bound,
            result_type(resolved, bound),
            node.distinct,
            condition,
            order_by,
            direct,
            node.pos,
        )
        if node.distinct:
            self._check_distinct(node, aggregate)
        return self._place(node, aggregate, level, before)

    def _check_within_group(self, node: ast.FuncCall) -> None:
        name = node.names[-1]
        if name in _ORDERED_SET | HYPOTHETICAL and not node.within_group:
            raise PgError(
                WRONG_OBJECT_TYPE,
                f"WITHIN GROUP is required for ordered-set aggregate {name}",
                position=node.pos,
            )
        if node.within_group and name not in _ORDERED_SET:
            raise PgError(
                WRONG_OBJECT_TYPE,
                f"{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP",
                position=node.pos,
            )

    def _aggregate_order(
        self, node: ast.FuncCall, bound: tuple[p.Expr, ...], direct: int, level: Level
    ) -> tuple[p.SortItem, ...]:
        if node.within_group:
            items = zip(node.within_group, bound[direct:], strict=True)
            return tuple(p.SortItem(expr, item.descending, nulls_first(item)) for item, expr in items)
        return self.sort_items(node.order_by, level)

    def _filter(self, node: ast.FuncCall, level: Level) -> p.Expr | None:
        if node.filter is None:
            return None
        clause, level.clause = level.clause, "FILTER"
        was, level.in_aggregate = level.in_aggregate, False
        condition = self.boolean(self.expr(node.filter, level), node.filter, "FILTER")
        level.clause, level.in_aggregate = clause, was
        return condition

    def _check_distinct(self, node: ast.FuncCall, aggregate: p.Aggregate) -> None:
        shown = {canonical(arg) for arg in aggregate.args}
        for item, source in zip(aggregate.order_by, node.order_by, strict=True):
            if canonical(item.expr) not in shown:
                raise PgError(
                    "42P10",
                    "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
                    position=location(source.expr),
                )

    def _place(
        self, node: ast.FuncCall, aggregate: p.Aggregate, level: Level, before: tuple[int, int]
    ) -> p.Expr:
        """Give the aggregate to the query level it belongs to: the innermost whose columns it reads."""
        local, depths = _levels(aggregate)
        depth = 0 if local or not depths else min(depths)
        home = level
        for _ in range(depth):
            assert home.parent is not None
            home = home.parent
        if home.in_aggregate:
            raise PgError(GROUPING_ERROR, "aggregate function calls cannot be nested", position=node.pos)
        if (
            len(level.aggregates) > before[0]
            and depth == 0
            and self._uses(aggregate, level.aggregates[before[0] :])
        ):
            raise PgError(GROUPING_ERROR, "aggregate function calls cannot be nested", position=node.pos)
        if len(level.windows) > before[1] and depth == 0:
            raise PgError(
                GROUPING_ERROR,
                "aggregate function calls cannot contain window function calls",
                position=node.pos,
            )
        if home.clause not in _AGGREGATES_ALLOWED:
            what = phrase(home.clause)
            raise PgError(GROUPING_ERROR, f"aggregate functions are not allowed in {what}", position=node.pos)
        if depth:
            aggregate = _raise_levels(aggregate, depth)
        for use in home.aggregates:
            if _same(use.aggregate, aggregate):
                return self.reference(use.column, depth, node.pos)
        column = self.column(node.names[-1], aggregate.type)
        home.aggregates.append(AggregateUse(aggregate, column))
        return self.reference(column, depth, node.pos)

    @staticmethod
    def _uses(aggregate: p.Aggregate, inner: list[AggregateUse]) -> bool:
        ids = {use.column.id for use in inner}
        return any(isinstance(part, p.ColumnRef) and part.id in ids for part in walk(aggregate))

    # --- window functions

    def _window(self, node: ast.FuncCall, resolved: ResolvedCall, args: list[p.Expr], level: Level) -> p.Expr:
        name, over = node.names[-1], node.over
        assert over is not None
        if resolved.kind not in ("a", "w"):
            raise PgError(
                WRONG_OBJECT_TYPE,
                f"OVER specified, but {name} is not a window function nor an aggregate function",
                position=node.pos,
            )
        if level.clause not in _WINDOWS_ALLOWED:
            what = phrase(level.clause)
            raise PgError("42P20", f"window functions are not allowed in {what}", position=node.pos)
        if level.in_window:
            raise PgError("42P20", "window function calls cannot be nested", position=node.pos)
        if level.in_aggregate:
            raise PgError(
                GROUPING_ERROR,
                "aggregate function calls cannot contain window function calls",
                position=node.pos,
            )
        self._check_window_call(node, resolved)
        bound = bind_args(resolved, args, node.pos, [location(arg) or None for arg in node.args])
        self.settle(args, bound)
        level.in_window = True
        definition = self._window_definition(over, level)
        partition = tuple(self.known(self.expr(part, level), part) for part in definition.partition_by)
        order = self.sort_items(definition.order_by, level)
        frame = self._frame(definition, order, level)
        condition = self._filter(node, level)
        level.in_window = False
        type_ = result_type(resolved, bound)
        call = p.WindowCall(resolved.function, bound, type_, partition, order, frame, condition, node.pos)
        column = self.column(name, type_)
        level.windows.append(WindowUse(call, column))
        return self.reference(column, 0, node.pos)

    def _check_window_call(self, node: ast.FuncCall, resolved: ResolvedCall) -> None:
        name = node.names[-1]
        if node.distinct:
            raise not_supported("DISTINCT is not implemented for window functions", position=node.pos)
        if node.within_group:
            raise not_supported(f"OVER is not supported for ordered-set aggregate {name}", position=node.pos)
        if node.order_by:
            raise not_supported(
                "aggregate ORDER BY is not implemented for window functions", position=node.pos
            )
        if resolved.kind == "w" and node.filter is not None:
            raise not_supported(
                "FILTER is not implemented for non-aggregate window functions", position=node.pos
            )
        if resolved.kind == "a" and not node.args and not node.star:
            raise PgError(
                WRONG_OBJECT_TYPE,
                f"{name}(*) must be used to call a parameterless aggregate function",
                position=node.pos,
            )

    def _window_definition(self, over: ast.WindowDef, level: Level) -> ast.WindowDef:
        """An OVER clause with the named window it builds on merged in."""
        if over.name is not None:
            return self._named_window(over.name, over.pos, level)
        if over.base is None:
            return over
        base = self._named_window(over.base, over.pos, level)
        if over.partition_by:
            raise PgError(
                "42P20", f'cannot override PARTITION BY clause of window "{over.base}"', position=over.pos
            )
        if over.order_by and base.order_by:
            raise PgError(
                "42P20", f'cannot override ORDER BY clause of window "{over.base}"', position=over.pos
            )
        if base.frame is not None:
            hint = None
            if not over.order_by and over.frame is None:
                hint = "Omit the parentheses in this OVER clause."
            message = f'cannot copy window "{over.base}" because it has a frame clause'
            raise PgError("42P20", message, hint=hint, position=over.pos)
        order = over.order_by or base.order_by
        return ast.WindowDef(None, None, base.partition_by, order, over.frame, over.pos)

    def _named_window(self, name: str, pos: int, level: Level) -> ast.WindowDef:
        definition = level.window_names.get(name)
        if definition is None:
            raise PgError("42704", f'window "{name}" does not exist', position=pos)
        return self._window_definition(definition, level)

    def _frame(self, definition: ast.WindowDef, order: tuple[p.SortItem, ...], level: Level) -> p.Frame:
        clause = definition.frame
        if clause is None:
            return _WHOLE
        if clause.mode == "groups" and not order:
            raise PgError("42P20", "GROUPS mode requires an ORDER BY clause", position=definition.pos)
        bounds = [self._frame_bound(definition, bound, order, level) for bound in (clause.start, clause.end)]
        return p.Frame(clause.mode, bounds[0], bounds[1], clause.exclude)

    def _frame_bound(
        self, definition: ast.WindowDef, bound: ast.FrameBound, order: tuple[p.SortItem, ...], level: Level
    ) -> tuple[str, p.Expr | None]:
        clause = definition.frame
        if bound.offset is None or clause is None:
            return bound.kind, None
        if clause.mode == "range" and len(order) != 1:
            raise PgError(
                "42P20",
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
                position=definition.pos,
            )
        was, level.clause = level.clause, f"window {clause.mode.upper()}"
        offset = self.expr(bound.offset, level)
        level.clause = was
        what = clause.mode.upper()
        if clause.mode == "range":
            offset = self._range_offset(offset, order[0].expr.type, bound)
        else:
            offset = self.bigint(offset, bound.offset, what)
        if any(isinstance(part, p.ColumnRef) for part in walk(offset)):
            raise PgError(
                "42P10", f"argument of {what} must not contain variables", position=location(bound.offset)
            )
        return bound.kind, offset

    def _range_offset(self, offset: p.Expr, ordered: PgType, bound: ast.FrameBound) -> p.Expr:
        """A RANGE offset of the type that the ordering column's in_range function takes."""
        oid = ordered.oid
        if oid in (TIMESTAMP, TIMESTAMPTZ, DATE, TIME, INTERVAL):
            target = INTERVAL
        elif oid in (INT2, INT4, INT8):
            target = offset.type.oid if offset.type.oid in (INT2, INT4, INT8) else oid
        elif oid in (FLOAT4, FLOAT8):
            target = FLOAT8
        elif oid == NUMERIC:
            target = NUMERIC
        else:
            raise not_supported(
                f"RANGE with offset PRECEDING/FOLLOWING is not supported for column type {oid_name(oid)}",
                position=location(bound.offset),
            )
        if offset.type.oid not in (target, UNKNOWN):
            try:
                return self.coerce(offset, PgType(target), bound.offset)
            except PgError:
                raise not_supported(
                    "RANGE with offset PRECEDING/FOLLOWING is not supported for column type "
                    f"{oid_name(oid)} and offset type {oid_name(offset.type.oid)}",
                    hint="Cast the offset value to an appropriate type.",
                    position=location(bound.offset),
                ) from None
        return self.coerce(offset, PgType(target), bound.offset)

    # --- windows of time

    def _window_bound(self, node: ast.FuncCall, level: Level) -> p.Expr:
        """TUMBLE_START(ts, size) and the like: a bound of the query's GROUP BY TUMBLE."""
        bound = _BOUNDS[node.names[-1]]
        depth, at = 0, level
        while at.time_window is None and at.parent is not None:
            depth, at = depth + 1, at.parent
        if at.time_window is None:
            kind = node.names[-1].rsplit("_", 1)[0].upper()
            raise PgError(
                GROUPING_ERROR,
                f"{node.names[-1].upper()} needs GROUP BY {kind}(…)",
                hint=f"Group by {kind}(ts, size), or use window_start and window_end of FROM {kind}(…).",
                position=node.pos,
            )
        return self.reference(at.time_window[0 if bound == "start" else 1], depth, node.pos)

    def grouping(self, node: ast.Special, level: Level) -> p.Expr:
        """GROUPING(a, b): settled once the grouping sets are known."""
        if level.clause not in _AGGREGATES_ALLOWED:
            what = phrase(level.clause)
            raise PgError(GROUPING_ERROR, f"grouping operations are not allowed in {what}", position=node.pos)
        if len(node.args) > 31:
            raise PgError("54023", "GROUPING must have fewer than 32 arguments", position=node.pos)
        column = self.column("grouping", PgType(INT4))
        level.grouping_calls.append((column, node))
        return self.reference(column, 0, node.pos)


def nulls_first(item: ast.SortBy) -> bool:
    """PostgreSQL's default: nulls sort as if larger than all values."""
    return item.descending if item.nulls_first is None else item.nulls_first


def _levels(aggregate: p.Aggregate) -> tuple[bool, set[int]]:
    """Whether the aggregate reads columns of its own level, and the depths of outer ones it reads."""
    local, depths = False, set()
    for part in walk(aggregate):
        if isinstance(part, p.ColumnRef):
            local = True
        elif isinstance(part, p.Outer):
            depths.add(part.depth)
        elif isinstance(part, p.Subquery):
            local = True
    return local, depths


def _raise_levels(aggregate: p.Aggregate, depth: int) -> p.Aggregate:
    """The same aggregate as seen ``depth`` levels further out."""

    def change(expr: p.Expr) -> p.Expr:
        if isinstance(expr, p.Outer):
            left = expr.depth - depth
            return p.Outer(expr.id, expr.type, left) if left else p.ColumnRef(expr.id, expr.type)
        return expr

    from laminar.sql.trees import map_value

    result: p.Aggregate = map_value(aggregate, lambda expr: rewrite(expr, change))
    return result


def _same(a: p.Aggregate, b: p.Aggregate) -> bool:
    """Equal but for positions (volatile arguments are never the same)."""
    from laminar.sql.expressions import volatile_call
    from laminar.sql.trees import map_value

    if a.function != b.function or a.distinct != b.distinct or volatile_call(a) is not None:
        return False
    left, right = map_value(a, canonical), map_value(b, canonical)
    return (left.args, left.filter, left.order_by, left.direct) == (
        right.args,
        right.filter,
        right.order_by,
        right.direct,
    )
