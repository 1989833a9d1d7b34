"""Joins and large sorts in DataFusion, handed over as Substrait.

DataFusion sees columns by position and keys whose bytes are equal exactly when PostgreSQL calls the
values equal. Conditions beyond equality and order of such keys are one function each, evaluated by the
same kernels as everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
from datafusion import RuntimeEnvBuilder, SessionConfig, SessionContext, udf
from datafusion.substrait import Consumer, Serde
from substrait.proto import Expression, Rel

from laminar.errors import INTERNAL_ERROR, OUT_OF_MEMORY, PgError
from laminar.sql.adhoc import batches
from laminar.sql.adhoc.calls import compiled
from laminar.sql.adhoc.joinkeys import COMPARISONS, split_condition
from laminar.sql.adhoc.substrait import Builder
from laminar.sql.evaluator import Env
from laminar.sql.expressions import columns_of
from laminar.sql.plan import BoolOp, Call, ColumnRef, Const, Expr, Join, Plan, SortItem, Test
from laminar.sql.sortkeys import sort_key

BATCH_ROWS: Final = 32768


@dataclass(slots=True)
class Failure:
    """The first error that a function raised inside DataFusion."""

    error: BaseException | None = None


@dataclass(slots=True)
class Node:
    """A relation of the Substrait plan: where each column id is."""

    rel: Rel
    positions: dict[int, int]
    width: int


@dataclass(slots=True)
class Relational:
    """One plan for DataFusion under construction.

    Args:
        stream: runs a logical plan that is not a join, giving its batches.
        memory: bytes that DataFusion may use before it spills or fails.
        leaves: identities of joins that ``stream`` runs all the same.
    """

    stream: Callable[[Plan], Iterator[pa.RecordBatch]]
    env: Env
    memory: int
    leaves: Container[int] = ()
    builder: Builder = field(default_factory=Builder)
    failure: Failure = field(default_factory=Failure)
    context: Any = None
    _tables: int = 0
    _functions: int = 0
    _next_id: int = -1

    def __post_init__(self) -> None:
        config = SessionConfig().with_target_partitions(1).with_batch_size(BATCH_ROWS)
        self.context = SessionContext(
            config, RuntimeEnvBuilder().with_disk_manager_os().with_fair_spill_pool(self.memory)
        )
        # It merges nested inner joins and gives all keys one null equality: with IS NOT DISTINCT FROM
        # inside and other keys outside, rows with null keys are lost. Our rewriting has no need of it.
        self.context.remove_optimizer_rule("eliminate_cross_join")

    # --- joins ----------------------------------------------------------------------

    def join(self, plan: Join) -> Iterator[pa.RecordBatch]:
        """The join's rows."""
        node = self._join(plan)
        positions = [node.positions[c.id] for c in plan.columns]
        if not positions:
            return self._count_only(node)
        rel = self.builder.pick(node.rel, node.width, positions)
        return self._run(rel, [c.type.storage for c in plan.columns])

    def _count_only(self, node: Node) -> Iterator[pa.RecordBatch]:
        rel = self.builder.pick(node.rel, node.width, [0])
        for batch in self._run(rel, None):
            yield batches.make([], batch.num_rows)

    def _join(self, plan: Join) -> Node:
        keys, rest = split_condition(plan)
        left = self._side(plan.left, [k.left for k in keys])
        right = self._side(plan.right, [k.right for k in keys])
        conditions = []
        shifted = {i: p + left.width for i, p in right.positions.items()}
        for key in keys:
            at = left.positions[_key_id(key.left)], shifted[_key_id(key.right)]
            name = "is_not_distinct_from" if key.null_safe else "equal"
            conditions.append(self.builder.call(name, [self.builder.field(p) for p in at], pa.bool_()))
        positions = left.positions | shifted
        if rest is not None:
            conditions.append(self._condition(rest, positions))
        rel = self.builder.join(plan.kind, left.rel, right.rel, self._and(conditions))
        if plan.kind in ("semi", "anti"):
            return Node(rel, left.positions, left.width)
        return Node(rel, positions, left.width + right.width)

    def _and(self, conditions: list[Expression]) -> Expression | None:
        if len(conditions) > 1:
            return self.builder.call("and", conditions, pa.bool_())
        return conditions[0] if conditions else None

    def _side(self, plan: Plan, keys: Sequence[Expr]) -> Node:
        """An input of a join with its key columns in place."""
        computed = [k for k in keys if not isinstance(k, ColumnRef)]
        if isinstance(plan, Join) and not computed and id(plan) not in self.leaves:
            return self._join(plan)
        return self._leaf(plan, computed)

    def _leaf(self, plan: Plan, computed: Sequence[Expr]) -> Node:
        """Rows of any other plan as a table, computed keys behind its columns."""
        ids = [c.id for c in plan.columns]
        program = compiled(tuple(computed), ids) if computed else None
        rows = []
        for batch in self.stream(plan):
            extra = program(batch, self.env) if program is not None else []
            columns = [*batch.columns, *extra]
            rows.append(batches.make(columns or [pa.nulls(batch.num_rows, pa.bool_())], batch.num_rows))
        types = [c.type.storage for c in plan.columns] + [e.type.storage for e in computed]
        schema = pa.schema([pa.field(str(i), t) for i, t in enumerate(types or [pa.bool_()])])
        positions = {id_: i for i, id_ in enumerate(ids)}
        for i, expr in enumerate(computed):
            positions[_key_id(expr)] = len(ids) + i
        return Node(self._table(rows, schema), positions, len(schema))

    def _table(self, rows: list[pa.RecordBatch], schema: pa.Schema) -> Rel:
        name = f"t{self._tables}"
        self._tables += 1
        rows = [b.cast(schema) if b.schema != schema else b for b in rows if b.num_rows]
        rows = rows or [pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)]
        self.context.register_record_batches(name, [rows])
        return self.builder.read(name, schema)

    # --- conditions -----------------------------------------------------------------

    def _condition(self, expr: Expr, positions: dict[int, int]) -> Expression:
        native = self._native(expr, positions)
        return native if native is not None else self._function(expr, positions)

    def _native(self, expr: Expr, positions: dict[int, int]) -> Expression | None:
        """The condition in DataFusion's own operators, None when it has none with PostgreSQL's meaning."""
        if isinstance(expr, ColumnRef):
            return self.builder.field(positions[expr.id])
        if isinstance(expr, Const):
            # EXISTS of an uncorrelated subquery, or ON true; unknown joins nothing, as false does
            true = self.builder.true()
            return true if expr.value else self.builder.call("not", [true], pa.bool_())
        if isinstance(expr, Test) and expr.what == "null" and isinstance(expr.arg, ColumnRef):
            name = "is_not_null" if expr.negated else "is_null"
            return self.builder.call(name, [self.builder.field(positions[expr.arg.id])], pa.bool_())
        if isinstance(expr, BoolOp):
            args = [self._native(a, positions) for a in expr.args]
            if any(a is None for a in args):
                return None
            return self.builder.call(expr.op, [a for a in args if a is not None], pa.bool_())
        if isinstance(expr, Call) and expr.function.symbol in COMPARISONS:
            sides = [a for a in expr.args if isinstance(a, ColumnRef)]
            if len(sides) == 2 and sides[0].type.storage == sides[1].type.storage:
                fields = [self.builder.field(positions[a.id]) for a in sides]
                return self.builder.call(COMPARISONS[expr.function.symbol], fields, pa.bool_())
        return None

    def _function(self, expr: Expr, positions: dict[int, int]) -> Expression:
        """The whole expression as one function of its columns."""
        ids = sorted(columns_of(expr))
        types = {e.id: e.type for e in _refs(expr)}
        program = compiled((expr,), ids)
        name = f"f{self._functions}"
        self._functions += 1

        def evaluate(*args: pa.Array) -> pa.Array:
            try:
                columns = args if ids else ()
                result: pa.Array = program(batches.make(columns, len(args[0])), self.env)[0]
                return result
            except BaseException as error:
                self.failure.error = self.failure.error or error
                raise

        storage = [types[i].storage for i in ids]
        fields = [self.builder.field(positions[i]) for i in ids]
        if not ids:
            # A constant or volatile condition: any argument tells it how many rows there are.
            storage, fields = (
                [pa.bool_()],
                [self.builder.call("is_null", [self.builder.field(0)], pa.bool_())],
            )
        self.context.register_udf(udf(evaluate, storage, expr.type.storage, "stable", name))
        return self.builder.call(name, fields, expr.type.storage)

    # --- sorting --------------------------------------------------------------------

    def sort(
        self, rows: list[pa.RecordBatch], keys: Sequence[SortItem], plan: Plan, limit: int | None
    ) -> Iterator[pa.RecordBatch]:
        """``rows`` of ``plan`` in order, at most ``limit``; spills to disk beyond the memory limit."""
        ids = [c.id for c in plan.columns]
        exprs = tuple(sort_key(item.expr) for item in keys)
        program = compiled(exprs, ids)
        wide = [batches.make([*b.columns, *program(b, self.env)], b.num_rows) for b in rows]
        types = [c.type.storage for c in plan.columns] + [e.type.storage for e in exprs]
        schema = pa.schema([pa.field(str(i), t) for i, t in enumerate(types)])
        rel = self.builder.sort(
            self._table(wide, schema),
            [(len(ids) + i, item.descending, item.nulls_first) for i, item in enumerate(keys)],
        )
        if limit is not None:
            rel = self.builder.fetch(rel, limit)
        return self._run(self.builder.pick(rel, len(types), list(range(len(ids)))), types[: len(ids)])

    # --- execution ------------------------------------------------------------------

    def _run(self, rel: Rel, types: Sequence[pa.DataType] | None) -> Iterator[pa.RecordBatch]:
        """Plan and execute; batches with columns named by position."""
        width = 1 if types is None else len(types)
        try:
            plan = Consumer.from_substrait_plan(
                self.context, Serde.deserialize_bytes(self.builder.plan(rel, width))
            )
            stream = self.context.create_dataframe_from_logical_plan(plan).execute_stream()
            for item in stream:
                batch = item.to_pyarrow()
                if types is not None and batch.schema.types != list(types):
                    raise PgError(INTERNAL_ERROR, f"DataFusion gave {batch.schema.types} for {list(types)}")
                yield batches.make(batch.columns, batch.num_rows)
        except PgError:
            raise
        except Exception as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> BaseException:
        if self.failure.error is not None:
            return self.failure.error
        text = str(error)
        if "Resources exhausted" in text or "ResourcesExhausted" in text:
            return PgError(OUT_OF_MEMORY, "out of memory", detail=text.splitlines()[0][:500])
        return PgError(INTERNAL_ERROR, f"query execution failed: {text[:500]}")


def _key_id(expr: Expr) -> int:
    """Column id of a plain key; computed keys get one below all others, made from the expression."""
    return expr.id if isinstance(expr, ColumnRef) else -(hash(expr) & ((1 << 61) - 1)) - 1


def _refs(expr: Expr) -> Iterator[ColumnRef]:
    from laminar.sql.expressions import walk

    return (e for e in walk(expr) if isinstance(e, ColumnRef))
