"""Builds a view's stream plan from its logical plan.

One method per logical node. What the plan cannot be kept up to date with is refused
here, when the view is created, with what is missing in the hint.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from itertools import count

from laminar.connectors.base import SinkSpec
from laminar.engine.nodes import (
    Append,
    ClockBound,
    Closing,
    Exchange,
    FailedRows,
    Input,
    Linear,
    Materialize,
    Node,
    Properties,
    Sink,
    TemporalFilter,
    TopN,
)
from laminar.errors import not_supported
from laminar.sql import plan as logical
from laminar.sql.expressions import columns_of, conjunction, conjuncts, substitute, uses_now
from laminar.sql.plan import Column, ColumnRef, Emit, Expr, Plan
from laminar.sql.stream import (
    grouping,
    joining,
    legality,
    lookup,
    overwindows,
    proctime,
    ranking,
    setops,
    setreturning,
    sharing,
    timewindow,
    upserts,
)
from laminar.sql.stream.clock import bounds
from laminar.sql.stream.deadletters import OnError, failed_rows
from laminar.sql.stream.emission import clause_name, gate, settled
from laminar.sql.stream.latedata import Carried, LateTable, late_rows
from laminar.sql.stream.shape import Shape, Shapes, WindowRole
from laminar.sql.stream.watermarks import passed_on
from laminar.types import INT8, TIMESTAMPTZ, PgType


def plan_view(
    relation: int,
    query: Plan,
    visible: tuple[Column, ...],
    emit: Emit,
    shapes: Shapes,
    timezone: str = "UTC",
    late: LateTable | None = None,
    on_error: OnError | None = None,
) -> Materialize:
    """The dataflow that keeps ``relation`` equal to ``query``.

    Args:
        relation: the view's oid.
        query: logical plan without Apply, Subquery or Outer.
        visible: the view's columns, in order, out of ``query.columns``.
        emit: the EMIT clause.
        shapes: what is known of the inputs.
        timezone: in which its expressions are evaluated.
        late: the table of LATE DATA TO.
        on_error: what becomes of rows that fail, other than that they are counted.

    Raises:
        PgError: 0A000 for what cannot be maintained or can never emit.
    """
    planner, node = _planned(Planner(query, emit, shapes, timezone, late), query, visible)
    appends = () if late is None else (late_rows(planner, node, emit.position or None),)
    watches: tuple[FailedRows, ...] = ()
    if on_error is not None:
        taker = failed_rows(planner, node, on_error)
        appends = (*appends, taker) if isinstance(taker, Append) else appends
        watches = (taker,) if isinstance(taker, FailedRows) else ()
    windows = tuple(
        (column.id, role.bound, role.size)
        for column in node.properties.columns
        if (role := planner.windows.get(column.id)) is not None
    )
    return Materialize(planner.node_id(), node, relation, node.properties, windows, appends, watches)


def plan_into(
    table: int,
    query: Plan,
    visible: tuple[Column, ...],
    emit: Emit,
    shapes: Shapes,
    timezone: str = "UTC",
) -> Materialize:
    """The dataflow that makes a table's rows those of ``query``.

    Raises:
        PgError: 0A000 when several of the query's rows could have the same primary key.
    """
    root = plan_view(table, query, visible, emit, shapes, timezone)
    position = {column.id: attnum for attnum, column in enumerate(root.properties.columns, 1)}
    key = shapes.shape(table).key
    if not root.properties.key or not {position[column] for column in root.properties.key} <= set(key):
        raise not_supported(
            "rows of the query are not told apart by the table's primary key",
            hint="Group the query by the primary key, or give the table the query's key.",
        )
    return root


def plan_sink(
    relation: int,
    query: Plan,
    visible: tuple[Column, ...],
    emit: Emit,
    shapes: Shapes,
    spec: SinkSpec,
    timezone: str = "UTC",
) -> Sink:
    """The dataflow that feeds a sink with ``query``'s changes; key and kind of changes come into its spec."""
    planner, node = _planned(Planner(query, emit, shapes, timezone), query, visible)
    properties = node.properties
    position = {column.id: i for i, column in enumerate(properties.columns[: len(visible)])}
    key = None
    if properties.key and all(column in position for column in properties.key):
        key = tuple(position[column] for column in properties.key)
    spec = replace(spec, key=key, append_only=properties.append_only)
    return Sink(planner.node_id(), node, relation, spec, properties)


