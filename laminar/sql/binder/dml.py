"""INSERT, UPDATE and DELETE as plans of the rows they make, change or remove."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from laminar.errors import (
    DATATYPE_MISMATCH,
    DUPLICATE_COLUMN,
    SYNTAX_ERROR,
    UNDEFINED_COLUMN,
    PgError,
    not_supported,
)
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql import statements as s
from laminar.sql.binder.literals import literal_arrays, literal_query
from laminar.sql.binder.locking import BoundLocking
from laminar.sql.binder.queries import QueryBinder
from laminar.sql.binder.scope import CteEntry, Item, Level
from laminar.sql.binder.state import location
from laminar.sql.catalog_view import Access, Attribute, CatalogView, Relation
from laminar.sql.expressions import substitute, walk
from laminar.sql.parse import parse_expression
from laminar.sql.resolve import type_name
from laminar.sql.trees import has_subquery, ref, refs
from laminar.types import INT8, PgType

_KIND_NAMES = {"mview": "materialized view", "view": "view", "stream": "stream", "system": "system relation"}


@dataclass(frozen=True, slots=True)
class BoundConflict:
    """ON CONFLICT. ``arbiter``: attribute numbers, () when none was named.

    ``assignments`` (attnum, expression) and ``where`` read ``existing`` (the row there, all attributes in
    order) and the insert's own columns (EXCLUDED).
    """

    action: Literal["nothing", "update"]
    arbiter: tuple[int, ...]
    assignments: tuple[tuple[int, p.Expr], ...]
    where: p.Expr | None
    existing: tuple[p.Column, ...]


@dataclass(frozen=True, slots=True)
class BoundInsert:
    """Rows to insert: ``plan`` gives all attributes in order; ``batch`` has them where all are literals.

    ``columns`` are the new row's; RETURNING's expressions read them.
    """

    relation: Relation
    plan: p.Plan | None
    batch: pa.RecordBatch | None
    columns: tuple[p.Column, ...]
    on_conflict: BoundConflict | None
    returning: tuple[p.Expr, ...]
    returning_columns: tuple[p.Column, ...]
    param_types: tuple[PgType, ...]
    accesses: frozenset[Access]
    locking: tuple[BoundLocking, ...] = ()
    modifying: tuple[BoundModifying, ...] = ()


@dataclass(frozen=True, slots=True)
class BoundUpdate:
    """``plan`` gives ``key`` (the hidden stream key, where the relation has no primary key), the old row,
    the new row, and what RETURNING reads of FROM; one row per row to change."""

    relation: Relation
    plan: p.Plan
    key: p.Column | None
    old: tuple[p.Column, ...]
    new: tuple[p.Column, ...]
    returning: tuple[p.Expr, ...]
    returning_columns: tuple[p.Column, ...]
    param_types: tuple[PgType, ...]
    accesses: frozenset[Access]
    locking: tuple[BoundLocking, ...] = ()
    modifying: tuple[BoundModifying, ...] = ()


@dataclass(frozen=True, slots=True)
class BoundDelete:
    """``plan`` gives ``key`` (see BoundUpdate), the old row, and what RETURNING reads of USING."""

    relation: Relation
    plan: p.Plan
    key: p.Column | None
    old: tuple[p.Column, ...]
    returning: tuple[p.Expr, ...]
    returning_columns: tuple[p.Column, ...]
    param_types: tuple[PgType, ...]
    accesses: frozenset[Access]
    locking: tuple[BoundLocking, ...] = ()
    modifying: tuple[BoundModifying, ...] = ()


@dataclass(frozen=True, slots=True)
class BoundModifying:
    """An INSERT, UPDATE or DELETE in WITH; what it returns are the rows of relation ``number`` (< 0)."""

    number: int
    statement: s.Insert | s.Update | s.Delete
    bound: BoundInsert | BoundUpdate | BoundDelete


class DmlBinder(QueryBinder):
    """Statements that change rows."""

    def __init__(self, catalog: CatalogView, param_types: Sequence[int] | None = None) -> None:
        super().__init__(catalog, param_types)
        self._overriding: str | None = None

    # --- targets

    def target(self, name: s.QName, verb: str) -> Relation:
        relation = self.relation(name.parts, name.pos)
        allowed = ("table", "source") if verb == "insert into" else ("table",)
        if relation.kind not in allowed:
            if relation.kind == "source":
                raise PgError(
                    "42809",
                    f'cannot {verb} source "{relation.name}"',
                    hint="Rows of a source are only appended.",
                    position=name.pos or None,
                )
            what = _KIND_NAMES.get(relation.kind, relation.kind)
            raise PgError("42809", f'cannot {verb} {what} "{relation.name}"', position=name.pos or None)
        return relation

    def _before(self) -> tuple[tuple[BoundLocking, ...], tuple[BoundModifying, ...]]:
        """What runs before the statement."""
        return tuple(self.locking), tuple(self.modifying)

    def bind_modifying(self, entry: CteEntry) -> None:
        statement, overriding = entry.cte.modifying, self._overriding
        outer = self.locking, self.modifying, self.around, self._inside
        number = self.stand_in()
        # Numbers go on, but what runs before the other statements is not for this one to run.
        self.around, self._inside = entry.environment, True
        known = len(self.locking)
        bound: BoundInsert | BoundUpdate | BoundDelete
        if isinstance(statement, s.Insert):
            bound = self.insert(statement)
        elif isinstance(statement, s.Update):
            bound = self.update(statement)
        else:
            bound = self.delete(statement)
        self.locking, self.modifying, self.around, self._inside = outer
        self._overriding = overriding
        if len(self.locking) > known:
            raise not_supported("FOR UPDATE in a data-modifying statement of WITH is not supported")
        entry.returned, entry.returns = number, bound.returning_columns
        self.modifying.append(BoundModifying(number, statement, replace(bound, locking=(), modifying=())))

    def target_columns(
        self, relation: Relation, names: list[tuple[str, int]] | None
    ) -> list[tuple[Attribute, int]]:
        """The attributes that INSERT or COPY name, with positions; all without a list."""
        if names is None:
            return [(attribute, 0) for attribute in relation.columns]
        result: list[tuple[Attribute, int]] = []
        for name, pos in names:
            attribute = self.attribute(relation, name, pos)
            if any(attribute is other for other, _ in result):
                raise PgError(DUPLICATE_COLUMN, f'column "{name}" specified more than once', position=pos)
            result.append((attribute, pos))
        return result

    @staticmethod
    def attribute(relation: Relation, name: str, pos: int) -> Attribute:
        for attribute in relation.columns:
            if attribute.name == name:
                return attribute
        raise PgError(
            UNDEFINED_COLUMN,
            f'column "{name}" of relation "{relation.name}" does not exist',
            position=pos or None,
        )

    def assign(self, expr: p.Expr, attribute: Attribute, node: object) -> p.Expr:
        """A value as its column takes it (assignment cast)."""
        try:
            return self.coerce(expr, attribute.type, node, "assignment")
        except PgError as error:
            if error.sqlstate != "42846":
                raise
            have = type_name(PgType(expr.type.oid))
            want = type_name(PgType(attribute.type.oid))
            raise PgError(
                DATATYPE_MISMATCH,
                f'column "{attribute.name}" is of type {want} but expression is of type {have}',
                hint="You will need to rewrite or cast the expression.",
                position=location(node) or None,
            ) from None

    def default(self, attribute: Attribute) -> p.Expr:
        """A column's default, or null."""
        if attribute.default is None:
            return p.Const(None, attribute.type)
        node = parse_expression(attribute.default)
        level = Level(clause="DEFAULT")
        return self.coerce(self.expr(node, level), attribute.type, None, "assignment")

    def generated(self, relation: Relation, attribute: Attribute, columns: Sequence[p.Column]) -> p.Expr:
        """A computed column's value over the row's other columns."""
        assert attribute.generated is not None
        level = Level(items=[_item(relation, relation.name, columns)], clause="column generation")
        node = parse_expression(attribute.generated)
        return self.coerce(self.expr(node, level), attribute.type, None, "assignment")

    # --- INSERT

    def insert(self, node: s.Insert) -> BoundInsert:
        relation = self.target(node.relation, "insert into")
        targets = self.target_columns(relation, node.columns)
        self._overriding = node.overriding
        source = node.source
        batch: pa.RecordBatch | None = None
        plan: p.Plan | None = None
        if isinstance(source, s.LiteralRows):
            arrays = self._literal_batch(relation, targets, source, node.columns is not None)
            if arrays is None:
                source = literal_query(source)
            else:
                batch = arrays
        if batch is None:
            assert not isinstance(source, s.LiteralRows)
            plan = self._insert_plan(relation, targets, source, node)
            columns = plan.columns
        else:
            columns = tuple(self.column(a.name, a.type, (relation.oid, a.attnum)) for a in relation.columns)
        name = node.alias or relation.name
        conflict = self._conflict(node.on_conflict, relation, name, columns)
        returning = self._returning(node.returning, [_item(relation, name, columns)])
        params = tuple(self.parameter_types())
        self.access(relation.oid, "INSERT")
        if conflict is not None and conflict.action == "update":
            self.access(relation.oid, "UPDATE")
        if node.returning or (conflict is not None and conflict.arbiter):
            self.access(relation.oid)
        found = frozenset(self.accesses)
        return BoundInsert(
            relation, plan, batch, columns, conflict, *returning, params, found, *self._before()
        )

    def _literal_batch(
        self, relation: Relation, targets: list[tuple[Attribute, int]], rows: s.LiteralRows, listed: bool
    ) -> pa.RecordBatch | None:
        """The rows as columns, when every value can be read as its column's text."""
        given = [attribute for attribute, _ in targets]
        if len(rows.columns) > len(given) or (listed and len(rows.columns) < len(given)):
            return None
        given = given[: len(rows.columns)]
        missing = [a for a in relation.columns if all(a is not b for b in given)]
        if any(a.generated is not None or a.identity for a in relation.columns):
            return None
        constants: dict[int, p.Expr] = {a.attnum: self.default(a) for a in missing}
        if not all(isinstance(expr, p.Const) for expr in constants.values()):
            return None
        parsed = literal_arrays(rows, [a.type for a in given])
        if parsed is None:
            return None
        by_number = {a.attnum: array for a, array in zip(given, parsed, strict=True)}
        arrays = []
        for attribute in relation.columns:
            array = by_number.get(attribute.attnum)
            if array is None:
                constant = constants[attribute.attnum]
                assert isinstance(constant, p.Const)
                scalar = pa.scalar(constant.value, attribute.type.storage)
                array = pa.repeat(scalar, rows.count)
            arrays.append(array)
        return pa.RecordBatch.from_arrays(arrays, names=[str(a.attnum) for a in relation.columns])

    def _insert_plan(
        self,
        relation: Relation,
        targets: list[tuple[Attribute, int]],
        source: ast.Query | None,
        node: s.Insert,
    ) -> p.Plan:
        level = self.with_level(node.with_)
        if source is None:
            plan: p.Plan = p.Values(((),), ())
            given: list[Attribute] = []
        elif isinstance(source, ast.ValuesQuery) and source.tail.empty:
            plan, given = self._insert_values(source, targets, node.columns is not None, level)
        else:
            plan, given = self._insert_select(source, targets, node.columns is not None, level)
        return self._whole_rows(relation, plan, given)

    def _insert_values(
        self, source: ast.ValuesQuery, targets: list[tuple[Attribute, int]], listed: bool, level: Level
    ) -> tuple[p.Plan, list[Attribute]]:
        level.clause = "VALUES"
        width = len(source.rows[0])
        for row in source.rows:
            if len(row) != width:
                raise PgError(
                    SYNTAX_ERROR,
                    "VALUES lists must all be the same length",
                    position=location(row[0]) or None,
                )
        given = self._fit_targets(width, targets, listed, source.rows[0])
        rows = []
        for row in source.rows:
            values = []
            for attribute, item in zip(given, row, strict=True):
                if isinstance(item, ast.Default):
                    values.append(self.default(attribute))
                    continue
                self._refuse_generated(attribute, "insert a non-DEFAULT value into")
                values.append(self.assign(self.expr(item, level), attribute, item))
            rows.append(tuple(values))
        columns = tuple(self.column(a.name, a.type) for a in given)
        return p.Values(tuple(rows), columns), given

    def _insert_select(
        self, source: ast.Query, targets: list[tuple[Attribute, int]], listed: bool, level: Level
    ) -> tuple[p.Plan, list[Attribute]]:
        plan = self.query(source, None, level, unknowns=True)
        places = self._item_positions(source)
        nodes = [ast.Default(pos) for pos in places]
        nodes += [ast.Default(0)] * (len(plan.columns) - len(nodes))
        given = self._fit_targets(len(plan.columns), targets, listed, nodes)
        exprs = []
        for index, (attribute, column) in enumerate(zip(given, plan.columns, strict=True)):
            self._refuse_generated(attribute, "insert a non-DEFAULT value into")
            expr: p.Expr = ref(column)
            if isinstance(plan, p.Project) and isinstance(plan.exprs[index], p.Const | p.Param):
                expr = plan.exprs[index]
            exprs.append(self.assign(expr, attribute, nodes[index]))
        columns = tuple(self.column(a.name, a.type) for a in given)
        return p.Project(plan, tuple(exprs), columns), given

    def _fit_targets(
        self, width: int, targets: list[tuple[Attribute, int]], listed: bool, nodes: Sequence[object]
    ) -> list[Attribute]:
        if width > len(targets):
            raise PgError(
                SYNTAX_ERROR,
                "INSERT has more expressions than target columns",
                position=location(nodes[len(targets)]) or None,
            )
        if listed and width < len(targets):
            raise PgError(
                SYNTAX_ERROR,
                "INSERT has more target columns than expressions",
                position=targets[width][1] or None,
            )
        return [attribute for attribute, _ in targets[:width]]

    def _refuse_generated(self, attribute: Attribute, what: str) -> None:
        if attribute.identity == "a" and self._overriding is None and what.startswith("insert"):
            raise PgError(
                "428C9",
                f'cannot {what} column "{attribute.name}"',
                detail=f'Column "{attribute.name}" is an identity column defined as GENERATED ALWAYS.',
                hint="Use OVERRIDING SYSTEM VALUE to override.",
            )
        if attribute.generated is not None:
            raise PgError(
                "428C9",
                f'cannot {what} column "{attribute.name}"',
                detail=f'Column "{attribute.name}" is a generated column.',
            )

    def _whole_rows(self, relation: Relation, plan: p.Plan, given: list[Attribute]) -> p.Plan:
        """All attributes in order: given ones, defaults, then computed columns over those."""
        places = {a.attnum: column for a, column in zip(given, plan.columns, strict=True)}
        exprs: list[p.Expr] = []
        for attribute in relation.columns:
            column = places.get(attribute.attnum)
            ignored = attribute.identity and self._overriding == "user"
            if column is not None and attribute.generated is None and not ignored:
                exprs.append(ref(column))
            elif attribute.generated is not None:
                exprs.append(p.Const(None, attribute.type))
            else:
                exprs.append(self.default(attribute))
        return self._with_generated(relation, p.Project(plan, tuple(exprs), self._fresh(relation)))

    def _fresh(self, relation: Relation) -> tuple[p.Column, ...]:
        return tuple(self.column(a.name, a.type, (relation.oid, a.attnum)) for a in relation.columns)

    def _with_generated(self, relation: Relation, plan: p.Plan) -> p.Plan:
        """Fill in computed columns over the others."""
        if all(a.generated is None for a in relation.columns):
            return plan
        exprs = tuple(
            ref(column) if a.generated is None else self.generated(relation, a, plan.columns)
            for a, column in zip(relation.columns, plan.columns, strict=True)
        )
        return p.Project(plan, exprs, self._fresh(relation))

    def _conflict(
        self, node: s.OnConflict | None, relation: Relation, name: str, columns: tuple[p.Column, ...]
    ) -> BoundConflict | None:
        if node is None:
            return None
        arbiter = tuple(self.attribute(relation, column, pos).attnum for column, pos in node.columns)
        if node.constraint is not None:
            named = dict(relation.uniques)
            if relation.primary_key:
                named[f"{relation.name}_pkey"] = relation.primary_key
            if node.constraint not in named:
                raise PgError(
                    "42704", f'constraint "{node.constraint}" for table "{relation.name}" does not exist'
                )
            arbiter = named[node.constraint]
        elif node.columns:
            keys = [relation.primary_key, *(attnums for _, attnums in relation.uniques)]
            arbiter = next((key for key in keys if key and set(key) == set(arbiter)), ())
        if node.columns and not arbiter:
            raise PgError(
                "42P10",
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
                position=node.pos or None,
            )
        if node.action == "update" and not arbiter:
            raise PgError(
                SYNTAX_ERROR,
                "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                hint="For example, ON CONFLICT (column_name).",
                position=node.pos or None,
            )
        existing = self._fresh(relation)
        items = [_item(relation, name, existing), _item(relation, "excluded", columns)]
        items[1].by_column = False
        level = Level(items=items, clause="UPDATE")
        assignments = self._assignments(relation, node.assignments, level)
        if node.action == "update":
            new = {c.id: assignments[a] for a, c in enumerate(existing, 1) if a in assignments}
            for attribute in relation.columns:
                if attribute.generated is not None:
                    value = self.generated(relation, attribute, existing)
                    assignments[attribute.attnum] = substitute(value, new)
        where = None
        if node.where is not None:
            level.clause = "WHERE"
            where = self.boolean(self.expr(node.where, level), node.where, "WHERE")
        for expr in [*assignments.values(), *([where] if where is not None else [])]:
            if has_subquery(expr):
                raise not_supported("subqueries in ON CONFLICT are not supported", position=node.pos or None)
        return BoundConflict(node.action, arbiter, tuple(assignments.items()), where, existing)

    def _assignments(self, relation: Relation, nodes: list[s.Assignment], level: Level) -> dict[int, p.Expr]:
        """SET clauses: attnum -> value."""
        values: dict[int, p.Expr] = {}
        for node in nodes:
            for (name, pos), expr, source in self._sources(node, level):
                attribute = self.attribute(relation, name, pos)
                if attribute.attnum in values:
                    raise PgError(SYNTAX_ERROR, f'multiple assignments to same column "{name}"')
                if isinstance(source, ast.Default):
                    values[attribute.attnum] = self.default(attribute)
                    continue
                if attribute.generated is not None or attribute.identity == "a":
                    how = "a generated column"
                    if attribute.identity:
                        how = "an identity column defined as GENERATED ALWAYS"
                    raise PgError(
                        "428C9",
                        f'column "{name}" can only be updated to DEFAULT',
                        detail=f'Column "{name}" is {how}.',
                    )
                assert expr is not None
                values[attribute.attnum] = self.assign(expr, attribute, source)
        return values

    def _sources(
        self, node: s.Assignment, level: Level
    ) -> list[tuple[tuple[str, int], p.Expr | None, ast.Expr]]:
        """Each column of an assignment with its value."""
        if len(node.columns) == 1 and not (node.listed and isinstance(node.expr, ast.Row)):
            expr = None if isinstance(node.expr, ast.Default) else self.expr(node.expr, level)
            return [(node.columns[0], expr, node.expr)]
        if isinstance(node.expr, ast.SubLink) and node.expr.kind == "scalar":
            items: list[p.Expr] = self.row_subquery(node.expr, level)
            nodes: list[ast.Expr] = [node.expr] * len(items)
        elif isinstance(node.expr, ast.Row):
            nodes = node.expr.items
            items = [
                p.Const(None, PgType(705)) if isinstance(n, ast.Default) else self.expr(n, level)
                for n in nodes
            ]
        else:
            raise not_supported(
                "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
                position=location(node.expr) or None,
            )
        if len(items) != len(node.columns):
            raise PgError(
                SYNTAX_ERROR,
                "number of columns does not match number of values",
                position=location(node.expr) or None,
            )
        return list(zip(node.columns, items, nodes, strict=True))

    # --- RETURNING

    def _returning(
        self, nodes: list[ast.Target], items: list[Item]
    ) -> tuple[tuple[p.Expr, ...], tuple[p.Column, ...]]:
        if not nodes:
            return (), ()
        level = Level(items=items, clause="RETURNING")
        outs = self.targets(nodes, level, unknowns=False)
        for out in outs:
            if has_subquery(out.expr):
                raise not_supported(
                    "subqueries in RETURNING are not supported", position=location(out.node) or None
                )
        return tuple(out.expr for out in outs), tuple(self.output(out.name, out.expr) for out in outs)

    # --- UPDATE, DELETE

    def _target_scan(self, relation: Relation, alias: str | None) -> tuple[p.Scan, p.Column | None, Item]:
        """The target's rows with the hidden key where there is no primary key."""
        scan, ids = self.scan(relation)
        columns = scan.columns
        key: p.Column | None = None
        if not relation.primary_key:
            key = self.column("laminar_key", PgType(INT8))
            scan = p.Scan(scan.relation, (key, *scan.columns), (0, *scan.attnums))
        item = _item(relation, alias or relation.name, columns)
        item.relation, item.ids, item.schema = relation, ids, relation.schema
        if alias is not None and alias != relation.name:
            item.real_name = relation.name
        return scan, key, item

    def _joined(
        self, scan: p.Plan, item: Item, from_: list[ast.FromItem], where: ast.Expr | None, level: Level
    ) -> p.Plan:
        """The target joined with FROM or USING and filtered."""
        plan = scan
        if from_:
            other = Level(None, dict(level.ctes))
            right = self.from_clause(from_, other)
            self._check_names([item], other.items)
            plan = p.Join("cross", scan, right, None)
            level.items = [item, *other.items]
        else:
            level.items = [item]
        if where is not None:
            level.clause = "WHERE"
            plan = p.Filter(plan, self.boolean(self.expr(where, level), where, "WHERE"))
        return plan

    def _once(self, plan: p.Plan, relation: Relation, key: p.Column | None, item: Item) -> p.Plan:
        """Each target row once, however many rows of FROM it meets."""
        if key is not None:
            return p.DistinctOn(plan, (ref(key),))
        on = tuple(ref(self.columns[item.ids[attnum]]) for attnum in relation.primary_key)
        return p.DistinctOn(plan, on)

    def update(self, node: s.Update) -> BoundUpdate:
        relation = self.target(node.relation, "update")
        if relation.append_only:
            raise PgError("42809", f'cannot update append-only table "{relation.name}"')
        level = self.with_level(node.with_)
        scan, key, item = self._target_scan(relation, node.alias)
        old = tuple(column for _, column in item.columns)
        plan = self._joined(scan, item, node.from_, node.where, level)
        level.clause = "UPDATE"
        values = self._assignments(relation, node.assignments, level)
        if node.from_:
            plan = self._once(plan, relation, key, item)
        exprs = [values.get(a.attnum, ref(column)) for a, column in zip(relation.columns, old, strict=True)]
        new = self._fresh(relation)
        kept = plan.columns
        plan = p.Project(plan, (*refs(kept), *exprs), (*kept, *new))
        if any(a.generated is not None for a in relation.columns):
            again = self._fresh(relation)
            computed = tuple(
                ref(c) if a.generated is None else self.generated(relation, a, new)
                for a, c in zip(relation.columns, new, strict=True)
            )
            plan, new = p.Project(plan, (*refs(kept), *computed), (*kept, *again)), again
        others = [other for other in level.items if other is not item]
        shown = _item(relation, item.name, new)
        returning = self._returning(node.returning, [shown, *others])
        params = tuple(self.parameter_types())
        self.access(relation.oid, "UPDATE")
        if node.where is not None or node.returning or _reads(values.values(), old):
            self.access(relation.oid)
        found = frozenset(self.accesses)
        return BoundUpdate(relation, plan, key, old, new, *returning, params, found, *self._before())

    def delete(self, node: s.Delete) -> BoundDelete:
        relation = self.target(node.relation, "delete from")
        if relation.append_only:
            raise PgError("42809", f'cannot delete from append-only table "{relation.name}"')
        level = self.with_level(node.with_)
        scan, key, item = self._target_scan(relation, node.alias)
        old = tuple(column for _, column in item.columns)
        plan = self._joined(scan, item, node.using, node.where, level)
        if node.using:
            plan = self._once(plan, relation, key, item)
        returning = self._returning(node.returning, level.items)
        params = tuple(self.parameter_types())
        self.access(relation.oid, "DELETE")
        if node.where is not None or node.returning:
            self.access(relation.oid)
        found = frozenset(self.accesses)
        return BoundDelete(relation, plan, key, old, *returning, params, found, *self._before())


def _reads(exprs: Iterable[p.Expr], columns: Sequence[p.Column]) -> bool:
    """Whether one of the expressions reads one of the columns."""
    ids = {column.id for column in columns}
    return any(isinstance(e, p.ColumnRef) and e.id in ids for expr in exprs for e in walk(expr))


def _item(relation: Relation, name: str, columns: Sequence[p.Column]) -> Item:
    return Item(name, [(a.name, column) for a, column in zip(relation.columns, columns, strict=True)])
