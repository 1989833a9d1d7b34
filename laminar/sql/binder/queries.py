"""Any query: WITH, set operations, VALUES."""

from __future__ import annotations

from collections.abc import Sequence

from laminar.errors import DATATYPE_MISMATCH, SYNTAX_ERROR, PgError, not_supported
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql.binder.calls import nulls_first
from laminar.sql.binder.locking import clause_name
from laminar.sql.binder.scope import CteEntry, Level
from laminar.sql.binder.select import SelectBinder
from laminar.sql.binder.state import BOOLEAN, location
from laminar.sql.catalog_view import CatalogView
from laminar.sql.resolve import common_type, type_name
from laminar.sql.trees import ref, walk_plan
from laminar.types import INTERVAL, TEXT, UNKNOWN, PgType


class QueryBinder(SelectBinder):
    """SelectStmt."""

    def __init__(self, catalog: CatalogView, param_types: Sequence[int] | None = None) -> None:
        super().__init__(catalog, param_types)
        self._used: list[CteEntry] = []
        #: whether what is bound now is only a part of the statement
        self._inside = False
        #: WITH queries that a data-modifying one may read
        self.around: dict[str, CteEntry] = {}

    def query(self, node: ast.Query, parent: Level | None, like: Level, *, unknowns: bool = False) -> p.Plan:
        """Bind a query whose outer names are those of ``parent``, with the WITH queries that ``like`` sees.

        Args:
            unknowns: leave untyped literals of the select list untyped, for who gives them a type.
        """
        level = Level(parent, dict(like.ctes))
        own = self._with(node.tail.with_, level)
        self._inside = True
        plan = self._body(node, level, unknowns=unknowns)
        for entry in own:
            if entry not in self._used and entry.cte.modifying is None:
                self.cte_plan(entry, level)  # for its errors
        return plan

    def with_level(self, with_: ast.With | None) -> Level:
        """A top level with the WITH queries of an INSERT, UPDATE or DELETE."""
        level = Level(None, dict(self.around))
        self._with(with_, level)
        self._inside = True
        return level

    def cte_plan(self, entry: CteEntry, level: Level) -> tuple[p.Plan, list[str]]:
        if entry not in self._used:
            self._used.append(entry)
        if entry.recursive:
            return self._recursive_reference(entry)
        own = entry.environment.get(entry.cte.name)
        if own is not None and own.recursive and own.cte is entry.cte:
            return self._recursive(entry, own, level)
        return super().cte_plan(entry, level)

    def _recursive_reference(self, entry: CteEntry) -> tuple[p.Plan, list[str]]:
        name = entry.cte.name
        entry.uses += 1
        if entry.work is None:
            union = isinstance(entry.cte.query, ast.SetOperation) and entry.cte.query.op == "union"
            raise PgError(
                "42P19",
                f'recursive reference to query "{name}" must not appear within its non-recursive term'
                if union
                else f'recursive query "{name}" does not have the form non-recursive-term '
                "UNION [ALL] recursive-term",
                position=entry.place if union else entry.cte.pos,
            )
        columns = tuple(self.column(c.name, c.type) for c in entry.work.columns)
        return p.WorkTable(entry.work.table, columns), [c.name for c in columns]

    def _recursive(self, entry: CteEntry, own: CteEntry, level: Level) -> tuple[p.Plan, list[str]]:
        """A query of WITH RECURSIVE: recursive if the right side of its UNION refers to it."""
        query, name = entry.cte.query, entry.cte.name
        own.work, own.uses = None, 0
        if not isinstance(query, ast.SetOperation) or query.op != "union":
            return super().cte_plan(entry, level)
        inner = Level(self._stand_in(level, entry.parent), dict(entry.environment))
        self._with(query.tail.with_, inner)
        start = self._operand(query.left, inner)
        types = [PgType(TEXT) if c.type.oid == UNKNOWN else PgType(c.type.oid, c.type.typmod, c.type.decimal)
                 for c in start.columns]  # fmt: skip
        start = self._converted(start, types, self._item_positions(query.left))
        labels = entry.cte.columns + [c.name for c in start.columns][len(entry.cte.columns) :]
        if len(entry.cte.columns) > len(start.columns):
            return super().cte_plan(entry, level)  # for its error
        columns = tuple(self.column(label, type_) for label, type_ in zip(labels, types, strict=True))
        own.work = p.WorkTable(self.column("work", BOOLEAN).id, columns)
        try:
            step = self._operand(query.right, inner)
        finally:
            work, own.work = own.work, None
        if not own.uses:
            return super().cte_plan(entry, level)
        self._check_recursion(name, step, work, own, query)
        step = self._step_types(name, step, types, query)
        return p.Recursive(work.table, query.all, start, step, columns), labels

    def _check_recursion(
        self, name: str, step: p.Plan, work: p.WorkTable, own: CteEntry, query: ast.SetOperation
    ) -> None:
        """What PostgreSQL refuses; 42P19, 0A000."""
        if query.tail.order_by or query.tail.limit is not None or query.tail.offset is not None:
            what = (
                "ORDER BY" if query.tail.order_by else "LIMIT" if query.tail.limit is not None else "OFFSET"
            )
            raise not_supported(f"{what} in a recursive query is not implemented", position=query.pos)
        nodes = list(walk_plan(step))
        if any(isinstance(node, p.GroupBy) and node.aggregates and _reads(node, work) for node in nodes):
            raise PgError(
                "42P19",
                "aggregate functions are not allowed in a recursive query's recursive term",
                position=own.place,
            )
        for node in nodes:
            if isinstance(node, p.SetOp) and node.op == "except" and _reads(node.right, work):
                raise PgError(
                    "42P19", f'recursive reference to query "{name}" must not appear within EXCEPT',
                    position=own.place,
                )  # fmt: skip
            outer = isinstance(node, p.Join) and (
                (node.kind in ("left", "full") and _reads(node.right, work))
                or (node.kind in ("right", "full") and _reads(node.left, work))
            )
            if outer or (isinstance(node, p.Apply) and node.kind == "left" and _reads(node.right, work)):
                raise PgError(
                    "42P19", f'recursive reference to query "{name}" must not appear within an outer join',
                    position=own.place,
                )  # fmt: skip
        places = sum(isinstance(node, p.WorkTable) and node.table == work.table for node in nodes)
        if own.uses > places:
            raise PgError(
                "42P19", f'recursive reference to query "{name}" must not appear within a subquery',
                position=own.place,
            )  # fmt: skip
        if places > 1:
            raise PgError(
                "42P19", f'recursive reference to query "{name}" must not appear more than once',
                position=own.place,
            )  # fmt: skip

    def _step_types(self, name: str, step: p.Plan, types: list[PgType], query: ast.SetOperation) -> p.Plan:
        places = self._item_positions(query.right)
        if len(step.columns) != len(types):
            raise PgError(
                SYNTAX_ERROR, "each UNION query must have the same number of columns",
                position=places[0] if places else None,
            )  # fmt: skip
        for n, (type_, column) in enumerate(zip(types, step.columns, strict=True), 1):
            probe = _probe(step, n - 1, column)
            left = p.ColumnRef(-1, type_)
            common = common_type((left, probe), places[n - 1] if n <= len(places) else None, "UNION")
            if common.oid != type_.oid:
                raise PgError(
                    DATATYPE_MISMATCH,
                    f'recursive query "{name}" column {n} has type {type_name(type_)} in non-recursive term '
                    f"but type {type_name(common)} overall",
                    hint="Cast the output of the non-recursive term to the correct type.",
                    position=self._first(query.left) or None,
                )
            if not query.all:
                self.check_comparable(type_, None)
        return self._converted(step, types, places)

    def _with(self, with_: ast.With | None, level: Level) -> list[CteEntry]:
        own: list[CteEntry] = []
        names: set[str] = set()
        for cte in with_.ctes if with_ is not None else []:
            if cte.name in names:
                raise PgError(
                    "42712", f'WITH query name "{cte.name}" specified more than once', position=cte.pos
                )
            names.add(cte.name)
            environment = dict(level.ctes)
            entry = CteEntry(cte, environment, level.parent)
            if with_ is not None and with_.recursive:
                environment[cte.name] = CteEntry(cte, {}, level.parent, recursive=True)
            if cte.modifying is not None:
                if self._inside:
                    raise not_supported(
                        "WITH clause containing a data-modifying statement must be at the top level",
                        position=cte.pos,
                    )
                if with_ is not None and with_.recursive:
                    raise not_supported("data-modifying statements in WITH RECURSIVE are not supported")
                self.bind_modifying(entry)
            level.ctes[cte.name] = entry
            own.append(entry)
        return own

    def bind_modifying(self, entry: CteEntry) -> None:
        """An INSERT, UPDATE or DELETE in WITH."""
        raise NotImplementedError

    def _body(self, node: ast.Query, level: Level, *, unknowns: bool) -> p.Plan:
        if isinstance(node, ast.Select):
            return self.select(node, level, unknowns=unknowns)
        if node.tail.locking:
            name = clause_name(node.tail.locking)
            if isinstance(node, ast.ValuesQuery):
                raise not_supported(f"{name} cannot be applied to VALUES")
            raise not_supported(f"{name} is not allowed with UNION/INTERSECT/EXCEPT")
        if isinstance(node, ast.ValuesQuery):
            plan, _ = self.values(node, level, unknowns=unknowns)
        else:
            plan = self._set_operation(node, level)
        return self._tail(plan, node, level)

    def _tail(self, plan: p.Plan, node: ast.ValuesQuery | ast.SetOperation, level: Level) -> p.Plan:
        keys: list[p.SortItem] = []
        for item in node.tail.order_by:
            column = self._result_column(item.expr, plan, node)
            self.check_sortable(column.type, item.expr)
            keys.append(p.SortItem(ref(column), item.descending, nulls_first(item)))
        if keys:
            plan = p.Sort(plan, tuple(keys))
        return self.limit(plan, node.tail, level)

    def _result_column(
        self, node: ast.Expr, plan: p.Plan, query: ast.ValuesQuery | ast.SetOperation
    ) -> p.Column:
        if isinstance(node, ast.Name) and len(node.parts) == 1:
            matches = [column for column in plan.columns if column.name == node.parts[0]]
            if len(matches) > 1:
                raise PgError("42702", f'ORDER BY "{node.parts[0]}" is ambiguous', position=node.pos)
            if matches:
                return matches[0]
            raise PgError("42703", f'column "{node.parts[0]}" does not exist', position=node.pos)
        if isinstance(node, ast.Literal) and node.kind == "int":
            place = int(node.value or 0)
            if 1 <= place <= len(plan.columns):
                return plan.columns[place - 1]
            raise PgError("42P10", f"ORDER BY position {place} is not in select list", position=node.pos)
        if isinstance(query, ast.ValuesQuery):
            raise not_supported(
                "ORDER BY of VALUES takes column names and positions only", position=location(node)
            )
        raise PgError(
            "0A000",
            "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
            detail="Only result column names can be used, not expressions or functions.",
            hint="Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
            position=location(node),
        )

    # --- VALUES

    def values(
        self, node: ast.ValuesQuery, level: Level, *, unknowns: bool
    ) -> tuple[p.Plan, list[list[p.Expr]]]:
        level.clause = "VALUES"
        width = len(node.rows[0])
        rows: list[list[p.Expr]] = []
        for row in node.rows:
            if len(row) != width:
                raise PgError(
                    SYNTAX_ERROR, "VALUES lists must all be the same length", position=location(row[0])
                )
            rows.append([self.expr(item, level) for item in row])
        types: list[PgType] = []
        for index in range(width):
            items = [(row[index], at[index]) for row, at in zip(rows, node.rows, strict=True)]
            if unknowns and all(expr.type.oid == UNKNOWN for expr, _ in items):
                types.append(PgType(UNKNOWN))
                continue
            type_ = self.common(items, "VALUES", location(items[0][1]))  # type: ignore[arg-type]
            types.append(type_)
            for bound, written in zip(rows, node.rows, strict=True):
                bound[index] = self.coerce(bound[index], type_, written[index])
        columns = tuple(self.column(f"column{n}", type_) for n, type_ in enumerate(types, 1))
        return p.Values(tuple(tuple(row) for row in rows), columns), rows

    # --- set operations

    def _set_operation(self, node: ast.SetOperation, level: Level) -> p.Plan:
        left = self._operand(node.left, level)
        right = self._operand(node.right, level)
        what = node.op.upper()
        if len(left.columns) != len(right.columns):
            at = self._first(node.right)
            raise PgError(
                SYNTAX_ERROR, f"each {what} query must have the same number of columns", position=at or None
            )
        places = [self._item_positions(side) for side in (node.left, node.right)]
        types: list[PgType] = []
        for index, (a, b) in enumerate(zip(left.columns, right.columns, strict=True)):
            at = places[1][index] if index < len(places[1]) else 0
            exprs = (_probe(left, index, a), _probe(right, index, b))
            types.append(common_type(exprs, at or None, what))
            if not (node.op == "union" and node.all):
                self.check_comparable(types[-1], None)
        left = self._converted(left, types, places[0])
        right = self._converted(right, types, places[1])
        columns = tuple(self.column(a.name, type_) for a, type_ in zip(left.columns, types, strict=True))
        return p.SetOp(node.op, node.all, left, right, columns)

    def _operand(self, node: ast.Query, level: Level) -> p.Plan:
        inner = Level(level.parent, dict(level.ctes))
        own = self._with(node.tail.with_, inner)
        plan = self._body(node, inner, unknowns=not isinstance(node, ast.SetOperation))
        for entry in own:
            if entry not in self._used:
                self.cte_plan(entry, inner)
        return plan

    def _first(self, node: ast.Query) -> int:
        places = self._item_positions(node)
        return places[0] if places else node.pos

    def _item_positions(self, node: ast.Query) -> list[int]:
        while isinstance(node, ast.SetOperation):
            node = node.left
        if isinstance(node, ast.Select):
            if any(isinstance(target.expr, ast.Star) for target in node.targets):
                return [node.targets[0].pos]
            return [location(target.expr) for target in node.targets]
        return [location(item) for item in node.rows[0]]

    def _converted(self, plan: p.Plan, types: list[PgType], places: list[int]) -> p.Plan:
        """The plan with its columns of these types; untyped literals are parsed as such."""
        if all(column.type == type_ for column, type_ in zip(plan.columns, types, strict=True)):
            return plan
        if len(places) != len(types):
            places = [0] * len(types)
        return self.convert(plan, types, [ast.Default(place) for place in places])

    def convert(
        self, plan: p.Plan, types: list[PgType], nodes: Sequence[ast.Expr | None], context: str = "implicit"
    ) -> p.Plan:
        exprs: list[p.Expr] = []
        inner = plan if isinstance(plan, p.Project) else None
        for index, (column, type_) in enumerate(zip(plan.columns, types, strict=True)):
            expr: p.Expr = ref(column)
            if column.type.oid == UNKNOWN and inner is not None:
                expr = inner.exprs[index]
            exprs.append(self.coerce(expr, type_, nodes[index], context))
        columns = tuple(self.output(c.name, e) for c, e in zip(plan.columns, exprs, strict=True))
        return p.Project(plan, tuple(exprs), columns)

    # --- constants

    def constant_span(self, node: ast.Expr, level: Level, what: str) -> tuple[int, int, int]:
        """An interval that is known now, as (months, days, microseconds)."""
        where = location(node) or None
        expr = self.expr(node, Level(level.parent, dict(level.ctes), clause=level.clause))
        if expr.type.oid not in (INTERVAL, UNKNOWN):
            raise PgError(
                DATATYPE_MISMATCH,
                f"{what} needs an interval",
                hint="For example INTERVAL '10 seconds'.",
                position=where,
            )
        value = self.constant(self.coerce(expr, PgType(INTERVAL), node), node)
        if value is None:
            raise PgError("22004", f"{what} needs an interval that is not null", position=where)
        raw = bytes(value)  # type: ignore[call-overload]
        months = int.from_bytes(raw[:4], "little", signed=True)
        days = int.from_bytes(raw[4:8], "little", signed=True)
        return months, days, int.from_bytes(raw[8:16], "little", signed=True)

    def constant(self, expr: p.Expr, node: object) -> object:
        """The value of an expression without columns, parameters or volatile functions."""
        from laminar.sql.rewrite.folding import fold

        folded = fold(expr)
        if not isinstance(folded, p.Const):
            raise PgError(
                "0A000", "a constant is needed here", hint="Write a literal.", position=location(node) or None
            )
        return folded.value


def _reads(plan: p.Plan, work: p.WorkTable) -> bool:
    """Whether a plan has the recursive reference in it."""
    return any(isinstance(node, p.WorkTable) and node.table == work.table for node in walk_plan(plan))


def _probe(plan: p.Plan, index: int, column: p.Column) -> p.Expr:
    """What common_type looks at: the literal itself where there is one."""
    if isinstance(plan, p.Project) and isinstance(plan.exprs[index], p.Const):
        return plan.exprs[index]
    return ref(column)