class Planner:
    """One view's planning: numbering, and what is known of columns so far."""

    def __init__(
        self, query: Plan, emit: Emit, shapes: Shapes, timezone: str, late: LateTable | None = None
    ) -> None:
        self.timezone = timezone
        #: what late rows are to have for LATE DATA TO; None from where nothing can be late any more
        self.carried = None if late is None else Carried(late)
        self.emit = settled(emit)
        #: the EMIT clause as it was written, for messages
        self.clause = clause_name(emit)
        self.shapes = shapes
        self.windows: dict[int, WindowRole] = {}
        #: aggregations built so far; None: each is to be built for itself
        self.known: sharing.Known | None = {}
        #: only filters and projections lie between what is being built and the view
        self.outermost = True
        #: when windows over what is being built are over, if that is processing time
        self.closing: Closing | None = None
        self._node_ids = count(1)
        self._column_ids = count(_highest_column(query) + 1)

    # --- small makers -----------------------------------------------------------

    def node_id(self) -> int:
        return next(self._node_ids)

    def column(self, name: str, type_: PgType) -> Column:
        """A new hidden column."""
        return Column(next(self._column_ids), name, type_)

    @property
    def judges(self) -> bool:
        """Whether the view has a bound beyond which changes are late."""
        return self.emit.mode in ("close", "watermark") or self.emit.lateness is not None

    def project(self, node: Node, outputs: list[tuple[Column, Expr]], condition: Expr | None = None) -> Node:
        """Filter and projection over ``node``, merged into a Linear below when that costs nothing twice.

        The hidden row watermark is kept without being asked for.
        """
        hidden = node.properties.row_watermark
        if hidden is not None and all(column.id != hidden for column, _ in outputs):
            column = next(c for c in node.properties.columns if c.id == hidden)
            outputs = [*outputs, (column, ColumnRef(column.id, column.type))]
        outputs = self._carry(node, outputs)
        if isinstance(node, Linear) and _mergeable(node, outputs, condition):
            below = dict(zip((c.id for c in node.properties.columns), node.exprs, strict=True))
            outputs = [(column, substitute(expr, below)) for column, expr in outputs]
            parts = conjuncts(node.filter) + [substitute(part, below) for part in conjuncts(condition)]
            condition, node = conjunction(parts), node.input
        return self._linear(node, outputs, condition)

    def _carry(self, node: Node, outputs: list[tuple[Column, Expr]]) -> list[tuple[Column, Expr]]:
        """The outputs of a projection, and what late rows are to have."""
        if self.carried is None:
            return outputs
        there = {column.id for column in node.properties.columns} - {column.id for column, _ in outputs}
        added = [c for c in self.carried.columns.values() if c.id in there]
        return [*outputs, *((c, ColumnRef(c.id, c.type)) for c in added)]

    def _linear(self, node: Node, outputs: list[tuple[Column, Expr]], condition: Expr | None) -> Linear:
        if isinstance(node, TopN):
            used = columns_of(*(expr for _, expr in outputs), *conjuncts(condition))
            node = ranking.without_number(self, node, used)
        inner = node.properties
        passed = passed_on(outputs, inner.watermarks)
        renamed: dict[int, int] = {}
        for column, expr in outputs:
            if isinstance(expr, ColumnRef):
                renamed.setdefault(expr.id, column.id)
                if expr.id in self.windows:
                    self.windows[column.id] = self.windows[expr.id]
        for bound, role in timewindow.roles(outputs).items():
            self.windows.setdefault(bound, role)
        properties = Properties(
            columns=tuple(column for column, _ in outputs),
            key=_renamed(inner.key, renamed) or (),
            append_only=inner.append_only,
            partitioning=_renamed(inner.partitioning, renamed) if inner.partitioning else inner.partitioning,
            watermarks=frozenset(out for out, _, _ in passed),
            row_watermark=None if inner.row_watermark is None else renamed[inner.row_watermark],
        )
        exprs = tuple(expr for _, expr in outputs)
        return Linear(self.node_id(), node, condition, exprs, properties, passed)

    def spreads(self, node: Node, keys: tuple[int, ...]) -> bool:
        """Whether rows with equal keys may be in several reactors."""
        return self.shapes.reactors > 1 and not self._together(node, keys)

    @staticmethod
    def _together(node: Node, keys: tuple[int, ...]) -> bool:
        have = node.properties.partitioning
        return have is not None and (not have or set(have) <= set(keys)) and (bool(have) or not keys)

    def exchange(self, node: Node, keys: tuple[int, ...]) -> Node:
        """Bring equal keys together; nothing to do when a subset of the keys already decides."""
        if self._together(node, keys):
            return node
        return Exchange(self.node_id(), node, keys, replace(node.properties, partitioning=keys))

    def exchange_pair(
        self, left: Node, left_keys: tuple[int, ...], right: Node, right_keys: tuple[int, ...]
    ) -> tuple[Node, Node]:
        """Bring equal keys of two inputs to the same reactor: by the same keys in the same order."""
        for node, keys in ((left, left_keys), (right, right_keys)):
            have = node.properties.partitioning
            if have and set(have) <= set(keys):
                places = [keys.index(column) for column in have]
                break
        else:
            places = list(range(len(left_keys)))
        by_left, by_right = (tuple(keys[i] for i in places) for keys in (left_keys, right_keys))
        return self.exchange_exactly(left, by_left), self.exchange_exactly(right, by_right)

    def exchange_exactly(self, node: Node, keys: tuple[int, ...]) -> Node:
        """Bring equal keys together, and not by a subset of the keys."""
        if node.properties.partitioning == keys:
            return node
        return Exchange(self.node_id(), node, keys, replace(node.properties, partitioning=keys))

    # --- the root ---------------------------------------------------------------

    def output(self, query: Plan, visible: tuple[Column, ...]) -> Node:
        """The node whose columns are the view's, EMIT applied."""
        node = gate(self, self.build(query, row_watermark=self.judges))
        carried, self.carried = self.carried, None
        by_id = {column.id: column for column in node.properties.columns}
        outputs: list[tuple[Column, Expr]] = []
        seen: set[int] = set()
        for column in visible:
            source = by_id[column.id]
            target = column if column.id not in seen else self.column(column.name, column.type)
            seen.add(column.id)
            outputs.append((target, ColumnRef(source.id, source.type)))
        same = [c.id for c in node.properties.columns] == [column.id for column, _ in outputs]
        if not same:
            node = self.drop_row_watermark(node, outputs)
        self.carried = carried
        return node

    def drop_row_watermark(self, node: Node, outputs: list[tuple[Column, Expr]]) -> Node:
        """Project without keeping the hidden row watermark: nobody above judges by it."""
        if node.properties.row_watermark is None:
            return self.project(node, outputs)
        if isinstance(node, Linear) and _mergeable(node, outputs, None):
            below = dict(zip((c.id for c in node.properties.columns), node.exprs, strict=True))
            merged = [(column, substitute(expr, below)) for column, expr in outputs]
            bare = node.input
            condition = node.filter
        else:
            merged, bare, condition = outputs, node, None
        return self._linear_without_row_watermark(bare, merged, condition)

    def _linear_without_row_watermark(
        self, node: Node, outputs: list[tuple[Column, Expr]], condition: Expr | None
    ) -> Linear:
        masked = replace(node.properties, row_watermark=None)
        return self._linear(replace(node, properties=masked), outputs, condition)

    def build_below(self, node: Plan, row_watermark: bool) -> Node:
        """Build an input of a grouping or a join."""
        before, self.outermost = self.outermost, False
        try:
            return self.build(node, row_watermark)
        finally:
            self.outermost = before

    # --- one method per logical node ---------------------------------------------

    def build(self, node: Plan, row_watermark: bool) -> Node:
        """The stream node for a logical one; ``row_watermark``: somebody above judges lateness."""
        match node:
            case logical.Scan():
                return self.scan(node, row_watermark)
            case logical.Filter():
                return self.filter(node, row_watermark)
            case logical.Project():
                return self.projection(node, row_watermark)
            case logical.Sort():
                # A relation has no order; only LIMIT above would give it a meaning.
                return self.build(node.input, row_watermark)
            case logical.GroupBy():
                return sharing.group_by(self, node)
            case logical.DistinctOn() if {c.id for c in node.columns} == {c.id for c in node.on}:
                return grouping.distinct(self, node)
            case logical.DistinctOn():
                return ranking.distinct_on(self, node)
            case logical.Limit():
                return ranking.limit(self, node)
            case logical.Window():
                return overwindows.window(self, node)
            case logical.Join() if node.kind in ("inner", "cross") and any(
                uses_now(part) for part in conjuncts(node.condition)
            ):
                parts = conjuncts(node.condition)
                lasting = conjunction([part for part in parts if uses_now(part) is None])
                timed = [part for part in parts if uses_now(part) is not None]
                return self.temporal_filter(replace(node, condition=lasting), [], timed, False)
            case logical.Join():
                return joining.join(self, node)
            case logical.SetOp():
                return setops.set_operation(self, node, row_watermark)
            case logical.Values():
                return setreturning.values(self, node)
            case logical.ProjectSet():
                return setreturning.project_set(self, node, row_watermark)
            case logical.TableFunction():
                return setreturning.table_function(self, node)
            case logical.TimeWindow():
                return timewindow.time_window(self, node, row_watermark)
        raise legality.unsupported(node)

    def scan(self, node: logical.Scan, row_watermark: bool) -> Node:
        shape = self.shapes.shape(node.relation)
        if shape.lookup is not None:
            raise lookup.unbound(shape.lookup.name, None)
        if shape.upserts is not None:
            return upserts.last_rows(self, node, shape)
        return self.input(node, shape, (), row_watermark)

    def carries(self, column: Column) -> bool:
        """Whether late rows are to have a column."""
        return self.carried is not None and column.id in {c.id for c in self.carried.columns.values()}

    def input(
        self, node: logical.Scan, shape: Shape, more: tuple[int, ...], row_watermark: bool = False
    ) -> Input:
        """The changes of a relation, with attributes ``more`` than the scan asks for."""
        columns, attnums = list(node.columns), list(node.attnums)
        for attnum in dict.fromkeys(more):
            if attnum not in attnums:
                known = shape.columns if attnum > 0 or shape.upserts is None else shape.upserts.hidden
                columns.append(self.column(*known[attnum]))
                attnums.append(attnum)
        by_attnum = dict(zip(attnums, columns, strict=True))
        for attnum, column in by_attnum.items():
            if attnum in shape.windows:
                self.windows[column.id] = shape.windows[attnum]
        hidden = None
        if row_watermark and shape.row_watermarks:
            column = self.column("laminar_row_watermark", PgType(INT8))
            columns.append(column)
            attnums.append(-1)
            hidden = column.id
        if self.carried is not None:
            for attnum, (name, type_) in shape.columns.items():
                if attnum not in by_attnum and self.carried.wants(name):
                    columns.append(self.column(name, type_))
                    attnums.append(attnum)
            for column, attnum in zip(columns, attnums, strict=True):
                if attnum in shape.columns:
                    self.carried.add(replace(column, name=shape.columns[attnum][0]))
        keyed = bool(shape.key) and all(attnum in by_attnum for attnum in shape.key)
        properties = Properties(
            columns=tuple(columns),
            key=tuple(by_attnum[attnum].id for attnum in shape.key) if keyed else (),
            append_only=shape.append_only,
            watermarks=frozenset(c.id for attnum, c in by_attnum.items() if attnum in shape.watermarks),
            row_watermark=hidden,
        )
        return Input(self.node_id(), node.relation, tuple(attnums), properties)

    def filter(self, node: logical.Filter, row_watermark: bool) -> Node:
        ranked = ranking.ranked(self, node)
        if ranked is not None:
            return ranked
        if proctime.uses_proctime(node.condition) is not None:
            below = self.build(node.input, row_watermark)
            columns = below.properties.columns
            timed_below, (condition,) = proctime.with_time(self, below, [node.condition])
            legality.check_expression(condition)
            kept = [c for c in columns if c.id != below.properties.row_watermark]
            return self.project(timed_below, [(c, ColumnRef(c.id, c.type)) for c in kept], condition)
        timed = [part for part in conjuncts(node.condition) if uses_now(part) is not None]
        lasting = [part for part in conjuncts(node.condition) if uses_now(part) is None]
        if timed:
            return self.temporal_filter(node.input, lasting, timed, row_watermark)
        legality.check_expression(node.condition)
        below = self.build(node.input, row_watermark)
        outputs: list[tuple[Column, Expr]] = [
            (column, ColumnRef(column.id, column.type)) for column in below.properties.columns
        ]
        return self.project(below, outputs, node.condition)

    def temporal_filter(
        self, node: Plan, lasting: list[Expr], timed: list[Expr], row_watermark: bool
    ) -> TemporalFilter:
        """Rows of ``node`` that fulfil ``lasting``, while ``timed`` conditions hold, which read the clock."""
        condition = conjunction(lasting)
        below = self.build(node if condition is None else logical.Filter(node, condition), row_watermark)
        clock = self.column("now", PgType(TIMESTAMPTZ)).id
        found: list[ClockBound] = []
        for part in timed:
            legality.check_volatile(part)
            found += bounds(part, clock, self.timezone)
        inner = below.properties
        kept = tuple(column for column in inner.columns if column.id != inner.row_watermark)
        properties = replace(inner, columns=kept, append_only=False, row_watermark=None)
        return TemporalFilter(self.node_id(), below, clock, tuple(found), properties)

    def projection(self, node: logical.Project, row_watermark: bool) -> Node:
        below, exprs = proctime.with_time(self, self.build(node.input, row_watermark), list(node.exprs))
        for expr in exprs:
            legality.check_expression(expr)
        return self.project(below, list(zip(node.columns, exprs, strict=True)))


