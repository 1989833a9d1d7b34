"""Stateful and linear operators, one file each.

:func:`build` turns a node of the stream plan into its operator, :func:`partition` spreads a
change over reactors.
"""

from __future__ import annotations

from laminar.engine.nodes import (
    AsofJoin,
    Constant,
    EmitEvery,
    EmitGate,
    FailedRows,
    FlatMap,
    GroupAggregate,
    GroupFold,
    GroupReduce,
    HashJoin,
    Hop,
    LateRows,
    Linear,
    LookupJoin,
    Node,
    OverWindow,
    ProcessingTime,
    Repeat,
    SessionWindow,
    TemporalFilter,
    TemporalJoin,
    TopN,
    UnionAll,
)
from laminar.engine.operators.base import Operator
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.partition import partition
from laminar.errors import INTERNAL_ERROR, PgError

__all__ = ["Operator", "OperatorContext", "build", "partition"]


def build(node: Node, context: OperatorContext) -> Operator:
    """The operator of a computing node.

    Raises:
        PgError: 0A000 or 42883 for what the node asks for and no operator can do.
    """
    from laminar.engine.operators.asof_join import AsofJoinOperator
    from laminar.engine.operators.constant import ConstantOperator
    from laminar.engine.operators.emit_every import EmitEveryOperator
    from laminar.engine.operators.emit_gate import EmitGateOperator
    from laminar.engine.operators.failed_rows import FailedRowsOperator
    from laminar.engine.operators.first_rows import FirstRowsOperator, applies
    from laminar.engine.operators.flat_map import FlatMapOperator
    from laminar.engine.operators.group_aggregate import GroupAggregateOperator
    from laminar.engine.operators.group_fold import GroupFoldOperator
    from laminar.engine.operators.group_reduce import GroupReduceOperator
    from laminar.engine.operators.hash_join import HashJoinOperator
    from laminar.engine.operators.hop import HopOperator
    from laminar.engine.operators.leftout import LateRowsOperator
    from laminar.engine.operators.linear import LinearOperator
    from laminar.engine.operators.lookup_join import LookupJoinOperator
    from laminar.engine.operators.over_window import OverWindowOperator
    from laminar.engine.operators.processing_time import ProcessingTimeOperator
    from laminar.engine.operators.repeat import RepeatOperator
    from laminar.engine.operators.session import SessionOperator
    from laminar.engine.operators.temporal_filter import TemporalFilterOperator
    from laminar.engine.operators.temporal_join import TemporalJoinOperator
    from laminar.engine.operators.top_n import TopNOperator
    from laminar.engine.operators.union_all import UnionAllOperator

    match node:
        case Linear():
            return LinearOperator(node, context)
        case Constant():
            return ConstantOperator(node, context)
        case UnionAll():
            return UnionAllOperator(node)
        case FlatMap():
            return FlatMapOperator(node, context)
        case Repeat():
            return RepeatOperator(node)
        case Hop():
            return HopOperator(node, context)
        case SessionWindow():
            return SessionOperator(node, context)
        case ProcessingTime():
            return ProcessingTimeOperator(node)
        case TemporalFilter():
            return TemporalFilterOperator(node, context)
        case GroupAggregate():
            return GroupAggregateOperator(node, context)
        case TopN():
            return FirstRowsOperator(node, context) if applies(node) else TopNOperator(node, context)
        case OverWindow():
            return OverWindowOperator(node, context)
        case GroupReduce():
            return GroupReduceOperator(node, context)
        case GroupFold():
            return GroupFoldOperator(node, context)
        case AsofJoin():
            return AsofJoinOperator(node, context)
        case TemporalJoin():
            return TemporalJoinOperator(node, context)
        case LookupJoin():
            return LookupJoinOperator(node, context)
        case HashJoin():
            return HashJoinOperator(node, context)
        case EmitGate():
            return EmitGateOperator(node, context)
        case LateRows():
            return LateRowsOperator(node)
        case FailedRows():
            return FailedRowsOperator(node)
        case EmitEvery():
            return EmitEveryOperator(node, context)
    raise PgError(INTERNAL_ERROR, f"{type(node).__name__} is no computing node")
