"""GROUP BY: keys, grouping sets, and what may be said about a group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from laminar.errors import GROUPING_ERROR, PgError
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql.binder.relations import RelationBinder
from laminar.sql.binder.scope import Item, Level
from laminar.sql.binder.state import location
from laminar.sql.resolve import make_operator
from laminar.sql.trees import canonical, map_children, map_value, ref, refs, rewrite_deep
from laminar.types import INT4, PgType

Change = Callable[[p.Expr], p.Expr]
_INT = PgType(INT4)


class GroupingBinder(RelationBinder):
    """GROUP BY and the expressions above it."""

    if TYPE_CHECKING:

        def group_expression(self, node: ast.Expr, level: Level, outs: list[Out]) -> p.Expr: ...

    def grouping_sets(
        self, items: list[ast.Expr | ast.GroupingSet], level: Level, outs: list[Out]
    ) -> tuple[list[p.Expr], list[tuple[int, ...]]]:
        """The distinct key expressions and the sets as indexes into them."""
        keys: list[p.Expr] = []
        places: dict[p.Expr, int] = {}

        def index(node: ast.Expr) -> int:
            expr = self.group_expression(node, level, outs)
            shape = canonical(expr)
            if shape not in places:
                places[shape] = len(keys)
                keys.append(expr)
            return places[shape]

        parts = [self._sets_of(item, index) for item in items]
        count = 1
        for part in parts:
            count *= len(part)
        if count > 4096:
            raise PgError("54001", "too many grouping sets present (maximum 4096)")
        sets = [
            tuple(dict.fromkeys(key for part in combined for key in part)) for combined in product(*parts)
        ]
        return keys, sets

    def _sets_of(
        self, item: ast.Expr | ast.GroupingSet, index: Callable[[ast.Expr], int]
    ) -> list[tuple[int, ...]]:
        if not isinstance(item, ast.GroupingSet):
            if isinstance(item, ast.Row) and not item.explicit:
                return [tuple(index(part) for part in item.items)]
            return [(index(item),)]
        if item.kind == "empty":
            return [()]
        if item.kind == "sets":
            return [one for inner in item.items for one in self._sets_of(inner, index)]
        elements = [self._sets_of(inner, index)[0] for inner in item.items]
        if item.kind == "rollup":
            return [sum(elements[:n], ()) for n in range(len(elements), -1, -1)]
        if len(elements) > 12:
            raise PgError("54011", "CUBE is limited to 12 elements", position=item.pos)
        return [
            sum((e for i, e in enumerate(elements) if not mask >> (len(elements) - 1 - i) & 1), ())
            for mask in range(1 << len(elements))
        ]

    def group(
        self,
        plan: p.Plan,
        level: Level,
        keys: list[p.Expr],
        sets: list[tuple[int, ...]],
        uses: Callable[[Change], None],
    ) -> p.Plan:
        """A GroupBy; ``uses`` is called with what turns expressions over its input into ones over it."""
        plan, columns = self._computed(plan, keys)
        change = _Grouped(self, level, keys, columns, len(sets) > 1)
        for column, node in level.grouping_calls:
            change.replacements[column.id] = self._grouping_value(node, level, change)
        for arg in level.direct_args:
            _check_direct(change, arg)
        uses(change)
        key_columns = change.inputs
        outputs = change.outputs
        sets = sets or [()]
        if len(sets) == 1:
            sets = [tuple(range(len(key_columns)))]
        aggregates = tuple(use.aggregate for use in level.aggregates)
        results = tuple(use.column for use in level.aggregates)
        grouping = (change.grouping_id,) if len(sets) > 1 else ()
        return p.GroupBy(
            plan, refs(tuple(key_columns)), aggregates, (*outputs, *results, *grouping), tuple(sets)
        )

    def _grouping_value(self, node: ast.Special, level: Level, change: _Grouped) -> p.Expr:
        """GROUPING(…): the bits of its arguments, the leftmost the most significant."""
        value: p.Expr = p.Const(0, _INT)
        for arg in node.args:
            shape = canonical(self.expr(arg, level))
            if shape not in change.places:
                raise PgError(
                    GROUPING_ERROR,
                    "arguments to GROUPING must be grouping expressions of the associated query level",
                    position=location(arg),
                )
            if not change.several:
                continue
            shift = change.count - 1 - change.places[shape]
            bit = make_operator(">>", ref(change.grouping_id), p.Const(shift, _INT))
            bit = make_operator("&", bit, p.Const(1, _INT))
            value = make_operator("|", make_operator("<<", value, p.Const(1, _INT)), bit)
        return value


def _check_direct(change: Change, arg: p.Expr) -> None:
    """Raise 42803 for a direct argument with a column that is not grouped."""
    try:
        change(arg)
    except PgError as error:
        error.detail = "Direct arguments of an ordered-set aggregate must use only grouped columns."
        raise


class Out:
    """A select list item, or an expression that only ORDER BY needs (``hidden``)."""

    __slots__ = ("expr", "hidden", "name", "node")

    def __init__(self, name: str, expr: p.Expr, node: ast.Expr | None, hidden: bool = False) -> None:
        self.name, self.expr, self.node, self.hidden = name, expr, node, hidden


class _Grouped:
    """Turns an expression over the input of a GroupBy into one over its output."""

    def __init__(
        self,
        binder: GroupingBinder,
        level: Level,
        keys: list[p.Expr],
        columns: list[p.Column],
        several: bool,
    ) -> None:
        self.binder, self.level, self.several = binder, level, several
        self.inputs = list(columns)
        self.count = len(columns)
        #: with several sets a key may be null in the output, so it is another column
        self.outputs = (
            [binder.column(c.name, c.type, c.origin) for c in columns] if several else list(columns)
        )
        self.places = {canonical(key): place for place, key in enumerate(keys)}
        self.results = {use.column.id for use in level.aggregates} | {use.column.id for use in level.windows}
        self.replacements: dict[int, p.Expr] = {}
        self.grouping_id = binder.column("grouping_id", _INT)
        self.input_ids = {column.id: item for item in level.items for _, column in item.columns}

    def __call__(self, expr: p.Expr) -> p.Expr:
        if not isinstance(expr, p.Const | p.Param):
            place = self.places.get(canonical(expr))
            if place is not None:
                return ref(self.outputs[place])
        if isinstance(expr, p.ColumnRef):
            return self._column(expr)
        if isinstance(expr, p.Subquery):
            return replace(expr, left=map_value(expr.left, self), plan=rewrite_deep(expr.plan, self._outer))
        return map_children(expr, self)

    def _column(self, expr: p.ColumnRef) -> p.Expr:
        if expr.id in self.results:
            return expr
        if expr.id in self.replacements:
            return self.replacements[expr.id]
        item = self.input_ids.get(expr.id)
        if item is not None and self._dependent(item):
            column = self.binder.columns[expr.id]
            self.places[p.ColumnRef(expr.id, expr.type)] = len(self.outputs)
            self.inputs.append(column)
            self.outputs.append(column)
            return expr
        name = self._name(expr.id)
        raise PgError(
            GROUPING_ERROR,
            f'column "{name}" must appear in the GROUP BY clause or be used in an aggregate function',
            position=self.binder.position_of(expr),
        )

    def _outer(self, expr: p.Expr) -> p.Expr:
        """A reference from inside a subquery."""
        if not isinstance(expr, p.Outer) or expr.id not in self.input_ids:
            return expr
        place = self.places.get(p.ColumnRef(expr.id, expr.type))
        if place is None and self._dependent(self.input_ids[expr.id]):
            self._column(p.ColumnRef(expr.id, expr.type))
            return expr
        if place is None:
            raise PgError(
                GROUPING_ERROR,
                f'subquery uses ungrouped column "{self._name(expr.id)}" from outer query',
                position=self.binder.position_of(expr),
            )
        return p.Outer(self.outputs[place].id, expr.type, expr.depth)

    def _dependent(self, item: Item) -> bool:
        """Whether the item's primary key is among the keys: then its other columns are determined too."""
        if self.several or item.relation is None or not item.relation.primary_key:
            return False
        grouped = {column.id for column in self.inputs}
        return all(item.ids[attnum] in grouped for attnum in item.relation.primary_key)

    def _name(self, id_: int) -> str:
        for item in self.level.items:
            if item.name:
                for label, column in item.columns:
                    if column.id == id_:
                        return f"{item.name}.{label}"
        return self.binder.columns[id_].name