def _planned(planner: Planner, query: Plan, visible: tuple[Column, ...]) -> tuple[Planner, Node]:
    """A query's node, with the planner that made it."""
    apart = copy(planner)
    node = planner.output(query, visible)
    if apart.carried is not None or sharing.consistent(node):
        return planner, node
    apart.known, apart.windows = None, {}
    return apart, apart.output(query, visible)


def _highest_column(plan: object) -> int:
    """The largest column id in a plan."""
    highest = 0
    stack: list[object] = [plan]
    while stack:
        item = stack.pop()
        if isinstance(item, Column):
            highest = max(highest, item.id)
        elif isinstance(item, tuple):
            stack.extend(item)
        elif hasattr(item, "__dataclass_fields__"):
            stack.extend(getattr(item, name) for name in item.__dataclass_fields__)
    return highest


def _renamed(ids: tuple[int, ...] | None, renamed: dict[int, int]) -> tuple[int, ...] | None:
    """Column ids after a projection; None when one of them is gone."""
    if ids is None or any(i not in renamed for i in ids):
        return None
    return tuple(renamed[i] for i in ids)


def _mergeable(below: Linear, outputs: list[tuple[Column, Expr]], condition: Expr | None) -> bool:
    """Whether projecting straight from ``below``'s input computes nothing more than once."""
    used: dict[int, int] = {}
    exprs = [expr for _, expr in outputs] + conjuncts(condition)
    for expr in exprs:
        for read in columns_of(expr):
            used[read] = used.get(read, 0) + 1
    pairs = zip(below.properties.columns, below.exprs, strict=True)
    return not any(
        used.get(column.id, 0) > 1 and not isinstance(expr, ColumnRef | logical.Const)
        for column, expr in pairs
    )
