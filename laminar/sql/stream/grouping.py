"""GROUP BY and DISTINCT as keyed aggregation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.engine.nodes import GroupAggregate, GroupFold, GroupReduce, HashJoin, Node, Properties, Slices
from laminar.sql import plan as logical
from laminar.sql.plan import Aggregate, Call, Coalesce, Column, ColumnRef, Const, Expr
from laminar.sql.sortkeys import key_type, sort_key
from laminar.sql.stream import distincts, reduction, twophase
from laminar.sql.stream.emission import check_sessions, emit_above, of_sessions
from laminar.sql.stream.setops import union_all
from laminar.sql.stream.slicing import by_slices
from laminar.sql.stream.timewindow import closing_key
from laminar.sql.stream.twophase import ANY_VALUE

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner


def group_by(planner: Planner, node: logical.GroupBy) -> Node:
    """A GroupAggregate over what is needed of the input, behind an exchange by its keys."""
    for aggregate in node.aggregates:
        reduction.check(aggregate)
    below = planner.build_below(node.input, row_watermark=planner.judges)
    if len(node.sets) > 1 or (node.sets and len(node.sets[0]) < len(node.keys)):
        return _grouping_sets(planner, node, below)
    return _Grouping(planner, node, below).build()


def _grouping_sets(planner: Planner, node: logical.GroupBy, below: Node) -> Node:
    """One aggregation per grouping set over the same input, and the union of their results."""
    sides = []
    for chosen in node.sets:
        renewed = tuple(planner.column(c.name, c.type) for c in node.columns)
        keys, results = renewed[: len(node.keys)], renewed[len(node.keys) :]
        calls = results[: len(node.aggregates)]
        grouped = logical.GroupBy(
            node.input,
            tuple(node.keys[i] for i in chosen),
            node.aggregates,
            (*(keys[i] for i in chosen), *calls),
            (tuple(range(len(chosen))),),
        )
        one = _Grouping(planner, grouped, below).build()
        outputs: list[tuple[Column, Expr]] = [
            (c, ColumnRef(c.id, c.type) if i in chosen else Const(None, c.type)) for i, c in enumerate(keys)
        ]
        outputs += [(c, ColumnRef(c.id, c.type)) for c in calls]
        outputs += [(c, Const(_grouping_id(len(keys), chosen), c.type)) for c in results[len(calls) :]]
        sides.append((planner.project(one, outputs), renewed))
    return union_all(planner, sides, node.columns)


def _grouping_id(keys: int, chosen: tuple[int, ...]) -> int:
    """GROUPING() over all keys: a bit per key, the first the highest, 1 where it is not grouped by."""
    return sum(1 << (keys - 1 - i) for i in range(keys) if i not in chosen)


def distinct(planner: Planner, node: logical.DistinctOn) -> Node:
    """SELECT DISTINCT: groups without aggregates."""
    keys = tuple(ColumnRef(column.id, column.type) for column in node.columns)
    grouped = logical.GroupBy(node.input, keys, (), node.columns, (tuple(range(len(keys))),))
    return group_by(planner, grouped)


class _Grouping:
    """The steps from a logical GroupBy to its stream nodes."""

    def __init__(self, planner: Planner, node: logical.GroupBy, below: Node) -> None:
        self.planner = planner
        self.node = node
        self.below = below
        self.window_end: int | None = None
        #: key columns of the aggregate, in order, with the expression that computes each
        self.keys: list[tuple[Column, Expr]] = []
        self.representatives: list[Aggregate] = []
        #: counts are sums of partial ones, of which there may be none
        self.sums_counts = False
        #: the logical key's expression over the aggregate's output
        self.key_outputs: list[Expr] = []

    def build(self) -> Node:
        self._plan_keys()
        aggregates = tuple(self.representatives) + reduction.simplified(self.node.aggregates)
        window_end = self.window_end if self.planner.judges else None
        different = distincts.arguments(aggregates)
        two_phases = distincts.in_two_phases(aggregates)
        if not two_phases and window_end is not None:
            different = []  # rows and groups would not be late alike
        reduced = not different and any(map(reduction.needs_rows, aggregates))
        if reduced or (different and not two_phases):
            self.below, aggregates = reduction.read(self.planner, self.below, aggregates)
            different = different and distincts.arguments(aggregates)
        values = {expr: self._value(expr) for expr in different}
        node = self._project_input(aggregates, list(values.values()))
        key_ids = tuple(column.id for column, _ in self.keys)
        hidden = node.properties.row_watermark
        if window_end is not None:
            check_sessions(node, key_ids, self.planner.emit.position)
        if values:
            named = {expr: column for expr, (column, _) in values.items()}
            if two_phases:
                (value,) = named.values()
                node, aggregates = distincts.first_phase(
                    self.planner, node, key_ids, value, aggregates, window_end
                )
            else:
                node, aggregates = distincts.beside(self.planner, node, key_ids, named, aggregates)
            hidden = None
            self.sums_counts = two_phases and not key_ids
        slices = None
        if not reduced and not values:
            node, slices = self._sliced(node, aggregates)
            if self._in_two_phases(node, aggregates):
                node, aggregates = twophase.partial(
                    self.planner, node, key_ids, aggregates, window_end, slices
                )
                hidden = slices = None
        apart = (
            key_ids if slices is None else tuple(k for k in key_ids if k not in (slices.start, slices.end))
        )
        node = self.planner.exchange(node, apart)
        added = tuple(self.planner.column("representative", a.type) for a in self.representatives)
        n_keys = len(self.node.keys)
        results = self.node.columns[n_keys : n_keys + len(self.node.aggregates)]
        carried = node.properties.watermarks & frozenset(key_ids)
        emit = emit_above(self.planner, self.below)
        assert window_end is None or window_end in carried
        properties = Properties(
            columns=(*(column for column, _ in self.keys), *added, *results),
            key=key_ids,
            append_only=False,
            partitioning=node.properties.partitioning,
            watermarks=carried,
        )
        assert hidden is None or node.properties.row_watermark == hidden
        held = emit if window_end is not None else None
        judged = of_sessions(node)
        if reduced and window_end is None and self._folds(node, aggregates):
            return self._restore_keys(self._folded(node, aggregates, properties), added, results)
        number = self.planner.node_id()
        grouped: Node
        if reduced:
            grouped = GroupReduce(
                number, node, key_ids, (), aggregates, properties, window_end, held, judged=judged
            )
        else:
            grouped = GroupAggregate(
                number,
                node,
                key_ids,
                aggregates,
                properties,
                window_end,
                held,
                judged=judged,
                slices=slices,
            )
        return self._restore_keys(grouped, added, results)

    @staticmethod
    def _folds(node: Node, aggregates: tuple[Aggregate, ...]) -> bool:
        """Whether a state per group is enough for all of them."""
        append_only = node.properties.append_only
        return all(not reduction.needs_rows(a) or reduction.foldable(a, append_only) for a in aggregates)

    def _folded(self, node: Node, aggregates: tuple[Aggregate, ...], properties: Properties) -> Node:
        """A GroupFold, joined with a GroupAggregate of the aggregates that are no folds."""
        planner, n = self.planner, len(self.keys)
        pairs = list(zip(aggregates, properties.columns[n:], strict=True))
        folds = [(a, c) for a, c in pairs if reduction.needs_rows(a)]
        others = [(a, c) for a, c in pairs if not reduction.needs_rows(a)]
        keys = properties.columns[:n]
        if others:
            keys = tuple(planner.column(c.name, c.type) for c in keys)
        ids = tuple(c.id for c in keys)
        folded = replace(properties, columns=(*keys, *(c for _, c in folds)), key=ids)
        right = GroupFold(planner.node_id(), node, properties.key, tuple(a for a, _ in folds), folded)
        if not others:
            return right
        kept = replace(properties, columns=(*properties.columns[:n], *(c for _, c in others)))
        left = GroupAggregate(planner.node_id(), node, properties.key, tuple(a for a, _ in others), kept)
        both = replace(properties, columns=(*kept.columns, *folded.columns))
        every = tuple(range(n))
        return HashJoin(planner.node_id(), left, right, properties.key, ids, None, both, null_safe=every)

    def _in_two_phases(self, node: Node, aggregates: tuple[Aggregate, ...]) -> bool:
        key_ids = tuple(column.id for column, _ in self.keys)
        return self.planner.spreads(node, key_ids) and twophase.splits(node, aggregates)

    def _sliced(self, node: Node, aggregates: tuple[Aggregate, ...]) -> tuple[Node, Slices | None]:
        """The input by slices where that is possible; not if all rows would go to one of several reactors."""
        key_ids = tuple(column.id for column, _ in self.keys)
        found = by_slices(self.planner, node, key_ids, aggregates)
        if found is None:
            return node, None
        alone = set(key_ids) <= {found[1].start, found[1].end}
        if alone and self.planner.shapes.reactors > 1 and not self._in_two_phases(node, aggregates):
            return node, None
        return found

    def _value(self, expr: Expr) -> tuple[Column, Expr]:
        """The column whose different values are aggregated."""
        if isinstance(expr, ColumnRef) and not expr.type.needs_sort_key:
            column = next(c for c in self.below.properties.columns if c.id == expr.id)
            if all(key.id != column.id for key, _ in self.keys):
                return column, expr
        return self.planner.column("value", key_type(expr.type)), sort_key(expr)

    def _plan_keys(self) -> None:
        """Choose key columns: sort keys where equality is not storage, and the window's end."""
        for index, key in enumerate(self.node.keys):
            out = self.node.columns[index]
            if key.type.needs_sort_key:
                column = self.planner.column("sort_key", key_type(key.type))
                self.keys.append((column, sort_key(key)))
                self.representatives.append(Aggregate(ANY_VALUE, (key,), key.type))
                self.key_outputs.append(ColumnRef(-len(self.representatives), key.type))
            else:
                column = next(c for c in self.below.properties.columns if c.id == key.id)
                self.keys.append((column, ColumnRef(key.id, key.type)))
                self.key_outputs.append(ColumnRef(key.id, out.type))
        self._find_window_end()

    def _find_window_end(self) -> None:
        """The key by which groups close: window_end, or what stands for it."""
        found = closing_key(self.planner, self.node.keys, self.below.properties.watermarks)
        if isinstance(found, Call):
            self._add_hidden_end(found)
        elif found is not None:
            self.window_end = found.id

    def _add_hidden_end(self, expr: Call) -> None:
        column = self.planner.column("window_end", expr.type)
        self.keys.append((column, expr))
        self.window_end = column.id

    def _project_input(self, aggregates: tuple[Aggregate, ...], added: list[tuple[Column, Expr]]) -> Node:
        """Only the keys, what is ``added`` and what the aggregates read."""
        from laminar.sql.expressions import columns_of

        needed = columns_of(*aggregates) - {column.id for column, _ in self.keys}
        outputs = list(self.keys)
        outputs += added
        needed -= {column.id for column, _ in outputs}
        outputs += [
            (column, ColumnRef(column.id, column.type))
            for column in self.below.properties.columns
            if column.id in needed
        ]
        hidden_end = next((c for c, e in self.keys if c.id == self.window_end and isinstance(e, Call)), None)
        if [c.id for c, _ in outputs] == [c.id for c in self.below.properties.columns] and hidden_end is None:
            return self.below
        return self.planner.project(self.below, outputs)

    def _restore_keys(self, grouped: Node, added: tuple[Column, ...], results: tuple[Column, ...]) -> Node:
        """Give the logical columns back: representatives for sort keys, no hidden end."""
        outputs: list[tuple[Column, Expr]] = []
        for column, key in zip(self.node.columns, self.key_outputs, strict=False):
            expr = key
            if isinstance(key, ColumnRef) and key.id < 0:
                source = added[-key.id - 1]
                expr = ColumnRef(source.id, source.type)
            outputs.append((column, expr))
            if isinstance(expr, ColumnRef) and expr.id in self.planner.windows:
                self.planner.windows[column.id] = self.planner.windows[expr.id]
        for column, aggregate in zip(results, self.node.aggregates, strict=True):
            value: Expr = ColumnRef(column.id, column.type)
            if self.sums_counts and aggregate.function.name == "count":
                value = Coalesce((value, Const(0, column.type)), column.type)
            outputs.append((column, value))
        same = [c.id for c, _ in outputs] == [c.id for c in grouped.properties.columns]
        if same and all(isinstance(e, ColumnRef) and e.id == c.id for c, e in outputs):
            return grouped
        return self.planner.project(grouped, outputs)
