"""FROM: relations, subqueries, functions, windows and joins, with the names they bring into view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from laminar.errors import (
    DATATYPE_MISMATCH,
    UNDEFINED_COLUMN,
    UNDEFINED_TABLE,
    WRONG_OBJECT_TYPE,
    PgError,
    not_supported,
)
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql.binder.scope import CteEntry, Item, Level
from laminar.sql.binder.state import location
from laminar.sql.binder.tablefunctions import FunctionBinder
from laminar.sql.catalog_view import Relation, check_database
from laminar.sql.parse import parse_query
from laminar.sql.resolve import common_type, make_operator, oid_name
from laminar.sql.trees import outer_ids, refs
from laminar.types import DATE, INT8, TIMESTAMP, TIMESTAMPTZ, PgType

#: type of a window's time column -> type of its bounds
WINDOW_TIMES: Final = {TIMESTAMP: TIMESTAMP, TIMESTAMPTZ: TIMESTAMPTZ, DATE: TIMESTAMP, INT8: TIMESTAMP}
_JOIN_NAMES: Final = {"inner": "inner", "left": "left", "right": "right", "full": "full", "cross": "cross"}


class RelationBinder(FunctionBinder):
    """from_clause."""

    if TYPE_CHECKING:

        def query(
            self, node: ast.Query, level: Level | None, like: Level, *, unknowns: bool = ...
        ) -> p.Plan: ...
        def constant_span(self, node: ast.Expr, level: Level, what: str) -> tuple[int, int, int]: ...

    def subquery(self, query: ast.Query, level: Level) -> p.Plan:
        """A subquery in an expression of ``level``."""
        return self.query(query, level, level)

    def from_clause(self, items: list[ast.FromItem], level: Level) -> p.Plan:
        """The items' product; their names go into ``level``. No FROM is one row without columns."""
        plan: p.Plan | None = None
        for node in items:
            known = len(level.items)
            for item in level.items:
                item.lateral_only = True
            right, new = self.from_item(node, level)
            self._check_names(level.items[:known], new)
            for item in level.items:
                item.lateral_only = False
            level.items = [*level.items[:known], *new]
            plan = right if plan is None else self._product(plan, right)
        return plan if plan is not None else p.Values(((),), ())

    def _product(self, left: p.Plan, right: p.Plan) -> p.Plan:
        if depends(right, left):
            return p.Apply("inner", left, right)
        return p.Join("cross", left, right, None)

    def _check_names(self, before: list[Item], new: list[Item]) -> None:
        """42712 for two items of one name."""
        taken = {
            (item.name, item.schema if item.real_name is None else None) for item in before if item.by_name
        }
        names = {name for name, _ in taken}
        for item in new:
            if not item.by_name or not item.name or item.name not in names:
                continue
            key = (item.name, item.schema if item.real_name is None else None)
            plain = key[1] is None or any(schema is None for name, schema in taken if name == item.name)
            if plain or key in taken:
                raise PgError("42712", f'table name "{item.name}" specified more than once')

    def from_item(self, node: ast.FromItem, level: Level) -> tuple[p.Plan, list[Item]]:
        if isinstance(node, ast.TableRef):
            return self._table(node, level)
        if isinstance(node, ast.SubqueryRef):
            return self._subquery_ref(node, level)
        if isinstance(node, ast.FunctionRef):
            return self.from_function(node, level)
        if isinstance(node, ast.WindowRef):
            return self._time_window(node, level)
        if isinstance(node, ast.JoinRef):
            return self._join(node, level)
        from laminar.sql.binder.probe import probe_join

        return probe_join(self, node, level)

    # --- relations

    def _table(self, node: ast.TableRef, level: Level) -> tuple[p.Plan, list[Item]]:
        if node.as_of is not None:
            raise not_supported(
                "FOR SYSTEM_TIME AS OF stands on the right side of a join only", position=node.pos
            )
        return self._table_plain(node, level)

    def _table_plain(self, node: ast.TableRef, level: Level) -> tuple[p.Plan, list[Item]]:
        if len(node.parts) == 1 and node.parts[0] in level.ctes:
            return self._cte(level.ctes[node.parts[0]], node, level)
        relation = self.relation(node.parts, node.pos)
        if relation.kind == "sink":
            raise PgError(
                WRONG_OBJECT_TYPE,
                f'"{relation.name}" is a sink',
                hint="Sinks cannot be read.",
                position=node.pos,
            )
        if relation.kind == "index":
            raise PgError(WRONG_OBJECT_TYPE, f'"{relation.name}" is an index', position=node.pos)
        self.access(relation.oid)
        if relation.kind in ("view", "stream"):
            plan = self._view(relation, node.pos)
            labels = [a.name for a in relation.columns]
            columns = list(zip(labels, plan.columns, strict=True))
            item = self._named(relation.name, columns, node.alias, node.pos)
        else:
            plan, ids = self.scan(relation)
            columns = list(zip((a.name for a in relation.columns), plan.columns, strict=True))
            item = self._named(relation.name, columns, node.alias, node.pos)
            item.relation, item.ids = relation, ids
            if level.locking and not relation.primary_key and relation.kind in ("table", "source"):
                item.row_key = self.column("laminar_key", PgType(INT8))
                plan = p.Scan(plan.relation, (item.row_key, *plan.columns), (0, *plan.attnums))
        item.schema = relation.schema
        if node.alias is not None and node.alias.name != relation.name:
            item.real_name = relation.name
        return plan, [item]

    def relation(self, parts: tuple[str, ...], pos: int) -> Relation:
        """A relation by name. Raises 42P01; 3F000 is not PostgreSQL's here."""
        check_database(self.catalog.database_name, parts, pos)
        schema = parts[-2] if len(parts) > 1 else None
        relation = self.catalog.relation(schema, parts[-1])
        if relation is None:
            raise PgError(UNDEFINED_TABLE, f'relation "{".".join(parts[-2:])}" does not exist', position=pos)
        return relation

    def scan(self, relation: Relation) -> tuple[p.Scan, dict[int, int]]:
        """All columns of a stored relation; and attnum -> column id."""
        columns = tuple(self.column(a.name, a.type, (relation.oid, a.attnum)) for a in relation.columns)
        attnums = tuple(a.attnum for a in relation.columns)
        return p.Scan(relation.oid, columns, attnums), {
            n: c.id for n, c in zip(attnums, columns, strict=True)
        }

    def _view(self, relation: Relation, pos: int) -> p.Plan:
        """A view's definition, bound as when it was created."""
        assert relation.definition is not None
        if relation.oid in self._views or len(self._views) > 50:
            raise PgError("42P17", f'infinite recursion detected in rules for relation "{relation.name}"')
        self._views.append(relation.oid)
        outer = self.catalog
        if relation.search_path:
            self.catalog = outer.with_search_path(relation.search_path)
        try:
            plan = self.query(parse_query(relation.definition), None, Level())
        except PgError as error:
            error.position = pos or None
            raise
        finally:
            self.catalog = outer
            self._views.pop()
        columns = tuple(self.column(a.name, a.type, (relation.oid, a.attnum)) for a in relation.columns)
        if len(columns) != len(plan.columns) or any(
            a.type.oid != b.type.oid for a, b in zip(columns, plan.columns, strict=True)
        ):
            raise PgError("55000", f'view "{relation.name}" no longer fits its definition', position=pos)
        exprs = tuple(
            self.coerce(ref, column.type, None, "assignment") if ref.type != column.type else ref
            for ref, column in zip(refs(plan.columns), columns, strict=True)
        )
        return p.Project(plan, exprs, columns)

    def _cte(self, entry: CteEntry, node: ast.TableRef, level: Level) -> tuple[p.Plan, list[Item]]:
        entry.place = node.pos
        plan, labels = self.cte_plan(entry, level)
        item = self._named(entry.cte.name, list(zip(labels, plan.columns, strict=True)), node.alias, node.pos)
        if node.alias is not None and node.alias.name != entry.cte.name:
            item.real_name = entry.cte.name
        return plan, [item]

    def cte_plan(self, entry: CteEntry, level: Level) -> tuple[p.Plan, list[str]]:
        """A WITH query, bound anew at each use, as if written in its place."""
        plan: p.Plan
        if entry.cte.modifying is not None:
            if not entry.returns:
                text = f'WITH query "{entry.cte.name}" does not have a RETURNING clause'
                raise PgError("0A000", text, position=entry.place or None)
            columns = tuple(self.column(c.name, c.type) for c in entry.returns)
            plan = p.Scan(entry.returned, columns, tuple(range(1, len(columns) + 1)))
        else:
            hidden = self._stand_in(level, entry.parent)
            plan = self.query(entry.cte.query, hidden, Level(None, dict(entry.environment)))
        labels = [column.name for column in plan.columns]
        if len(entry.cte.columns) > len(labels):
            raise PgError(
                "42P10",
                f'WITH query "{entry.cte.name}" has {len(labels)} columns available '
                f"but {len(entry.cte.columns)} columns specified",
                position=entry.cte.pos,
            )
        return plan, entry.cte.columns + labels[len(entry.cte.columns) :]

    def _stand_in(self, level: Level | None, target: Level | None) -> Level | None:
        """Empty levels in place of those between here and where the WITH stands: depths still count them."""
        if level is target or level is None:
            return target
        return Level(self._stand_in(level.parent, target), clause=level.clause)

    def _named(
        self, name: str, columns: list[tuple[str, p.Column]], alias: ast.Alias | None, pos: int
    ) -> Item:
        """The item under its alias."""
        if alias is None:
            return Item(name, columns)
        if len(alias.columns) > len(columns):
            raise PgError(
                "42P10",
                f'table "{alias.name}" has {len(columns)} columns available '
                f"but {len(alias.columns)} columns specified",
            )
        labels = alias.columns + [label for label, _ in columns[len(alias.columns) :]]
        return Item(alias.name, [(label, column) for label, (_, column) in zip(labels, columns, strict=True)])

    # --- subqueries and functions

    def _subquery_ref(self, node: ast.SubqueryRef, level: Level) -> tuple[p.Plan, list[Item]]:
        if node.lateral:
            plan = self.query(node.query, level, level)
        else:
            plan = self._hidden_siblings(node.query, level)
        assert node.alias is not None
        columns = [(column.name, column) for column in plan.columns]
        return plan, [self._named("", columns, node.alias, node.pos)]

    def _hidden_siblings(self, query: ast.Query, level: Level) -> p.Plan:
        """A subquery that may not look at its FROM siblings, only further out."""
        # the level stays in the chain, so that depths count it, but shows nothing
        hidden = Level(level.parent, level.ctes, clause=level.clause)
        hidden.unreachable = [*level.items, *level.unreachable]
        return self.query(query, hidden, level)

    # --- windows of time

    def _time_window(self, node: ast.WindowRef, level: Level) -> tuple[p.Plan, list[Item]]:
        """TUMBLE(input, time, …): the input's columns, window_start and window_end."""
        below, items = self.from_item(node.input, level)
        inner = Level(level.parent, dict(level.ctes), items, clause="FROM")
        plan, added = self.time_window(
            node.kind, below, node.time, node.spans, node.partition_by, inner, node.pos
        )
        source = items[0]
        columns = [*source.columns, *((column.name, column) for column in added)]
        name = node.alias.name if node.alias is not None else source.name or node.kind
        item = self._named(name, columns, node.alias, node.pos)
        item.relation, item.schema = None, source.schema
        return plan, [item]

    def time_window(
        self,
        kind: str,
        below: p.Plan,
        time: ast.Expr,
        spans: list[ast.Expr],
        partition_by: list[ast.Expr],
        level: Level,
        pos: int,
    ) -> tuple[p.Plan, tuple[p.Column, p.Column]]:
        """A TimeWindow over ``below``, whose columns ``level`` shows."""
        below, (column,) = self._computed(below, [self.expr(time, level)])
        if column.type.oid not in WINDOW_TIMES:
            raise PgError(
                DATATYPE_MISMATCH,
                f"{kind.upper()} needs a time column, not type {oid_name(column.type.oid)}",
                hint="It must be timestamp, timestamptz, date, or bigint with milliseconds since 1970.",
                position=location(time) or None,
            )
        wanted = 2 if kind in ("hop", "cumulate") else 1
        values = [self.constant_span(span, level, kind.upper()) for span in spans]
        offset = values[wanted] if len(values) > wanted else (0, 0, 0)
        self._check_spans(kind, values[:wanted], offset, spans, pos)
        below, keys = self._computed(below, self.exprs(partition_by, level))
        type_ = PgType(WINDOW_TIMES[column.type.oid])
        added = (self.column("window_start", type_), self.column("window_end", type_))
        plan = p.TimeWindow(
            kind,  # type: ignore[arg-type]
            below,
            p.ColumnRef(column.id, column.type),
            tuple(values[:wanted]),
            added,
            offset[1] * 86_400_000_000 + offset[2],
            refs(tuple(keys)),
            pos,
        )
        return plan, added

    def _check_spans(
        self,
        kind: str,
        spans: list[tuple[int, int, int]],
        offset: tuple[int, int, int],
        nodes: list[ast.Expr],
        pos: int,
    ) -> None:
        for span, node in zip(spans, nodes, strict=False):
            if span <= (0, 0, 0) or any(part < 0 for part in span):
                raise PgError(
                    "22023", f"{kind.upper()} needs positive intervals", position=location(node) or pos
                )
            if span[0] and kind != "tumble":
                raise not_supported(
                    f"{kind.upper()} windows cannot be measured in months",
                    hint="Use days or smaller units, or TUMBLE.",
                    position=location(node) or pos,
                )
            if span[0] and (span[1] or span[2]):
                raise not_supported(
                    "a window of months cannot have days or smaller units too", position=location(node) or pos
                )
        if offset[0]:
            raise not_supported("a window's offset cannot be in months", position=location(nodes[-1]) or pos)
        if len(spans) == 2:
            step, size = (days * 86_400_000_000 + micros for _, days, micros in spans)
            if kind == "cumulate" and size % step:
                raise PgError(
                    "22023", "CUMULATE needs a maximum size that is a multiple of the step", position=pos
                )
            if kind == "hop" and size < step:
                raise PgError(
                    "22023",
                    "HOP needs a size that is at least the slide",
                    hint="The slide comes first: HOP(rel, ts, slide, size).",
                    position=pos,
                )

    def _computed(self, below: p.Plan, exprs: list[p.Expr]) -> tuple[p.Plan, list[p.Column]]:
        """The plan with the expressions as columns; bare columns stay what they are."""
        columns: list[p.Column] = []
        new: list[tuple[p.Expr, p.Column]] = []
        for expr in exprs:
            if isinstance(expr, p.ColumnRef):
                columns.append(self.columns[expr.id])
                continue
            column = self.column("computed", expr.type)
            columns.append(column)
            new.append((expr, column))
        if new:
            outputs = (*below.columns, *(column for _, column in new))
            below = p.Project(below, (*refs(below.columns), *(expr for expr, _ in new)), outputs)
        return below, columns

    # --- joins

    def _join(self, node: ast.JoinRef, level: Level) -> tuple[p.Plan, list[Item]]:
        base = list(level.items)
        left, left_items = self.from_item(node.left, level)
        lateral = [*base, *(self._for_lateral(item) for item in left_items)]
        level.items = lateral
        if isinstance(node.right, ast.TableRef) and node.right.as_of is not None:
            right, right_items = self._table_plain(node.right, level)
            as_of: ast.Expr | str | None = node.right.as_of
        else:
            right, right_items = self.from_item(node.right, level)
            as_of = None
        level.items = base
        self._check_names(left_items, right_items)
        if depends(right, left) and node.kind in ("right", "full"):
            raise PgError(
                UNDEFINED_TABLE,
                "a LATERAL item on the right of a RIGHT or FULL JOIN cannot refer to its left",
                hint="The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
                position=node.pos,
            )
        return self._combine(node, level, (left, left_items), (right, right_items), as_of)

    @staticmethod
    def _for_lateral(item: Item) -> Item:
        copy = Item(
            item.name, item.columns, item.by_name, item.by_column, item.relation, item.ids, item.schema
        )
        copy.real_name = item.real_name
        copy.lateral_only = True
        return copy

    def _combine(
        self,
        node: ast.JoinRef,
        level: Level,
        left: tuple[p.Plan, list[Item]],
        right: tuple[p.Plan, list[Item]],
        as_of: ast.Expr | str | None,
    ) -> tuple[p.Plan, list[Item]]:
        using = node.using
        if node.natural:
            using = self._natural(left[1], right[1])
        merged: list[tuple[str, p.Column, p.Column]] = []
        condition: p.Expr | None = None
        if using:
            condition, merged = self._using(using, left[1], right[1], node)
        items = [*left[1], *right[1]]
        inner = Level(level.parent, dict(level.ctes), items, clause="JOIN/ON")
        inner.unreachable = level.items
        if node.on is not None:
            condition = self.boolean(self.expr(node.on, inner), node.on, "JOIN/ON")
        plan: p.Plan
        kind = _JOIN_NAMES[node.kind]
        for side, kinds in ((left, ("right", "full")), (right, ("left", "full"))):
            for item in side[1]:
                item.nullable = item.nullable or kind in kinds
        if depends(right[0], left[0]):
            if as_of is not None or node.asof:
                raise not_supported("a temporal or ASOF join cannot be lateral", position=node.pos)
            plan = p.Apply("left" if kind == "left" else "inner", left[0], right[0], condition)
        else:
            if kind == "inner" and condition is None:
                kind = "cross"
            temporal, asof, condition = self._special_join(node, as_of, condition, inner)
            if temporal is not None and temporal != "proctime":
                temporal = self._versioned(node, temporal, right)  # type: ignore[arg-type]
            plan = p.Join(kind, left[0], right[0], condition, temporal, asof)  # type: ignore[arg-type]
        return self._visible(node, plan, items, merged)

    def _special_join(
        self, node: ast.JoinRef, as_of: ast.Expr | str | None, condition: p.Expr | None, level: Level
    ) -> tuple[p.Expr | str | None, p.Expr | str | None, p.Expr | None]:
        """FOR SYSTEM_TIME AS OF and ASOF."""
        temporal: p.Expr | str | None = None
        if as_of is not None:
            temporal = "proctime" if isinstance(as_of, str) else self.expr(as_of, level)
            if node.kind not in ("inner", "left"):
                raise not_supported("a temporal join must be INNER or LEFT", position=node.pos)
        asof: p.Expr | str | None = None
        if node.asof:
            if node.kind not in ("inner", "left"):
                raise not_supported("ASOF joins must be INNER or LEFT", position=node.pos)
            if node.match_condition is not None:
                asof = self._match_condition(node.match_condition, level)
            else:
                asof, condition = self._split_asof(condition, node)
        return temporal, asof, condition

    @staticmethod
    def _versioned(node: ast.JoinRef, time: p.Expr, right: tuple[p.Plan, list[Item]]) -> p.Expr:
        """``time >= `` the time of the right side's versions, the column that it has a watermark for."""
        plan, relation = right[0], right[1][0].relation
        if not isinstance(plan, p.Scan) or relation is None or relation.watermark is None:
            raise not_supported(
                "FOR SYSTEM_TIME AS OF an event time needs a table or source with a watermark",
                hint="Declare WATERMARK FOR the time from which on a row holds, or join AS OF PROCTIME().",
                position=node.pos,
            )
        column = dict(zip(plan.attnums, plan.columns, strict=True))[relation.watermark.attnum]
        return make_operator(">=", time, p.ColumnRef(column.id, column.type), node.pos)

    def _match_condition(self, node: ast.Expr, level: Level) -> p.Expr:
        """A comparison, or NEAREST(a, b), which is no function elsewhere."""
        if isinstance(node, ast.FuncCall) and node.names == ("nearest",) and len(node.args) == 2:
            a, b = (self.expr(arg, level) for arg in node.args)
            return p.Call(p.NEAREST, (a, b), p.BOOLEAN, node.pos)
        return self.boolean(self.expr(node, level), node, "MATCH_CONDITION")

    def _split_asof(self, condition: p.Expr | None, node: ast.JoinRef) -> tuple[p.Expr, p.Expr | None]:
        """The one inequality inside ON is the match condition."""
        from laminar.sql.expressions import conjunction, conjuncts

        parts = conjuncts(condition)
        matches = [
            part
            for part in parts
            if isinstance(part, p.Call)
            and len(part.args) == 2
            and part.function.symbol.endswith(("le", "lt", "ge", "gt"))
        ]
        if len(matches) != 1:
            raise PgError(
                "42601",
                "an ASOF JOIN needs one inequality between its sides",
                hint="Write ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts) ON a.k = b.k.",
                position=node.pos,
            )
        return matches[0], conjunction([part for part in parts if part is not matches[0]])

    def _natural(self, left: list[Item], right: list[Item]) -> list[tuple[str, int]]:
        names = [label for item in right if item.by_column for label, _ in item.columns]
        return [(label, 0) for item in left if item.by_column for label, _ in item.columns if label in names]

    def _using(
        self,
        using: list[tuple[str, int]],
        left: list[Item],
        right: list[Item],
        node: ast.JoinRef | ast.ProbeRef,
    ) -> tuple[p.Expr | None, list[tuple[str, p.Column, p.Column]]]:
        parts: list[p.Expr] = []
        merged: list[tuple[str, p.Column, p.Column]] = []
        seen: set[str] = set()
        for name, pos in using:
            if name in seen and (isinstance(node, ast.ProbeRef) or node.using):
                raise PgError(
                    "42701", f'column name "{name}" appears more than once in USING clause', position=pos
                )
            seen.add(name)
            a = self._using_column(left, name, "left")
            b = self._using_column(right, name, "right")
            try:
                parts.append(
                    make_operator("=", p.ColumnRef(a.id, a.type), p.ColumnRef(b.id, b.type), pos or None)
                )
            except PgError as error:
                if error.sqlstate == "42883" and a.type.oid != b.type.oid:
                    raise PgError(
                        DATATYPE_MISMATCH,
                        f"JOIN/USING types {oid_name(a.type.oid)} and {oid_name(b.type.oid)} "
                        "cannot be matched",
                    ) from None
                raise
            merged.append((name, a, b))
        if not parts:
            return None, []
        return (parts[0] if len(parts) == 1 else p.BoolOp("and", tuple(parts))), merged

    @staticmethod
    def _using_column(items: list[Item], name: str, side: str) -> p.Column:
        found = [
            column for item in items if item.by_column for label, column in item.columns if label == name
        ]
        if not found:
            raise PgError(
                UNDEFINED_COLUMN, f'column "{name}" specified in USING clause does not exist in {side} table'
            )
        if len(found) > 1:
            raise PgError("42702", f'common column name "{name}" appears more than once in {side} table')
        return found[0]

    def _visible(
        self,
        node: ast.JoinRef,
        plan: p.Plan,
        items: list[Item],
        merged: list[tuple[str, p.Column, p.Column]],
    ) -> tuple[p.Plan, list[Item]]:
        """What the join shows: its items, or with USING the merged columns before the others."""
        if not merged and node.alias is None:
            return plan, items
        gone = {column.id for _, a, b in merged for column in (a, b)}
        plan, front = self._merge_columns(node.kind, plan, merged)
        rest = [
            (label, column)
            for item in items
            if item.by_column
            for label, column in item.columns
            if column.id not in gone
        ]
        columns = [*front, *rest]
        if node.alias is not None:
            return plan, [self._named("", columns, node.alias, node.pos)]
        for item in items:
            item.by_column = False
        using = [Item(node.using_alias, list(front), by_column=False)] if node.using_alias else []
        return plan, [*items, Item("", columns, by_name=False), *using]

    def _merge_columns(
        self, kind: str, plan: p.Plan, merged: list[tuple[str, p.Column, p.Column]]
    ) -> tuple[p.Plan, list[tuple[str, p.Column]]]:
        """USING's columns: the left side's, of RIGHT JOIN the right's, of FULL JOIN whichever is there."""
        front: list[tuple[str, p.Column]] = []
        computed: list[tuple[p.Expr, p.Column]] = []
        for name, a, b in merged:
            refs_ = (p.ColumnRef(a.id, a.type), p.ColumnRef(b.id, b.type))
            type_ = common_type(refs_, None, "JOIN/USING")
            chosen = b if kind == "right" else a
            if kind != "full" and chosen.type == type_:
                front.append((name, chosen))
                continue
            exprs = [self.coerce(expr, type_, None) for expr in refs_]
            value: p.Expr = exprs[1] if kind == "right" else exprs[0]
            if kind == "full":
                value = p.Coalesce((exprs[0], exprs[1]), type_)
            column = self.column(name, value.type)
            computed.append((value, column))
            front.append((name, column))
        if computed:
            outputs = (*plan.columns, *(column for _, column in computed))
            plan = p.Project(plan, (*refs(plan.columns), *(expr for expr, _ in computed)), outputs)
        return plan, front


def depends(right: p.Plan, left: p.Plan) -> bool:
    """Whether a FROM item reads columns of what stands left of it."""
    return not outer_ids(right).isdisjoint(column.id for column in left.columns)
