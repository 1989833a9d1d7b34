"""What operators partition, order and read by: columns, hidden ones where the query has expressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from laminar.engine.nodes import Node
from laminar.sql.plan import BOOLEAN, Column, ColumnRef, Const, Expr, SortItem, Test
from laminar.sql.sortkeys import key_type, sort_key
from laminar.sql.stream import legality
from laminar.sql.stream.timewindow import closing_key
from laminar.types import PgType

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner


class Keying:
    """Columns of a node, and hidden ones that are to be computed below whoever needs them."""

    def __init__(self, planner: Planner, node: Node) -> None:
        self._planner = planner
        self._node = node
        self._added: list[tuple[Column, Expr]] = []

    def column(self, expr: Expr, type_: PgType, name: str) -> int:
        """The id of the column that holds ``expr``."""
        legality.check_expression(expr)
        if isinstance(expr, ColumnRef):
            return expr.id
        for column, known in self._added:
            if known == expr:
                return column.id
        column = self._planner.column(name, type_)
        self._added.append((column, expr))
        return column.id

    def read(self, expr: Expr) -> Expr:
        """``expr`` as a column or a constant."""
        if isinstance(expr, Const):
            return expr
        return ColumnRef(self.column(expr, expr.type, "argument"), expr.type)

    def partition(self, exprs: Sequence[Expr]) -> tuple[int, ...]:
        """Columns that are equal exactly when the expressions are; without those that say nothing."""
        ids = [self.column(sort_key(e), key_type(e.type), "key") for e in exprs if not isinstance(e, Const)]
        return tuple(dict.fromkeys(ids))

    def order(self, items: Sequence[SortItem]) -> tuple[tuple[int, bool], ...]:
        """Columns whose comparable form orders rows as the items do (nulls last, first when descending)."""
        order: list[tuple[int, bool]] = []
        for item in items:
            if isinstance(item.expr, Const):
                continue
            if item.nulls_first != item.descending:
                null = self.column(Test(item.expr, "null"), BOOLEAN, "null")
                order.append((null, item.nulls_first))
            column = self.column(sort_key(item.expr), key_type(item.expr.type), "order")
            order.append((column, item.descending))
        return tuple(order)

    def window_end(self, keys: Sequence[Expr]) -> int | None:
        """The column that says when partitions by ``keys`` are complete, if the view asks for that."""
        if not self._planner.judges:
            return None
        refs = [key for key in keys if isinstance(key, ColumnRef)]
        found = closing_key(self._planner, refs, self._node.properties.watermarks)
        if found is None or isinstance(found, ColumnRef):
            return None if found is None else found.id
        return self.column(found, found.type, "window_end")

    def node(self) -> Node:
        """The node with the hidden columns."""
        if not self._added:
            return self._node
        kept: list[tuple[Column, Expr]] = [
            (c, ColumnRef(c.id, c.type)) for c in self._node.properties.columns
        ]
        return self._planner.project(self._node, kept + self._added)
